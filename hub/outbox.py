"""
The events owed to one subscription, and the steps of its state (see state.py).

`hub:{s}:outbox` is a stream whose ids are the event numbers (`17-0`), each with `type`, `id`, `number` (version),
`interaction`, `at` (ms) and, if anything comes along, `included` (`Type/id/number`, joined by blanks), if it is another
tenant's, `tenant`, and if it is traced, `trace` (the `traceparent` of its matching).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from logging import getLogger
from types import MappingProxyType
from typing import Any

from hub.families import EVENTS_DROPPED, EVENTS_OWED
from hub.keys import ALERTS, SubscriptionKey
from hub.meter import Meter
from hub.pipeline import Pipeline, script
from hub.state import FIELDS, State
from hub.stream import Entry, before
from hub.turn import Later, OwedEvent, Sending, Sent, Stale, Turn, Verb
from hub.wire import Argument
from subscriptions.codes import Interaction, SubscriptionStatus
from subscriptions.pace import Pace
from subscriptions.shapes import Included
from subscriptions.subscription import Style

log = getLogger("hub.outbox")

OWE, TAKE, SETTLE, CALL = script("owe"), script("take"), script("settle"), script("call")
NOTHING_INCLUDED: Mapping[str, tuple[Included, ...]] = MappingProxyType({})
SUBSCRIBE, UNSUBSCRIBE = script("subscribe"), script("unsubscribe")


@dataclass(frozen=True, slots=True)
class Owed:
    """
    What `owe` did.

    send: There is something to send now, so the subscription must be marked due.
    dropped: How many of the fresh events there was no room for.
    """

    events: int
    fresh: int
    send: bool
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Filling:
    """
    How far a subscription is filled with a partition's changes of the past.

    owed: Id of the last change that was looked through; empty before the first activation.
    goal: Id of the last change that waits for it.
    backlog: Events that are still to be sent.
    """

    owed: str
    goal: str
    backlog: int


class Subscribed(StrEnum):
    """What became of a write of a Subscription."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    CONFLICT = "conflict"
    MISSING = "missing"


