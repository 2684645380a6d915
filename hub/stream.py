"""
The stream of changes of each partition, and how far it is matched.

`hub:{p}:changes` has one entry per change: `tenant`, `version`, `type`, `id`, `number` (of the version that the change
made), `interaction`, `publisher`, `at` (ms) and, if the publisher names any, `events` (`system|code`, a line each), and
if it is traced, `trace` (the `traceparent` of the request). It points at the body in the store and doesn't repeat it.
Its ids are Redis' own, so that a time is a place in it. What was removed from its begin is before `hub:{p}:trimmed`.
`hub:{p}:filling` is a set of subscriptions that may want changes of the past; which ones do, they know themselves.
`hub:{p}:matched` is the id of the last change that fan-out has finished, `hub:{p}:passed` how many up to it are there;
`hub:{p}:matcher` the pump that reads it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from hub.keys import Partition, ResourceId, SubscriptionKey
from hub.pipeline import Client, Fields, Pipeline, Streams, script
from hub.write import NO_EVENTS, Events, read
from subscriptions.codes import FhirVersion, Interaction

HOLD, DROP, ADVANCE, LAG = map(script, ("hold", "drop", "advance", "lag"))

#: The mark before the first change.
START = "0-0"

#: Changes that are looked through at once.
CHUNK = 500


#: ms around its time in which one change is looked for, and how many changes at most.
AROUND, MOST_AROUND = 1_000, 5_000

#: ms by which the clocks of an api and of Redis may differ.
CLOCKS = 60_000

#: A place in the order of all partitions' changes: ms and the number within it, as in the id, and the partition.
Spot = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One change as the stream has it. `id` is the stream's; `number` is the version that the change made.

    events: Those that the publisher names.
    publisher: The client that wrote it.
    trace: What it follows from, as a `traceparent`; empty when it is not traced.
    """

    id: str
    resource: ResourceId
    number: int
    interaction: Interaction
    at: int
    events: Events = NO_EVENTS
    publisher: str = ""
    trace: str = ""

    @property
    def change(self) -> str:
        """How logs and traces name it."""
        return self.resource.change(self.number)


@dataclass(frozen=True, slots=True)
class Behind:
    """
    How far matching is behind.

    seconds: The age of the oldest change that is still to be matched; 0 when all are.
    changes: How many are still to be matched.
    """

    seconds: float
    changes: int

    @classmethod
    def together(cls, partitions: Collection["Behind"]) -> "Behind":
        """How far it is in these together."""
        return cls(max(each.seconds for each in partitions), sum(each.changes for each in partitions))


