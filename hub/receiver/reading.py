"""
Notifications of all FHIR versions, read into one value.

R4: a history Bundle that begins with Parameters; R4B: one with a SubscriptionStatus; R5: a `subscription-notification`.
http://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html, https://hl7.org/fhir/R5/subscriptionstatus.html
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import NoneType
from typing import Any

import orjson

from hub.receiver.errors import Unreadable
from hub.receiver.notification import Context, Event, Kind, Notification, Resource
from subscriptions.codes import Interaction, SubscriptionStatus
from subscriptions.message import DELETED
from subscriptions.versions import instant

_INTERACTIONS = {"POST": Interaction.CREATE, "PUT": Interaction.UPDATE, "DELETE": Interaction.DELETE}


def read(body: bytes, headers: Mapping[str, str] | None = None) -> Notification:
    """
    Read a notification.

    Args:
        headers: Those of the request. They say something of deletes only, where the criteria are a search.

    Raises:
        Unreadable: It is none.

    >>> read(b'{"resourceType": "Patient", "id": "1"}').events[0].focus
    'Patient/1'
    """
    if not body:
        return Notification(Kind.BARE, events=(Event(0),))
    try:
        return _read(orjson.loads(body), headers or {})
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        # What it is about is health data, and so may be what the error names.
        raise Unreadable("it is no notification of FHIR R4, R4B or R5") from None


def _read(found: Mapping[str, Any], headers: Mapping[str, str]) -> Notification:
    gone = next((value for name, value in headers.items() if name.lower() == DELETED.lower()), "")
    if not found and gone:
        return Notification(Kind.RESOURCE, events=(Event(0, focus=gone, interaction=Interaction.DELETE),))
    type_ = _text(found["resourceType"])
    entries = found.get("entry", ()) if type_ == "Bundle" else ()
    status = _status(entries[0].get("resource")) if entries else None
    if status is None:
        event = Event(0, focus=f"{type_}/{_text(found['id'])}" if "id" in found else "", resource=found)
        return Notification(Kind.RESOURCE, events=(event,))
    kind = Kind(status["type"])
    topic, subscription = _text(status.get("topic", "")), _text(status["subscription"]["reference"])
    events = tuple(_events(status.get("notificationEvent", ()), entries[1:], subscription, topic))
    if kind is Kind.EVENT_NOTIFICATION and not events:
        raise ValueError
    return Notification(
        kind=kind,
        id=_text(found.get("id", "")),
        subscription=subscription,
        topic=topic,
        status=SubscriptionStatus(status["status"]) if "status" in status else None,
        counter=_number(status.get("eventsSinceSubscriptionStart", 0)),
        at=_at(found.get("timestamp")),
        events=events,
        errors=tuple(_errors(status.get("error", ()))),
    )


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise TypeError
    return given


def _number(given: object) -> int:
    """Of an event, or how many: a string in all FHIR versions (R5's is an integer64), with some servers a number."""
    text = str(given) if type(given) is int else _text(given)
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= number < 1 << 63:
        raise ValueError
    return number


def _at(text: str | None) -> datetime | None:
    return None if text is None else instant.read(text)


def _status(resource: Any) -> dict[str, Any] | None:
    """A status by the names of R5, whatever FHIR version it is of; None for another resource."""
    match resource:
        case {"resourceType": "SubscriptionStatus"}:
            return dict(resource)
        case {"resourceType": "Parameters", "parameter": [*parameters]}:
            return _named(parameters)
        case _:
            return None


def _named(parameters: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Parameters by the names that R5 has for them; what may come several times as a list."""
    found: dict[str, Any] = {"notificationEvent": [], "additionalContext": [], "error": []}
    for each in parameters:
        name = re.sub("-(.)", lambda letter: letter[1].upper(), each["name"])
        values = (value for key, value in each.items() if key[:5] == "value")
        value = _named(each["part"]) if "part" in each else next(values, None)
        if name in ("notificationEvent", "additionalContext", "error"):
            found[name].append(value)
        else:
            found[name] = value
    return found


def _errors(errors: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in errors:
        codes = (coding.get("display") or coding.get("code") for coding in each.get("coding", ()))
        yield _text(each.get("text") or ", ".join(filter(None, codes)))


@dataclass(frozen=True, slots=True)
class _Entry:
    """place: Where it stands in the Bundle."""

    place: int
    resource: Resource | None
    method: str

    @property
    def updated(self) -> str:
        return str((self.resource or {}).get("meta", {}).get("lastUpdated", ""))


def _events(
    told: Iterable[Mapping[str, Any]], entries: Iterable[Mapping[str, Any]], subscription: str, topic: str
) -> Iterator[Event]:
    """By rising number."""
    places = defaultdict[str, list[_Entry]](list)
    for place, entry in enumerate(entries):
        method, resource = entry.get("request", {}).get("method", ""), entry.get("resource")
        if not isinstance(resource, (dict, NoneType)):
            raise TypeError
        places[entry.get("fullUrl", "")].append(_Entry(place, resource, method))
    ordered = sorted(told, key=lambda each: _number(each["eventNumber"]))
    foci = _foci(ordered, places)
    begins = [focus.place for focus in foci if focus is not None]
    for each, focus in zip(ordered, foci, strict=True):
        begin = focus.place if focus else -1
        end = min((place for place in begins if place > begin), default=1 << 31)
        along = (_reference(context) for context in each.get("additionalContext", ()))
        yield Event(
            number=_number(each["eventNumber"]),
            subscription=subscription,
            topic=topic,
            at=_at(each.get("timestamp")),
            focus=_reference(each.get("focus")),
            interaction=_INTERACTIONS.get(focus.method) if focus else None,
            resource=focus.resource if focus else None,
            contexts=tuple(Context(url, _nearest(places[url], begin, end)) for url in along),
        )


def _reference(given: Mapping[str, Any] | None) -> str:
    return _text(given["reference"]) if given else ""


def _foci(told: list[Mapping[str, Any]], places: Mapping[str, list[_Entry]]) -> list[_Entry | None]:
    """
    The entry of each event's focus.

    Events of one resource may share a Bundle, and R5 has each version there once. A version was updated when the change
    was stored: that says which is whose. What is left belongs together in its order, or nobody can say to whom.
    """
    found: list[_Entry | None] = [None] * len(told)
    for url in {_reference(each.get("focus")) for each in told} - {""}:
        mine = [i for i, each in enumerate(told) if _reference(each.get("focus")) == url]
        left = list(places.get(url, ()))
        for i in mine:
            own = next((entry for entry in left if entry.updated and _same(entry, told[i])), None)
            if own is not None:
                found[i] = own
                left.remove(own)
        rest = [i for i in mine if found[i] is None]
        left = [entry for entry in left if entry.method != "GET" or entry.resource is None]
        if len(rest) == len(left):
            for i, entry in zip(rest, left, strict=True):
                found[i] = entry
    return found


def _same(entry: _Entry, told: Mapping[str, Any]) -> bool:
    return "timestamp" in told and instant.read(entry.updated) == instant.read(told["timestamp"])


def _nearest(entries: Iterable[_Entry], begin: int, end: int) -> Resource | None:
    """What came along with the focus at `begin`: between it and the next; else it is the same as before."""
    own = [entry for entry in entries if begin < entry.place < end]
    before = [entry for entry in entries if entry.place <= begin]
    found = own[:1] or before[-1:]
    return found[0].resource if found else None
