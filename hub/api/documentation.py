"""
What `/openapi.json` says of each kind of interaction: what it takes, what it answers. https://spec.openapis.org/oas/v3.1.0

A table, since handlers read bodies and headers by themselves, as FHIR has them, and FastAPI can't know of it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hub.api.negotiation import FHIR_JSON, JSON
from hub.patch import JSON_PATCH
from subscriptions.codes import Content, Interaction

FORM = "application/x-www-form-urlencoded"

#: What refusals mean; those of every interaction, and those of every one with a body, come first.
_ALWAYS = (400, 406, 503)
_WITH_BODY = (413, 415)
_REFUSALS = {
    400: "Malformed, or it asks for what is not supported",
    404: "There is none, or no such type here",
    405: "It is built in, or not written here",
    406: "The client takes no JSON, or of another FHIR version",
    409: "The id is in use already, or it can't be done in the present state",
    410: "It was deleted, or this version or event is not kept any more",
    412: "It is not as If-Match, If-None-Match or If-None-Exist expects, or a search finds several",
    413: "The body is too large, or the Bundle has too many entries",
    415: "The body's media type, FHIR version or encoding is not supported",
    422: "The Idempotency-Key was used with another body, or a patch can't be done on what is there",
    503: "Not at the moment, since Redis does not answer: try again",
}
_IN_PATH = {
    "type": "A resource type, such as `Patient`",
    "id": "1 to 64 letters, digits, `-` and `.`",
    "number": "The number of a version, as in `meta.versionId`",
    "version": "The FHIR version of the base that it is registered at, such as `r4`",
}


def _parameter(name: str, place: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "description": description, "schema": {"type": "string"} | schema}


def _content(media_types: Iterable[str], resource: str) -> dict[str, Any]:
    """JSON of a resource; an empty name is any type's."""
    name = {"type": "string"} | ({"enum": [resource]} if resource else {})
    schema = {"type": "object", "required": ["resourceType"], "properties": {"resourceType": name}}
    return {media_type: {"schema": schema} for media_type in media_types}


