"""
FHIR R4B with the Subscriptions R5 Backport IG: http://hl7.org/fhir/uv/subscriptions-backport (1.1.0).

Its Subscription is R4's; the first entry of a notification is a SubscriptionStatus.
"""

from typing import Any

from subscriptions.codes import FhirVersion
from subscriptions.notification import Notification
from subscriptions.versions import bundles
from subscriptions.versions.extensions import BACKPORT
from subscriptions.versions.r4 import R4


class R4B(R4):
    """R4B: R4 but for the status."""

    version = FhirVersion.R4B

    def notification_bundle(self, notification: Notification) -> bytes:
        return bundles.history(
            notification, self.status(notification), f"{BACKPORT}/backport-subscription-notification"
        )

    def status(self, notification: Notification) -> dict[str, Any]:
        return bundles.subscription_status(notification)
