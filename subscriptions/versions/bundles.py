"""
What notifications of all FHIR versions have in common: their entries, and the status resource of R4B and R5.

http://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html, .../payloads.html,
https://hl7.org/fhir/R5/subscriptionstatus.html
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from subscriptions.codes import Content, Interaction
from subscriptions.notification import AdditionalContext, Event, Failure, Notification
from subscriptions.versions import instant

_ERRORS = "http://terminology.hl7.org/CodeSystem/subscription-error"


class _Told(NamedTuple):
    """
    An entry.

    version: What makes it another one: where the resource is, and its JSON if that is told.
    is_focus: Whether it is the focus of an event, and not a context.
    """

    version: tuple[str, bytes | None]
    entry: dict[str, Any]
    is_focus: bool


def bundle(notification: Notification, type_: str, first: Mapping[str, Any], profile: str | None = None) -> bytes:
    """Render a notification. `first`: The entry of its status."""
    events = notification.events if notification.content is not Content.EMPTY else ()
    told = [each for event in events if not event.withheld for each in _entries(notification, event)]
    entries = [first, *(_distinct(told) if type_ != "history" else (each.entry for each in told))]
    return orjson.dumps(
        {
            "resourceType": "Bundle",
            "id": notification.id,
            **({"meta": {"profile": [profile]}} if profile else {}),
            "type": type_,
            "timestamp": instant.write(notification.timestamp),
            "entry": entries,
        }
    )


def history(notification: Notification, status: Mapping[str, Any], profile: str) -> bytes:
    """The notification of R4 and R4B, where every entry of a history has a request and a response (bdl-3, bdl-4)."""
    first = {
        **status_entry(notification, status),
        "request": {"method": "GET", "url": f"{notification.subscription_url}/$status"},
        "response": {"status": "200"},
    }
    return bundle(notification, "history", first, profile)


def status_entry(notification: Notification, status: Mapping[str, Any]) -> dict[str, Any]:
    """The status as an entry without what depends on the kind of Bundle."""
    return {"fullUrl": f"urn:uuid:{notification.id}", "resource": status}


def subscription_status(notification: Notification) -> dict[str, Any]:
    """The status as R4B and R5 have it. The counters are strings in the JSON of both: R5's are integer64."""
    events = [_event(notification, event) for event in notification.events]
    errors = [concept(error) for error in notification.errors]
    return {
        "resourceType": "SubscriptionStatus",
        "id": notification.id,
        "status": notification.status,
        "type": notification.type,
        "eventsSinceSubscriptionStart": str(notification.events_since_subscription_start),
        **({"notificationEvent": events} if events else {}),
        "subscription": {"reference": notification.subscription_url},
        **({"topic": notification.topic} if notification.names_topic else {}),
        **({"error": errors} if errors else {}),
    }


def _event(notification: Notification, event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {"eventNumber": str(event.number), "timestamp": instant.write(event.at)}
    if notification.content is not Content.EMPTY and not event.withheld:
        found["focus"] = {"reference": url(notification, event)}
        if event.additional_context:
            found["additionalContext"] = [{"reference": url(notification, each)} for each in event.additional_context]
    return found


def concept(error: Failure) -> dict[str, Any]:
    """What went wrong, as a CodeableConcept."""
    found: dict[str, Any] = {"coding": [{"system": _ERRORS, "code": error.code}]} if error.code else {}
    if error.text:
        found["text"] = error.text
    return found


def _distinct(told: Iterable[_Told]) -> Iterable[dict[str, Any]]:
    """
    Each version of a resource once: only a history may have the same twice (bdl-7).

    Without their JSON all versions of a resource are the same one here. Then its latest event has the entry, which says
    whether it is gone.
    """
    found: dict[tuple[str, bytes | None], dict[str, Any]] = {}
    for version, entry, is_focus in told:
        if is_focus and version[1] is None:
            found.pop(version, None)
        found.setdefault(version, entry)
    return found.values()


def _entries(notification: Notification, event: Event) -> Iterator[_Told]:
    full = notification.content is Content.FULL_RESOURCE
    local = f"{event.type}/{event.id}"
    if event.interaction is Interaction.DELETE:
        yield _entry(notification, event, "DELETE", local, "204")
    elif full and event.body is None:
        yield _entry(notification, event, "GET", local, "200")
    elif full and event.interaction is Interaction.CREATE:
        yield _entry(notification, event, "POST", event.type, "201", event.body)
    elif full:
        yield _entry(notification, event, "PUT", local, "200", event.body)
    if full:
        for context in event.additional_context:
            yield _entry(notification, context, "GET", f"{context.type}/{context.id}", "200", context.body)


def _entry(
    notification: Notification,
    found: Event | AdditionalContext,
    method: str,
    local: str,
    status: str,
    body: bytes | None = None,
) -> _Told:
    entry: dict[str, Any] = {"fullUrl": url(notification, found)}
    if body is not None:
        entry["resource"] = orjson.Fragment(body)
    entry["request"] = {"method": method, "url": f"{found.base}/{local}" if found.base else local}
    entry["response"] = {"status": status}
    return _Told((entry["fullUrl"], body), entry, isinstance(found, Event))


def url(notification: Notification, found: Event | AdditionalContext) -> str:
    """Where a resource is."""
    return f"{found.base or notification.base}/{found.type}/{found.id}"
