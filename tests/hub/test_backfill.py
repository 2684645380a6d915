"""A start before now: changes of the past become events, then those that come live, each once and in order."""

import asyncio
from collections import defaultdict
from time import monotonic
from typing import Any

import pytest

from hub import backfill
from hub.instants import instant
from hub.keys import Partition, ResourceId, SubscriptionKey
from hub.outbox import Outboxes, Owed
from hub.stream import place
from hub.turn import OwedEvent, Turn, Verb
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from subscriptions.versions.instant import write
from tests.facts import eventually
from tests.hub.engines import R4, Publisher, active, entries, fanout, matched, rewrite, running, state, subscribe
from tests.hub.life import entry

HOOK = "http://127.0.0.1/hook"
NOT_DONE = "Immunization?status=not-done"


async def redis_now(parts: Parts) -> int:
    """ms of Redis' clock, in which nothing was put yet: the one after the present."""
    seconds, micros = await parts.pipeline.command("TIME")
    before = at = int(seconds) * 1000 + int(micros) // 1000
    while at == before:
        seconds, micros = await parts.pipeline.command("TIME")
        at = int(seconds) * 1000 + int(micros) // 1000
    return at


async def activate(parts: Parts, key: SubscriptionKey, start: int, *, lease: int = 1) -> None:
    """As a lane does when the handshake was accepted."""
    turn = await parts.outboxes.take(key, str(lease))
    assert isinstance(turn, Turn)
    await parts.changes.to_fill(key)
    ends = await parts.changes.ends()
    assert await parts.outboxes.settle(key, str(lease), turn, Verb.ACTIVE, said="so", ends=ends, start=start)


async def started(parts: Parts, start: int, *filters: str, id_: str = "s") -> SubscriptionKey:
    key = await subscribe(parts, HOOK, *filters, id_=id_, start=write(instant(start)))
    await activate(parts, key, start)
    return key


async def filled(parts: Parts) -> None:
    """Wait until nobody wants anything of the past any more."""

    async def nobody() -> bool:
        return not any(await parts.pipeline.all([("EXISTS", p.filling) for p in parts.changes.partitions]))

    await eventually(nobody)


async def owed(parts: Parts, key: SubscriptionKey) -> list[OwedEvent]:
    found = await parts.outboxes.events(key, 1, 1_000_000)
    assert [event.number for event in found] == list(range(1, len(found) + 1))
    return found


async def put_since(parts: Parts, start: int) -> dict[int, list[tuple[str, int]]]:
    """What was put since then: of each partition, id and version in the order of the stream."""
    return {
        p.number: [(e.resource.id, e.number) for e in await entries(parts, p) if place(e.id)[0] >= start]
        for p in parts.changes.partitions
    }


async def is_complete(parts: Parts, key: SubscriptionKey, start: int) -> None:
    """Each change since then is one event, in the order of its partition."""
    told: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    for event in await owed(parts, key):
        partition = ResourceId("default", R4, "Immunization", event.id).partition(len(parts.changes.partitions))
        told[partition].append((event.id, event.version))
    assert told == {number: put for number, put in (await put_since(parts, start)).items() if put}


async def test_what_was_put_since_the_start_comes_once_and_then_what_is_put(parts: Parts) -> None:
    publisher = Publisher(parts)
    async with running(fanout(parts)):
        for _ in range(30):
            await publisher.put()
        start = await redis_now(parts)
        for number in range(150):
            await publisher.put(f"r{number % 40}", method="delete" if number % 50 == 49 else "update")
        await matched(parts)
        key = await started(parts, start)
        for number in range(150):
            await publisher.put(f"r{number % 40}")
        await filled(parts)
        for number in range(20):
            await publisher.put(f"r{number}")
        await matched(parts)
    assert len(await owed(parts, key)) == 320
    await is_complete(parts, key, start)