class Changes:
    """The changes of all partitions."""

    def __init__(self, client: Client, pipeline: Pipeline, partitions: int) -> None:
        self._streams = Streams(client)
        self._pipeline = pipeline
        self.partitions = [Partition(number) for number in range(partitions)]

    async def after(self, partition: Partition, mark: str, *, count: int, wait_ms: int) -> list[Entry]:
        """Up to `count` changes behind a mark; when there are none, wait for one, at most `wait_ms`."""
        found = await self._streams.follow(partition.changes, mark, count=count, wait_ms=wait_ms)
        return [_entry(id_, fields) for id_, fields in found]

    async def ends(self) -> dict[int, str]:
        """The id of the last change ever put into each partition; START where there was none."""
        last = await self._pipeline.all([("XREVRANGE", p.changes, "+", "-", "COUNT", 1) for p in self.partitions])
        # A stream that retention has emptied ended where fan-out stands.
        matched = await self._pipeline.all([("GET", p.matched) for p in self.partitions])
        return {
            p.number: (entries[0][0] if entries else mark or START.encode()).decode()
            for p, entries, mark in zip(self.partitions, last, matched, strict=True)
        }

    async def matched(self, partition: Partition) -> str:
        """The id of the last change that fan-out has finished."""
        mark = await self._pipeline.command("GET", partition.matched)
        return mark.decode() if mark else START

    async def behind(self) -> Behind:
        """How far matching is behind, in all partitions together."""
        return Behind.together((await self.each_behind()).values())

    async def each_behind(self) -> dict[int, Behind]:
        """How far it is in each partition, by its number."""
        keys = [[p.changes, p.matched, p.passed] for p in self.partitions]
        found = await asyncio.gather(*(self._pipeline.run(LAG, each) for each in keys))
        return {
            p.number: Behind(int(age) / 1000, int(changes))
            for p, (age, changes) in zip(self.partitions, found, strict=True)
        }

    async def waits(self, resource: ResourceId, number: int) -> bool:
        """Whether the change that made this version of a resource is still to be matched."""
        partition = Partition(resource.partition(len(self.partitions)))
        mark, found = await self.matched(partition), CHUNK
        while found == CHUNK:
            # What is behind the mark is never trimmed; so what isn't there was matched before.
            rows = await self._pipeline.command("XRANGE", partition.changes, f"({mark}", "+", "COUNT", CHUNK)
            for entry in _entries(rows):
                if (entry.resource, entry.number) == (resource, number):
                    return True
                mark = entry.id
            found = len(rows)
        return False

    async def made(self, resource: ResourceId, number: int, at: int) -> Entry | None:
        """The change that made a version at a time (ms), as long as it is there; None if it isn't found around then."""
        partition = Partition(resource.partition(len(self.partitions)))
        around = (max(at - AROUND, 0), at + AROUND, "COUNT", MOST_AROUND)
        rows = await self._pipeline.command("XRANGE", partition.changes, *around)
        return next((each for each in _entries(rows) if (each.resource, each.number) == (resource, number)), None)

    async def advance(self, partition: Partition, pump: str, mark: str) -> bool:
        """Move the mark forward; False when another pump matches this partition by now."""
        keys = [partition.matched, partition.matcher, partition.changes, partition.passed]
        return bool(await self._pipeline.run(ADVANCE, keys, pump, mark))

    async def between(self, partition: Partition, mark: str, last: str, *, count: int) -> list[Entry]:
        """Up to `count` changes behind a mark, up to the one of the id `last`."""
        rows = await self._pipeline.command("XRANGE", partition.changes, f"({mark}", last, "COUNT", count)
        return list(_entries(rows))

    async def end(self, partition: Partition) -> str:
        """The id of the last change that is in a partition; START where there is none."""
        rows = await self._pipeline.command("XREVRANGE", partition.changes, "+", "-", "COUNT", 1)
        return str(rows[0][0].decode()) if rows else START

    async def oldest(self, partition: Partition, before: str, *, count: int, after: str = START) -> list[Entry]:
        """Up to `count` changes from the first one on, or behind an id, that are before another."""
        rows = await self._pipeline.command("XRANGE", partition.changes, f"({after}", f"({before}", "COUNT", count)
        return list(_entries(rows))

    async def newest(self, *, after: Spot | None, since: int, chunk: int) -> AsyncIterator[tuple[Spot, Entry]]:
        """
        The changes of all partitions that are kept, newest first.

        Args:
            after: The one behind which they begin; None for the last one of all.
            since: ms; those that were put before are left out, but not those of the minute before, since clocks differ.
            chunk: So many of a partition are read at once.
        """
        sources = [self._newest_in(p, after, max(since - CLOCKS, 0), chunk) for p in self.partitions]
        firsts = await asyncio.gather(*(anext(source, None) for source in sources))
        heads = {number: head for number, head in enumerate(firsts) if head}
        while heads:
            number, newest = max(heads.items(), key=lambda head: head[1][0])
            yield newest
            if following := await anext(sources[number], None):
                heads[number] = following
            else:
                del heads[number]

    async def _newest_in(
        self, partition: Partition, after: Spot | None, since: int, chunk: int
    ) -> AsyncIterator[tuple[Spot, Entry]]:
        top = "+"
        if after:
            # At the same place those of lower partitions come behind.
            exclusive = "(" if partition.number >= after[2] else ""
            top = f"{exclusive}{after[0]}-{after[1]}"
        while True:
            rows = await self._pipeline.command("XREVRANGE", partition.changes, top, since, "COUNT", chunk)
            for entry in _entries(rows):
                yield (*place(entry.id), partition.number), entry
            if len(rows) < chunk:
                return
            top = f"({rows[-1][0].decode()}"

    async def times(self, until: int) -> AsyncGenerator[int, None]:
        """When the changes of all partitions were put that may be removed and were before a time (ms); oldest first."""
        found: list[tuple[int, int, int, bool]] = []

        async def read(number: int, mark: str) -> None:
            partition = self.partitions[number]
            bound = min(await self.matched(partition), f"{max(until, 0)}-0", key=place)
            if place(bound) > place(mark):
                ids = [each.id for each in await self.oldest(partition, bound, count=CHUNK, after=mark)]
                for id_ in ids:
                    heappush(found, (*place(id_), number, id_ == ids[-1]))

        for partition in self.partitions:
            await read(partition.number, START)
        while found:
            ms, n, number, last = heappop(found)
            yield ms
            if last:
                await read(number, f"{ms}-{n}")

    async def remember_start(self, partition: Partition) -> None:
        """Note from where on changes are there, if that isn't known: what an early version removed, it didn't say."""
        rows = await self._pipeline.command("XRANGE", partition.changes, "-", "+", "COUNT", 1)
        await self._pipeline.command("SET", partition.trimmed, rows[0][0] if rows else START, "NX")

    async def trimmed(self, partition: Partition) -> str:
        """The id before which changes may have been removed; START while all are there."""
        mark = await self._pipeline.command("GET", partition.trimmed)
        return mark.decode() if mark else START

    async def complete_from(self) -> int:
        """The ms from which on all changes are still there, in all partitions."""
        marks = await self._pipeline.all([("GET", p.trimmed) for p in self.partitions])
        return max(place(mark.decode())[0] + 1 if mark else 0 for mark in marks)

    async def to_fill(self, subscription: SubscriptionKey) -> None:
        """Have all matchers look whether a subscription wants changes of the past."""
        await self._pipeline.all([("SADD", p.filling, str(subscription)) for p in self.partitions])

    async def filling(self, partition: Partition) -> list[SubscriptionKey]:
        """Who may want changes of the past."""
        names = await self._pipeline.command("SMEMBERS", partition.filling)
        return sorted((SubscriptionKey.parse(name.decode()) for name in names), key=str)

    async def filled(self, partition: Partition, subscription: SubscriptionKey) -> None:
        """A subscription wants none of this partition's any more."""
        await self._pipeline.command("SREM", partition.filling, str(subscription))

    async def hold(self, partition: Partition, pump: str, *, milliseconds: int) -> bool:
        """Take or renew the lease on matching a partition."""
        return bool(await self._pipeline.run(HOLD, [partition.matcher], pump, milliseconds))

    async def let_go(self, partition: Partition, pump: str) -> None:
        """Give the lease back."""
        await self._pipeline.run(DROP, [partition.matcher], pump)


def place(id_: str) -> tuple[int, int]:
    """An id of a stream, to be compared: ms and the number within it."""
    ms, _, number = id_.partition("-")
    return int(ms), int(number or 0)


def before(ms: int) -> str:
    """The id that is behind all changes before a time and before all others."""
    return f"{ms - 1}-{2**53}"


def _entries(rows: Any) -> Iterator[Entry]:
    """The changes in XRANGE's reply, whose fields are a list (RESP2) or a map."""
    for id_, fields in rows:
        named = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
        yield _entry(id_.decode(), named)


def _entry(id_: str, fields: Fields) -> Entry:
    return Entry(
        id=id_,
        resource=ResourceId(
            fields[b"tenant"].decode(),
            FhirVersion(fields[b"version"].decode()),
            fields[b"type"].decode(),
            fields[b"id"].decode(),
        ),
        number=int(fields[b"number"]),
        interaction=Interaction(fields[b"interaction"].decode()),
        at=int(fields[b"at"]),
        events=read(fields.get(b"events", b"").decode()),
        publisher=fields.get(b"publisher", b"").decode(),
        trace=fields.get(b"trace", b"").decode(),
    )
