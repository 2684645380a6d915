"""What there is to do for one subscription, what it is made of, and what became of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from subscriptions.codes import Interaction, SubscriptionStatus
from subscriptions.ranges import Dropped
from subscriptions.shapes import Included


class Kind(StrEnum):
    """What a pinned notification is for."""

    EVENTS = "events"
    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    #: Events of before once more, with their numbers; it moves `delivered` nowhere.
    RESEND = "resend"


@dataclass(frozen=True, slots=True)
class Sending:
    """
    A pinned notification: events `first` to `last`, pinned at `at` (ms).

    Without events, as in a handshake and a heartbeat, `last` is 0 and `first` is how many events there were.

    dropped: What was dropped before these events, and no notification has told of yet.
    """

    first: int
    last: int
    at: int
    kind: Kind
    dropped: Dropped | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        first, last, at, kind, *dropped = text.split(" ")
        return cls(int(first), int(last), int(at), Kind(kind), *map(Dropped.parse, dropped))

    @property
    def handshake(self) -> bool:
        return self.kind is Kind.HANDSHAKE

    @property
    def eventless(self) -> bool:
        return self.kind in (Kind.HANDSHAKE, Kind.HEARTBEAT)

    def __str__(self) -> str:
        dropped = f" {self.dropped}" if self.dropped else ""
        return f"{self.first} {self.last} {self.at} {self.kind}{dropped}"


@dataclass(frozen=True, slots=True)
class OwedEvent:
    """
    One event of an outbox: number `number` is the change that made version `version` of a resource.

    included: The versions that come along, resolved when it was matched.
    tenant: Whose the resources are; empty for the subscription's own.
    trace: What it follows from, as a `traceparent`; empty when it is not traced.
    """

    number: int
    type: str
    id: str
    version: int
    interaction: Interaction
    at: int
    included: tuple[Included, ...] = ()
    tenant: str = ""
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """
    What there is to do for a subscription.

    attempt: How many attempts at `sending` have failed.
    sending: None when there is nothing to send.
    ahead: The events from `sending.first` on, as far as they were brought along.
    quiet_until: ms before which nothing is sent, whatever comes: the delivery window is shut; None when it is open.
    beat_at: ms at which a heartbeat is due, if nothing is sent before; None without heartbeats.
    """

    status: SubscriptionStatus
    revision: int
    events: int
    attempt: int
    sending: Sending | None
    ahead: tuple[OwedEvent, ...] = ()
    quiet_until: int | None = None
    beat_at: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """
    One attempt, as it went over the wire.

    bytes: Of the body that was sent; 0 when nothing was.
    answer: How the answer began, for the operator alone.
    """

    milliseconds: int
    bytes: int
    answer: str


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing may be sent before `at` (ms)."""

    at: int


@dataclass(frozen=True, slots=True)
class Stale:
    """A lease with a higher token was here before."""

    token: int


class Verb(StrEnum):
    """What became of a pinned notification."""

    DELIVERED = "delivered"
    AGAIN = "again"
    ERROR = "error"
    OFF = "off"
    ACTIVE = "active"
