"""What was counted lately, read once for all who ask in a process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from hub.figures import Reading, Readings, Span
from hub.stream import Behind, Changes

#: Seconds for which a reading is believed, of which the samples are had, and for which those of an hour are.
BELIEVED, SAMPLES, OF_HOUR, HOUR = 0.9, 60, 30.0, 3_600


@dataclass(frozen=True, slots=True)
class Beat:
    """A reading, with the samples of a minute, and how far matching was behind then."""

    reading: Reading
    behind: Behind


@dataclass
class Pulse:
    """Reads it. `now`: seconds of a clock that only rises."""

    readings: Readings
    changes: Changes
    now: Callable[[], float] = monotonic
    _beat: Beat | None = None
    _hour: Span | None = None
    _until: float = -1.0
    _hour_until: float = -1.0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def beat(self) -> Beat:
        """The last one, if it is young; else a new one, for all who wait for it."""
        async with self._reading:
            if self._beat is None or self.now() >= self._until:
                reading, behind = await asyncio.gather(self.readings.read(SAMPLES), self.changes.behind())
                self._beat, self._until = Beat(reading, behind), self.now() + BELIEVED
            return self._beat

    async def hour(self) -> Span:
        """What was counted in the last hour, some seconds ago."""
        async with self._reading:
            if self._hour is None or self.now() >= self._hour_until:
                self._hour = (await self.readings.read(HOUR)).over(HOUR)
                self._hour_until = self.now() + OF_HOUR
            return self._hour
