"""
What all processes have counted, in Redis.

`hub:{meter}:totals` is a hash: a field's parts, joined by `|`, -> how often since the beginning; of times, bucket by
bucket, and the sum in microseconds. Under `` is when it was last sampled (ms).
`hub:{meter}:flushed` is a hash: process -> number of what it has added last, and when (ms): nothing is added twice.
`hub:{meter}:criteria` is a zset: subscription -> microseconds that matching its criteria took lately.
`hub:{meter}:tail` is a stream of what happened, a `step` each, while `hub:{meter}:watched` is there.
`hub:{meter}:history` is a stream of samples, one for each ten seconds: `at` and `ms` (when, and how long it was),
`behind` and `unmatched` (ms and changes that matching was behind then), `counts` (what was added, a field and a number
on each line). `hub:{meter}:sampled` is what the totals were at the last one.

What a process has counted in its last second is lost when it is killed, and nothing else is.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from secrets import token_hex
from typing import Final

from hub.errors import Unavailable
from hub.keys import meter
from hub.meter import Meter, Taken
from hub.pipeline import Pipeline, script
from hub.wire import Argument

METER, SAMPLE = script("meter"), script("sample")

#: Seconds between two flushes, and that the last one may take.
EVERY, LAST = 1.0, 1.0

#: Seconds between two samples, and how many are kept: six hours.
SAMPLED, KEPT = 10, 2_160
#: ms for which a sample stands, if somebody else wants another; a process that was silent for so long is forgotten.
APART, SILENT = 5_000, 3_600_000
#: Subscriptions whose criteria's cost is kept.
COSTS = 1_000
#: What is left of a cost with each sample: half of it after ten minutes.
FADING: Final = 0.5 ** (SAMPLED / 600)


@dataclass
class Metering:
    """Takes what a process has counted to Redis. `name`: The process', for its life."""

    pipeline: Pipeline
    meter: Meter
    name: str = field(default_factory=lambda: token_hex(8))
    _number: int = 0
    _taken: Taken | None = None

    async def run(self) -> None:
        """Flush every second until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(EVERY)
                with suppress(Unavailable):  # what was counted waits
                    await self.flush()
        finally:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(LAST):
                    await self.flush()
                    await self.flush()  # the first may have been what was under way

    async def flush(self) -> None:
        """Add what was counted to the totals, and learn whether somebody watches."""
        if self._taken is None:
            self._number += 1
            self._taken = self.meter.take()
        taken = self._taken
        rows: chain[Argument] = chain(*taken.counts.items(), *taken.costs.items(), taken.steps)
        keys = [meter(name) for name in ("totals", "flushed", "criteria", "tail", "watched")]
        counted = self.name, self._number, len(taken.counts), len(taken.costs)
        self.meter.watched = bool(await self.pipeline.run(METER, keys, *counted, *rows))
        self._taken = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Notes every ten seconds what was added since the time before."""

    pipeline: Pipeline

    async def sample(self, behind: float, unmatched: int) -> bool:
        """
        Note it; False if that was done by somebody else just now.

        Args:
            behind: Seconds that matching is behind.
            unmatched: How many changes it is.
        """
        keys = [meter(name) for name in ("totals", "sampled", "history", "flushed", "criteria")]
        settings = APART, KEPT, SILENT, COSTS, FADING
        return bool(await self.pipeline.run(SAMPLE, keys, round(behind * 1000), unmatched, *settings))
