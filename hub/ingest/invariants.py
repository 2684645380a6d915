"""
FHIR's invariants that the models don't hold and whose breach hurts receivers: of what is contained, and of Bundles.

https://hl7.org/fhir/R4/domainresource.html#invs, https://hl7.org/fhir/R4/bundle.html#invs, https://hl7.org/fhir/R5/bundle.html#invs
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from subscriptions.codes import FhirVersion, IssueCode, NotificationType
from subscriptions.errors import Issue

Entry = Mapping[str, Any]
_Rule = Callable[[Entry], bool]

_LISTS = frozenset({"document", "message", "searchset", "collection"})
_REQUESTS = frozenset({"batch", "transaction"})
_RESPONSES = frozenset({"batch-response", "transaction-response"})
#: What an entry consists of.
_PARTS = frozenset({"resource", "request", "response"})
#: Requests that carry a resource.
_CARRY = frozenset({"POST", "PUT", "PATCH"})
_STATUSES = ("requested", "active", "error", "off", "entered-in-error")
#: Type of a Bundle: the type of its first resource, and the invariant that says so.
_FIRST = {
    "document": ("Composition", "bdl-11"),
    "message": ("MessageHeader", "bdl-12"),
    "subscription-notification": ("SubscriptionStatus", "bdl-13"),
}


def broken(resource: Mapping[str, Any], version: FhirVersion) -> Iterator[Issue]:
    """What a resource breaks, if its form is right."""
    yield from _contained(resource)
    if resource["resourceType"] == "Bundle":
        yield from _bundle(resource, version)


def _contained(resource: Mapping[str, Any]) -> Iterator[Issue]:
    held, path = resource.get("contained", ()), f"{resource['resourceType']}.contained"
    ids = Counter(each.get("id") for each in held)
    for i, each in enumerate(held):
        at = f"{path}[{i}]"
        if (id_ := each.get("id")) is None:
            yield Issue(IssueCode.REQUIRED, "What is contained has an id: nothing could refer to it.", f"{at}.id")
        elif ids[id_] > 1:
            yield Issue(IssueCode.DUPLICATE, f"More than one is contained with the id {id_}.", f"{at}.id")
        if "contained" in each:
            yield _breach("dom-2", "What is contained contains nothing itself.", f"{at}.contained")
        for name in {"versionId", "lastUpdated"} & each.get("meta", {}).keys():
            yield _breach("dom-4", f"What is contained has no {name}.", f"{at}.meta.{name}")


def _bundle(bundle: Mapping[str, Any], version: FhirVersion) -> Iterator[Issue]:
    type_, entries = bundle.get("type", ""), bundle.get("entry", [])
    if "total" in bundle and type_ not in ("searchset", "history"):
        yield _breach("bdl-1", "Only a search or a history has a total.", "Bundle.total")
    if type_ == "document":
        yield from _document(bundle)
    first, key = _FIRST.get(type_, ("", ""))
    if first and (not entries or _type(entries[0]) != first):
        yield _breach(key, f"A Bundle of type {type_} begins with a {first}.", "Bundle.entry[0].resource")
    if version is FhirVersion.R5 and type_ == "searchset" and not any(map(_is_self, bundle.get("link", []))):
        yield _breach("bdl-18", "A searchset has a link `self`.", "Bundle.link")
    if type_ != "history":
        yield from _same(entries)
    rules = (*_EVERY, *(_R5 if version is FhirVersion.R5 else _R4))
    for i, entry in enumerate(entries):
        at = f"Bundle.entry[{i}]"
        for key, text, holds in rules:
            if not holds({"type": type_, **entry}):
                yield _breach(key, text, at)
        if _type(entry) == "SubscriptionStatus":
            yield from _status(entry["resource"], f"{at}.resource")


def _document(bundle: Mapping[str, Any]) -> Iterator[Issue]:
    if not {"system", "value"} <= bundle.get("identifier", {}).keys():
        yield _breach("bdl-9", "A document has an identifier with system and value.", "Bundle.identifier")
    if "timestamp" not in bundle:
        yield _breach("bdl-10", "A document has a date.", "Bundle.timestamp")


def _is_self(link: Mapping[str, Any]) -> bool:
    return link.get("relation") == "self" and "url" in link


def _same(entries: list[Entry]) -> Iterator[Issue]:
    named = [(each.get("fullUrl"), each.get("resource", {}).get("meta", {}).get("versionId")) for each in entries]
    often = Counter(named)
    for i, each in enumerate(named):
        if each[0] is not None and often[each] > 1:
            yield _breach("bdl-7", f"Several entries have the fullUrl {each[0]}.", f"Bundle.entry[{i}].fullUrl")


def _status(status: Mapping[str, Any], at: str) -> Iterator[Issue]:
    """https://hl7.org/fhir/R5/subscriptionstatus.html: its required codes, sst-1, sst-2."""
    type_, code = status.get("type"), status.get("status")
    if type_ not in list(NotificationType):
        yield Issue(IssueCode.VALUE, f"The type is one of {', '.join(NotificationType)}.", f"{at}.type")
    if code is not None and code not in _STATUSES:
        yield Issue(IssueCode.VALUE, f"The status is one of {', '.join(_STATUSES)}.", f"{at}.status")
    if type_ in ("event-notification", "query-event") and not status.get("notificationEvent"):
        yield _breach("sst-1", f"There is no {type_} without events.", f"{at}.notificationEvent")
    if type_ == "query-status" and code is None:
        yield _breach("sst-2", "A query-status has a status.", f"{at}.status")


