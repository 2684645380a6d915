"""
What the owner of a subscription and the operator are told of it, beside its channel: how it fares, of no patient.

Its form is the Standard Webhooks': `type`, `timestamp` and `data`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

import msgspec

from subscriptions.ranges import Range
from subscriptions.versions import instant

_NAMESPACE = UUID("0c5c6f0e-6a0b-5c8f-8a0b-9d1f4f0d2b7e")


class AlertKind(StrEnum):
    """Of what somebody is told."""

    #: The third attempt in a row has failed.
    FAILING = "failing"
    #: The schedule is used up, or a handshake has failed: nothing is sent until the client asks for it.
    ERROR = "error"
    #: It is accepted again, after one of these.
    RECOVERED = "recovered"
    #: The endpoint says that it is gone.
    OFF = "off"
    #: Events were dropped before they could be sent.
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Alert:
    """
    One thing to be told.

    at: When it happened, aware.
    code: FHIR's error code; empty for none.
    missed: The events that were not sent and won't be by themselves; None when there are none.
    times: How often it has happened since it was last told.
    """

    kind: AlertKind
    at: datetime
    status: str
    code: str
    text: str
    missed: Range | None
    times: int

    def id(self, hub: str, subscription: str) -> str:
        """A UUID, the same in all attempts at telling it."""
        return str(uuid5(_NAMESPACE, f"{hub} {subscription} {self.kind} {self.at.timestamp():.3f}"))

    def body(self, resource: Mapping[str, Any], url: str) -> bytes:
        """
        The JSON that is sent.

        Args:
            resource: The Subscription, for its contacts.
            url: The Subscription's.
        """
        data: dict[str, Any] = {"subscription": url, "status": self.status, "times": self.times}
        if contact := resource.get("contact"):
            data["contact"] = contact
        if self.text:
            data["error"] = {"code": self.code, "text": self.text} if self.code else {"text": self.text}
        if self.missed:
            first, last = self.missed.first, self.missed.last
            fetch = f"{url}/$events?eventsSinceNumber={first}&eventsUntilNumber={last}"
            data["missed"] = {"first": first, "last": last, "fetch": fetch}
        told = {"type": f"subscription.{self.kind}", "timestamp": instant.write(self.at), "data": data}
        return msgspec.json.encode(told)
