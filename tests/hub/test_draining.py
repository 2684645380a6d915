"""Origins that an operator has drained: nothing new is sent there, and all of it afterwards, in order."""

from time import monotonic
from typing import Any

from hub.breakers import FREE, Caller, Pass
from hub.draining import Standing
from hub.keys import DRAINED, WAKING, OriginKeys
from hub.pipeline import Pipeline
from hub.wiring.parts import Parts
from subscriptions.audit import Kind
from subscriptions.codes import SubscriptionStatus
from tests.facts import eventually
from tests.hub.engines import Publisher, becomes, delivering, fanout, matched, now, running, state, subscribe
from tests.hub.test_breakers import breakers, key, opened, probe_is_due
from tests.receiver import Receiver

DOWN = "http://down.example:80"


async def drain(parts: Parts, where: str, milliseconds: int = 60_000) -> int:
    return await parts.draining.drain(where, now=now(), milliseconds=milliseconds, agent="boss")


async def test_it_ends_by_itself(parts: Parts) -> None:
    """What comes meanwhile is kept; then all of it arrives, in order."""
    async with Receiver() as receiver, running(fanout(parts)):
        publisher = Publisher(parts)
        async with delivering(parts):
            await subscribe(parts, f"{receiver.url}/one")
            await becomes(parts, SubscriptionStatus.ACTIVE)
            began = monotonic()
            await drain(parts, receiver.url, 3_000)
            for _ in range(5):
                await publisher.put()
                await matched(parts)
            await receiver.numbered("/one", 5)
            assert receiver.at("/one")[0].at > began + 2.9
            assert receiver.numbers("/one") == [1, 2, 3, 4, 5]


async def test_a_handshake_waits_too(parts: Parts) -> None:
    """It is not made in vain: its client's Subscription stays `requested` until then."""
    async with Receiver() as receiver:
        await drain(parts, receiver.url)
        async with delivering(parts):
            held = await subscribe(parts, f"{receiver.url}/one")
            shard = parts.due.shards[held.shard(len(parts.due.shards))]

            async def waits() -> bool:
                return bool(await parts.pipeline.command("ZCARD", shard.wait))

            await eventually(waits)
            assert not receiver.received
            assert (await state(parts)).status is SubscriptionStatus.REQUESTED
            assert await parts.draining.resume(receiver.url, agent="boss")
            await becomes(parts, SubscriptionStatus.ACTIVE)


async def test_who_looked_before_it_looks_again(parts: Parts) -> None:
    """Once it is said that an origin is drained nobody sends there, although he reads it but once a second."""
    clock = [now()]
    here = breakers(parts, clock=lambda: clock[0])
    assert await here.admit(DOWN, key("a"), "1") is FREE
    began = now()
    until = await drain(parts, DOWN)
    assert await here.admit(DOWN, key("a"), "1") is FREE, "it goes by its last look"
    clock[0] += now() - began
    parked = await here.admit(DOWN, key("a"), "1")
    assert isinstance(parked, int)
    assert abs(parked - until) < 1_000


async def test_nobody_sends_or_probes_while_it_is_drained(parts: Parts) -> None:
    """Whatever its breaker says, all processes park there; when it is over the breaker counts again."""
    here, there = breakers(parts), breakers(parts, clock=now)
    await opened(parts, here)
    await probe_is_due(parts, DOWN)
    until = await drain(parts, DOWN)
    assert (await parts.draining.counts(now()))[Standing.DRAINED] == 1
    for each, name in ((here, "a"), (there, "b")):
        parked = await each.admit(DOWN, key(name), "1")
        assert isinstance(parked, int)
        assert abs(parked - until) < 1_000
    assert await there.is_drained(DOWN)
    (shown,) = await parts.draining.states()
    assert (shown.standing, shown.until, shown.by, shown.parked) == (Standing.DRAINED, until, "boss", 3)
    assert await parts.draining.resume(DOWN, agent="boss")
    (shown,) = await parts.draining.states()
    assert shown.standing is Standing.OPEN
    probe = await there.admit(DOWN, key("a"), "2")
    assert isinstance(probe, Pass)
    assert probe.holder


async def test_who_waited_is_roused_when_it_ends(parts: Parts) -> None:
    """By the clock, if nobody ends it before."""
    until = await drain(parts, DOWN, 1)
    caller = Caller(parts.pipeline, parts.due, parts.outboxes)
    await caller.tick(until)
    assert await parts.pipeline.command("ZCARD", DRAINED) == 1, "processes look for it for some time yet"
    assert (await parts.draining.counts(until))[Standing.DRAINED] == 0
    await parts.pipeline.command("ZADD", OriginKeys(DOWN).parked, now(), str(key("a")))
    await caller.tick(until + 10_000)
    assert not await parts.pipeline.command("ZCARD", DRAINED)
    assert not await parts.pipeline.command("ZCARD", OriginKeys(DOWN).parked)
    assert await parts.draining.states() == []


async def test_who_waited_is_roused_when_it_is_resumed(parts: Parts) -> None:
    """At the clock's next look, however long it was to be drained."""
    await drain(parts, DOWN)
    await parts.pipeline.command("ZADD", OriginKeys(DOWN).parked, now(), str(key("a")))
    assert await parts.draining.resume(DOWN, agent="boss")
    await Caller(parts.pipeline, parts.due, parts.outboxes).tick(now())
    assert not await parts.pipeline.command("ZCARD", OriginKeys(DOWN).parked)


async def test_what_is_drained_anew_stays_so(parts: Parts) -> None:
    """Also when that is asked for just as the clock sees that it was over."""

    class Meanwhile(Pipeline):
        async def command(self, *words: Any) -> Any:
            answer = await super().command(*words)
            if words[:2] == ("SADD", WAKING):
                await drain(parts, DOWN)
            return answer

    await drain(parts, DOWN, 1)
    await Caller(Meanwhile(parts.client), parts.due, parts.outboxes).tick(now() + 10_000)
    assert await breakers(parts, clock=now).is_drained(DOWN)


async def test_it_is_audited(parts: Parts) -> None:
    """Who wants it, of which origin, and until when; what is not drained can't be resumed."""
    assert not await parts.draining.resume(DOWN, agent="boss")
    await drain(parts, DOWN)
    await parts.draining.resume(DOWN, agent="boss")
    acts = [entry.act async for entries in parts.audit.newest("default") for entry in entries]
    assert [(act.kind, act.agent, act.entity) for act in acts] == [
        (Kind.ORIGIN_RESUMED, "boss", f"origin/{DOWN}"),
        (Kind.ORIGIN_DRAINED, "boss", f"origin/{DOWN}"),
    ]
    assert acts[1].text.startswith("until 20")