async def test_only_what_it_asks_for_comes(parts: Parts) -> None:
    publisher, start = Publisher(parts), await redis_now(parts)
    for number in range(20):
        await publisher.put(f"r{number}", status="not-done" if number % 4 == 0 else "completed")
    async with running(fanout(parts)):
        await matched(parts)
        key = await started(parts, start, NOT_DONE)
        await filled(parts)
    assert sorted(event.id for event in await owed(parts, key)) == ["r0", "r12", "r16", "r4", "r8"]


async def test_matchers_that_come_and_go_in_the_middle_lose_and_repeat_nothing(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "CHUNK", 5)
    publisher, start = Publisher(parts), await redis_now(parts)
    for number in range(400):
        await publisher.put(f"r{number % 50}")
    async with running(fanout(parts)):
        await matched(parts)
    key = await started(parts, start)
    done = asyncio.Event()

    async def publish() -> None:
        while not done.is_set():
            await publisher.put(f"r{next(publisher.numbers) % 50}")
            await asyncio.sleep(0)

    publishing = asyncio.create_task(publish())
    for _ in range(5):
        before = (await state(parts)).events

        async def further(before: int = before) -> bool:
            return (await state(parts)).events > before + 10

        async with running(fanout(parts)), running(fanout(parts)):
            await eventually(further)
    done.set()
    await publishing
    async with running(fanout(parts)):
        await filled(parts)
        await matched(parts)
    await is_complete(parts, key, start)


class Passing(Outboxes):
    """Has a change matched live, by another matcher, just before each of the first steps of the filling."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.pipeline)
        self.parts, self.publisher = parts, Publisher(parts)
        self.partition = parts.changes.partitions[0]
        self.left = 5

    async def fill(self, *arguments: Any, **named: Any) -> Owed | None:
        if self.left and arguments[1] == self.partition.number:
            self.left -= 1
            await self.publisher.put_in(self.partition)
            (*_, last) = await entries(self.parts, self.partition)
            assert await self.owe(arguments[0], self.partition.number, [last]) is None
        return await super().fill(*arguments, **named)


async def test_what_is_matched_while_the_filling_is_about_to_end_is_not_passed_by(parts: Parts) -> None:
    outboxes, start = Passing(parts), await redis_now(parts)
    await outboxes.publisher.put_in(outboxes.partition)
    engine = fanout(parts)
    engine.outboxes = outboxes
    async with running(engine):
        await matched(parts)
        key = await started(parts, start)
        await filled(parts)
        await matched(parts)
    assert len(await owed(parts, key)) == 6
    await is_complete(parts, key, start)


async def test_the_filling_ends_only_behind_all_that_waits_for_it(parts: Parts) -> None:
    """Live changes wait; a step that gets to its goal, but not to them, doesn't end it; nor does one that is late."""
    key = await subscribe(parts, HOOK)
    await activate(parts, key, 1)
    one, two, three = entry(0, 1), entry(0, 2), entry(0, 3)
    assert await parts.outboxes.owe(key, 0, [two]) is None
    assert await parts.outboxes.fill(key, 0, [one], reached=one.id, goal=one.id) == Owed(1, 1, True)
    assert await parts.outboxes.owe(key, 0, [one]) is None
    assert await parts.outboxes.fill(key, 0, [one, two], reached=two.id, goal=three.id) == Owed(2, 1, True)
    assert await parts.outboxes.owe(key, 0, [two]) is None
    assert await parts.outboxes.fill(key, 0, [], reached=three.id, goal=three.id) == Owed(2, 0, True)
    assert await parts.outboxes.fill(key, 0, [one, two, three], reached=three.id, goal=three.id) is None
    assert await parts.outboxes.owe(key, 0, [two, three, entry(0, 4)]) == Owed(3, 1, True)
    assert [event.id for event in await owed(parts, key)] == ["p0-1", "p0-2", "p0-4"]


async def test_off_ends_the_filling_and_a_second_activation_begins_now(parts: Parts) -> None:
    publisher, start = Publisher(parts), await redis_now(parts)
    for _ in range(10):
        await publisher.put()
    key = await started(parts, start)
    await rewrite(parts, HOOK, status="off", start=write(instant(start)))
    await rewrite(parts, HOOK, start=write(instant(start)))
    await activate(parts, key, start, lease=2)
    async with running(fanout(parts)):
        await filled(parts)
        await publisher.put("new")
        await matched(parts)
    assert [event.id for event in await owed(parts, key)] == ["new"]


