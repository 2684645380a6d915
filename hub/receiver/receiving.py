"""
Notifications taken in order: what came before is left out, what was missed is fetched, and each event is handled once.

Invariants, for each Subscription:
1. An event is handled after all before it were, or were named as missed.
2. Its number is stored when its handler has returned: whoever dies in between handles it again.
3. A request is answered with 2xx when all that it tells of is handled: the hub repeats it until then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from logging import getLogger
from typing import TypeAlias
from weakref import WeakValueDictionary

from hub.receiver.errors import Forged, Unfetched, Unreadable
from hub.receiver.notification import Event, Kind, Missed, Notification
from hub.receiver.reading import read
from hub.receiver.source import Source
from hub.receiver.store import MemoryStore, Place, Store
from hub.receiver.verifying import Verifier
from subscriptions.ranges import Range, of, words

#: Seconds: well below the 20 that a hub waits by default.
PATIENCE = 5.0

log = getLogger("hub.receiver")


@dataclass
class Receipt:
    """
    What became of one request, and of what was missed before a handshake for as long as that is fetched.

    status: To answer it with: 200; 401 not the hub's; 403 another's; 400 no notification; 503 what was missed can't be
        fetched now, so that what came can't be handled yet.
    text: Why it is not 200.
    notification: None when it wasn't read.
    handled, duplicates: The numbers of events that were handled now, fetched ones too, and of those that were before.
    fetched, missed: What had not come: fetched by `$events`, and what can't be had.
    restarted: Its numbers begin anew: it was made again under the same id.
    """

    status: int = 200
    text: str = ""
    notification: Notification | None = None
    handled: list[int] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    fetched: list[Range] = field(default_factory=list)
    missed: list[Range] = field(default_factory=list)
    restarted: bool = False


_Take: TypeAlias = Callable[[Notification, Place | None, Receipt], Awaitable[None]]


async def _warn(missed: Missed) -> None:
    log.warning("%s can't be had any more of %s", words([missed.range]), missed.subscription)


class Receiver:
    """
    Hands the events of any number of Subscriptions to an app.

    One process at a time should receive for one Subscription: two would each handle what the hub repeats meanwhile.

    Args:
        handle: Called with each event, one after the other in a Subscription. What it raises, `receive` raises; the
            event is handled again when the hub repeats it. The hub waits for as long as it waits for any endpoint.
        store: Where it remembers what is handled; without one it forgets with its process.
        verifier: Without one everybody who reaches the endpoint is believed.
        source: Where to fetch what was missed; without one it is named as missed.
        missed: Called with what can't be had, before what comes behind it is handled; without one it is logged.
        subscriptions: The URLs of those whose notifications are taken; all of them by default.
        patience: Seconds after which a handshake is answered although what was missed is still being fetched, since a
            hub that waits in vain gives the Subscription up; None for none. It goes on, and events wait for it.

    >>> async def handle(event: Event) -> None:
    ...     print(event.number, event.focus)
    >>> receiver = Receiver(handle)
    >>> asyncio.run(receiver.receive(b'{"resourceType": "Patient", "id": "1"}', {})).status
    0 Patient/1
    200
    """

    def __init__(
        self,
        handle: Callable[[Event], Awaitable[None]],
        store: Store | None = None,
        verifier: Verifier | None = None,
        source: Source | None = None,
        *,
        missed: Callable[[Missed], Awaitable[None]] = _warn,
        subscriptions: Collection[str] | None = None,
        patience: float | None = PATIENCE,
    ) -> None:
        self._handle = handle
        self._store = store or MemoryStore()
        self._verifier = verifier
        self._source = source
        self._missed = missed
        self._subscriptions = subscriptions
        self._patience = patience
        self._going: set[asyncio.Task[None]] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> Receipt:
        """Take one request. Raises what the app's handlers and the store raise: then answer with a 5xx."""
        receipt = Receipt()
        try:
            if self._verifier:
                self._verifier.verify(body, headers)
            notification = read(body, headers)
        except (Forged, Unreadable) as error:
            receipt.status, receipt.text = (401 if isinstance(error, Forged) else 400), str(error)
            return receipt
        receipt.notification = notification
        if self._subscriptions is not None and notification.subscription not in self._subscriptions:
            receipt.status, receipt.text = 403, "it is of another Subscription"
            return receipt
        try:
            await self._take(notification, receipt)
        except Unfetched as error:
            receipt.status, receipt.text = 503, str(error)
            log.warning("what was missed can't be fetched: %s", error)
        return receipt

    async def _take(self, notification: Notification, receipt: Receipt) -> None:
        match notification.kind:
            case Kind.RESOURCE | Kind.BARE:
                for event in notification.events:
                    await self._handle(event)
                    receipt.handled.append(event.number)
            case Kind.EVENT_NOTIFICATION:
                await self._in_turn(self._events, notification, receipt)
            case Kind.HANDSHAKE:
                going = asyncio.create_task(self._in_turn(self._begin, notification, receipt))
                self._going.add(going)
                going.add_done_callback(self._going.discard)
                done, _ = await asyncio.wait({going}, timeout=self._patience)
                if done:
                    return going.result()
                going.add_done_callback(_left_behind)
            case Kind.HEARTBEAT:
                pass
            case Kind.QUERY_STATUS | Kind.QUERY_EVENT:
                receipt.status, receipt.text = 400, "it answers a question, and comes to no endpoint"

    async def _in_turn(self, take: _Take, notification: Notification, receipt: Receipt) -> None:
        """One after the other in a Subscription."""
        lock = self._locks.setdefault(notification.subscription, asyncio.Lock())
        async with lock:
            await take(notification, await self._store.get(notification.subscription), receipt)

    async def _begin(self, notification: Notification, place: Place | None, receipt: Receipt) -> None:
        """A handshake: what was numbered before it does not come any more by itself."""
        counter, at = notification.counter, notification.at
        if place is None:
            await self._store.put(notification.subscription, Place(counter, at))
        elif counter > place.number:
            await self._fill(notification, Range(place.number + 1, counter), place, receipt)
        elif counter < place.number and not _older(at, place.at):
            receipt.restarted = True
            await self._store.put(notification.subscription, Place(counter, at))

    async def _events(self, notification: Notification, place: Place | None, receipt: Receipt) -> None:
        place = place or Place(notification.events[0].number - 1)
        for event in notification.events:
            if event.number <= place.number:
                receipt.duplicates.append(event.number)
                continue
            if event.number > place.number + 1:
                place = await self._fill(notification, Range(place.number + 1, event.number - 1), place, receipt)
            place = await self._hand_over(event, notification, place, receipt)

    async def _hand_over(self, event: Event, notification: Notification, place: Place, receipt: Receipt) -> Place:
        await self._handle(event)
        place = Place(event.number, _newer(notification.at, place.at))
        await self._store.put(notification.subscription, place)
        receipt.handled.append(event.number)
        return place

    async def _fill(self, notification: Notification, gap: Range, place: Place, receipt: Receipt) -> Place:
        """Handle what was missed, as far as it can be had, and name the rest. Raises Unfetched if that is not known."""
        while self._source and place.number < gap.last:
            wanted = Range(place.number + 1, gap.last)
            found = await self._source.page(notification.subscription, wanted)
            if not found:
                break
            for event in found:
                if event.number > place.number + 1:
                    place = await self._miss(notification, Range(place.number + 1, event.number - 1), place, receipt)
                place = await self._hand_over(event, notification, place, receipt)
            receipt.fetched += of(event.number for event in found)
        if place.number < gap.last:
            place = await self._miss(notification, Range(place.number + 1, gap.last), place, receipt)
        return place

    async def _miss(self, notification: Notification, range_: Range, place: Place, receipt: Receipt) -> Place:
        await self._missed(Missed(notification.subscription, range_))
        place = Place(range_.last, _newer(notification.at, place.at))
        await self._store.put(notification.subscription, place)
        receipt.missed.append(range_)
        return place


def _left_behind(going: "asyncio.Task[None]") -> None:
    """Nobody waits for it any more: the next event has it begun again."""
    if not going.cancelled() and (error := going.exception()):
        log.warning("what was missed could not all be handled: %s", type(error).__name__)


def _older(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one < other


def _newer(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)
