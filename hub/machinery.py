"""What works at the hub now: who matches which partition, who delivers, and what is under way."""

import asyncio
from dataclasses import dataclass

from hub.due import Due
from hub.keys import CLOCK, ERASURES, TRANSACTIONS
from hub.pipeline import Pipeline
from hub.presence import running
from hub.stream import Behind, Changes


@dataclass(frozen=True, slots=True)
class Matched:
    """
    One partition.

    matcher: The process that matches it; empty for nobody.
    """

    number: int
    behind: Behind
    matcher: str


@dataclass(frozen=True, slots=True)
class Working:
    """
    All of it.

    matching, delivering: Names of processes.
    clock: The process that is the clock; empty for nobody.
    leases: Subscriptions that are being served.
    transactions, erasures: That are under way.
    """

    partitions: tuple[Matched, ...]
    matching: tuple[str, ...]
    delivering: tuple[str, ...]
    clock: str
    leases: int
    transactions: int
    erasures: int

    @property
    def behind(self) -> Behind:
        """How far matching is, in all partitions together."""
        return Behind.together([partition.behind for partition in self.partitions])


@dataclass(frozen=True, slots=True)
class Machinery:
    """Looks at it."""

    pipeline: Pipeline
    changes: Changes
    due: Due

    async def look(self) -> Working:
        partitions, shards = self.changes.partitions, self.due.shards
        behind, matchers, leases, one, matching, delivering = await asyncio.gather(
            self.changes.each_behind(),
            self.pipeline.all([("GET", partition.matcher) for partition in partitions]),
            self.pipeline.all([("ZCARD", shard.lease) for shard in shards]),
            self.pipeline.all([("GET", CLOCK), ("ZCARD", TRANSACTIONS), ("ZCARD", ERASURES)]),
            running(self.pipeline, "match"),
            running(self.pipeline, "deliver"),
        )
        rows = zip(partitions, matchers, strict=True)
        return Working(
            tuple(Matched(each.number, behind[each.number], (name or b"").decode()) for each, name in rows),
            tuple(sorted(matching)),
            tuple(sorted(delivering)),
            (one[0] or b"").decode(),
            sum(map(int, leases)),
            int(one[1]),
            int(one[2]),
        )