async def test_in_error_the_filling_goes_on(parts: Parts) -> None:
    publisher, start = Publisher(parts), await redis_now(parts)
    for _ in range(10):
        await publisher.put()
    key = await started(parts, start)
    turn = await parts.outboxes.take(key, "2")
    assert isinstance(turn, Turn)
    assert await parts.outboxes.settle(key, "2", turn, Verb.ERROR, said="it hangs")
    async with running(fanout(parts)):
        await filled(parts)
    assert (await state(parts)).status is SubscriptionStatus.ERROR
    assert len(await owed(parts, key)) == 10


async def test_a_change_without_its_body_is_counted_and_the_others_come(parts: Parts) -> None:
    publisher, start = Publisher(parts), await redis_now(parts)
    put = [await publisher.put() for _ in range(5)]
    engine = fanout(parts)
    async with running(engine):
        await matched(parts)
        gone = Partition(put[2].partition(4)).resource(put[2])
        await parts.pipeline.command("HDEL", gone, "b1")
        key = await started(parts, start)
        await filled(parts)
    assert engine.poison == {"body": 1}
    assert sorted(event.id for event in await owed(parts, key)) == ["i0", "i1", "i3", "i4"]


async def test_what_retention_removed_before_it_was_filled_is_said(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    publisher, start = Publisher(parts), await redis_now(parts)
    partition = parts.changes.partitions[0]
    for _ in range(5):
        await publisher.put_in(partition)
    last = (await entries(parts, partition))[-1]
    await parts.pipeline.command("XTRIM", partition.changes, "MINID", last.id)
    await parts.pipeline.command("SET", partition.trimmed, last.id)
    engine = fanout(parts)
    key = await started(parts, start)
    async with running(engine):
        await filled(parts)
    assert engine.poison == {"retention": 1}
    assert "subscription.start-lost" in [record.message for record in caplog.records]
    assert [event.id for event in await owed(parts, key)] == [last.resource.id]


async def test_it_goes_no_further_than_so_many_events_before_the_subscriber(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "AHEAD", 20)
    monkeypatch.setattr(backfill, "CHUNK", 5)
    publisher, start = Publisher(parts), await redis_now(parts)
    for _ in range(100):
        await publisher.put()
    key = await started(parts, start)

    async def waits() -> bool:
        held = await state(parts)
        return held.events - held.delivered >= 20

    async def delivered() -> bool:
        events = (await state(parts)).events
        await parts.pipeline.command("HSET", key.subscription, "delivered", events)
        return events == 101

    async with running(fanout(parts)):
        await eventually(waits)
        await publisher.put()
        await matched(parts)
        assert (await state(parts)).events < 20 + 5 * len(parts.changes.partitions)
        await eventually(delivered)
        await filled(parts)
    await is_complete(parts, key, start)


async def test_others_do_not_wait_for_it(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """While thousands of changes of the past are looked through, what comes live is owed in milliseconds."""
    monkeypatch.setattr(backfill, "AHEAD", 10**6)
    publisher, start, other = Publisher(parts), await redis_now(parts), await active(parts, "other", NOT_DONE)
    for _ in range(40):
        await asyncio.gather(*(publisher.put() for _ in range(100)))
    async with running(fanout(parts)):
        await matched(parts)
        await started(parts, start)
        took: list[float] = []
        while (await state(parts)).events < 4_000:
            await publisher.put(status="not-done")
            began, number = monotonic(), len(took) + 1

            async def there(number: int = number) -> bool:
                return (await state(parts, "other")).events == number

            await eventually(there)
            took.append(monotonic() - began)
        await filled(parts)
    assert len(await owed(parts, other)) == len(took) > 5
    assert sorted(took)[len(took) // 2] < 0.5
    print(f"{len(took)} changes, median {sorted(took)[len(took) // 2]:.4f} s, max {max(took):.4f} s")
