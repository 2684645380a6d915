"""The FHIR versions that the hub speaks, each behind the same face."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.notification import Notification
from subscriptions.subscription import Interest, Reading, Style, Subscription
from subscriptions.versions import r4


class Form(Protocol):
    """One FHIR version: its JSON to and from the version-neutral types."""

    def parse_subscription(
        self, resource: Mapping[str, Any], *, now: datetime, allow_http: bool = False, legacy: Style = Style.R4
    ) -> Subscription: ...

    def read_subscription(
        self, resource: Mapping[str, Any], *, now: datetime, allow_http: bool = False, legacy: Style = Style.R4
    ) -> Reading: ...

    def read_interest(self, resource: Mapping[str, Any], *, legacy: Style) -> Interest: ...

    def to_json(
        self,
        sent: bytes,
        *,
        id: str,
        version_id: int,
        last_updated: datetime,
        status: SubscriptionStatus,
        error: str | None = None,
    ) -> bytes: ...

    def withhold(self, sent: bytes) -> tuple[bytes, bytes]: ...

    def restore(self, kept: bytes, withheld: bytes) -> bytes: ...

    def notification_bundle(self, notification: Notification) -> bytes: ...

    def status_entry(self, status: Notification) -> bytes: ...

    def status_bundle(self, entries: Sequence[bytes], *, url: str, at: datetime) -> bytes: ...


FORMS: Mapping[FhirVersion, Form] = {FhirVersion.R4: r4}
