"""
A notification, whatever FHIR version it will be written in: events that are told to one subscriber in one Bundle.

What stands in it is the Subscriptions framework's; `versions/` gives it a wire form.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from subscriptions.codes import Content, ErrorCode, Interaction, NotificationType, SubscriptionStatus

_NAMESPACE = UUID("8f1d3d52-4a5e-5b0e-9a5b-6a3f6f0f7c11")


@dataclass(frozen=True, slots=True)
class AdditionalContext:
    """
    A resource that comes along with an event's focus, such as the patient of an encounter.

    body: Its JSON, for `full-resource`; None when it can't be had.
    base: The FHIR base where it is; empty for the subscription's.
    """

    type: str
    id: str
    body: bytes | None = None
    base: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """
    A change that concerns this subscription, and its number.

    number: Counts up from 1 without gaps, for this subscription alone.
    type, id, version_id: The version that the change made: the focus.
    at: When the change was stored, aware.
    body: The focus as JSON, for `full-resource`; None for a delete, or when it can't be had.
    base: The FHIR base where the focus is; empty for the subscription's.
    withheld: Its resources may not be told of any more: only its number and time are.
    left_out: Which of what came along may not be told of any more, and is left out: from 1.
    """

    number: int
    type: str
    id: str
    version_id: int
    interaction: Interaction
    at: datetime
    body: bytes | None = None
    additional_context: tuple[AdditionalContext, ...] = ()
    base: str = ""
    withheld: bool = False
    left_out: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all its bodies."""
        return len(self.body or b"") + sum(len(context.body or b"") for context in self.additional_context)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong last, for `SubscriptionStatus.error`. An empty text is left out, and so is no code."""

    code: ErrorCode | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """
    All that one Bundle says. The same notification always has the same bytes.

    id: A UUID, see `notification_id`. It names the Bundle and the status resource that is its first entry.
    base: The FHIR base under which subscription and resources are found, without a slash at its end.
    subscription_id: The Subscription's id.
    topic: The canonical, as the client wrote it; empty when the subscription names none.
    status: In force when the notification was made; `requested` in a new subscription's handshake.
    content: How much may be said.
    events_since_subscription_start: Events numbered so far. In an event notification it is the number of its last
        event and not the live counter, so that a repeat says the same.
    timestamp: When it was made, aware.
    events: By rising number; never empty in an event notification and a query-event (invariant sst-1).

    Raises:
        ValueError: Events and counter contradict each other.
    """

    id: str
    type: NotificationType
    base: str
    subscription_id: str
    topic: str
    status: SubscriptionStatus
    content: Content
    events_since_subscription_start: int
    timestamp: datetime
    events: tuple[Event, ...] = ()
    errors: tuple[Failure, ...] = ()

    def __post_init__(self) -> None:
        if self.type in (NotificationType.EVENT_NOTIFICATION, NotificationType.QUERY_EVENT) and not self.events:
            raise ValueError(f"a notification of type {self.type} without events")
        if (
            self.type is NotificationType.EVENT_NOTIFICATION
            and self.events[-1].number != self.events_since_subscription_start
        ):
            raise ValueError("the counter of an event notification is not the number of its last event")

    @property
    def subscription_url(self) -> str:
        return f"{self.base}/Subscription/{self.subscription_id}"

    @property
    def names_topic(self) -> bool:
        """The canonical may give away what is watched: `empty` leaves it out of all that goes over the channel."""
        asked = self.type in (NotificationType.QUERY_STATUS, NotificationType.QUERY_EVENT)
        return (asked or self.content is not Content.EMPTY) and bool(self.topic)


def bodiless(events: Iterable[Event]) -> Iterator[tuple[int, int]]:
    """What, with `full-resource`, is missing and was once there: number of the event, 0 for its focus, else which."""
    for event in events:
        if event.withheld:
            continue
        if event.body is None and event.interaction is not Interaction.DELETE:
            yield event.number, 0
        for place, context in enumerate(event.additional_context, 1):
            if context.body is None:
                yield event.number, place


def withheld(events: Iterable[Event]) -> Iterator[tuple[int, int]]:
    """The same of what may not be told of, whatever the content: -1 for all of an event, below that for the others."""
    return ((event.number, -1 - place) for event in events for place in ((0,) if event.withheld else event.left_out))


def notification_id(
    *,
    hub: str,
    subscription: str,
    type: NotificationType,
    first: int,
    last: int,
    pinned: datetime,
    missing: Iterable[tuple[int, int]] = (),
) -> str:
    """
    Derive a Bundle's id: a UUIDv5, the same for each repeat, and one that no client can choose.

    Args:
        hub: The random id of the hub's store, so that two hubs never make the same.
        subscription: One life of one subscription.
        first, last: The event numbers it tells of; 0 and 0 without events.
        pinned: When it was settled what the notification says, aware.
        missing: What is not kept any more of it, or withheld, see `bodiless`: what says less is no repeat.
    """
    without = "".join(f" {number}.{place}" for number, place in missing)
    return str(uuid5(_NAMESPACE, f"{hub} {subscription} {type} {first} {last} {pinned.timestamp():.6f}{without}"))
