"""
The breakers of the origins to which connections fail, shared by all processes. The rules: subscriptions/breaker.py.

`hub:{origin:<digest>}:breaker` is a hash: `origin`, `since` and `failures`; while it is open `probes` and `probe_at`.
It is the truth. Which origins to look at stands in `hub:{origins}:…`, which every process reads once a
second, so that the breaker of an origin without failures costs nothing; who has not read it for so long sends nothing
before he has. They are written after it: what a crash leaves
out is made good by the next who fails, or who finds it closed.

While an operator has an origin drained (draining.py), all are parked there, whatever its breaker says. A handshake asks
again each second.

The clock calls the probes, and rouses whoever is parked at an origin that is back, or drained no more. Parked
subscriptions are in `wait` like any that wait, so none is lost with what stands here.
"""

from asyncio import gather
from collections.abc import Callable
from dataclasses import dataclass, field
from logging import getLogger

from hub.belief import Copy
from hub.channels.origins import Origins
from hub.due import Due
from hub.keys import DRAINED, FAILING, OPEN, WAKING, OriginKeys, SubscriptionKey
from hub.outbox import Outboxes
from hub.pipeline import Pipeline, script
from subscriptions.breaker import FAILURES, FIRST, JITTER, LONGEST, PATIENCE, QUIET, connected
from subscriptions.retry import Outcome

ADMIT, FAILED, CONNECTED = script("admit"), script("failed"), script("connected")

log = getLogger("hub.delivery")

#: ms after which failures of an origin that stays closed are forgotten.
FORGET = 3_600_000
#: ms until another one is called, if the one that was called did not become the probe.
CALL_AGAIN = 10_000
#: So many are roused at once at an origin that is back, each second.
ROUSED = 100
#: ms until a handshake asks again whether its origin is drained still.
ASK_AGAIN = 1_000
#: Origins that the clock looks at in one tick.
LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Pass:
    """
    An event notification may be sent to its origin.

    holder: Of the probe, if it is one; else empty.
    """

    holder: str = ""


#: What is sent while nothing is known to fail.
FREE = Pass()


@dataclass
class Breakers(Copy):
    """
    What one process knows of them.

    origins: Whose window starts anew when an origin is back.
    probe_ms: How long a probe may take.
    dice: Chance in [0, 1).
    """

    pipeline: Pipeline
    origins: Origins
    probe_ms: int
    dice: Callable[[], float]
    now: Callable[[], int]
    _failing: set[str] = field(default_factory=set)
    _open: set[str] = field(default_factory=set)
    _drained: set[str] = field(default_factory=set)

    async def _read(self) -> None:
        """Learn which origins fail. They are few, or nothing can be delivered anyway."""
        read = await self.pipeline.all([("ZRANGE", name, 0, -1) for name in (FAILING, OPEN, DRAINED)])
        failing, opened, drained = ({name.decode() for name in names} for names in read)
        was = self._open | self._drained
        self._failing, self._open, self._drained = failing | opened, opened, drained
        for origin in was - opened - drained:
            self.origins.come_back(origin)

    async def is_drained(self, origin: str) -> bool:
        """Whether nothing at all is sent there now, no handshake either."""
        await self.current()
        return origin in self._drained

    async def admit(self, origin: str, subscription: SubscriptionKey, token: str) -> Pass | int:
        """Whether an event notification may be sent now; else when (ms) at the latest."""
        await self.current()
        if origin not in self._open and origin not in self._drained:
            return FREE
        keys, holder = OriginKeys(origin), f"{subscription} {token}"
        asked = str(subscription), holder, self.probe_ms, PATIENCE
        reply = await self.pipeline.run(ADMIT, [*keys.all, keys.drained], *asked)
        match reply[0]:
            case b"park":
                return int(reply[1])
            case b"probe":
                return Pass(holder)
            case b"closed" if origin in self._open:
                await self._closed(origin, was_open=True)
        return FREE

    async def tell(self, origin: str, subscription: SubscriptionKey, outcome: Outcome, passed: Pass) -> None:
        """Say what became of an attempt, so that the origin's breaker opens, stays open or closes."""
        made = connected(outcome)
        if made and origin in self._failing:
            was_open, parked = await self.pipeline.run(CONNECTED, OriginKeys(origin).all, str(subscription))
            if was_open:
                log.info("origin.back", extra={"origin": origin, "parked": int(parked)})
            await self._closed(origin, was_open=bool(was_open))
        elif made is False or (passed.holder and not made):
            await self._failed(origin, subscription, passed)

    async def _failed(self, origin: str, subscription: SubscriptionKey, passed: Pass) -> None:
        rules = (FAILURES, QUIET, FIRST, LONGEST, JITTER, FORGET)
        state, at, failures, opened = await self.pipeline.run(
            FAILED, OriginKeys(origin).all, origin, str(subscription), passed.holder, self.dice(), *rules
        )
        self._failing.add(origin)
        if state == b"open":
            self._open.add(origin)
        await self.pipeline.command("ZADD", OPEN if state == b"open" else FAILING, int(at), origin)
        if opened:
            log.warning("origin.left-alone", extra={"origin": origin, "failures": int(failures)})

    async def _closed(self, origin: str, *, was_open: bool) -> None:
        """Have everybody hear of it, and the parked roused."""
        self._open.discard(origin)
        self._failing.discard(origin)
        if was_open:
            self.origins.come_back(origin)
            await self.pipeline.command("SADD", WAKING, origin)
        await self.pipeline.all([("ZREM", OPEN, origin), ("ZREM", FAILING, origin)])


