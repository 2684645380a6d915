"""
Whether the hub takes more: publishers are told to come back before Redis is in danger, or matching far behind.

Memory is what Redis runs out of. What was taken and is not matched yet will need more of it, for each event that comes
of it; so it is bounded by itself, in number and in time. Events that wait to be sent are not: they are kept, sent or
not, as long as retention has it, each subscription's within its quota, and count as memory.

What frees memory is never asked: deliveries, deletes of Subscriptions and their updates go on.
"""

import asyncio
from dataclasses import dataclass, field
from logging import getLogger
from time import monotonic

from hub.errors import Declined
from hub.keeping import memory
from hub.pipeline import Pipeline, read_info
from hub.settings import Settings
from hub.stream import Changes
from subscriptions.codes import IssueCode

log = getLogger("hub.pressure")

#: Seconds for which an answer of Redis is believed, and after which publishers are told to come back.
BELIEVED, COME_BACK = 1.0, 10

_ROOM = "Give Redis more memory, or keep less: HUB_RETENTION_DAYS, HUB_RETENTION_BYTES"
_WORKERS = "See that `hub worker match` is at work; start more of them, up to HUB_PARTITIONS"


@dataclass
class Pressure:
    """What this process knows of memory and matching; asked again once a second, and only if somebody wants to."""

    pipeline: Pipeline
    changes: Changes
    settings: Settings
    _found: str = ""
    _remedy: str = ""
    _until: float = 0.0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def check(self) -> None:
        """
        To be asked before anything more is stored.

        Raises:
            Declined: Nothing more is stored for now.
            Unavailable: Redis does not answer.
        """
        if found := await self.found():
            raise Declined(f"{found}. Nothing was stored.", retry_after=COME_BACK, code=IssueCode.THROTTLED)

    async def found(self) -> str:
        """Why nothing more is stored for now; empty if it is."""
        if monotonic() >= self._until:
            async with self._asking:
                if monotonic() >= self._until:
                    before = self._found
                    self._found, self._remedy = await self._memory() or await self._behind() or ("", "")
                    self._until = monotonic() + BELIEVED
                    if self._found and not before:
                        log.warning("ingest.declined", extra={"reason": self._found})
                    elif before and not self._found:
                        log.warning("ingest.resumed")
        return self._found

    @property
    def remedy(self) -> str:
        """What the operator can do about what was found last; empty when nothing was."""
        return self._remedy

    async def _memory(self) -> tuple[str, str] | None:
        most = self.settings.max_memory_percent
        for info in map(read_info, await self.pipeline.of_each("INFO", "memory")):
            used, limit = memory(info, self.settings)
            if used * 100 >= limit * most:
                text = f"Redis uses {used:,} of {limit:,} bytes, and nothing is stored from {most:g} % on"
                return f"The hub is full: {text}", _ROOM
        return None

    async def _behind(self) -> tuple[str, str] | None:
        behind = await self.changes.behind()
        if behind.changes >= self.settings.max_unmatched:
            return f"The hub is behind: {behind.changes:,} changes are not matched yet", _WORKERS
        if behind.seconds > self.settings.max_match_lag:
            text = f"the oldest change that is not matched was stored {behind.seconds:,.0f} s ago"
            return f"The hub is behind: {text}", _WORKERS
        return None
