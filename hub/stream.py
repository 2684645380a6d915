"""
The stream of changes of each partition, and how far it is matched.

`hub:{p}:changes` has one entry per change: `tenant`, `version`, `type`, `id`, `number` (of the version that the change
made), `interaction`, `publisher`, `at` (ms) and, if the publisher names any, `events` (`system|code`, a line each). It
points at the body in the store and doesn't repeat it.
`hub:{p}:matched` is the id of the last change that fan-out has finished; `hub:{p}:matcher` the pump that reads it.
"""

import asyncio
from dataclasses import dataclass

from hub.keys import Partition, ResourceId
from hub.pipeline import Client, Fields, Pipeline, Streams, script
from hub.write import NO_EVENTS, Events, read
from subscriptions.codes import FhirVersion, Interaction

HOLD, DROP, ADVANCE, LAG = map(script, ("hold", "drop", "advance", "lag"))

#: The mark before the first change.
START = "0-0"

#: Changes that are looked through at once.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One change as the stream has it. `id` is the stream's; `number` is the version that the change made.

    events: Those that the publisher names.
    """

    id: str
    resource: ResourceId
    number: int
    interaction: Interaction
    at: int
    events: Events = NO_EVENTS


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

    async def lag(self) -> float:
        """How old the oldest change is that is still to be matched, in seconds; 0 when all are matched."""
        ages = await asyncio.gather(*(self._pipeline.run(LAG, [p.changes, p.matched]) for p in self.partitions))
        return max(map(int, ages)) / 1000

    async def waits(self, resource: ResourceId, number: int) -> bool:
        """Whether the change that made this version of a resource is still to be matched."""
        partition = Partition(resource.partition(len(self.partitions)))
        mark, found = await self.matched(partition), CHUNK
        while found == CHUNK:
            # What is behind the mark is never trimmed; so what isn't there was matched before.
            rows = await self._pipeline.command("XRANGE", partition.changes, f"({mark}", "+", "COUNT", CHUNK)
            for id_, fields in rows:
                flat = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
                entry = _entry(id_.decode(), flat)
                if (entry.resource, entry.number) == (resource, number):
                    return True
                mark = entry.id
            found = len(rows)
        return False

    async def advance(self, partition: Partition, pump: str, mark: str) -> bool:
        """Move the mark forward; False when another pump matches this partition by now."""
        return bool(await self._pipeline.run(ADVANCE, [partition.matched, partition.matcher], pump, mark))

    async def trim(self, partition: Partition) -> None:
        """Remove changes that fan-out has finished; the last of them stays, so that the stream's end can be read."""
        mark = await self.matched(partition)
        await self._pipeline.command("XTRIM", partition.changes, "MINID", "~", mark)

    async def hold(self, partition: Partition, pump: str, *, milliseconds: int) -> bool:
        """Take or renew the lease on matching a partition."""
        return bool(await self._pipeline.run(HOLD, [partition.matcher], pump, milliseconds))

    async def let_go(self, partition: Partition, pump: str) -> None:
        """Give the lease back."""
        await self._pipeline.run(DROP, [partition.matcher], pump)


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
    )
