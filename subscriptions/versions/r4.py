"""
FHIR R4 with the Subscriptions R5 Backport IG: http://hl7.org/fhir/uv/subscriptions-backport (1.1.0).

A notification is a history Bundle whose first entry is a Parameters with the subscription's status.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from subscriptions.codes import Content, FhirVersion
from subscriptions.notification import Event, Notification
from subscriptions.subscription import Interest, Reading, Style
from subscriptions.versions import backport, bundles, instant
from subscriptions.versions.backport import subscription
from subscriptions.versions.extensions import BACKPORT
from subscriptions.versions.form import Form

_BUNDLE = f"{BACKPORT}/backport-subscription-notification-r4"
_STATUS = f"{BACKPORT}/backport-subscription-status-r4"


class R4(Form):
    """R4, and what it shares with R4B: the Subscription."""

    version = FhirVersion.R4
    topic_element = subscription.CRITERIA
    endpoint_element = subscription.ENDPOINT
    content_element = "Subscription.channel.payload"
    headers = ("channel", "header")
    has_error = True

    def read_subscription(
        self, resource: Mapping[str, Any], *, now: datetime, allow_http: bool = False, legacy: Style = Style.R4
    ) -> Reading:
        return backport.read_subscription(resource, self.version, now=now, allow_http=allow_http, legacy=legacy)

    def read_interest(self, resource: Mapping[str, Any], *, legacy: Style) -> Interest:
        return backport.read_interest(resource, self.version, legacy=legacy)

    def notification_bundle(self, notification: Notification) -> bytes:
        return bundles.history(notification, self.status(notification), _BUNDLE)

    def status(self, notification: Notification) -> dict[str, Any]:
        parameters: list[dict[str, Any]] = [
            {"name": "subscription", "valueReference": {"reference": notification.subscription_url}}
        ]
        if notification.names_topic:
            parameters.append({"name": "topic", "valueCanonical": notification.topic})
        since = str(notification.events_since_subscription_start)
        parameters += (
            {"name": "status", "valueCode": notification.status},
            {"name": "type", "valueCode": notification.type},
            {"name": "events-since-subscription-start", "valueString": since},
        )
        parameters += [
            {"name": "notification-event", "part": _parts(notification, event)} for event in notification.events
        ]
        parameters += [{"name": "error", "valueCodeableConcept": bundles.concept(each)} for each in notification.errors]
        return {
            "resourceType": "Parameters",
            "id": notification.id,
            "meta": {"profile": [_STATUS]},
            "parameter": parameters,
        }


def _parts(notification: Notification, event: Event) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": instant.write(event.at)},
    ]
    if notification.content is not Content.EMPTY and not event.withheld:
        parts.append({"name": "focus", "valueReference": {"reference": bundles.url(notification, event)}})
        parts += [
            {"name": "additional-context", "valueReference": {"reference": bundles.url(notification, context)}}
            for context in event.additional_context
        ]
    return parts
