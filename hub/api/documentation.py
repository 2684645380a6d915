"""
What `/openapi.json` says of each kind of interaction: what it takes, what it answers.

A table, since handlers read bodies and headers by themselves, as FHIR has them, and FastAPI can't know of it.
"""

from dataclasses import replace

from hub.api.documented import (
    EVENT,
    FORM_BODY,
    IDEMPOTENCY_KEY,
    IF_CHANGED,
    IF_LATER,
    IF_MATCH,
    IF_NONE,
    IF_NONE_EXIST,
    LIST,
    OTHERS,
    PAGING,
    PATCHES,
    PREFER,
    REFUSALS,
    SEARCHED,
    SUBSET,
    Documented,
    body,
    parameter,
)
from hub.api.needs import ANYBODY, KNOWN, OPERATOR, needs
from hub.api.negotiation import FHIR_JSON, JSON
from subscriptions.codes import Content, FhirVersion, Interaction
from subscriptions.scopes import EVERY

_FOUND = {200: "A page of what is found"}
_READ = {200: "The version", 304: "The client has it already"}
_WRITTEN = {200: "Updated", 201: "Created"}
_READING = (IF_CHANGED, IF_LATER, *SUBSET)
_GONE = {204: "It is not there any more"}

CREATE = Documented(
    "Create a resource",
    needs("c"),
    {201: "Created", 200: "Nothing is created, since If-None-Exist finds this one"},
    takes=(IF_NONE_EXIST, IDEMPOTENCY_KEY, EVENT, PREFER),
    body=body(),
    refusals=(404, 409, 412, 422),
)
READ = Documented("Read a resource", needs("r"), _READ, takes=_READING, refusals=(404, 410))
VREAD = Documented("Read one version of a resource", needs("r"), _READ, takes=_READING, refusals=(404, 410))
UPDATE = Documented(
    "Update a resource, or create it under this id",
    needs("u"),
    _WRITTEN,
    takes=(IF_MATCH, IF_NONE, EVENT, PREFER),
    body=body(),
    refusals=(404, 405, 412),
)
DELETE = Documented("Delete a resource", needs("d"), _GONE, takes=(IF_MATCH, EVENT), refusals=(404, 405, 412))
PATCH = Documented(
    "Change a resource by a JSON Patch or a FHIRPath Patch",
    needs("ru"),
    {200: "Updated"},
    takes=(IF_MATCH, EVENT, PREFER),
    body=PATCHES,
    refusals=(404, 405, 409, 410, 412, 422),
)
UPDATE_FOUND = Documented(
    "Update the one resource that a search finds, or create it",
    needs("us"),
    _WRITTEN,
    takes=(OTHERS, IF_MATCH, EVENT, PREFER),
    body=body(),
    refusals=(404, 409, 412),
)
PATCH_FOUND = Documented(
    "Change the one resource that a search finds by a JSON Patch or a FHIRPath Patch",
    needs("rus"),
    {200: "Updated"},
    takes=(OTHERS, IF_MATCH, EVENT, PREFER),
    body=PATCHES,
    refusals=(404, 409, 410, 412, 422),
)
DELETE_FOUND = Documented(
    "Delete the one resource that a search finds",
    needs("ds"),
    _GONE,
    takes=(OTHERS, IF_MATCH, EVENT),
    refusals=(404, 409, 412),
)
SEARCH = Documented(
    "Search in the resources of a type, newest first", needs("s"), _FOUND, "Bundle", takes=SEARCHED, refusals=(404,)
)
SEARCH_BY_FORM = Documented(
    "Search, with the parameters as a form", needs("s"), _FOUND, "Bundle", body=FORM_BODY, refusals=(404,)
)
HISTORY = Documented(
    "List the versions of a resource, newest first",
    needs("r"),
    {200: "A page of the versions"},
    "Bundle",
    takes=(*PAGING, parameter("_since", "query", "An instant, before which no version is listed"), *SUBSET),
    refusals=(404,),
)
HISTORY_OF_TYPE = replace(
    HISTORY, needs=needs("s"), summary="List the changes of all resources of a type that are kept, newest first"
)
HISTORY_OF_ALL = replace(
    HISTORY,
    summary="List the changes of all resources that are kept, newest first",
    needs=needs("s", EVERY),
    takes=HISTORY.takes[:-1],
    refusals=(),
)
BUNDLE = Documented(
    "Process a batch or a transaction",
    KNOWN,
    {200: "What became of each entry"},
    "Bundle",
    takes=(IDEMPOTENCY_KEY, EVENT, PREFER),
    body=body("Bundle"),
    refusals=(404, 409, 412, 422),
)
MESSAGE = Documented(
    "Process a message: store what it carries, and name its event along with it",
    KNOWN,
    {200: "The message in answer"},
    "Bundle",
    takes=(
        parameter("async", "query", "`false`: the answer comes at once", enum=["false"]),
        IDEMPOTENCY_KEY,
        EVENT,
    ),
    body=body(),
    refusals=(409, 412, 422),
)
METADATA = Documented(
    "Say what is supported: the CapabilityStatement", ANYBODY, {200: "The CapabilityStatement"}, "CapabilityStatement"
)

