"""
A pinned notification as the message that is sent.

It is made of what was pinned, of the outbox and of kept versions alone, so that a repeat has the same bytes. A version
may go while it waits, as one does that is sent once more beyond its time, or may not be told any more: what then goes
out has an id of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hub.disclosure import Disclosure
from hub.instants import instant
from hub.keys import ResourceId, SubscriptionKey
from hub.outbox import Outboxes
from hub.sight import Sight
from hub.turn import Kind, OwedEvent, Sending
from subscriptions.codes import Content, NotificationType, SubscriptionStatus
from subscriptions.message import Message, of_bundle, of_event
from subscriptions.notification import Event, Failure, Notification, bodiless, notification_id, withheld
from subscriptions.ranges import of, words
from subscriptions.subscription import Style, Subscription
from subscriptions.versions.forms import FORMS

_TYPES = {
    Kind.EVENTS: NotificationType.EVENT_NOTIFICATION,
    Kind.HANDSHAKE: NotificationType.HANDSHAKE,
    Kind.HEARTBEAT: NotificationType.HEARTBEAT,
    Kind.RESEND: NotificationType.EVENT_NOTIFICATION,
}


@dataclass
class Rendering:
    """
    The notifications of one subscription, while it is served.

    hub: The random id of the store; stands in the bundles' ids.
    base: The FHIR base, without a slash at its end.
    share: How many events are read at once, and of how many the resources.
    most_bytes: Of resources in one notification, beyond its first event's.
    ahead: Events that were read before they are needed, by number.
    sight: What may be told of events; None for everything.
    told: Those whose resources the message that was made last tells of.
    """

    outboxes: Outboxes
    disclosure: Disclosure
    hub: str
    base: str
    key: SubscriptionKey
    share: int
    most_bytes: int
    ahead: dict[int, OwedEvent] = field(default_factory=dict)
    sight: Sight | None = None
    told: tuple[OwedEvent, ...] = ()

    async def message(
        self, subscription: Subscription, sending: Sending, *, events: int
    ) -> tuple[Message, Sending] | None:
        """
        What was pinned, as it is sent, and what of it that is: as many of its events as there is room for.

        None if nothing can be sent of it, see `of_event`.

        Args:
            events: How many there are so far.
        """
        told = () if sending.eventless else await self._events(subscription, sending, events)
        if told is None:
            return None
        self.told = ()
        if told:
            sending = replace(sending, last=told[-1].number)
            if subscription.content is not Content.EMPTY:
                self.told = tuple(self.ahead[event.number] for event in told if not event.withheld)
        id_ = self._id(sending, _missing(told, subscription.content))
        if subscription.style is Style.TOPIC:
            return of_bundle(subscription, self._notification(subscription, sending, told, id_), id_), sending
        (event,) = told
        message = of_event(subscription, event)
        return (replace(message, id=id_), sending) if message else None

    def _id(self, sending: Sending, missing: list[tuple[int, int]]) -> str:
        return notification_id(
            hub=self.hub,
            subscription=str(self.key),
            type=_TYPES[sending.kind],
            first=0 if sending.eventless else sending.first,
            last=sending.last,
            pinned=instant(sending.at),
            missing=missing,
        )

    def _notification(self, subscription: Subscription, sending: Sending, told: tuple[Event, ...], id_: str) -> bytes:
        pinned, type_ = instant(sending.at), _TYPES[sending.kind]
        return FORMS[subscription.version].notification_bundle(
            Notification(
                id=id_,
                type=type_,
                base=self.base,
                subscription_id=self.key.id,
                topic=subscription.topic,
                status=SubscriptionStatus.REQUESTED if sending.handshake else SubscriptionStatus.ACTIVE,
                content=subscription.content,
                events_since_subscription_start=sending.first if sending.eventless else sending.last,
                timestamp=pinned,
                events=told,
                errors=tuple(_lost(sending, told, subscription.content)),
            )
        )

    def traces(self, sending: Sending) -> tuple[str, ...]:
        """What the events of a message that was made follow from; empty for those that are not traced."""
        if sending.eventless:
            return ()
        return tuple(self.ahead[number].trace for number in range(sending.first, sending.last + 1))

    def changes(self, sending: Sending) -> list[str]:
        """The changes that are behind the events of a message that was made, as logs name them."""
        if sending.eventless:
            return []
        owed = [self.ahead[number] for number in range(sending.first, sending.last + 1)]
        own, version = self.key.tenant, self.key.version
        return [ResourceId(each.tenant or own, version, each.type, each.id).change(each.version) for each in owed]

    async def _events(self, subscription: Subscription, sending: Sending, events: int) -> tuple[Event, ...] | None:
        """What is told of the pinned events; None if they are gone, as they are with their subscription."""
        key, wanted = self.key, range(sending.first, sending.last + 1)
        if not all(number in self.ahead for number in wanted):
            # As many as one share; of a large notification, itself.
            last = max(sending.last, min(events, sending.first + self.share - 1))
            self.ahead = {owed.number: owed for owed in await self.outboxes.events(key, sending.first, last)}
            if not all(number in self.ahead for number in wanted):
                return None
        return await self._with_room([self.ahead[number] for number in wanted], subscription.content)

    async def _with_room(self, owed: list[OwedEvent], content: Content) -> tuple[Event, ...]:
        """
        What is told of these events, as far as their resources are not too many bytes; of the first one in any case.

        Not all resources are read before it is known: a thousand large ones would take the memory of all lanes.
        """
        if content is not Content.FULL_RESOURCE:
            return await self.disclosure.of(self.key, owed, content, self.sight)
        found, size, chunk = list[Event](), 0, 1
        while len(found) < len(owed):
            for event in await self.disclosure.of(self.key, owed[len(found) : len(found) + chunk], content, self.sight):
                size += event.size
                if found and size > self.most_bytes:
                    return tuple(found)
                found.append(event)
            # As many more as there is room for, if they are like those before.
            chunk = max(1, min(self.share, (self.most_bytes - size) * len(found) // (size or 1)))
        return tuple(found)


def _lost(sending: Sending, told: tuple[Event, ...], content: Content) -> Iterator[Failure]:
    """What can't be told any more."""
    if sending.dropped:
        yield Failure(None, sending.dropped.words)
    yield from faded(told, content)


def faded(told: tuple[Event, ...], content: Content) -> Iterator[Failure]:
    """Of which events a body is missing, or what may not be told."""
    if kept := list(of(dict.fromkeys(number for number, _ in withheld(told)))):
        yield Failure(None, f"not everything may be told any more: {words(kept)}")
    if bare := list(of(dict.fromkeys(number for number, place in _missing(told, content) if place >= 0))):
        yield Failure(None, f"not all resources are kept any more as they were: {words(bare)}")


def _missing(told: tuple[Event, ...], content: Content) -> list[tuple[int, int]]:
    if content is Content.EMPTY:
        return []
    return [*withheld(told), *(bodiless(told) if content is Content.FULL_RESOURCE else ())]
