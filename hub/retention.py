"""
What is kept, and for how long: the clock removes the rest, in small steps, one script each.

- An event goes when its change is older than the window (HUB_RETENTION_DAYS), sent or not; what was not sent is counted
  and told. It stays while it, or one before it, is being sent once more.
- A version of a resource goes a fourteenth of the window later than it was superseded. Whatever points at it, as focus
  or included, is an event of a change from before that: gone already, since both are measured by the same times, and
  the fourteenth is for clocks and scripts that are late. The version in force stays, and so does the mark of a
  deletion.
- A change goes with the versions that it superseded, but not before it was matched.
- HUB_RETENTION_BYTES has the oldest go earlier: by the number of changes, not by time, since a burst is short however
  long ago it was. What is measured is what retention governs: the bytes of superseded versions, which `put` counts,
  and what Redis says that the streams of changes and events take.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from logging import getLogger
from math import ceil

from hub.access import DEFAULT, Access
from hub.audit import Audit
from hub.due import Due
from hub.families import EVENTS_DROPPED
from hub.keys import Partition, SubscriptionKey
from hub.meter import Meter
from hub.pipeline import Pipeline, script
from hub.registry import Registry
from hub.stream import Changes, place

RETAIN, FORGET = script("retain"), script("forget")

log = getLogger("hub.retention")

#: ms of a day.
DAY = 86_400_000

#: Events or changes that one script looks at, and subscriptions that are looked at in one round trip.
STEP, CHUNK = 200, 500

#: Of the changes, the part that goes at most when there are too many bytes; so often in one round; never younger, ms.
MOST_GONE, ROUNDS, SHORTEST = 0.1, 5, 60_000

#: How much longer than events superseded versions are kept; where changes are counted, by no more of them than so many.
MARGIN, MOST_AHEAD = 1 / 14, 1_000


@dataclass(frozen=True, slots=True)
class Retention:
    """
    Retention.

    window: ms.
    most_bytes: 0 for no limit.
    """

    pipeline: Pipeline
    registry: Registry
    changes: Changes
    due: Due
    window: int
    most_bytes: int
    meter: Meter = field(default_factory=Meter)

    async def run(self, now: int) -> None:
        """Remove what is not to be kept at this time (ms)."""
        await self.keep(now, self.window)
        if self.most_bytes:
            await self._shrink(now)

    async def keep(self, now: int, window: int) -> None:
        """Remove what is older than a window (ms)."""
        await self._remove(now - window, now - window - int(window * MARGIN))

    async def _remove(self, events: int, changes: int) -> None:
        """Remove events and changes from before these times (ms): events first, since they point at versions."""
        async for chunk in self._subscriptions():
            await self._retain(chunk, events)
        for partition in self.changes.partitions:
            await self._forget(partition, changes)
        for partition in self.changes.partitions:  # last of all, since a Redis that is full doesn't take it
            await self.changes.remember_start(partition)

    async def measure(self) -> int:
        """The bytes of superseded versions, changes and events."""
        partitions = self.changes.partitions
        counted = await self.pipeline.all([("GET", p.superseded) for p in partitions])
        streams = await self.pipeline.all([("MEMORY", "USAGE", p.changes) for p in partitions])
        async for chunk in self._subscriptions():
            streams += await self.pipeline.all([("MEMORY", "USAGE", key.outbox) for key in chunk])
        return sum(int(size or 0) for size in (*counted, *streams))

    async def _shrink(self, now: int) -> None:
        """Remove the oldest, a little at a time, until what is kept has the bytes that it may have."""
        for _ in range(ROUNDS):
            size = await self.measure()
            if size <= self.most_bytes:
                return
            before = await self._oldest(min(1 - self.most_bytes / size, MOST_GONE), now - SHORTEST)
            if before is None:
                return
            events, changes = before
            told = {"bytes": size, "most": self.most_bytes, "seconds": (now - changes) // 1000}
            log.warning("retention.shortened", extra=told)
            await self._remove(events, changes)

    async def _oldest(self, part: float, latest: int) -> tuple[int, int] | None:
        """
        The times (ms) before which events and changes are to go, so that this part of all changes does; None for none.

        What was put in one ms goes together. Nothing that was put at `latest` or after it goes.
        """
        counted = await self.pipeline.all([("GET", p.passed) for p in self.changes.partitions])
        kept = sum(int(many or 0) for many in counted)
        gone = ceil(kept * part)
        ahead = gone + min(ceil(kept * MARGIN), MOST_AHEAD)
        oldest = changes = at = number = 0
        async with aclosing(self.changes.times(latest)) as times:
            async for at in times:
                oldest = oldest or at
                if not changes and number >= gone and at > oldest:
                    changes = at
                if changes and number >= ahead:
                    return at, changes
                number += 1
        return (at + 1, changes or at + 1) if at else None

    async def _subscriptions(self) -> AsyncIterator[list[SubscriptionKey]]:
        chunk: list[SubscriptionKey] = []
        async for registered in self.registry.all():
            chunk.append(registered.key)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    async def _retain(self, keys: list[SubscriptionKey], horizon: int) -> None:
        """Trim those outboxes whose first event is too old."""
        heads = await self.pipeline.all([("XRANGE", key.outbox, "-", "+", "COUNT", 1) for key in keys])
        for key, head in zip(keys, heads, strict=True):
            if head and _at(head[0][1]) < horizon:
                await self.retain(key, horizon)

    async def retain(self, key: SubscriptionKey, horizon: int) -> int:
        """Remove a subscription's events from before the horizon (ms); returns how many."""
        removed, more, dropped = 0, True, False
        while more:
            reply = await self.pipeline.run(RETAIN, [key.subscription, key.outbox], horizon, STEP)
            removed, more = removed + int(reply[0]), bool(reply[4])
            if many := int(reply[1]):
                self.meter.count(EVENTS_DROPPED, key.tenant, by=many)
                dropped = True
                log.error(
                    "events.dropped",
                    extra={
                        "subscription": str(key),
                        "first_event": int(reply[2]),
                        "last_event": int(reply[3]),
                        "events": many,
                        "reason": "retention",
                    },
                )
            await asyncio.sleep(0)
        if dropped:  # what was pinned may be another notification by now
            await self.due.mark([key])
        return removed

    async def _forget(self, partition: Partition, horizon: int) -> None:
        """Remove a partition's changes from before the horizon (ms), and the versions that they superseded."""
        bound = min(await self.changes.matched(partition), f"{max(horizon, 0)}-0", key=place)
        more = place(bound) > (0, 0)
        while more:
            found = await self.changes.oldest(partition, bound, count=STEP)
            if not found:
                return
            ms, number = place(found[-1].id)
            keys = [partition.changes, partition.trimmed, partition.superseded, partition.passed]
            keys += [partition.resource(change.resource) for change in found]
            await self.pipeline.run(FORGET, keys, f"{ms}-{number + 1}", *(change.number for change in found))
            more = len(found) == STEP


@dataclass(frozen=True, slots=True)
class AuditRetention:
    """
    The retention of all tenants' audits.

    window: ms.
    """

    audit: Audit
    access: Access
    window: int

    async def run(self, now: int) -> None:
        """Remove the entries that are not to be kept at this time (ms)."""
        await self.access.current()
        await self.audit.trim(now - self.window, *{DEFAULT, *self.access.tenants})


def _at(fields: "list[bytes] | dict[bytes, bytes]") -> int:
    named = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    return int(named[b"at"])
