"""Breakers of origins: opened by failures to connect alone, probed by one real notification, shared by all."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.breakers import FREE, Breakers, Caller, Pass
from hub.channels.origins import Origins, origin
from hub.keys import FAILING, OPEN, WAKING, OriginKeys, SubscriptionKey
from hub.pipeline import script
from hub.sender import lease_ms
from hub.wiring.parts import Parts
from subscriptions.breaker import (
    FAILURES,
    FIRST,
    JITTER,
    LONGEST,
    PATIENCE,
    QUIET,
    Admission,
    Standing,
    admit,
    failed,
)
from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.retry import Accepted, Fault, Refused, Unreachable
from tests.facts import eventually
from tests.hub.engines import (
    Publisher,
    activate,
    becomes,
    delivering,
    fanout,
    matched,
    now,
    rewrite,
    running,
    state,
    subscribe,
)
from tests.hub.test_origins import entered
from tests.receiver import Receiver, after_handshake

ACTIVE, ERROR = SubscriptionStatus.ACTIVE, SubscriptionStatus.ERROR
AWAY, DOWN = Unreachable(Fault.REFUSED), "http://down.example:80"
_names = count()


def key(name: str) -> SubscriptionKey:
    return SubscriptionKey("default", FhirVersion.R4, name, "1")


async def stored(parts: Parts, where: str) -> dict[str, str]:
    found = await parts.pipeline.command("HGETALL", OriginKeys(where).all[0])
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    return {name.decode(): value.decode() for name, value in pairs}


async def quiet_for_a_minute(parts: Parts, where: str) -> None:
    """As if the first failure were so long ago."""
    await parts.pipeline.command("HINCRBY", OriginKeys(where).all[0], "since", -QUIET)


async def probe_is_due(parts: Parts, where: str) -> None:
    await parts.pipeline.command("HSET", OriginKeys(where).all[0], "probe_at", 1)
    await parts.pipeline.command("ZADD", OPEN, "XX", 1, where)


async def no_probe_is_due(parts: Parts, where: str) -> None:
    """None is made before a test says so, however long it takes."""
    far = now() + 3_600_000
    await parts.pipeline.command("HSET", OriginKeys(where).all[0], "probe_at", far)
    await parts.pipeline.command("ZADD", OPEN, "XX", far, where)


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ("fail", "fail", "minute", "due", "hour", "admit", "admit", "probe", "late", "drain", "resume")
        ),
        st.integers(0, 3),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(steps=steps, dice=st.floats(0, 1, exclude_max=True))
async def test_the_scripts_do_what_the_rules_say(lasting: Parts, steps: list[tuple[str, int]], dice: float) -> None:
    """Whoever fails and asks in whatever order, against the pure functions. `late`: a probe that another followed."""
    parts, where = lasting, f"http://o{next(_names)}.example:80"
    keys, drained, run = OriginKeys(where).all, OriginKeys(where).drained, lasting.pipeline.run
    standing: Standing | None = None
    holder = ""

    async def read() -> Standing | None:
        held = await stored(parts, where)
        if not held:
            return None
        probes = int(held["probes"]) if "probes" in held else None
        return Standing(int(held["since"]), int(held["failures"]), probes, int(held.get("probe_at", 0)))

    for verb, number in steps:
        name = str(key(f"s{number}"))
        standing = await read()
        at = now()
        if verb in ("fail", "probe", "late"):
            probe = verb == "probe" and bool(holder)
            rules = (FAILURES, QUIET, FIRST, LONGEST, JITTER, 3_600_000)
            claimed = holder if probe else "s9 1" if verb == "late" else ""
            await run(script("failed"), keys, where, name, claimed, dice, *rules)
            after = await read()
            wanted = failed(standing, now=at, dice=dice, probe=probe)
            assert after is not None
            assert (after.failures, after.probes) == (wanted.failures, wanted.probes)
            assert 0 <= after.probe_at - wanted.probe_at < 2_000
            holder = "" if probe and standing is not None and standing.probes is not None else holder
        elif standing is not None and verb == "minute":
            await quiet_for_a_minute(parts, where)
        elif standing is not None and standing.probes is not None and verb == "due":
            await probe_is_due(parts, where)
        elif verb == "hour":
            await parts.pipeline.command("ZADD", keys[2], "XX", now() - PATIENCE, name)
        elif verb == "drain":
            await parts.pipeline.command("SET", drained, "x", "PX", 60_000)
        elif verb == "resume":
            await parts.pipeline.command("DEL", drained)
        elif verb == "admit":
            since = await parts.pipeline.command("ZSCORE", keys[2], name)
            reply = await run(script("admit"), [*keys, drained], name, f"{name} 1", 60_000, PATIENCE)
            parked = None if since is None else int(float(since))
            is_drained = bool(await parts.pipeline.command("EXISTS", drained))
            may = admit(standing, now=now(), parked=parked, probing=bool(holder), drained=is_drained)
            said = {b"closed": Admission.SEND, b"send": Admission.SEND, b"probe": Admission.PROBE}
            assert said.get(reply[0], Admission.PARK) is may
            if may is Admission.PROBE:
                holder = f"{name} 1"
            left = await parts.pipeline.command("ZSCORE", keys[2], name)
            if reply[0] == b"send":
                assert left is None, "it is not parked any more"
            elif parked is not None:
                assert int(float(left)) == parked, "who asks again does not wait from then on"


def breakers(parts: Parts, origins: Origins | None = None, clock: Callable[[], int] = lambda: 0) -> Breakers:
    """As long as its clock stands still it looks when it is told to."""
    return Breakers(parts.pipeline, origins or Origins(8, 8), lease_ms(5), lambda: 0.0, clock)


async def opened(parts: Parts, here: Breakers, where: str = DOWN) -> None:
    """Fail until the breaker opens."""
    for number in range(FAILURES):
        if number == FAILURES - 1:
            await quiet_for_a_minute(parts, where)
        await here.tell(where, key(f"s{number}"), AWAY, FREE)
    assert "probes" in await stored(parts, where)


async def test_all_processes_leave_an_origin_alone_and_one_probes_it(parts: Parts) -> None:
    here, there = breakers(parts), breakers(parts)
    await opened(parts, here)
    assert await there.admit(DOWN, key("a"), "1") is FREE, "it has not heard of it yet"
    await there.refresh()
    parked = await there.admit(DOWN, key("a"), "1")
    assert isinstance(parked, int)
    assert abs(parked - now() - PATIENCE) < 5_000
    await probe_is_due(parts, DOWN)
    passes = [await each.admit(DOWN, key(f"p{n}"), "1") for n, each in enumerate((here, there, here, there))]
    assert [isinstance(each, Pass) and bool(each.holder) for each in passes] == [True, False, False, False]
    assert isinstance(passes[0], Pass)
    await here.tell(DOWN, key("p0"), AWAY, passes[0])
    assert (await stored(parts, DOWN))["probes"] == "1"
    await probe_is_due(parts, DOWN)
    probe = await there.admit(DOWN, key("a"), "2")
    assert isinstance(probe, Pass)
    await there.tell(DOWN, key("a"), Refused(500), probe)
    assert not await stored(parts, DOWN)
    assert isinstance(await here.admit(DOWN, key("p1"), "3"), Pass), "the store says so, whatever it remembers"
    await here.refresh()
    assert await here.admit(DOWN, key("p2"), "3") is FREE


async def test_whoever_hears_that_an_origin_is_back_does_not_overrun_it(parts: Parts) -> None:
    """Not only the process that has made the connection."""
    origins = Origins(8, 8)
    here, there = breakers(parts), breakers(parts, origins)
    await opened(parts, here)
    await there.refresh()
    await here.tell(DOWN, key("a"), Accepted(200), FREE)
    await there.refresh()
    assert len(entered(origins, DOWN, 8)) == 1


async def test_who_succeeds_anywhere_within_the_minute_keeps_it_closed(parts: Parts) -> None:
    here, there = breakers(parts), breakers(parts)
    for _ in range(FAILURES):
        await here.tell(DOWN, key("a"), AWAY, FREE)
    await there.refresh()
    await there.tell(DOWN, key("b"), Accepted(200), FREE)
    assert not await stored(parts, DOWN)
    await here.tell(DOWN, key("a"), AWAY, FREE)
    await quiet_for_a_minute(parts, DOWN)
    await here.tell(DOWN, key("a"), AWAY, FREE)
    assert "probes" not in await stored(parts, DOWN), "two failures are none of three"


async def test_what_a_crash_left_out_of_the_lists_is_made_good(parts: Parts) -> None:
    """The breaker is closed, but whoever did it died before it could say so."""
    here = breakers(parts)
    await opened(parts, here)
    await parts.pipeline.run(script("connected"), OriginKeys(DOWN).all, str(key("s0")))
    assert await here.admit(DOWN, key("s1"), "1") is FREE
    assert not await parts.pipeline.command("ZCARD", OPEN)
    assert await parts.pipeline.command("SISMEMBER", WAKING, DOWN)
    await Caller(parts.pipeline, parts.due, parts.outboxes).tick(now())
    assert not await parts.pipeline.command("EXISTS", WAKING)


async def test_an_origin_that_never_opened_is_forgotten_after_an_hour(parts: Parts) -> None:
    await breakers(parts).tell(DOWN, key("a"), AWAY, FREE)
    assert 3_500_000 < await parts.pipeline.command("PTTL", OriginKeys(DOWN).all[0]) <= 3_600_000
    caller = Caller(parts.pipeline, parts.due, parts.outboxes)
    await caller.tick(now())
    assert await parts.pipeline.command("ZCARD", FAILING) == 1
    await caller.tick(now() + 3_700_000)
    assert await parts.pipeline.command("ZCARD", FAILING) == 0


@pytest.fixture
def refusing() -> Iterator[socket.socket]:
    """A port of loopback that refuses connections until somebody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def url(bound: socket.socket) -> str:
    return "http://{}:{}".format(*bound.getsockname())