SUBSCRIBE = Documented(
    "Register a Subscription",
    needs("c", "Subscription"),
    {201: "Registered"},
    "Subscription",
    takes=(PREFER,),
    body=body("Subscription"),
)
READ_SUBSCRIPTION = Documented(
    "Read a Subscription", needs("r", "Subscription"), _READ, "Subscription", takes=_READING, refusals=(404,)
)
VREAD_SUBSCRIPTION = replace(READ_SUBSCRIPTION, summary="Read the current version of a Subscription by its number")
CHANGE_SUBSCRIPTION = Documented(
    "Change a Subscription, or register it under this id",
    needs("u", "Subscription"),
    _WRITTEN,
    "Subscription",
    takes=(IF_MATCH, IF_NONE, PREFER),
    body=body("Subscription"),
    refusals=(412,),
)
PATCH_SUBSCRIPTION = Documented(
    "Change a Subscription by a JSON Patch or a FHIRPath Patch",
    needs("u", "Subscription"),
    {200: "Updated"},
    "Subscription",
    takes=(IF_MATCH, PREFER),
    body=PATCHES,
    refusals=(404, 409, 412, 422),
)
END_SUBSCRIPTION = Documented(
    "End a Subscription", needs("d", "Subscription"), _GONE, takes=(IF_MATCH,), refusals=(412,)
)
SEARCH_SUBSCRIPTIONS = Documented(
    "Search in the Subscriptions, by id",
    needs("s", "Subscription"),
    _FOUND,
    "Bundle",
    takes=(
        parameter("url", "query", "The endpoint"),
        parameter("status", "query", "`requested`, `active`, `error` or `off`; several joined by commas"),
        parameter("criteria", "query", "The topic's URL, or its beginning"),
        *SEARCHED,
    ),
)
SEARCH_SUBSCRIPTIONS_BY_FORM = Documented(
    "Search in the Subscriptions, with the parameters as a form",
    needs("s", "Subscription"),
    _FOUND,
    "Bundle",
    body=FORM_BODY,
)
PUBLISH_TOPIC = Documented(
    "Publish a topic",
    needs("c", "SubscriptionTopic"),
    {201: "Published"},
    "SubscriptionTopic",
    takes=(PREFER,),
    body=body("SubscriptionTopic"),
    refusals=(405, 409, 412),
)
READ_TOPIC = Documented(
    "Read a topic", needs("r", "SubscriptionTopic"), _READ, "SubscriptionTopic", takes=_READING, refusals=(404, 410)
)
VREAD_TOPIC = replace(READ_TOPIC, summary="Read the current version of a topic by its number")
CHANGE_TOPIC = Documented(
    "Change a topic, or publish it under this id",
    needs("u", "SubscriptionTopic"),
    _WRITTEN,
    "SubscriptionTopic",
    takes=(IF_MATCH, IF_NONE, PREFER),
    body=body("SubscriptionTopic"),
    refusals=(405, 409, 412),
)
PATCH_TOPIC = Documented(
    "Change a topic by a JSON Patch or a FHIRPath Patch",
    needs("u", "SubscriptionTopic"),
    {200: "Updated"},
    "SubscriptionTopic",
    takes=(IF_MATCH, PREFER),
    body=PATCHES,
    refusals=(404, 405, 409, 410, 412, 422),
)
DELETE_TOPIC = Documented(
    "Delete a topic that nobody uses",
    needs("d", "SubscriptionTopic"),
    _GONE,
    takes=(IF_MATCH,),
    refusals=(405, 409, 412),
)
SEARCH_TOPICS = Documented(
    "Search in the topics, by id",
    needs("s", "SubscriptionTopic"),
    _FOUND,
    "Bundle",
    takes=(
        parameter("url", "query", "The canonical"),
        parameter("derived-or-self", "query", "The canonical, or one that it is derived from"),
        parameter("resource", "query", "A type that it has a trigger for"),
        parameter("title", "query", "Its beginning"),
        parameter("status", "query", "`draft`, `active`, `retired` or `unknown`"),
        *SEARCHED,
    ),
)
SEARCH_TOPICS_BY_FORM = Documented(
    "Search in the topics, with the parameters as a form",
    needs("s", "SubscriptionTopic"),
    _FOUND,
    "Bundle",
    body=FORM_BODY,
)
_PROFILE = parameter("profile", "query", "Of the standard or of the Backport IG: both are looked at anyway")
VALIDATE = Documented(
    "Say whether a Subscription would be accepted, and how it would be understood; nothing is stored",
    needs("c", "Subscription"),
    {200: "All that is against it, or how its filters are understood"},
    "OperationOutcome",
    takes=(parameter("mode", "query", "What is tried", enum=["create", "profile"]), _PROFILE),
    body=body(),
)
VALIDATE_ONE = replace(
    VALIDATE,
    summary="Say whether a Subscription could be changed or deleted; nothing is",
    needs=needs("u", "Subscription"),
    takes=(parameter("mode", "query", "What is tried", enum=["update", "delete", "profile"]), _PROFILE),
    body=body(required=False),
    refusals=(404,),
)
_INTERACTION = parameter(
    "interaction", "query", "What happened; seen from the versions that are given without it", enum=[*Interaction]
)
EXPLAIN = Documented(
    "Explain whether a change would concern a Subscription",
    needs("r", "Subscription"),
    {200: "Each trigger and each filter, with what it found"},
    "Parameters",
    takes=(_INTERACTION, EVENT),
    body=body("Parameters"),
    refusals=(409,),
)
EXPLAIN_ONE = Documented(
    "Explain why a change concerned a Subscription, or not",
    needs("r", "Subscription"),
    {200: "What happened, and each trigger and each filter, with what it found"},
    "Parameters",
    takes=(
        _INTERACTION,
        parameter("reference", "query", "A version that the hub holds: `Immunization/1/_history/3`"),
        EVENT,
    ),
    body=body(required=False),
    refusals=(404, 409),
)
STATUS = Documented(
    "Tell how a Subscription stands", needs("r", "Subscription"), {200: "Its status"}, "Bundle", refusals=(404,)
)
TEST = Documented(
    "Have a notification without events sent to a Subscription's endpoint",
    needs("u", "Subscription"),
    {202: "It goes out next, and it is said where the outcome is seen"},
    "OperationOutcome",
    refusals=(404, 409),
)
BINDING_TOKEN = Documented(
    "Refuse to bind a websocket: there is none", needs("r", "Subscription"), {400: REFUSALS[400]}, "OperationOutcome"
)
STATUSES = Documented(
    "Tell how Subscriptions stand",
    needs("r", "Subscription"),
    {200: "Their statuses"},
    "Bundle",
    takes=(
        parameter("id", "query", "Of these Subscriptions; of all without it", **LIST),
        parameter("status", "query", "Of those in one of these states", **LIST),
    ),
)
EVENTS = Documented(
    "Tell the events of a Subscription again",
    needs("r", "Subscription"),
    {200: "The events, with the numbers that they have; as many as fit on a page"},
    "Bundle",
    takes=(
        parameter("eventsSinceNumber", "query", "The first event; by default, the first of all"),
        parameter("eventsUntilNumber", "query", "The last event; by default, the last of all"),
        parameter(
            "content", "query", "How much to tell, at most as much as the Subscription is told", enum=list(Content)
        ),
    ),
    refusals=(404, 410),
)
RESEND = Documented(
    "Send events of a Subscription once more, over its channel",
    needs("u", "Subscription"),
    {200: "They will be sent, with the numbers that they have, before anything new"},
    "OperationOutcome",
    takes=(
        parameter("eventsSinceNumber", "query", "The first event"),
        parameter("eventsUntilNumber", "query", "The last event"),
        parameter("eventsSinceInstant", "query", "No event from before, such as `2026-11-21T09:59:59.123Z`"),
        parameter("eventsUntilInstant", "query", "No event from after"),
    ),
    body=body("Parameters", required=False),
    refusals=(404, 409, 410),
)
EVENTS_BY_POST = replace(EVENTS, body=body("Parameters", required=False))
STATUSES_BY_POST = replace(STATUSES, body=body("Parameters", required=False))
ROTATE_SECRET = Documented(
    "Make a new secret to sign with, and show it this once",
    needs("u", "Subscription"),
    {200: "The secret, the hub's public key, and until when the secret before signs too"},
    "Parameters",
    body=body("Parameters", required=False),
    refusals=(404, 409),
)
ENTRUST = Documented(
    "Give the hub what its endpoint is to know it by: OAuth client credentials, a client certificate; or nothing more",
    needs("u", "Subscription"),
    {200: "What is kept, but for whatever is secret"},
    "Parameters",
    body=body("Parameters", required=False),
    refusals=(404,),
)
ENTRUSTED = Documented(
    "Tell what the endpoint knows the hub by",
    needs("r", "Subscription"),
    {200: "What is kept, but for whatever is secret"},
    "Parameters",
    refusals=(404,),
)
READ_AUDIT = Documented(
    "Read an entry of the audit", needs("r", "AuditEvent"), _READ, "AuditEvent", takes=_READING, refusals=(404,)
)
SEARCH_AUDIT = Documented(
    "Search in the audit, newest first",
    needs("s", "AuditEvent"),
    _FOUND,
    "Bundle",
    takes=(
        parameter("date", "query", "When it was recorded: `ge2026-11-21`"),
        parameter("agent", "query", "Who did it: a client's name, `operator` or `hub`"),
        parameter("entity", "query", "What was acted upon: `Subscription/1`"),
        *SEARCHED,
    ),
)
SEARCH_AUDIT_BY_FORM = Documented(
    "Search in the audit, with the parameters as a form",
    needs("s", "AuditEvent"),
    _FOUND,
    "Bundle",
    body=FORM_BODY,
)

