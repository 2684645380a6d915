"""
What an interaction is described with: its parameters, headers, bodies and refusals. https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.api.needs import Needs
from hub.api.negotiation import FHIR_JSON, JSON
from hub.patch import JSON_PATCH

FORM = "application/x-www-form-urlencoded"

#: What refusals mean; those of every interaction, and those of every one with a body, come first.
_ALWAYS = (400, 406, 429, 503)
_OF_CALLERS = (401, 403, 404)
_WITH_BODY = (413, 415)
REFUSALS = {
    400: "Malformed, or it asks for what is not supported",
    401: "Nobody is known by what the request carries, or it carries nothing",
    403: "The client lacks the scope that this needs, or the right to do it with this resource",
    404: "There is none, or no such type here",
    405: "It is built in, or not written here",
    406: "The client takes no JSON, or of another FHIR version",
    409: "The id is in use already, or it can't be done in the present state",
    410: "It was deleted, or this version or event is not kept any more",
    412: "It is not as If-Match, If-None-Match or If-None-Exist expects, or a search finds several",
    413: "The body is too large, or the Bundle has too many entries",
    415: "The body's media type, FHIR version or encoding is not supported",
    422: "The Idempotency-Key was used with another body, or a patch can't be done on what is there",
    429: "There are more requests than this client may make, or this address without saying who it is: later",
    503: "Not at the moment, since Redis does not answer: try again",
}
_IN_PATH = {
    "type": "A resource type, such as `Patient`",
    "id": "1 to 64 letters, digits, `-` and `.`",
    "number": "The number of a version, as in `meta.versionId`",
    "erasure": "The id that an erasure was given",
    "event": "The number of an event, from 1",
    "version": "The FHIR version of the base that it is registered at, such as `r4`",
}


_ELEMENTS: Mapping[str, dict[str, Any]] = {
    "type": {"type": "string"},
    "issue": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["severity", "code", "details"],
            "properties": {
                "severity": {"type": "string", "enum": ["error", "warning", "information"]},
                "code": {"type": "string"},
                "details": {
                    "type": "object",
                    "required": ["text"],
                    "properties": {"text": {"type": "string", "minLength": 1}},
                },
            },
        },
    },
}
#: What an answer of a type has beside its type.
_ANSWERED = {"OperationOutcome": ("issue",), "Bundle": ("type",)}


def parameter(name: str, place: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "description": description, "schema": {"type": "string"} | schema}


def _content(media_types: Iterable[str], *types: str, has: Iterable[str] = ()) -> dict[str, Any]:
    """JSON of a resource of one of these types, or of any. `has`: What it has beside its type."""
    name = {"type": "string"} | ({"enum": list(types)} if any(types) else {})
    properties = {"resourceType": name} | {element: _ELEMENTS[element] for element in has}
    schema = {"type": "object", "required": list(properties), "properties": properties}
    return {media_type: {"schema": schema} for media_type in media_types}


def body(resource: str = "", *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": _content((FHIR_JSON, JSON), resource)}


LIST: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
PREFER = parameter(
    "Prefer",
    "header",
    "`return=minimal` (no body), `return=representation` or `return=OperationOutcome`: what to send back",
)
IF_MATCH = parameter("If-Match", "header", 'The version that must be in force: `W/"3"`')
IF_NONE = parameter("If-None-Match", "header", "`*`: there must be none yet", enum=["*"])
_IF_CHANGED = parameter("If-None-Match", "header", 'The versions that the client has: `W/"3"`')
_IF_LATER = parameter("If-Modified-Since", "header", "When the client read it: heeded without If-None-Match")
IF_NONE_EXIST = parameter("If-None-Exist", "header", "A search; a resource is created if it finds none")
IDEMPOTENCY_KEY = parameter("Idempotency-Key", "header", "A repeat with the same key gets the first answer")
EVENT = parameter(
    "Event", "header", "Events that the write is about, for topics' event triggers: `system|code`, joined by commas"
)
PAGING = (
    parameter("_count", "query", "Entries on a page; 0 asks for the total only", type="integer", minimum=0),
    parameter("_cursor", "query", "Where a page begins: it stands in the `next` link of the one before"),
)
_UPDATED = parameter("_lastUpdated", "query", "`ge2026-11-21`: with `eq`, `gt`, `ge`, `lt`, `le` or none of them")
OTHERS = parameter("parameters", "query", "Any search parameter in the CapabilityStatement") | {
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    "style": "form",
    "explode": True,
}
SUBSET = (
    parameter("_summary", "query", "How much of a resource", enum=["true", "text", "data", "false"]),
    parameter("_elements", "query", "Names of elements of the resource, joined by commas: of what else it is left out"),
)
_COUNTED = SUBSET[0] | {"schema": {"type": "string", "enum": ["true", "text", "data", "count", "false"]}}
_TOTAL = parameter("_total", "query", "Whether the total is wanted", enum=["none", "estimate", "accurate"])
_RESULTS = (*PAGING, _COUNTED, SUBSET[1], _TOTAL)
SEARCHED = (*_RESULTS, parameter("_id", "query", "Ids, joined by commas"), _UPDATED, OTHERS)
READING = (_IF_CHANGED, _IF_LATER, *SUBSET)
FORM_BODY = {
    "required": True,
    "content": {FORM: {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}},
}
PATCHES = {
    "required": True,
    "content": {
        JSON_PATCH: {"schema": {"type": "array", "items": {"type": "object", "required": ["op", "path"]}}},
        **_content((FHIR_JSON, JSON), "Parameters"),
    },
}
#: What success means.
FOUND = {200: "A page of what is found"}
VERSION = {200: "The version", 304: "The client has it already"}
WRITTEN = {200: "Updated", 201: "Created"}
GONE = {204: "It is not there any more"}


@dataclass(frozen=True, slots=True)
class Documented:
    """
    A kind of interaction.

    summary: What it does, in a line.
    needs: What it asks of whoever calls.
    answers: What success means, by status; the usual one first.
    resource: The type that is answered; empty for any.
    takes: Headers and parameters of the query, as OpenAPI's Parameter Objects.
    body: OpenAPI's Request Body Object; empty for none.
    refusals: Statuses beside those that every interaction may have.
    schema: Of an answer that is no resource; empty for a resource.
    media_type: Of such an answer.
    """

    summary: str
    needs: Needs
    answers: Mapping[int, str]
    resource: str = ""
    takes: tuple[dict[str, Any], ...] = ()
    body: dict[str, Any] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    schema: dict[str, Any] = field(default_factory=dict)
    media_type: str = JSON

    @property
    def status(self) -> int:
        """The usual one."""
        return next(iter(self.answers))

    def operation(self, path: str, schemes: Iterable[str] = ()) -> dict[str, Any]:
        """
        OpenAPI's Operation Object at a path such as `/{type}/{id}`, as far as FastAPI doesn't know it.

        schemes: Names of the ways to say who calls, one of which is asked for; none where that is not asked.
        """
        placed = (parameter(name, "path", _IN_PATH[name]) for name in re.findall(r"\{(\w+)", path))
        always = {*_ALWAYS} - ({406} if self.schema else set())
        schemes = () if self.needs.anybody else tuple(schemes)
        callers = _OF_CALLERS if schemes else ()
        refusals = sorted({*always, *callers, *self.refusals, *(_WITH_BODY if self.body else ())})
        said: dict[str, Any] = {
            "parameters": [*({**each, "required": True} for each in placed), *self.takes],
            "responses": {str(status): self._answer(status) for status in self.answers}
            | {str(status): _refusal(status) for status in refusals},
        }
        if schemes:
            scopes = [str(self.needs)] if str(self.needs) else []
            said["security"] = [{scheme: scopes} for scheme in schemes]
        return said | ({"requestBody": self.body} if self.body else {})

    def _answer(self, status: int) -> dict[str, Any]:
        answer: dict[str, Any] = {"description": self.answers[status]}
        if status == 201:
            answer["headers"] = {"Location": _told("Where the version is"), "ETag": _told("Its number")}
        if self.schema:
            return answer | {"content": {self.media_type: {"schema": self.schema}}}
        if status in (204, 304):
            return answer
        if PREFER in self.takes and self.resource and self.resource != "Bundle":
            return answer | {"content": _content((FHIR_JSON, JSON), self.resource, "OperationOutcome")}
        has = _ANSWERED.get(self.resource, ())
        return answer | {"content": _content((FHIR_JSON, JSON), self.resource, has=has)}


def _refusal(status: int) -> dict[str, Any]:
    refusal: dict[str, Any] = {
        "description": REFUSALS[status],
        "content": _content((FHIR_JSON,), "OperationOutcome", has=("issue",)),
    }
    headers = {
        401: {"WWW-Authenticate": _told("`Bearer`, and what is wrong with the token")},
        429: {"Retry-After": _told("Seconds")},
        503: {"Retry-After": _told("Seconds")},
    }
    return refusal | ({"headers": headers[status]} if status in headers else {})


def _told(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}