@asynccontextmanager
async def ticking(parts: Parts) -> AsyncIterator[None]:
    """The clock's part, more often than once a second."""

    async def tick() -> None:
        caller = Caller(parts.pipeline, parts.due, parts.outboxes)
        while True:
            await caller.tick(now())
            await asyncio.sleep(0.02)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()


async def all_parked(parts: Parts, keys: list[SubscriptionKey], where: str) -> None:
    async def so() -> bool:
        waits = [parts.due.shards[each.shard(4)].wait for each in keys]
        scores = await parts.pipeline.all([("ZSCORE", wait, str(each)) for wait, each in zip(waits, keys, strict=True)])
        far = now() + PATIENCE - 60_000
        parked = await parts.pipeline.command("ZCARD", OriginKeys(where).parked)
        return bool(parked == len(keys) and all(score and float(score) > far for score in scores))

    await eventually(so)


async def test_parked_subscriptions_are_not_charged_and_come_back_one_after_the_other(
    parts: Parts, refusing: socket.socket
) -> None:
    """
    They would be in `error` after three attempts within a tenth of a second. Once the endpoint listens, the probe is
    delivered, and then everybody's events.
    """
    where = origin(url(refusing))
    keys = [await subscribe(parts, f"{url(refusing)}/{n}", id_=f"s{n}") for n in range(20)]
    for each in keys:
        await activate(parts, each)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts) as delivery, ticking(parts):
        here = delivery.sender.breakers
        await opened(parts, here, where)
        await no_probe_is_due(parts, where)
        for _ in range(3):
            await publisher.put()
        await matched(parts)
        await parts.pipeline.command("ZREM", OriginKeys(where).parked, *(str(key(f"s{n}")) for n in range(FAILURES)))
        await all_parked(parts, keys, where)
        held = [await state(parts, f"s{n}") for n in range(20)]
        assert {(each.status, each.events, each.delivered, each.failing) for each in held} == {(ACTIVE, 3, 0, "")}
        for probes in ("1", "2"):
            await probe_is_due(parts, where)

            async def failed_again(probes: str = probes) -> bool:
                """Whether it is so in the list, too, which is written behind it."""
                held, listed = await stored(parts, where), await parts.pipeline.command("ZSCORE", OPEN, where)
                return held["probes"] == probes and int(listed) == int(held["probe_at"])

            await eventually(failed_again)
            await no_probe_is_due(parts, where)
            await all_parked(parts, keys, where)  # else whoever has just failed may be the next probe, too
        held = [await state(parts, f"s{n}") for n in range(20)]
        assert sum(bool(each.failing) for each in held) == 2, "the probes alone were sent"
        async with Receiver(listening=refusing) as receiver:
            await probe_is_due(parts, where)
            for n in range(20):
                await receiver.numbered(f"/{n}", 3)
            for n in range(20):
                assert receiver.numbers(f"/{n}") == [1, 2, 3]
        assert not await stored(parts, where)
    assert {(await state(parts, f"s{n}")).status for n in range(20)} == {ACTIVE}


