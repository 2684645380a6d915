"""One FHIR version: its JSON to and from the version-neutral types. What all versions share is written here."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
import orjson

from subscriptions.codes import FhirVersion, IssueCode, SubscriptionStatus
from subscriptions.errors import Issue, Rejected
from subscriptions.notification import Notification
from subscriptions.retry import Elements
from subscriptions.subscription import Interest, Reading, Style, Subscription
from subscriptions.versions import bundles, confidential, instant


class Form(ABC):
    """
    A version's whole face: a Subscription in and out, notifications out.

    topic_element, endpoint_element: Where a Subscription names its topic and its endpoint.
    content_element: Where it says how much of a resource it is told.
    headers: The names of the members that lead to the headers.
    has_error: Whether a Subscription tells what went wrong last.
    """

    version: ClassVar[FhirVersion]
    topic_element: ClassVar[str]
    endpoint_element: ClassVar[str]
    content_element: ClassVar[str]
    headers: ClassVar[tuple[str, ...]]
    has_error: ClassVar[bool]

    def parse_subscription(
        self, resource: Mapping[str, Any], *, now: datetime, allow_http: bool = False, legacy: Style = Style.R4
    ) -> Subscription:
        """
        The Subscription of a `read_subscription` that found no issues.

        Raises:
            Rejected: For all of them at once.
        """
        reading = self.read_subscription(resource, now=now, allow_http=allow_http, legacy=legacy)
        if reading.issues:
            raise Rejected(*reading.issues)
        return reading.subscription

    @abstractmethod
    def read_subscription(
        self, resource: Mapping[str, Any], *, now: datetime, allow_http: bool = False, legacy: Style = Style.R4
    ) -> Reading:
        """
        Read a Subscription that a client wants to have, as far as it can be judged without topics and network.

        Args:
            now: When the client sent it, aware. One that was accepted earlier is read again with the time of its
                acceptance, so that the result stays the same after its `end`.
            allow_http: Whether endpoints without TLS are accepted.
            legacy: The style in which criteria that are a search are understood; that of its acceptance, when it is
                read again.
        """

    @abstractmethod
    def read_interest(self, resource: Mapping[str, Any], *, legacy: Style) -> Interest:
        """
        What a Subscription that was accepted in this style is to be told of: a small part of it, read quickly.

        Raises:
            Rejected: It can't be read any more.
        """

    def to_json(
        self,
        sent: bytes,
        *,
        id: str,
        version_id: int,
        last_updated: datetime,
        status: SubscriptionStatus,
        error: str | None = None,
    ) -> bytes:
        """
        Render a Subscription as it is returned: the client's own bytes, apart from what is the hub's to say.

        Args:
            sent: What the client sent and `parse_subscription` accepted.
            status: In force.
            error: What went wrong last; the client's own is dropped.
        """
        members = msgspec.json.decode(sent, type=dict[str, msgspec.Raw])
        meta = msgspec.json.decode(members.get("meta", b"null"), type=dict[str, msgspec.Raw] | None) or {}
        meta["versionId"] = _raw(str(version_id))
        meta["lastUpdated"] = _raw(instant.write(last_updated))
        ours = {"resourceType": _raw("Subscription"), "id": _raw(id), "meta": _raw(meta)}
        rest = {name: value for name, value in members.items() if name not in (*ours, "error", "_error")}
        rest["status"] = _raw(status)
        if error and self.has_error:
            rest["error"] = _raw(error)
        return msgspec.json.encode(ours | rest)

    @property
    def headers_element(self) -> str:
        return ".".join(("Subscription", *self.headers))

    @property
    def elements(self) -> Elements:
        return Elements(self.headers_element, self.endpoint_element)

    def withhold(self, sent: bytes) -> tuple[bytes, bytes]:
        """A Subscription's JSON without its headers, and the JSON of these; empty when there are none."""
        return confidential.withhold(sent, *self.headers)

    def restore(self, kept: bytes, withheld: bytes) -> bytes:
        """Undo `withhold`."""
        return confidential.restore(kept, withheld, *self.headers)

    def redact(self, held: bytes, sent: bytes = b"") -> bytes:
        """
        A Subscription's JSON as it is shown: of its headers the names.

        Args:
            sent: What a client wrote. If the headers are those in it, they stay as it gave them.
        """
        kept, headers = self.withhold(held)
        if not headers:
            return held
        _, given = self.withhold(sent) if sent else (b"", b"")
        own = given and confidential.are_those(given, headers)
        return self.restore(kept, given if own else confidential.redacted(headers))

    def refill(self, sent: bytes, held: bytes) -> bytes:
        """
        A Subscription's JSON in which headers came redacted, with these as they are held.

        Args:
            held: The JSON of the headers; empty when there are none.

        Raises:
            Rejected: Of some of them it can't be said which of them they are.
        """
        kept, headers = self.withhold(sent)
        filled, unknown = confidential.refilled(headers, held)
        if unknown:
            text = (
                f"`{confidential.REDACTED}` stands for a value that the hub holds already, and here there is none, or"
                " another number of headers of this name: give the value."
            )
            raise Rejected(*(Issue(IssueCode.VALUE, text, f"{self.headers_element}[{i}]") for i in unknown))
        return self.restore(kept, filled)

    @abstractmethod
    def notification_bundle(self, notification: Notification) -> bytes:
        """
        Render a notification of any type.

        Beside the status there are entries with `full-resource`, one for each focus and each additional context, and
        with `id-only` for deletes, since only `entry.request` tells that a resource is gone. A deleted resource's entry
        has no `resource`; neither has one whose body can't be had, which then asks for a read (`GET`).
        """

    @abstractmethod
    def status(self, notification: Notification) -> dict[str, Any]:
        """The resource that tells a subscription's status and, of events, their numbers, times and resources."""

    def status_entry(self, notification: Notification) -> bytes:
        """Render a `query-status` as an entry of the answer to `$status`."""
        return orjson.dumps(
            bundles.status_entry(notification, self.status(notification)) | {"search": {"mode": "match"}}
        )

    def status_bundle(self, entries: Sequence[bytes], *, url: str, at: datetime) -> bytes:
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


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
