"""
What time alone brings about, once a second, by one process of any number of candidates.

Due retries and expired leases need no clock: every claim looks for them. The rest is here: missing pumps, open
transactions, probes of origins that are away, ends of subscriptions, and now and then what crashes left and what nobody
reads any more. The lease and each step go on by themselves, so that none waits for a slow one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from logging import getLogger
from time import monotonic

from hub.breakers import Caller
from hub.due import Due
from hub.erasing import Erasing
from hub.errors import Unavailable
from hub.keys import CLOCK
from hub.membership import Membership
from hub.metering import SAMPLED, Sampling
from hub.pipeline import Pipeline, script
from hub.retention import AuditRetention, Retention
from hub.stream import Changes
from hub.transaction import TransactionCoordinator
from hub.withdrawal import Withdrawals

HOLD, DROP = script("hold"), script("drop")

log = getLogger("hub.clock")

#: ms that the lease is believed.
LEASE = 3_000
#: Seconds between two ticks, and between two rounds of repair and of retention.
OFTEN, SELDOM = 1, 60


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
    caller: Caller
    retention: Retention
    audits: AuditRetention
    withdrawals: Withdrawals
    erasing: Erasing
    changes: Changes
    sampling: Sampling
    _mine: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Do all of it until cancelled; then give the lease back."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._again("top up", self.top_up, OFTEN))
                group.create_task(self._again("tick", self.tick, OFTEN))
                group.create_task(self._again("rights", self.withdraw, OFTEN))
                group.create_task(self._again("tidy", self.tidy, SELDOM))
                group.create_task(self._again("retention", self.retain, SELDOM))
                group.create_task(self._again("sample", self.sample, SAMPLED))
                group.create_task(self._again("erase", self.erasing.finish, OFTEN))
                while True:
                    await self._hold()
                    await asyncio.sleep(OFTEN)
        finally:
            with suppress(Unavailable):
                await self.pipeline.run(DROP, [CLOCK], self.name)

    async def _hold(self) -> None:
        """Take or renew the lease, if it can be had."""
        held = False
        try:
            held = bool(await self.pipeline.run(HOLD, [CLOCK], self.name, LEASE))
        except Unavailable as error:
            log.warning("clock.waits", extra={"reason": str(error)})
        self._mine.set() if held else self._mine.clear()

    async def _again(self, name: str, step: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Do a step so often while the lease is this process', and soon again when it failed; never returns."""
        while True:
            await self._mine.wait()
            pause, began = seconds, monotonic()
            try:
                await step()
                log.debug("clock.stepped", extra={"step": name, "milliseconds": round((monotonic() - began) * 1000, 1)})
            except Unavailable as error:
                log.warning("clock.waits", extra={"step": name, "reason": str(error)})
                pause = OFTEN
            await asyncio.sleep(pause)

    async def tick(self) -> None:
        """What can't wait."""
        now = self.now()
        await self.transactions.settle_open(now)
        await self.caller.tick(now)
        for shard in self.due.shards:
            for key in await self.due.ended(shard, now):
                await self.membership.turn_off(key, now=now)

    async def withdraw(self) -> None:
        """See to those whose rights have changed."""
        await self.withdrawals.look()

    async def sample(self) -> None:
        """Note what was counted."""
        behind = await self.changes.behind()
        await self.sampling.sample(behind.seconds, behind.changes)

    async def retain(self) -> None:
        """Remove what is not to be kept any longer."""
        await self.retention.run(self.now())
        await self.audits.run(self.now())

    async def tidy(self) -> None:
        """What can."""
        await self.membership.repair(now=self.now())