class Outboxes:
    """The subscriptions' states and outboxes."""

    def __init__(self, pipeline: Pipeline, max_backlog: int = 1_000_000, meter: Meter | None = None) -> None:
        """`max_backlog`: Events of one subscription that may wait to be sent."""
        self._pipeline = pipeline
        self._max_backlog = max_backlog
        self._meter = meter or Meter()

    async def owe(
        self,
        subscription: SubscriptionKey,
        partition: int,
        changes: list[Entry],
        included: Mapping[str, tuple[Included, ...]] = NOTHING_INCLUDED,
    ) -> Owed | None:
        """
        Owe these changes of one partition, in stream order; None when the subscription is numbered nothing.

        included: What comes along with a change, by its stream id.
        """
        return await self._owe(subscription, partition, ("", ""), changes, included)

    async def fill(
        self,
        subscription: SubscriptionKey,
        partition: int,
        changes: list[Entry],
        included: Mapping[str, tuple[Included, ...]] = NOTHING_INCLUDED,
        *,
        reached: str,
        goal: str,
    ) -> Owed | None:
        """
        Owe these changes of the past, in stream order; None when it isn't being filled from this partition.

        reached: The last change that was looked through, or any later id behind which nothing was left.
        goal: The filling ends when this is reached, and all that waits for it.
        """
        return await self._owe(subscription, partition, (reached, goal), changes, included)

    async def _owe(
        self,
        subscription: SubscriptionKey,
        partition: int,
        filling: tuple[str, str],
        changes: list[Entry],
        included: Mapping[str, tuple[Included, ...]],
    ) -> Owed | None:
        rows: list[Argument] = []
        for change in changes:
            rows += (change.id, change.resource.type, change.resource.id, change.number, change.interaction, change.at)
            rows.append(" ".join(map(str, included.get(change.id, ()))))
            rows.append("" if change.resource.tenant == subscription.tenant else change.resource.tenant)
            rows.append(change.trace)
        keys = [subscription.subscription, subscription.outbox]
        reply = await self._pipeline.run(OWE, keys, partition, *filling, self._max_backlog, *rows)
        if not reply:
            return None
        owed = Owed(int(reply[0]), int(reply[1]), bool(reply[2]), int(reply[3]))
        self._meter.count(EVENTS_OWED, subscription.tenant, by=owed.fresh)
        if owed.dropped:
            self._meter.count(EVENTS_DROPPED, subscription.tenant, by=owed.dropped)
            first, last = owed.events - owed.dropped + 1, owed.events
            log.error(
                "events.dropped",
                extra={
                    "subscription": str(subscription),
                    "first_event": first,
                    "last_event": last,
                    "events": owed.dropped,
                    "reason": "backlog",
                },
            )
        return owed

    async def filling(self, subscription: SubscriptionKey, partition: int) -> Filling | None:
        """How far a subscription is filled with the past of a partition; None when it is, or never will be."""
        fields = ("begun", "counting", f"filling:{partition}", f"owed:{partition}", "events", "delivered")
        reply = await self._pipeline.command("HMGET", subscription.subscription, *fields)
        begun, counting, goal, owed, events, delivered = reply
        if events is None or (begun and not (counting and goal)):
            return None
        return Filling(owed.decode() if goal else "", (goal or b"").decode(), int(events) - int(delivered))

    async def take(self, subscription: SubscriptionKey, token: str, *, ahead: int = 1) -> Turn | Later | Stale | None:
        """Begin to serve a subscription, and bring up to `ahead` events along; None when it is gone."""
        reply = await self._pipeline.run(TAKE, [subscription.subscription, subscription.outbox], token, ahead)
        match reply[0]:
            case b"later":
                return Later(int(reply[1]))
            case b"stale":
                return Stale(int(reply[1]))
            case b"gone":
                return None
        return Turn(
            SubscriptionStatus(reply[1].decode()),
            int(reply[2]),
            int(reply[3]),
            int(reply[4]),
            _sending(reply[5]),
            tuple(_event(id_, fields) for id_, fields in reply[6]),
            beat_at=_ms(reply[7]),
        )

    async def settle(
        self,
        subscription: SubscriptionKey,
        token: str,
        turn: Turn,
        verb: Verb,
        *,
        said: str,
        code: str = "",
        again_at: int | None = None,
        charged: bool = True,
        ends: dict[int, str] | None = None,
        start: int | None = None,
        sent: Sent | None = None,
        told: Sending | None = None,
    ) -> Turn | None:
        """
        Record what became of `turn.sending`; returns what is next, or None when it is not ours to say any more
        (another lease, or the subscription was changed or deleted meanwhile). Safe to repeat.

        said, code: What the operator and the subscriber read of the attempt; the FHIR error code.
        again_at: For AGAIN: when, in ms.
        charged: For AGAIN: whether it counts as an attempt.
        ends: For ACTIVE: the streams' ends, before which nothing is numbered.
        start: For ACTIVE: ms from which on changes are numbered all the same, if it is the first time.
        sent: What went over the wire; None when nothing was tried.
        told: What was told of `turn.sending`, if not all of it.
        """
        extra: list[Argument] = ["", "", "", ""]
        if sent is not None:
            extra = [turn.attempt + 1, sent.milliseconds, sent.bytes, sent.answer]
        extra.append(str(told or turn.sending or ""))
        if again_at is not None:
            extra += (again_at, turn.attempt + charged)
        if ends is not None:
            extra.append("" if start is None else before(start))
        for partition, end in (ends or {}).items():
            extra += (partition, end)
        keys = [subscription.subscription, subscription.attempts, subscription.outbox]
        sending = str(turn.sending or "")
        reply = await self._pipeline.run(SETTLE, keys, token, turn.revision, sending, verb, said, code, *extra)
        if reply[0] == b"refused":
            return None
        if reply[7]:
            await self.alert([subscription])
        return Turn(
            SubscriptionStatus(reply[1].decode()),
            int(reply[2]),
            int(reply[3]),
            0,
            _sending(reply[4]),
            quiet_until=_ms(reply[5]),
            beat_at=_ms(reply[6]),
        )

    async def alert(self, subscriptions: list[SubscriptionKey]) -> None:
        """Say that somebody is to be told of something that was noted of these."""
        pairs = [part for subscription in subscriptions for part in (0, str(subscription))]
        await self._pipeline.command("ZADD", ALERTS, "LT", *pairs)

    async def call(self, subscription: SubscriptionKey, *, test: bool = False) -> bool:
        """
        Let the next attempt be before its own time; False when the subscription isn't active any more.

        test: A heartbeat is to be sent, behind what is pinned already and before any event.
        """
        return bool(await self._pipeline.run(CALL, [subscription.subscription], "test" if test else ""))

    async def early(self, subscription: SubscriptionKey) -> int | None:
        """The own time (ms) of an attempt that was called before it; None for one that was not."""
        found = await self._pipeline.command("HGET", subscription.subscription, "early")
        return int(found) if found else None

    async def events(
        self, subscription: SubscriptionKey, first: int, last: int, *, most: int | None = None, newest: bool = False
    ) -> list[OwedEvent]:
        """
        The events of a range of numbers, both included, as far as they are kept.

        most: No more than so many of them.
        newest: From the last one down.
        """
        limit = () if most is None else ("COUNT", most)
        ends = (f"{last}-0", f"{first}-0") if newest else (f"{first}-0", f"{last}-0")
        reply = await self._pipeline.command("XREVRANGE" if newest else "XRANGE", subscription.outbox, *ends, *limit)
        return [_event(id_, fields) for id_, fields in reply]

    async def write(
        self,
        subscription: SubscriptionKey,
        *,
        expected: str,
        status: SubscriptionStatus,
        resource: bytes | None,
        pace: Pace,
        now: int,
        not_before: int,
        end: int | None = None,
        style: Style = Style.TOPIC,
        why: str = "",
        headers: bytes = b"",
        owner: str = "",
    ) -> tuple[Subscribed, int]:
        """
        Create or change a Subscription; returns what became of it and the revision in force.

        expected: Empty to create, `*` to change whatever is there, else the revision that must be in force.
        resource, headers: As they are kept, the headers sealed; no resource to change neither.
        not_before: ms before which no handshake starts.
        end: ms at which it is turned off.
        why: For OFF, unless its client wants it: what its owner and the operator are told.
        owner: To create: the client whose it is.
        """
        reply = await self._pipeline.run(
            SUBSCRIBE,
            [subscription.subscription],
            expected,
            status,
            resource or b"",
            pace.most,
            now,
            not_before,
            "" if end is None else end,
            style,
            pace.beat or "",
            pace.window or "",
            why,
            headers,
            owner,
        )
        if why:
            await self.alert([subscription])
        return Subscribed(reply[0].decode()), int(reply[1]) if len(reply) > 1 else 0

    async def delete(self, subscription: SubscriptionKey, *, expected: str) -> tuple[Subscribed, int]:
        """Delete a Subscription with all that is owed to it and known of it. `expected` as in `write`."""
        keys = [subscription.subscription, subscription.outbox, subscription.attempts]
        reply = await self._pipeline.run(UNSUBSCRIBE, keys, expected)
        return Subscribed(reply[0].decode()), int(reply[1]) if len(reply) > 1 else 0

    async def read(self, subscription: SubscriptionKey) -> State | None:
        """A subscription's state; None when there is none."""
        (found,) = await self.read_many([subscription])
        return found

    async def read_many(self, subscriptions: list[SubscriptionKey]) -> list[State | None]:
        """The states of many subscriptions, in the order asked for."""
        return list(
            map(State.of, await self._pipeline.all([("HMGET", s.subscription, *FIELDS) for s in subscriptions]))
        )


def _ms(reply: bytes) -> int | None:
    return int(reply) if reply else None


def _sending(reply: bytes) -> Sending | None:
    return Sending.parse(reply.decode()) if reply else None


def _event(id_: bytes, fields: Any) -> OwedEvent:
    named = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    return OwedEvent(
        number=int(id_.split(b"-")[0]),
        type=named[b"type"].decode(),
        id=named[b"id"].decode(),
        version=int(named[b"number"]),
        interaction=Interaction(named[b"interaction"].decode()),
        at=int(named[b"at"]),
        included=tuple(map(Included.parse, named.get(b"included", b"").decode().split())),
        tenant=named.get(b"tenant", b"").decode(),
        trace=named.get(b"trace", b"").decode(),
    )
