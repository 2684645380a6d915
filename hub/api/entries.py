"""The entries of a batch or transaction: https://hl7.org/fhir/R4/http.html#transaction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from hub.api.conditions import conditions
from hub.api.known import Known, expected
from hub.api.negotiation import format_of
from hub.api.parameters import parameters
from hub.api.patching import carried
from hub.api.target import target_of
from hub.errors import Refused
from hub.ingest import Draft, drafted
from hub.ingest.validation import MOST_ISSUES, issues
from hub.instants import ms
from hub.patch import Patch
from hub.write import NO_EVENTS, Events
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.versions import instant

#: The order in which a transaction's entries are done, and so a batch's.
ORDER = ("DELETE", "POST", "PUT", "PATCH", "GET")

#: What stands for a resource while the Bundle around it is checked.
_STAND_IN = {"resourceType": "Basic", "code": {"text": "stands for another"}}

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_ENTRIES = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One entry, understood.

    type, id, history, number: What `request.url` names: `Patient`, `Patient/1`, `[Patient[/1]/]_history[/2]`.
    query: Of a search or history, and the condition of a PUT, PATCH or DELETE without an id.
    draft: The resource of a POST or PUT; in a transaction also what a PATCH makes.
    patch: Of a PATCH.
    topic: Of a GET: what it reads as Basic are topics.
    expected: What must be there, as `If-Match` and `If-None-Match: *` say.
    known: What the client of a read has, as `ifNoneMatch` and `ifModifiedSince` say.
    if_none_exist: The condition of a conditional create; None without one.
    events: Those that the publisher names with it.
    """

    index: int
    method: str
    type: str
    id: str
    history: bool
    number: str
    query: list[tuple[str, str]]
    full_url: str
    draft: Draft | None
    expected: str
    if_none_exist: list[tuple[str, str]] | None = None
    events: Events = NO_EVENTS
    known: Known = field(default_factory=Known)
    patch: Patch | None = None
    topic: bool = False

    @property
    def expression(self) -> str:
        return f"Bundle.entry[{self.index}]"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A batch or transaction; of each entry what it asks for, or why it can't be understood."""

    type: str
    entries: list[Entry | Refused | Rejected]


def bundle(
    parsed: dict[str, Any], body: bytes, version: FhirVersion, *, most_entries: int, most_nesting: int, base: str
) -> Bundle:
    """
    Read a Bundle that `strict.parse` has read from a body.

    Raises:
        Refused, Rejected: The Bundle around the entries is not one that can be processed.
    """
    if parsed.get("resourceType") != "Bundle" or parsed.get("type") not in ("batch", "transaction"):
        text = "The base takes a Bundle of type batch or transaction; other resources go to the URL of their type."
        raise Refused.because(400, IssueCode.INVALID, text, "Bundle.type")
    found: list[Entry | Refused | Rejected] = []
    for index, (entry, raw) in enumerate(opened(parsed, body, version, most_entries=most_entries)):
        try:
            found.append(_entry(index, entry, raw, version, most_nesting, base))
        except (Refused, Rejected) as error:
            found.append(error)
    return Bundle(parsed["type"], found)


def within(expression: str, issue: Issue) -> Issue:
    """An issue of an entry, told of the Bundle: `Patient.name` becomes `Bundle.entry[2].resource.name`."""
    head, _, rest = issue.expression.partition(".")
    if head.startswith("Bundle"):
        return issue
    in_resource = f"{expression}.resource" if head[:1].isupper() else expression
    return replace(issue, expression=f"{in_resource}.{rest}" if rest else in_resource)


def opened(
    parsed: dict[str, Any], body: bytes, version: FhirVersion, *, most_entries: int
) -> Iterator[tuple[dict[str, Any], msgspec.Raw | None]]:
    """
    The entries of a Bundle, each with its resource's bytes.

    Raises:
        Refused, Rejected: There are too many, or the Bundle around them is malformed.
    """
    entries = parsed.get("entry", [])
    if isinstance(entries, list):
        if len(entries) > most_entries:
            text = f"{len(entries)} entries: at most {most_entries} are processed at once."
            raise Refused.because(413, IssueCode.TOO_LONG, text, "Bundle.entry")
        parsed = {**parsed, "entry": [_with_stand_in(entry) for entry in entries]} if entries else parsed
    if found := issues(parsed, version):
        raise Rejected(*found)
    raw_entries = _RAW_ENTRIES.decode(_RAW.decode(body).get("entry", b"[]"))
    return zip(entries, (raw.get("resource") for raw in raw_entries), strict=True)


