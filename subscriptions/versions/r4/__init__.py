"""
FHIR R4 with the Subscriptions R5 Backport IG: http://hl7.org/fhir/uv/subscriptions-backport (1.1.0).

This is the version's whole face: a Subscription in and out, notifications out.
"""

from subscriptions.versions.r4.confidential import restore, withhold
from subscriptions.versions.r4.notification import notification_bundle, status_bundle, status_entry
from subscriptions.versions.r4.subscription import parse_subscription, read_interest, read_subscription, to_json

__all__ = [
    "notification_bundle",
    "parse_subscription",
    "read_interest",
    "read_subscription",
    "restore",
    "status_bundle",
    "status_entry",
    "to_json",
    "withhold",
]
