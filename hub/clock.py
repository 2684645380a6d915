"""
What time alone brings about, once a second, by one process of any number of candidates.

Due retries and expired leases need no clock: every claim looks for them. The rest is here: missing pumps, open
transactions, ends of subscriptions, and now and then what crashes left and what nobody reads any more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from logging import getLogger

from hub.due import Due
from hub.errors import Unavailable
from hub.keys import CLOCK
from hub.membership import Membership
from hub.pipeline import Pipeline, script
from hub.stream import Changes
from hub.transaction import TransactionCoordinator

HOLD, DROP = script("hold"), script("drop")

log = getLogger("hub.clock")

#: ms that the lease is believed, and ticks (seconds) between two rounds of repair and trimming.
LEASE = 3_000
SELDOM = 60


@dataclass
class Clock:
    """
    The clock.

    name: The process' name, for its life.
    now: ms since 1970.
    top_up: Sees to it that a pump of each kind is waiting.
    """

    pipeline: Pipeline
    name: str
    now: Callable[[], int]
    top_up: Callable[[], Awaitable[None]]
    transactions: TransactionCoordinator
    membership: Membership
    due: Due
    changes: Changes

    async def run(self) -> None:
        """Tick until cancelled; then give the lease back."""
        ticks = 0
        try:
            while True:
                try:
                    if await self.pipeline.run(HOLD, [CLOCK], self.name, LEASE):
                        await self.tick()
                        if ticks % SELDOM == 0:
                            await self.tidy()
                        ticks += 1
                except Unavailable as error:
                    log.warning("clock.waits", extra={"reason": str(error)})
                await asyncio.sleep(1)
        finally:
            with suppress(Unavailable):
                await self.pipeline.run(DROP, [CLOCK], self.name)

    async def tick(self) -> None:
        """What can't wait."""
        await self.top_up()
        now = self.now()
        await self.transactions.settle_open(now)
        for shard in self.due.shards:
            for key in await self.due.ended(shard, now):
                await self.membership.turn_off(key, now=now)

    async def tidy(self) -> None:
        """What can."""
        await self.membership.repair(now=self.now())
        for partition in self.changes.partitions:
            await self.changes.trim(partition)