def _with_stand_in(entry: Any) -> Any:
    held = isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    return {**entry, "resource": _STAND_IN} if held else entry


def _entry(
    index: int, entry: Mapping[str, Any], raw: msgspec.Raw | None, version: FhirVersion, most_nesting: int, base: str
) -> Entry:
    expression = f"Bundle.entry[{index}]"
    request = entry.get("request")
    if request is None:
        raise Refused.because(400, IssueCode.REQUIRED, "request is missing.", f"{expression}.request")
    method = request.get("method", "")
    if method not in ORDER:
        text = f"{method} is not supported in a Bundle: {', '.join(ORDER)} are."
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, f"{expression}.request.method")
    target = target_of(method, request.get("url", ""), f"{expression}.request.url", base)
    draft = patch = None
    if method == "PATCH":
        patch = carried(draft_of(entry, raw, version, expression), f"{expression}.resource", most_nesting=most_nesting)
    elif method in ("POST", "PUT"):
        draft = draft_of(entry, raw, version, expression, type_=target.type)
        if method == "PUT" and target.id and draft.id != target.id:
            text = f"id must be {target.id}, as in request.url."
            raise Refused.because(400, IssueCode.INVALID, text, f"{expression}.resource.id")
    elif raw is not None:
        raise Refused.because(400, IssueCode.INVALID, f"A {method} carries no resource.", f"{expression}.resource")
    try:
        query = parameters(target.query)
        format_of(target.query, version)
        condition = conditions(request["ifNoneExist"], target.type) if "ifNoneExist" in request else None
        none_match = request.get("ifNoneMatch", "")
        there = "" if method == "GET" else expected(request.get("ifMatch", ""), none_match)
    except Refused as refused:
        raise Refused(refused.status, *(within(f"{expression}.request", issue) for issue in refused.issues)) from None
    if condition is not None and method != "POST":
        text = "ifNoneExist belongs to a POST."
        raise Refused.because(400, IssueCode.INVALID, text, f"{expression}.request.ifNoneExist")
    return Entry(
        index=index,
        method=method,
        type=target.type,
        id=target.id,
        history=target.history,
        number=target.number,
        query=query,
        full_url=entry.get("fullUrl", ""),
        draft=draft,
        expected=there,
        known=Known(none_match, _since(request)) if method == "GET" else Known(),
        if_none_exist=condition,
        patch=patch,
    )


def _since(request: Mapping[str, Any]) -> int | None:
    """`ifModifiedSince`, in ms since 1970; None without one."""
    return ms(instant.read(request["ifModifiedSince"])) if "ifModifiedSince" in request else None


def draft_of(
    entry: Mapping[str, Any], raw: msgspec.Raw | None, version: FhirVersion, expression: str, *, type_: str = ""
) -> Draft:
    """The resource of an entry. Refused, Rejected: There is none, or it can't be stored."""
    if raw is None:
        raise Refused.because(400, IssueCode.REQUIRED, "resource is missing.", f"{expression}.resource")
    try:
        return drafted(entry["resource"], raw, version, type_=type_)
    except Rejected as rejected:
        raise Rejected(*(within(expression, issue) for issue in rejected.issues)) from None


def refusal(found: Bundle) -> Refused | Rejected | None:
    """Why a transaction can't be done: what is wrong with its entries, MOST_ISSUES of it at most."""
    errors = [entry for entry in found.entries if isinstance(entry, (Refused, Rejected))]
    if not errors:
        return None
    if len(errors) == 1:
        return errors[0]
    return Rejected(*[issue for error in errors for issue in error.issues][:MOST_ISSUES])


def doubles(entries: list[Entry]) -> Iterator[Issue]:
    """Entries of a transaction that are about the same resource: https://hl7.org/fhir/R4/http.html#trules."""
    seen: dict[object, int] = {}
    for entry in entries:
        about: list[object] = [entry.full_url] if entry.full_url and entry.method != "GET" else []
        if entry.method in ("PUT", "PATCH", "DELETE"):
            about.append((entry.type, entry.id))
        if entry.if_none_exist is not None:
            about.append((entry.type, tuple(sorted(entry.if_none_exist))))
        for one in about:
            if one in seen:
                text = f"This is about the same resource as Bundle.entry[{seen[one]}]."
                yield Issue(IssueCode.DUPLICATE, text, entry.expression)
            seen[one] = entry.index


def told_at(expression: str, error: Refused | Rejected) -> Refused:
    """The same error, of an entry."""
    status = error.status if isinstance(error, Refused) else 400
    return Refused(status, *(replace(issue, expression=expression) for issue in error.issues))