@dataclass(frozen=True)
class Caller:
    """What time brings about at origins: the clock's part."""

    pipeline: Pipeline
    due: Due
    outboxes: Outboxes

    async def tick(self, now: int) -> None:
        """Call the probes whose time has come, and rouse who is parked at origins that are back, or drained no more."""
        if over := await self.pipeline.command("ZRANGEBYSCORE", DRAINED, "-inf", now):
            await self.pipeline.command("SADD", WAKING, *over)
            await self.pipeline.command("ZREMRANGEBYSCORE", DRAINED, "-inf", now)  # what is drained anew stays
        opened, waking = await self.pipeline.all(
            [("ZRANGEBYSCORE", OPEN, "-inf", now, "LIMIT", 0, LOOKED_AT), ("SRANDMEMBER", WAKING, LOOKED_AT)]
        )
        for origin in opened:
            await self._call(origin.decode(), now)
        for origin in waking:
            await self._rouse(origin.decode())
        await self.pipeline.command("ZREMRANGEBYSCORE", FAILING, "-inf", now - FORGET)

    async def _call(self, origin: str, now: int) -> None:
        """Have the one that has waited longest be the probe. Without any, the next who wants to send is it."""
        parked = OriginKeys(origin).parked
        await self.pipeline.command("ZADD", OPEN, "XX", now + CALL_AGAIN, origin)
        for name in await self.pipeline.command("ZRANGE", parked, 0, 0):
            await self.pipeline.command("ZADD", parked, "XX", now, name)
            if not await self._let([name]):
                await self.pipeline.command("ZREM", parked, name)

    async def _rouse(self, origin: str) -> None:
        parked = OriginKeys(origin).parked
        names = await self.pipeline.command("ZRANGE", parked, 0, ROUSED - 1)
        await self._let(names)
        if names:
            await self.pipeline.command("ZREM", parked, *names)
        if len(names) < ROUSED:
            await self.pipeline.command("SREM", WAKING, origin)

    async def _let(self, names: list[bytes]) -> bool:
        """Let these try now; False when none of them is active any more."""
        subscriptions = [SubscriptionKey.parse(name.decode()) for name in names]
        called = await gather(*map(self.outboxes.call, subscriptions))
        await self.due.rouse([each for each, active in zip(subscriptions, called, strict=True) if active])
        return any(called)