def _body(resource: str = "", *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": _content((FHIR_JSON, JSON), resource)}


_LIST: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_PREFER = _parameter(
    "Prefer", "header", "`return=minimal`, `return=representation` or `return=OperationOutcome`: what to send back"
)
_IF_MATCH = _parameter("If-Match", "header", 'The version that must be in force: `W/"3"`')
_IF_NONE = _parameter("If-None-Match", "header", "`*`: there must be none yet", enum=["*"])
_IF_CHANGED = _parameter("If-None-Match", "header", 'The versions that the client has: `W/"3"`')
_IF_LATER = _parameter("If-Modified-Since", "header", "When the client read it: heeded without If-None-Match")
_IF_NONE_EXIST = _parameter("If-None-Exist", "header", "A search; a resource is created if it finds none")
_IDEMPOTENCY_KEY = _parameter("Idempotency-Key", "header", "A repeat with the same key gets the first answer")
_EVENT = _parameter(
    "Event", "header", "Events that the write is about, for topics' event triggers: `system|code`, joined by commas"
)
_PAGING = (
    _parameter("_count", "query", "Entries on a page; 0 asks for the total only", type="integer", minimum=0),
    _parameter("_cursor", "query", "Where a page begins: it stands in the `next` link of the one before"),
)
_UPDATED = _parameter("_lastUpdated", "query", "`ge2026-11-21`: with `eq`, `gt`, `ge`, `lt`, `le` or none of them")
_OTHERS = _parameter("parameters", "query", "Any search parameter in the CapabilityStatement") | {
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    "style": "form",
    "explode": True,
}
_SUBSET = (
    _parameter("_summary", "query", "How much of a resource", enum=["true", "text", "data", "false"]),
    _parameter(
        "_elements", "query", "Names of elements of the resource, joined by commas: of what else it is left out"
    ),
)
_COUNTED = _SUBSET[0] | {"schema": {"type": "string", "enum": ["true", "text", "data", "count", "false"]}}
_TOTAL = _parameter("_total", "query", "Whether the total is wanted", enum=["none", "estimate", "accurate"])
_RESULTS = (*_PAGING, _COUNTED, _SUBSET[1], _TOTAL)
_SEARCHED = (*_RESULTS, _parameter("_id", "query", "Ids, joined by commas"), _UPDATED, _OTHERS)
_FORM_BODY = {
    "required": True,
    "content": {FORM: {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}},
}
_PATCHES = {
    "required": True,
    "content": {
        JSON_PATCH: {"schema": {"type": "array", "items": {"type": "object", "required": ["op", "path"]}}},
        **_content((FHIR_JSON, JSON), "Parameters"),
    },
}


@dataclass(frozen=True, slots=True)
class Documented:
    """
    A kind of interaction.

    summary: What it does, in a line.
    answers: What success means, by status; the usual one first.
    resource: The type that is answered; empty for any.
    takes: Headers and parameters of the query, as OpenAPI's Parameter Objects.
    body: OpenAPI's Request Body Object; empty for none.
    refusals: Statuses beside those that every interaction may have.
    schema: Of an answer that is JSON and no resource; empty for a resource.
    """

    summary: str
    answers: Mapping[int, str]
    resource: str = ""
    takes: tuple[dict[str, Any], ...] = ()
    body: dict[str, Any] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    schema: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The usual one."""
        return next(iter(self.answers))

    def operation(self, path: str) -> dict[str, Any]:
        """OpenAPI's Operation Object at a path such as `/{type}/{id}`, as far as FastAPI doesn't know it."""
        placed = (_parameter(name, "path", _IN_PATH[name]) for name in re.findall(r"\{(\w+)", path))
        always = {*_ALWAYS} - ({406} if self.schema else set())
        refusals = sorted({*always, *self.refusals, *(_WITH_BODY if self.body else ())})
        said: dict[str, Any] = {
            "parameters": [*({**each, "required": True} for each in placed), *self.takes],
            "responses": {str(status): self._answer(status) for status in self.answers}
            | {str(status): _refusal(status) for status in refusals},
        }
        return said | ({"requestBody": self.body} if self.body else {})

    def _answer(self, status: int) -> dict[str, Any]:
        answer: dict[str, Any] = {"description": self.answers[status]}
        if status == 201:
            answer["headers"] = {"Location": _told("Where the version is"), "ETag": _told("Its number")}
        if self.schema:
            return answer | {"content": {JSON: {"schema": self.schema}}}
        return answer if status in (204, 304) else answer | {"content": _content((FHIR_JSON, JSON), self.resource)}


def _refusal(status: int) -> dict[str, Any]:
    refusal: dict[str, Any] = {
        "description": _REFUSALS[status],
        "content": _content((FHIR_JSON,), "OperationOutcome"),
    }
    return refusal | ({"headers": {"Retry-After": _told("Seconds")}} if status == 503 else {})


def _told(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


_FOUND = {200: "A page of what is found"}
_READ = {200: "The version", 304: "The client has it already"}
_WRITTEN = {200: "Updated", 201: "Created"}
_READING = (_IF_CHANGED, _IF_LATER, *_SUBSET)
_GONE = {204: "It is not there any more"}

CREATE = Documented(
    "Create a resource",
    {201: "Created", 200: "Nothing is created, since If-None-Exist finds this one"},
    takes=(_IF_NONE_EXIST, _IDEMPOTENCY_KEY, _EVENT, _PREFER),
    body=_body(),
    refusals=(404, 409, 412, 422),
)
READ = Documented("Read a resource", _READ, takes=_READING, refusals=(404, 410))
VREAD = Documented("Read one version of a resource", _READ, takes=_READING, refusals=(404, 410))
UPDATE = Documented(
    "Update a resource, or create it under this id",
    _WRITTEN,
    takes=(_IF_MATCH, _IF_NONE, _EVENT, _PREFER),
    body=_body(),
    refusals=(404, 412),
)
DELETE = Documented("Delete a resource", _GONE, takes=(_IF_MATCH, _EVENT), refusals=(404, 412))
PATCH = Documented(
    "Change a resource by a JSON Patch or a FHIRPath Patch",
    {200: "Updated"},
    takes=(_IF_MATCH, _EVENT, _PREFER),
    body=_PATCHES,
    refusals=(404, 409, 410, 412, 422),
)
UPDATE_FOUND = Documented(
    "Update the one resource that a search finds, or create it",
    _WRITTEN,
    takes=(_OTHERS, _IF_MATCH, _EVENT, _PREFER),
    body=_body(),
    refusals=(404, 409, 412),
)
PATCH_FOUND = Documented(
    "Change the one resource that a search finds by a JSON Patch or a FHIRPath Patch",
    {200: "Updated"},
    takes=(_OTHERS, _IF_MATCH, _EVENT, _PREFER),
    body=_PATCHES,
    refusals=(404, 409, 410, 412, 422),
)
DELETE_FOUND = Documented(
    "Delete the one resource that a search finds",
    _GONE,
    takes=(_OTHERS, _IF_MATCH, _EVENT),
    refusals=(404, 409, 412),
)
SEARCH = Documented(
    "Search in the resources of a type, newest first", _FOUND, "Bundle", takes=_SEARCHED, refusals=(404,)
)
SEARCH_BY_FORM = Documented("Search, with the parameters as a form", _FOUND, "Bundle", body=_FORM_BODY, refusals=(404,))
HISTORY = Documented(
    "List the versions of a resource, newest first",
    {200: "A page of the versions"},
    "Bundle",
    takes=(*_PAGING, _parameter("_since", "query", "An instant, before which no version is listed"), *_SUBSET),
    refusals=(404,),
)
HISTORY_OF_TYPE = replace(HISTORY, summary="List the changes of all resources of a type that are kept, newest first")
HISTORY_OF_ALL = replace(
    HISTORY,
    summary="List the changes of all resources that are kept, newest first",
    takes=HISTORY.takes[:-1],
    refusals=(),
)
BUNDLE = Documented(
    "Process a batch or a transaction",
    {200: "What became of each entry"},
    "Bundle",
    takes=(_IDEMPOTENCY_KEY, _EVENT, _PREFER),
    body=_body("Bundle"),
    refusals=(404, 409, 412, 422),
)
MESSAGE = Documented(
    "Process a message: store what it carries, and name its event along with it",
    {200: "The message in answer"},
    "Bundle",
    takes=(
        _parameter("async", "query", "`false`: the answer comes at once", enum=["false"]),
        _IDEMPOTENCY_KEY,
        _EVENT,
    ),
    body=_body(),
    refusals=(409, 412, 422),
)
METADATA = Documented(
    "Say what is supported: the CapabilityStatement", {200: "The CapabilityStatement"}, "CapabilityStatement"
)

SUBSCRIBE = Documented(
    "Register a Subscription", {201: "Registered"}, "Subscription", takes=(_PREFER,), body=_body("Subscription")
)
READ_SUBSCRIPTION = Documented("Read a Subscription", _READ, "Subscription", takes=_READING, refusals=(404,))
VREAD_SUBSCRIPTION = replace(READ_SUBSCRIPTION, summary="Read the current version of a Subscription by its number")
CHANGE_SUBSCRIPTION = Documented(
    "Change a Subscription, or register it under this id",
    _WRITTEN,
    "Subscription",
    takes=(_IF_MATCH, _IF_NONE, _PREFER),
    body=_body("Subscription"),
    refusals=(412,),
)
PATCH_SUBSCRIPTION = Documented(
    "Change a Subscription by a JSON Patch or a FHIRPath Patch",
    {200: "Updated"},
    "Subscription",
    takes=(_IF_MATCH, _PREFER),
    body=_PATCHES,
    refusals=(404, 409, 412, 422),
)
END_SUBSCRIPTION = Documented("End a Subscription", _GONE, takes=(_IF_MATCH,), refusals=(412,))
SEARCH_SUBSCRIPTIONS = Documented(
    "Search in the Subscriptions, by id",
    _FOUND,
    "Bundle",
    takes=(
        _parameter("url", "query", "The endpoint"),
        _parameter("status", "query", "`requested`, `active`, `error` or `off`; several joined by commas"),
        _parameter("criteria", "query", "The topic's URL, or its beginning"),
        *_SEARCHED,
    ),
)
SEARCH_SUBSCRIPTIONS_BY_FORM = Documented(
    "Search in the Subscriptions, with the parameters as a form", _FOUND, "Bundle", body=_FORM_BODY
)
PUBLISH_TOPIC = Documented(
    "Publish a topic",
    {201: "Published"},
    "SubscriptionTopic",
    takes=(_PREFER,),
    body=_body("SubscriptionTopic"),
    refusals=(405, 409),
)
READ_TOPIC = Documented("Read a topic", _READ, "SubscriptionTopic", takes=_READING, refusals=(404, 410))
VREAD_TOPIC = replace(READ_TOPIC, summary="Read the current version of a topic by its number")
CHANGE_TOPIC = Documented(
    "Change a topic, or publish it under this id",
    _WRITTEN,
    "SubscriptionTopic",
    takes=(_IF_MATCH, _IF_NONE, _PREFER),
    body=_body("SubscriptionTopic"),
    refusals=(405, 409, 412),
)
PATCH_TOPIC = Documented(
    "Change a topic by a JSON Patch or a FHIRPath Patch",
    {200: "Updated"},
    "SubscriptionTopic",
    takes=(_IF_MATCH, _PREFER),
    body=_PATCHES,
    refusals=(404, 405, 409, 410, 412, 422),
)
DELETE_TOPIC = Documented("Delete a topic that nobody uses", _GONE, takes=(_IF_MATCH,), refusals=(405, 409, 412))
SEARCH_TOPICS = Documented(
    "Search in the topics, by id",
    _FOUND,
    "Bundle",
    takes=(
        _parameter("url", "query", "The canonical"),
        _parameter("derived-or-self", "query", "The canonical, or one that it is derived from"),
        _parameter("resource", "query", "A type that it has a trigger for"),
        _parameter("title", "query", "Its beginning"),
        _parameter("status", "query", "`draft`, `active`, `retired` or `unknown`"),
        *_SEARCHED,
    ),
)
SEARCH_TOPICS_BY_FORM = Documented(
    "Search in the topics, with the parameters as a form", _FOUND, "Bundle", body=_FORM_BODY
)
_PROFILE = _parameter("profile", "query", "Of the standard or of the Backport IG: both are looked at anyway")
VALIDATE = Documented(
    "Say whether a Subscription would be accepted, and how it would be understood; nothing is stored",
    {200: "All that is against it, or how its filters are understood"},
    "OperationOutcome",
    takes=(_parameter("mode", "query", "What is tried", enum=["create", "profile"]), _PROFILE),
    body=_body(),
)
VALIDATE_ONE = replace(
    VALIDATE,
    summary="Say whether a Subscription could be changed or deleted; nothing is",
    takes=(_parameter("mode", "query", "What is tried", enum=["update", "delete", "profile"]), _PROFILE),
    body=_body(required=False),
    refusals=(404,),
)
_INTERACTION = _parameter(
    "interaction", "query", "What happened; seen from the versions that are given without it", enum=[*Interaction]
)
EXPLAIN = Documented(
    "Explain whether a change would concern a Subscription",
    {200: "Each trigger and each filter, with what it found"},
    "Parameters",
    takes=(_INTERACTION, _EVENT),
    body=_body("Parameters"),
    refusals=(409,),
)
EXPLAIN_ONE = Documented(
    "Explain why a change concerned a Subscription, or not",
    {200: "What happened, and each trigger and each filter, with what it found"},
    "Parameters",
    takes=(
        _INTERACTION,
        _parameter("reference", "query", "A version that the hub holds: `Immunization/1/_history/3`"),
        _EVENT,
    ),
    body=_body(required=False),
    refusals=(404, 409),
)
STATUS = Documented("Tell how a Subscription stands", {200: "Its status"}, "Bundle", refusals=(404,))
TEST = Documented(
    "Have a notification without events sent to a Subscription's endpoint",
    {202: "It goes out next, and it is said where the outcome is seen"},
    "OperationOutcome",
    refusals=(404, 409),
)
BINDING_TOKEN = Documented("Refuse to bind a websocket: there is none", {400: _REFUSALS[400]}, "OperationOutcome")
STATUSES = Documented(
    "Tell how Subscriptions stand",
    {200: "Their statuses"},
    "Bundle",
    takes=(
        _parameter("id", "query", "Of these Subscriptions; of all without it", **_LIST),
        _parameter("status", "query", "Of those in one of these states", **_LIST),
    ),
)
EVENTS = Documented(
    "Tell the events of a Subscription again",
    {200: "The events, with the numbers that they have; as many as fit on a page"},
    "Bundle",
    takes=(
        _parameter("eventsSinceNumber", "query", "The first event; by default, the first of all"),
        _parameter("eventsUntilNumber", "query", "The last event; by default, the last of all"),
        _parameter(
            "content", "query", "How much to tell, at most as much as the Subscription is told", enum=list(Content)
        ),
    ),
    refusals=(404, 410),
)
RESEND = Documented(
    "Send events of a Subscription once more, over its channel",
    {200: "They will be sent, with the numbers that they have, before anything new"},
    "OperationOutcome",
    takes=(
        _parameter("eventsSinceNumber", "query", "The first event"),
        _parameter("eventsUntilNumber", "query", "The last event"),
        _parameter("eventsSinceInstant", "query", "No event from before, such as `2026-11-21T09:59:59.123Z`"),
        _parameter("eventsUntilInstant", "query", "No event from after"),
    ),
    body=_body("Parameters", required=False),
    refusals=(404, 409, 410),
)
EVENTS_BY_POST = replace(EVENTS, body=_body("Parameters", required=False))
STATUSES_BY_POST = replace(STATUSES, body=_body("Parameters", required=False))
ROTATE_SECRET = Documented(
    "Make a new secret to sign with, and show it this once",
    {200: "The secret, the hub's public key, and until when the secret before signs too"},
    "Parameters",
    body=_body("Parameters", required=False),
    refusals=(404, 409),
)
ENTRUST = Documented(
    "Give the hub what its endpoint is to know it by: OAuth client credentials, a client certificate; or nothing more",
    {200: "What is kept, but for whatever is secret"},
    "Parameters",
    body=_body("Parameters", required=False),
    refusals=(404,),
)
ENTRUSTED = Documented(
    "Tell what the endpoint knows the hub by",
    {200: "What is kept, but for whatever is secret"},
    "Parameters",
    refusals=(404,),
)

_EVENT_OR_TIME = {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "format": "date-time"}]}
REDELIVER = Documented(
    "Send events of a Subscription once more: from a number or an instant to another, both included",
    {202: "They will be sent, with the numbers that they have, before anything new"},
    body={
        "required": True,
        "content": {
            media_type: {
                "schema": {
                    "type": "object",
                    "properties": {"from": _EVENT_OR_TIME, "to": _EVENT_OR_TIME},
                    "additionalProperties": False,
                }
            }
            for media_type in (JSON, FHIR_JSON)
        },
    },
    refusals=(404, 409, 410),
    schema={
        "type": "object",
        "required": ["first", "last", "text"],
        "properties": {
            "first": {"type": ["integer", "null"]},
            "last": {"type": ["integer", "null"]},
            "text": {"type": "string"},
        },
    },
)
ATTEMPTS = Documented(
    "List the last attempts at a Subscription's notifications, the latest first: what was sent, and what came of it",
    {200: "The last 100 at most"},
    refusals=(404,),
    schema={
        "type": "object",
        "required": ["attempts"],
        "properties": {
            "attempts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "at": {"type": "string", "format": "date-time", "description": "When it was over"},
                        "kind": {"type": "string", "enum": ["events", "handshake", "heartbeat", "resend"]},
                        "firstEvent": {"type": ["integer", "null"], "description": "null in those without events"},
                        "lastEvent": {"type": ["integer", "null"]},
                        "attempt": {"type": "integer", "description": "1 for the first one at these bytes"},
                        "decision": {"type": "string", "enum": ["delivered", "again", "error", "off", "active"]},
                        "said": {"type": "string", "description": "Why"},
                        "milliseconds": {"type": "integer"},
                        "bytes": {"type": "integer", "description": "Of the body; 0 when nothing was sent"},
                        "answer": {"type": "string", "description": "Its first 200 characters"},
                    },
                },
            }
        },
    },
)
