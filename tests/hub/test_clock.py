"""The clock: what time alone brings about, whatever else is slow or fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from hub.access import DEFAULT
from hub.breakers import Caller
from hub.clock import Clock
from hub.errors import Unavailable
from hub.instants import now_ms
from hub.intent import Intent
from hub.keys import CLOCK, TRANSACTIONS, ResourceId
from hub.membership import Membership
from hub.wiring.erasing import erasing
from hub.wiring.parts import Parts
from hub.withdrawal import Withdrawals
from hub.write import Write
from subscriptions.codes import FhirVersion
from tests.facts import eventually


@dataclass
class Step:
    """A step of the clock that never ends, or fails each time. `begun`: how often it was begun; `open`: not ended."""

    fails: bool = False
    begun: int = 0
    open: int = 0

    async def __call__(self) -> None:
        self.begun += 1
        if self.fails:
            raise Unavailable("not now")
        self.open += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.open -= 1


@dataclass(frozen=True)
class Repairing(Membership):
    """All Subscriptions, whose repair is the step of a test."""

    step: Step = field(default_factory=Step)

    async def repair(self, *, now: int) -> int:  # noqa: ARG002 (when it is does not matter here)
        await self.step()
        return 0


async def nothing() -> None:
    """Pumps are waiting already."""


def clock(
    parts: Parts,
    *,
    top_up: Callable[[], Awaitable[None]] = nothing,
    membership: Membership | None = None,
    name: str = "clock",
) -> Clock:
    return Clock(
        pipeline=parts.pipeline,
        name=name,
        now=now_ms,
        top_up=top_up,
        transactions=parts.transactions,
        membership=membership or parts.membership,
        due=parts.due,
        caller=Caller(parts.pipeline, parts.due, parts.outboxes),
        retention=parts.retention,
        audits=parts.audits,
        withdrawals=Withdrawals(parts.pipeline, parts.telling.standings, parts.registry, parts.outboxes, parts.due),
        erasing=erasing(parts),
        changes=parts.changes,
        sampling=parts.sampling,
    )


def repairing(parts: Parts, step: Step) -> Membership:
    m = parts.membership
    return Repairing(m.registry, m.outboxes, m.due, m.handshake_delay, m.seal, m.audit, step)


@asynccontextmanager
async def running(one: Clock) -> AsyncIterator[None]:
    """The clock runs meanwhile; then it is told to stop."""
    task = asyncio.create_task(one.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def left_alone(parts: Parts) -> None:
    """Leave a committed transaction to the clock, and wait until it has ended it."""
    resource = ResourceId(DEFAULT, FhirVersion.R4, "Patient", "a")
    head, tail = b'{"resourceType":"Patient","id":"a","meta":{"versionId":"', b'"}}'
    intent = await parts.transactions.begin([Write(resource, "update", now_ms(), head, tail)])
    assert isinstance(intent, Intent)
    await parts.transactions.reserve(intent)
    await parts.transactions.commit(intent, b"")

    async def ended() -> bool:
        return not await parts.pipeline.command("ZCARD", TRANSACTIONS)

    await eventually(ended)


async def test_a_slow_repair_holds_up_no_tick_and_not_the_lease(parts: Parts) -> None:
    """It is begun once, and ended with the clock."""
    step = Step()
    async with running(clock(parts, membership=repairing(parts, step))):
        await eventually(lambda: step.begun)
        await left_alone(parts)
        await parts.pipeline.command("SET", CLOCK, "clock", "PX", 1)
        await eventually(lambda: renewed(parts))
        assert (step.begun, step.open) == (1, 1)
    assert step.open == 0
    assert await parts.pipeline.command("GET", CLOCK) is None


async def test_a_repair_that_fails_is_tried_again_soon(parts: Parts) -> None:
    step = Step(fails=True)
    async with running(clock(parts, membership=repairing(parts, step))):
        await eventually(lambda: step.begun > 1)
        await left_alone(parts)


@pytest.mark.parametrize("fails", [False, True], ids=["slow", "fails"])
async def test_an_rq_that_is_slow_or_fails_holds_up_no_tick(parts: Parts, fails: bool) -> None:
    """It is asked again and again when it fails, and only once at a time when it is slow."""
    step = Step(fails=fails)
    async with running(clock(parts, top_up=step)):
        await eventually(lambda: step.begun > fails)
        await left_alone(parts)
        assert fails or (step.begun, step.open) == (1, 1)
    assert step.open == 0


async def test_one_of_two_clocks_ticks(parts: Parts) -> None:
    """The other one begins when the first one has given the lease back."""
    first, second = Step(fails=True), Step(fails=True)
    async with running(clock(parts, membership=repairing(parts, second), name="second")):
        await eventually(lambda: second.begun)
        async with running(clock(parts, membership=repairing(parts, first), name="first")):
            await eventually(lambda: second.begun > 2)
            assert first.begun == 0
    async with running(clock(parts, membership=repairing(parts, first), name="first")):
        await eventually(lambda: first.begun)


async def renewed(parts: Parts) -> bool:
    """Whether the lease is the clock's for longer than a moment."""
    return bool(await parts.pipeline.command("PTTL", CLOCK) > 1)