async def test_a_probe_before_its_own_time_leaves_the_schedule_as_it_is(parts: Parts, refusing: socket.socket) -> None:
    where, name = origin(url(refusing)), "s"
    one = await subscribe(parts, f"{url(refusing)}/s")
    await activate(parts, one)
    own = now() + 500_000
    async with running(fanout(parts)), delivering(parts) as delivery, ticking(parts):
        await opened(parts, delivery.sender.breakers, where)
        await no_probe_is_due(parts, where)
        for number in range(FAILURES):
            await parts.pipeline.command("ZREM", OriginKeys(where).parked, str(key(f"s{number}")))
        await Publisher(parts).put()
        await all_parked(parts, [one], where)
        await parts.pipeline.command("HSET", one.subscription, "attempt", 2, "next", own)
        await probe_is_due(parts, where)

        async def probed() -> bool:
            return bool((await state(parts, name)).failing)

        await eventually(probed)
        fields = await parts.pipeline.command("HMGET", one.subscription, "attempt", "next", "early", "status")
        assert fields[0] == b"2"
        assert abs(int(fields[1]) - own) < 1_000
        assert fields[2:] == [None, b"active"]


async def test_a_handshake_is_never_parked_and_is_the_first_sign_of_an_origin_that_is_back(
    parts: Parts, refusing: socket.socket
) -> None:
    """While nobody listens it leads to `error` after its three tries, as without a breaker."""
    where = origin(url(refusing))
    async with running(fanout(parts)), delivering(parts) as delivery, ticking(parts):
        await opened(parts, delivery.sender.breakers, where)
        await subscribe(parts, f"{url(refusing)}/s")
        await becomes(parts, ERROR)
        assert "probes" in await stored(parts, where)
        async with Receiver(listening=refusing) as receiver:
            receiver.answers["/s"] = after_handshake(200)
            await rewrite(parts, f"{url(refusing)}/s")
            await becomes(parts, ACTIVE)
            assert not await stored(parts, where)
            await Publisher(parts).put()
            await receiver.numbered("/s", 1)
