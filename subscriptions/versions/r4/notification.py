"""
Notifications as R4 has them: a history Bundle whose first entry is a Parameters with the subscription's status.

http://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html, .../payloads.html
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson

from subscriptions.codes import Content, Interaction
from subscriptions.notification import AdditionalContext, Event, Failure, Notification
from subscriptions.versions import instant
from subscriptions.versions.r4.extensions import BACKPORT

_BUNDLE_META = {"profile": [f"{BACKPORT}/backport-subscription-notification-r4"]}
_STATUS_META = {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]}
_ERRORS = "http://terminology.hl7.org/CodeSystem/subscription-error"


def notification_bundle(notification: Notification) -> bytes:
    """
    Render a notification of any type.

    Beside the status there are entries with `full-resource`, one for each focus and each additional context, and with
    `id-only` for deletes, since only `entry.request` tells that a resource is gone. A deleted resource's entry has no
    `resource`; neither has one whose body can't be had, which then asks for a read (`GET`).
    """
    entries = [
        {
            **_status(notification),
            "request": {"method": "GET", "url": f"{notification.subscription_url}/$status"},
            "response": {"status": "200"},
        }
    ]
    if notification.content is not Content.EMPTY:
        for event in notification.events:
            entries += _entries(notification, event)
    return orjson.dumps(
        {
            "resourceType": "Bundle",
            "id": notification.id,
            "meta": _BUNDLE_META,
            "type": "history",
            "timestamp": instant.write(notification.timestamp),
            "entry": entries,
        }
    )


def status_entry(status: Notification) -> bytes:
    """Render a `query-status` as an entry of the answer to `$status`."""
    return orjson.dumps({**_status(status), "search": {"mode": "match"}})


def status_bundle(entries: Sequence[bytes], *, url: str, at: datetime) -> bytes:
    """Render the answer to `$status`, asked for at `url`: a searchset of such entries."""
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": instant.write(at),
        "total": len(entries),
        "link": [{"relation": "self", "url": url}],
    }
    if entries:
        bundle["entry"] = [orjson.Fragment(entry) for entry in entries]
    return orjson.dumps(bundle)


def _status(notification: Notification) -> dict[str, Any]:
    """The status as an entry without what depends on the kind of Bundle."""
    parameters: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": notification.subscription_url}}
    ]
    if notification.names_topic:
        parameters.append({"name": "topic", "valueCanonical": notification.topic})
    parameters += (
        {"name": "status", "valueCode": notification.status},
        {"name": "type", "valueCode": notification.type},
        {"name": "events-since-subscription-start", "valueString": str(notification.events_since_subscription_start)},
    )
    parameters += [{"name": "notification-event", "part": _parts(notification, event)} for event in notification.events]
    parameters += [{"name": "error", "valueCodeableConcept": _concept(error)} for error in notification.errors]
    return {
        "fullUrl": f"urn:uuid:{notification.id}",
        "resource": {
            "resourceType": "Parameters",
            "id": notification.id,
            "meta": _STATUS_META,
            "parameter": parameters,
        },
    }


def _parts(notification: Notification, event: Event) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": instant.write(event.at)},
    ]
    if notification.content is not Content.EMPTY:
        parts.append({"name": "focus", "valueReference": {"reference": _url(notification, event)}})
        parts += [
            {"name": "additional-context", "valueReference": {"reference": _url(notification, context)}}
            for context in event.additional_context
        ]
    return parts


def _concept(error: Failure) -> dict[str, Any]:
    concept: dict[str, Any] = {"coding": [{"system": _ERRORS, "code": error.code}]} if error.code else {}
    if error.text:
        concept["text"] = error.text
    return concept


def _entries(notification: Notification, event: Event) -> Iterator[dict[str, Any]]:
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
    url: str,
    status: str,
    body: bytes | None = None,
) -> dict[str, Any]:
    entry: dict[str, Any] = {"fullUrl": _url(notification, found)}
    if body is not None:
        entry["resource"] = orjson.Fragment(body)
    entry["request"] = {"method": method, "url": url}
    entry["response"] = {"status": status}
    return entry


def _url(notification: Notification, found: Event | AdditionalContext) -> str:
    return f"{notification.base}/{found.type}/{found.id}"