def _type(entry: Entry) -> str:
    return str(entry.get("resource", {}).get("resourceType", ""))


def _breach(key: str, text: str, at: str) -> Issue:
    return Issue(IssueCode.INVARIANT, f"{text} ({key})", at)


def _method(entry: Entry) -> str:
    return str(entry.get("request", {}).get("method", ""))


#: Key, in words, and whether it holds of an entry, to which the Bundle's `type` is given.
_EVERY: tuple[tuple[str, str, _Rule], ...] = (
    ("bdl-2", "Only the entries of a search have `search`.", lambda e: "search" not in e or e["type"] == "searchset"),
    ("bdl-5", "An entry has a resource, a request or a response.", lambda e: bool(e.keys() & _PARTS)),
    ("bdl-8", "A fullUrl names no version.", lambda e: "/_history/" not in e.get("fullUrl", "")),
)
_R4: tuple[tuple[str, str, _Rule], ...] = (
    (
        "bdl-3",
        "The entries of a batch, transaction or history have a request, and no others do.",
        lambda e: ("request" in e) is (e["type"] in _REQUESTS or e["type"] == "history"),
    ),
    (
        "bdl-4",
        "The entries of a batch-response, transaction-response or history have a response, and no others do.",
        lambda e: ("response" in e) is (e["type"] in _RESPONSES or e["type"] == "history"),
    ),
)
_R5: tuple[tuple[str, str, _Rule], ...] = (
    (
        "bdl-3a",
        "The entries of a document, message, search or collection have a resource, and no request or response.",
        lambda e: e["type"] not in _LISTS or e.keys() & _PARTS == {"resource"},
    ),
    (
        "bdl-3b",
        "The entries of a history have request and response, and a resource with POST, PUT and PATCH.",
        lambda e: (
            e["type"] != "history"
            or ({"request", "response"} <= e.keys() and ("resource" in e) is (_method(e) in _CARRY))
        ),
    ),
    (
        "bdl-3c",
        "The entries of a batch or transaction have a request, and a resource with POST, PUT and PATCH.",
        lambda e: e["type"] not in _REQUESTS or ("request" in e and ("resource" in e) is (_method(e) in _CARRY)),
    ),
    (
        "bdl-3d",
        "The entries of a batch-response or transaction-response have a response.",
        lambda e: e["type"] not in _RESPONSES or "response" in e,
    ),
    ("bdl-14", "A history has no PATCH.", lambda e: e["type"] != "history" or _method(e) != "PATCH"),
    (
        "bdl-15",
        "An entry has a fullUrl, but in a batch or transaction, and with POST.",
        lambda e: "fullUrl" in e or e["type"] in _REQUESTS | _RESPONSES or _method(e) == "POST",
    ),
)
