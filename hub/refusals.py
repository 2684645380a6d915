"""
Who was refused, in the audit: each of the first ones of a minute, and of the others how many. So no flood fills it.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from logging import getLogger

from hub.audit import Audit
from hub.errors import Unavailable
from subscriptions.audit import Act, Kind, Outcome

log = getLogger("hub.refusals")

#: Entries that a tenant's refusals get in one process between two flushes, and seconds between these.
SINGLE, EVERY = 10, 60


@dataclass
class Refusals:
    """
    A process' refusals.

    single: How many are told of one by one before the others are only counted, until the next flush.
    """

    audit: Audit
    single: int = SINGLE
    _many: Counter[str] = field(default_factory=Counter)

    async def note(self, tenant: str, agent: str, text: str) -> None:
        """Somebody was refused. Whoever it was gets his refusal also when that can't be recorded."""
        self._many[tenant] += 1
        if self._many[tenant] <= self.single:
            await self._record(tenant, agent, text)

    async def run(self) -> None:
        """Flush every minute until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(EVERY)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Tell of those that were only counted, and begin to count anew."""
        many, self._many = self._many, Counter()
        for tenant, count in many.items():
            if count > self.single:
                text = f"{count - self.single} more calls were refused within a minute"
                if not await self._record(tenant, "", text):
                    self._many[tenant] += count

    async def _record(self, tenant: str, agent: str, text: str) -> bool:
        with suppress(Unavailable):
            await self.audit.record(tenant, Act(Kind.REFUSED, agent, outcome=Outcome.REFUSED, text=text))
            return True
        log.warning("refusal.not-recorded", extra={"tenant": tenant, "text": text})
        return False
