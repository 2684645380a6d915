"""
Events that are sent once more, with the numbers that they have, in the lane of their subscription.

What is asked for stands in the subscription's field `resend` until it was accepted; `pin` takes it before anything new.
"""

from dataclasses import dataclass
from logging import getLogger

from hub.access import ANYBODY
from hub.audit import Audit
from hub.due import Due
from hub.keys import SubscriptionKey
from hub.outbox import Outboxes
from hub.pipeline import Pipeline, script
from hub.state import State
from subscriptions.audit import Act, Kind
from subscriptions.codes import SubscriptionStatus
from subscriptions.ranges import Range

RESEND = script("resend")

log = getLogger("hub.resending")

#: Ranges that may wait to be sent once more.
RANGES = 32

#: ms by which the times of events may run against the order of their numbers: partitions are matched independently.
DISORDER = 600_000

#: Events that are looked through at once.
CHUNK = 500


class TooMany(Exception):
    """RANGES wait to be sent once more, and this would be one more."""


@dataclass(frozen=True, slots=True)
class Resending:
    """Events, sent once more."""

    pipeline: Pipeline
    outboxes: Outboxes
    due: Due
    audit: Audit

    async def ask(
        self,
        key: SubscriptionKey,
        state: State,
        wanted: Range,
        *,
        now: int,
        agent: str = ANYBODY.name,
        kind: Kind = Kind.RESENT,
    ) -> Range | SubscriptionStatus | None:
        """
        Have events sent once more, and whatever waits to be tried again, now.

        Args:
            agent: The client that asks.
            kind: How the audit calls it.

        Returns the range that is sent once more; None if all of it is still to be sent anyway, or the subscription was
        deleted; the status, if it is another than `active`.

        Raises:
            TooMany: Nothing was done.
        """
        if state.status is not SubscriptionStatus.ACTIVE:
            return state.status
        text = f"events {wanted.first} to {wanted.last}"
        await self.audit.record(key.tenant, Act(kind, agent, f"Subscription/{key.id}", key.version, text=text))
        again = await note(self.pipeline, key, wanted)
        if isinstance(again, SubscriptionStatus):
            return again
        log.info(
            "events.asked-again",
            extra={"subscription": str(key), "first_event": wanted.first, "last_event": wanted.last},
        )
        # Out of a back-off too. If this is lost, `repair` finds what is still to be sent.
        await self.due.schedule(key, now, end=state.end)
        return again

    async def between(self, key: SubscriptionKey, events: int, since: int | None, until: int | None) -> Range | None:
        """
        The numbers of all events between two instants (ms), both included, as far as they are kept; None for none.

        In between may be some that happened a little earlier or later, since numbers are not given by time.
        """
        first, last = 1, events
        if since is not None:
            first = await self._first_since(key, events, since)
        if until is not None:
            last = await self._last_until(key, events, until)
        return Range(first, last) if first <= last else None

    async def _first_since(self, key: SubscriptionKey, events: int, when: int) -> int:
        number = await self._bisect(key, events, when - DISORDER)
        while owed := await self.outboxes.events(key, number, events, most=CHUNK):
            for event in owed:
                if event.at >= when:
                    return event.number
            number = owed[-1].number + 1
        return events + 1

    async def _last_until(self, key: SubscriptionKey, events: int, when: int) -> int:
        number = await self._bisect(key, events, when + DISORDER) - 1
        while number and (owed := await self.outboxes.events(key, 1, number, most=CHUNK, newest=True)):
            for event in owed:
                if event.at <= when:
                    return event.number
            number = owed[-1].number - 1
        return 0

    async def _bisect(self, key: SubscriptionKey, events: int, when: int) -> int:
        """The first number from which on events are as late as this, if their times rose with their numbers."""
        low, high = 1, events + 1
        while low < high:
            middle = (low + high) // 2
            owed = await self.outboxes.events(key, middle, events, most=1)
            if not owed or owed[0].at >= when:
                high = middle
            else:
                low = owed[0].number + 1
        return low


async def note(pipeline: Pipeline, key: SubscriptionKey, wanted: Range) -> Range | SubscriptionStatus | None:
    """Note what is to be sent once more. Returns and raises as `Resending.ask` does."""
    reply = await pipeline.run(RESEND, [key.subscription], wanted.first, wanted.last, RANGES)
    match reply[0]:
        case b"status":
            return SubscriptionStatus(reply[1].decode())
        case b"full":
            raise TooMany
        case b"asked" if int(reply[2]):
            return Range(int(reply[1]), int(reply[2]))
    return None
