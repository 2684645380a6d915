"""
Which pumps are running. `hub:{pumps}:<kind>` is a zset: pump -> ms until which it is believed alive.

Those of a kind share what there is by their rank; who is silent for three seconds has left.
"""

import time
from dataclasses import dataclass

from hub.keys import pumps
from hub.pipeline import Pipeline, script

ALIVE = script("alive")

#: ms for which an announcement is believed, and seconds between two.
BELIEVED = 3_000
EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """A pump's place among those of its kind: the `rank`-th, from 0, of `count`."""

    rank: int
    count: int

    def has(self, number: int) -> bool:
        """Whether the partition of this number is its share."""
        return number % self.count == self.rank


@dataclass(frozen=True, slots=True)
class Presence:
    """One pump's announcement. `name` is the process', for its life."""

    pipeline: Pipeline
    kind: str
    name: str

    async def announce(self) -> Place:
        """Say that this pump runs, and learn its place."""
        rank, count = await self.pipeline.run(ALIVE, [pumps(self.kind)], self.name, BELIEVED)
        return Place(int(rank), int(count))

    async def leave(self) -> None:
        """Say that it doesn't run any more, so that the others take over at once."""
        await self.pipeline.command("ZREM", pumps(self.kind), self.name)


async def running(pipeline: Pipeline, kind: str) -> list[str]:
    """The pumps of a kind that announced themselves lately."""
    names = await pipeline.command("ZRANGEBYSCORE", pumps(kind), time.time_ns() // 1_000_000, "+inf")
    return [name.decode() for name in names]
