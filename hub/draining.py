"""
Origins to which nothing new is sent for a while, since an operator says so: what is under way ends, and what comes
waits in its order.

`hub:{origin:<digest>}:drained` says so by its being there; its life time is for how long. Where to ask for it says
`hub:{origins}:drained`, which whoever sends has read within the last second: it has the origins, each until the clock
has roused who was parked there. So a drain ends by itself, and survives whatever is restarted.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from logging import getLogger
from typing import Any

from hub.access import DEFAULT
from hub.audit import Audit
from hub.belief import BELIEVED
from hub.instants import instant
from hub.keys import DRAINED, FAILING, OPEN, WAKING, OriginKeys
from hub.pipeline import Pipeline
from subscriptions.audit import Act, Kind

log = getLogger("hub.delivery")

#: Origins that are shown.
SHOWN = 200

#: ms for which processes look for a drain longer than it is there: their clocks are not Redis'.
LONGER = 2_000


class Standing(StrEnum):
    """How it stands with an origin that is not as any other. OPEN: It is left alone, and probed now and then."""

    OPEN = "open"
    FAILING = "failing"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class OriginState:
    """
    How it stands with one origin.

    since: When the first connection failed, or it was drained; ms.
    failures: Connections that failed since the last that was made.
    probe_at: When it is tried next, in ms; None where it isn't left alone.
    parked: Subscriptions that wait for it.
    until: When it is not drained any more, in ms; None where it isn't drained.
    by: Who has it drained; empty for nobody.
    """

    origin: str
    standing: Standing
    since: int | None
    failures: int
    probe_at: int | None
    parked: int
    until: int | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Draining:
    """Has origins drained, and knows how it stands with those that are, or fail."""

    pipeline: Pipeline
    audit: Audit

    async def drain(self, origin: str, *, now: int, milliseconds: int, agent: str) -> int:
        """Have nothing new sent to an origin for so long; returns until when (ms), once all who send know of it."""
        until = now + milliseconds
        text = f"until {instant(until).isoformat(timespec='seconds')}"
        await self.audit.record(DEFAULT, Act(Kind.ORIGIN_DRAINED, agent, f"origin/{origin}", text=text))
        await self.pipeline.command("ZADD", DRAINED, until + LONGER, origin)
        await self.pipeline.command("SET", OriginKeys(origin).drained, f"{until} {now} {agent}", "PX", milliseconds)
        log.warning("origin.drained", extra={"origin": origin, "seconds": milliseconds // 1000})
        await asyncio.sleep(BELIEVED / 1000)  # nobody goes by an earlier look after it
        return until

    async def resume(self, origin: str, *, agent: str) -> bool:
        """End a drain: all that waits goes on its way. False where there is none."""
        drained = OriginKeys(origin).drained
        if not await self.pipeline.command("EXISTS", drained):
            return False
        await self.audit.record(DEFAULT, Act(Kind.ORIGIN_RESUMED, agent, f"origin/{origin}"))
        await self.pipeline.command("DEL", drained)
        await self.pipeline.command("SADD", WAKING, origin)
        await self.pipeline.command("ZREM", DRAINED, origin)
        log.info("origin.resumed", extra={"origin": origin})
        return True

    async def counts(self, now: int) -> dict[Standing, int]:
        """How many there are of each, at a time (ms). One that is drained counts as that alone."""
        still = f"({now + LONGER}"
        read = await self.pipeline.all(
            [("ZRANGE", OPEN, 0, -1), ("ZRANGE", FAILING, 0, -1), ("ZRANGEBYSCORE", DRAINED, still, "+inf")]
        )
        opened, failing, drained = map(frozenset, read)
        return {
            Standing.OPEN: len(opened - drained),
            Standing.FAILING: len(failing - opened - drained),
            Standing.DRAINED: len(drained),
        }

    async def states(self) -> list[OriginState]:
        """Those that are left alone, are drained, or fail; some hundreds at most, in this order."""
        read = await self.pipeline.all([("ZRANGE", name, 0, SHOWN - 1) for name in (OPEN, DRAINED, FAILING)])
        names = list(dict.fromkeys(name.decode() for names in read for name in names))[:SHOWN]
        found = [state for state in await self._each(names) if state]
        return sorted(found, key=lambda state: (list(Standing).index(state.standing), -state.parked, state.origin))

    async def _each(self, names: Iterable[str]) -> list[OriginState | None]:
        keys = [OriginKeys(name) for name in names]
        held = await self.pipeline.all(
            [("HMGET", each.all[0], "since", "failures", "probes", "probe_at") for each in keys]
        )
        parked = await self.pipeline.all([("ZCARD", each.parked) for each in keys])
        drained = await self.pipeline.all([("GET", each.drained) for each in keys])
        rows = zip(keys, held, parked, drained, strict=True)
        return [_state(each.origin, *row) for each, *row in rows]


def _state(origin: str, held: list[Any], parked: int, drained: bytes | None) -> OriginState | None:
    since, failures, probes, probe_at = (None if value is None else int(value) for value in held)
    if drained is not None:
        until, at, by = drained.decode().split(" ", 2)
        return OriginState(origin, Standing.DRAINED, int(at), failures or 0, None, parked, int(until), by)
    if since is None:  # it is back since it was listed
        return None
    standing = Standing.FAILING if probes is None else Standing.OPEN
    return OriginState(origin, standing, since, failures or 0, None if probes is None else probe_at, parked)