_EVENT_OR_TIME = {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "format": "date-time"}]}
REDELIVER = Documented(
    "Send events of a Subscription once more: from a number or an instant to another, both included",
    OPERATOR,
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
_ERASURE = {
    "type": "object",
    "required": ["resource", "version", "compartment", "state", "erased", "versions"],
    "properties": {
        "id": {"type": "string", "description": "None of a dry run"},
        "dryRun": {"type": "boolean"},
        "resource": {"type": "string"},
        "version": {"type": "string", "enum": [*FhirVersion]},
        "compartment": {"type": "boolean"},
        "state": {"type": "string", "enum": ["finding", "erasing", "files", "done"]},
        "erased": {"type": "object", "additionalProperties": {"type": "integer"}, "description": "Resources by type"},
        "versions": {"type": "integer"},
        "stillMentionedIn": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What refers to it and stays",
        },
        "linkedPatients": {
            "type": "array",
            "items": {"type": "string"},
            "description": "With compartments of their own",
        },
        "notUnderstood": {"type": "array", "items": {"type": "string"}, "description": "Versions that can't be judged"},
        "files": {"type": "string", "description": "`written anew`, or what is left to do"},
    },
}
ERASE = Documented(
    "Erase all versions of a resource, or of all that is in a patient's compartment",
    OPERATOR,
    {200: "It is done: what was erased, and what still mentions it", 202: "It goes on: ask at Location"},
    body={
        "required": True,
        "content": {
            media_type: {
                "schema": {
                    "type": "object",
                    "required": ["resource"],
                    "properties": {
                        "resource": {"type": "string", "description": "`Type/id`"},
                        "version": {"type": "string", "enum": [*FhirVersion], "default": "r4"},
                        "compartment": {"type": "boolean", "description": "Of a Patient: all that is in it, too"},
                        "dryRun": {"type": "boolean", "description": "Say what would be erased, and erase nothing"},
                    },
                    "additionalProperties": False,
                }
            }
            for media_type in (JSON, FHIR_JSON)
        },
    },
    refusals=(404,),
    schema=_ERASURE,
)
ERASURE = Documented("Tell how an erasure stands", OPERATOR, {200: "How it stands"}, refusals=(404,), schema=_ERASURE)

ATTEMPTS = Documented(
    "List the last attempts at a Subscription's notifications, the latest first: what was sent, and what came of it",
    OPERATOR,
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
