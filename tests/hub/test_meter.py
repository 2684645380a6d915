"""What is counted in a process, how it comes to Redis, and how it is read."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Unavailable
from hub.families import (
    ATTEMPT,
    ATTEMPTS,
    BUCKETS,
    CHANGES_MATCHED,
    CHANGES_STORED,
    EVALUATIONS_FAILED,
    EVENTS_DELIVERED,
    EVENTS_DROPPED,
    EVENTS_OWED,
    EVENTS_WITHHELD,
    FAMILIES,
    MATCH,
    NOTIFICATIONS_DELIVERED,
    TRIP,
    bucket,
)
from hub.figures import Figures, Readings, Tail, Timing
from hub.keys import Partition, meter
from hub.meter import COSTLY, TOLD, Meter
from hub.metering import KEPT, Metering
from hub.outbox import Outboxes
from hub.pipeline import Client, Pipeline
from hub.wiring.parts import Parts, ended
from subscriptions.codes import SubscriptionStatus
from subscriptions.ranges import Range
from subscriptions.suppression import Rule
from tests.facts import eventually
from tests.hub.engines import (
    Publisher,
    active,
    becomes,
    delivering,
    entries,
    fanout,
    now,
    running,
    state,
    subscribe,
)
from tests.receiver import Receiver, after_handshake


async def figures(parts: Parts) -> Figures:
    """All that was counted, what this process has just counted too."""
    await parts.metering.flush()
    return (await Readings(parts.pipeline).read()).totals


async def until(parts: Parts, so: Callable[[Figures], bool]) -> Figures:
    """Wait until it was counted."""

    async def counted() -> bool:
        return so(await figures(parts))

    await eventually(counted)
    return await figures(parts)


async def test_processes_are_added_up(parts: Parts) -> None:
    """What two processes have counted is what the hub has."""
    one, other = Meter(), Meter()
    one.count(CHANGES_STORED, "default", "create")
    one.count(CHANGES_STORED, "default", "update", by=2)
    other.count(CHANGES_STORED, "default", "create", by=4)
    other.count(CHANGES_STORED, "ward", "create", by=8)
    for each in (one, other):
        await Metering(parts.pipeline, each).flush()
    found = (await Readings(parts.pipeline).read()).totals
    assert found.total(CHANGES_STORED) == 15
    assert found.total(CHANGES_STORED, tenant="default") == 7
    assert found.by(CHANGES_STORED, "interaction", tenant="default") == {"create": 5, "update": 2}
    assert found.each(CHANGES_STORED, tenant="ward") == {("ward", "create"): 8}


class Unheard(Pipeline):
    """What is asked of it first is done, and never answered."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.done = asyncio.Event()

    async def run(self, *asked: Any) -> Any:
        answer = await super().run(*asked)
        if not self.done.is_set():
            self.done.set()
            await asyncio.Event().wait()
        return answer


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends gives Redis the time that it takes."""
    monkeypatch.setattr("hub.metering.LAST", 20.0)
    monkeypatch.setattr("hub.wiring.parts.LAST_SECONDS", 30.0)


async def test_nothing_is_added_twice(parts: Parts) -> None:
    """Redis has done it, and the process doesn't know: it asks again, with what came meanwhile in a step of its own."""
    counting, pipeline = Meter(), Unheard(parts.client)
    metering = Metering(pipeline, counting)
    counting.count(EVALUATIONS_FAILED, "body")
    flushing = asyncio.ensure_future(metering.flush())
    await pipeline.done.wait()
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    counting.count(EVALUATIONS_FAILED, "body", by=10)
    await metering.flush()
    await metering.flush()
    assert (await Readings(parts.pipeline).read()).totals.total(EVALUATIONS_FAILED) == 11


@pytest.mark.usefixtures("patient")
async def test_a_process_that_ends_while_it_flushes_loses_nothing(parts: Parts) -> None:
    """What was under way is not added twice, and what came meanwhile is added."""
    counting, pipeline = Meter(), Unheard(parts.client)
    counting.count(EVALUATIONS_FAILED, "body")
    flushing = asyncio.create_task(Metering(pipeline, counting).run())
    await pipeline.done.wait()
    counting.count(EVALUATIONS_FAILED, "body", by=10)
    await ended([flushing])
    assert (await Readings(parts.pipeline).read()).totals.total(EVALUATIONS_FAILED) == 11


async def test_what_is_not_taken_waits(parts: Parts) -> None:
    """While the store is lost nothing is added; what was counted meanwhile is, once it is back."""
    counting = Meter()
    metering = Metering(parts.pipeline, counting)
    counting.count(EVALUATIONS_FAILED, "body")
    parts.memory.lost = "away"
    with pytest.raises(Unavailable):
        await metering.flush()
    counting.count(EVALUATIONS_FAILED, "body")
    parts.memory.lost = ""
    await metering.flush()
    await metering.flush()
    assert (await Readings(parts.pipeline).read()).totals.total(EVALUATIONS_FAILED) == 2


@pytest.mark.usefixtures("patient")
async def test_a_process_that_ends_loses_nothing(parts: Parts) -> None:
    """What was counted in its last second is there when it has ended."""
    beside = parts.beside()
    await asyncio.sleep(0)
    parts.meter.count(EVALUATIONS_FAILED, "body", by=3)
    await ended(beside)
    assert (await Readings(parts.pipeline).read()).totals.total(EVALUATIONS_FAILED) == 3


async def test_a_running_process_flushes(parts: Parts) -> None:
    """What is counted is there soon, without anybody's asking."""
    beside = parts.beside()
    parts.meter.count(EVALUATIONS_FAILED, "body")

    async def there() -> bool:
        return (await Readings(parts.pipeline).read()).totals.total(EVALUATIONS_FAILED) == 1

    await eventually(there)
    await ended(beside)


@given(st.floats(0, 10_000, allow_nan=False))
def test_a_time_is_in_its_bucket(seconds: float) -> None:
    """It is no longer than the bucket's bound, and longer than that of the one before."""
    place = bucket(seconds)
    assert place == len(BUCKETS) or seconds <= BUCKETS[place]
    assert place == 0 or seconds > BUCKETS[place - 1]


def test_buckets_are_from_a_millisecond_to_an_hour() -> None:
    """Each is at most 1.6 times the one before, so a percentile is no further off than that."""
    assert BUCKETS[0] == 0.001
    assert BUCKETS[-1] >= 3600
    assert all(1.5 < more / less < 1.61 for less, more in pairwise(BUCKETS))


@given(st.lists(st.floats(0.0011, 3_000), min_size=1, max_size=50), st.floats(1, 100))
def test_percentiles_are_near(times: list[float], percent: float) -> None:
    """What is read from the buckets is no further from the exact one than these are apart."""
    counting = Meter()
    for seconds in times:
        counting.time(ATTEMPT, seconds)
    timing = Figures.of((name, str(by)) for name, by in counting.take().counts.items()).timing(ATTEMPT)
    found = timing.percentile(percent)
    exact = next(t for place, t in enumerate(sorted(times), 1) if place >= len(times) * percent / 100 - 1e-9)
    assert timing.count == len(times)
    assert found is not None
    assert exact / 1.61 <= found <= exact * 1.61
    assert abs(timing.seconds - sum(times)) < 1e-6 * (len(times) + 1)


def test_of_nothing_there_is_no_percentile() -> None:
    """Nothing was timed."""
    assert Timing((0,) * (len(BUCKETS) + 1), 0).percentile(50) is None


def test_what_is_beyond_the_buckets_is_taken_for_the_last() -> None:
    """A trip of a day is over an hour, and that is all that is known."""
    counting = Meter()
    counting.time(ATTEMPT, 86_400)
    timing = Figures.of((name, str(by)) for name, by in counting.take().counts.items()).timing(ATTEMPT)
    assert timing.percentile(50) == BUCKETS[-1]
    assert timing.seconds == 86_400


def test_clocks_may_differ() -> None:
    """An answer before the question took no time."""
    counting = Meter()
    counting.time(TRIP, -3, "default")
    timing = Figures.of((name, str(by)) for name, by in counting.take().counts.items()).timing(TRIP)
    assert (timing.count, timing.seconds) == (1, 0)


async def test_samples(parts: Parts) -> None:
    """Each has what came since the one before, and how far matching was behind."""
    readings, sampling = Readings(parts.pipeline), parts.sampling
    parts.meter.count(CHANGES_STORED, "default", "create", by=5)
    await parts.metering.flush()
    assert await sampling.sample(0, 0)
    assert not await sampling.sample(0, 0)  # somebody else's clock, a moment later
    parts.meter.count(CHANGES_STORED, "default", "create", by=7)
    parts.meter.time(TRIP, 0.5, "default")
    await parts.metering.flush()
    await _ten_seconds_pass(parts)
    assert await sampling.sample(1.5, 12)
    parts.meter.count(CHANGES_STORED, "default", "create", by=9)
    await parts.metering.flush()
    reading = await readings.read(60)
    last, first = reading.samples
    assert first.span.figures.total(CHANGES_STORED) == 5
    assert last.span.figures.total(CHANGES_STORED) == 7
    assert last.span.figures.timing(TRIP).count == 1
    assert (last.behind, last.unmatched) == (1.5, 12)
    assert 10_000 <= last.span.milliseconds < 20_000
    assert reading.totals.total(CHANGES_STORED) == 21
    assert reading.since.figures.total(CHANGES_STORED) == 9
    over = reading.over(10)
    assert over.figures.total(CHANGES_STORED) == 16
    assert over.rate(CHANGES_STORED) == pytest.approx(16_000 / over.milliseconds)


async def test_a_sample_without_news(parts: Parts) -> None:
    """Nothing was counted, and that is noted."""
    await parts.sampling.sample(0, 0)
    await _ten_seconds_pass(parts)
    await parts.sampling.sample(0, 0)
    last, _ = (await Readings(parts.pipeline).read(60)).samples
    assert last.span.figures.fields == {}


async def test_a_clock_that_was_set_back(parts: Parts) -> None:
    """Samples go on at once, and none is of less than no time."""
    await parts.sampling.sample(0, 0)
    await parts.pipeline.command("HSET", meter("totals"), "", now() + 3_600_000)
    assert await parts.sampling.sample(0, 0)
    last, _ = (await Readings(parts.pipeline).read(60)).samples
    assert last.span.milliseconds == 10_000


async def test_history_is_bounded(parts: Parts) -> None:
    """Six hours of it are kept, and some more that Redis would have to look for."""
    await parts.pipeline.all([("XADD", meter("history"), "*", "at", 1)] * (KEPT + 300))
    await parts.sampling.sample(0, 0)
    kept = int(await parts.pipeline.command("XLEN", meter("history")))
    assert KEPT <= kept < KEPT + 150


async def test_processes_that_are_gone_are_forgotten(parts: Parts) -> None:
    """How far they had come is of no use any more."""
    await parts.pipeline.command("HSET", meter("flushed"), "gone", f"7 {now() - 3_700_000}", "here", f"7 {now()}")
    await parts.sampling.sample(0, 0)
    assert await parts.pipeline.command("HKEYS", meter("flushed")) == [b"here"]


async def test_costs(parts: Parts) -> None:
    """The most expensive come first; what was spent long ago counts less."""
    parts.meter.spend("cheap", 0.001)
    parts.meter.spend("dear", 0.003)
    parts.meter.spend("dear", 0.004)
    await parts.metering.flush()
    readings = Readings(parts.pipeline)
    assert await readings.costs(10) == [("dear", 7_000), ("cheap", 1_000)]
    assert await readings.costs(1) == [("dear", 7_000)]
    for _ in range(60):  # ten minutes
        await parts.sampling.sample(0, 0)
        await _ten_seconds_pass(parts)
    assert await readings.costs(1) == [("dear", 3_500)]


def test_only_the_most_expensive_are_taken_along() -> None:
    """With a hundred thousand subscriptions, a flush is no larger."""
    counting = Meter()
    for number in range(COSTLY + 50):
        counting.spend(number, number / 1000)
    costs = counting.take().costs
    assert len(costs) == COSTLY
    assert min(costs.values()) == 50_000


async def test_costs_of_matching(parts: Parts) -> None:
    """Whoever a change is held against has a share of it, by his own name."""
    keys = [await active(parts, id_, "status:not=not-done") for id_ in "ab"]
    async with running(fanout(parts)):
        await Publisher(parts).put()
        await until(parts, lambda f: f.total(CHANGES_MATCHED) == 1)
    costs = dict(await Readings(parts.pipeline).costs(10))
    assert costs.keys() == set(map(str, keys))
    assert all(0 < microseconds < 10_000_000 for microseconds in costs.values())


def test_one_change_in_sixteen_is_timed() -> None:
    """And the first of all."""
    counting = Meter()
    assert [number for number in range(33) if counting.timing()] == [0, 16, 32]


async def test_nobody_is_told_while_nobody_watches(parts: Parts) -> None:
    """Then a step leaves nothing behind."""
    parts.meter.tell("change.stored", "default", {"resource": "r"})
    await parts.metering.flush()
    assert not await parts.pipeline.command("EXISTS", meter("tail"))


async def test_who_watches_is_told(parts: Parts, receiver: Receiver) -> None:
    """A change is stored, matched and told of: each step with the ids of the trip, and nothing of its content."""
    tail = Tail(parts.client, parts.pipeline)
    key = await subscribe(parts, receiver.url)
    await tail.watch()
    mark = await tail.end()
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await parts.metering.flush()
        assert parts.meter.watched
        resource = await Publisher(parts).put("one")
        steps: list[dict[str, object]] = []
        while "change.matched" not in [s["step"] for s in steps] or steps[-1]["step"] != "delivery.attempted":
            await parts.metering.flush()
            found = await tail.follow(mark)
            steps += [step for _, step in found if step.get("kind") != "handshake"]
            mark = found[-1][0] if found else mark
    stored, fanned, attempted = steps
    assert (stored["step"], stored["resource"], stored["tenant"]) == ("change.stored", str(resource), "default")
    assert (fanned["step"], fanned["resource"], fanned["subscriptions"]) == ("change.matched", str(resource), 1)
    assert (attempted["subscription"], attempted["outcome"]) == (str(key), "accepted")
    assert "completed" not in str(steps)


async def test_who_watched_is_forgotten(parts: Parts) -> None:
    """When nobody renews it, nobody is told any more."""
    await Tail(parts.client, parts.pipeline).watch()
    await parts.metering.flush()
    assert parts.meter.watched
    await parts.pipeline.command("PEXPIRE", meter("watched"), 1)

    async def unwatched() -> bool:
        await parts.metering.flush()
        return not parts.meter.watched

    await eventually(unwatched)


def test_a_flood_of_steps_is_counted() -> None:
    """What is too much for one flush is told of in a number: to each tenant in its own."""
    counting = Meter(watched=True)
    for number in range(TOLD + 30):
        counting.tell("change.stored", "default", {"number": number})
    counting.tell("change.stored", "ward", {"number": 1})
    steps = [msgspec.json.decode(step) for step in counting.take().steps]
    assert len(steps) == TOLD + 2
    assert [(step["tenant"], step["steps"]) for step in steps[TOLD:]] == [("default", 30), ("ward", 1)]
    assert counting.take().steps == []


async def test_a_trip_is_counted(parts: Parts, receiver: Receiver) -> None:
    """From put to settled: each figure once, and how long it took."""
    key = await subscribe(parts, receiver.url)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        publisher = Publisher(parts)
        for _ in range(3):
            await publisher.put()
        await publisher.put("i0")
        await publisher.put("i0", method="delete")
        found = await until(parts, lambda f: f.total(EVENTS_DELIVERED) == 5 and f.total(CHANGES_MATCHED) == 5)
    assert found.by(CHANGES_STORED, "interaction") == {"create": 3, "update": 1, "delete": 1}
    assert found.total(EVENTS_OWED, tenant=key.tenant) == 5
    assert found.total(EVENTS_DROPPED) == 0
    accepted = len(receiver.received)
    assert found.total(ATTEMPTS, outcome="accepted") == accepted
    assert found.by(NOTIFICATIONS_DELIVERED, "kind")["handshake"] == 1
    assert sum(found.by(NOTIFICATIONS_DELIVERED, "kind").values()) == accepted
    trips = found.timing(TRIP, tenant="default")
    assert trips.count == 5
    assert 0 < trips.seconds < 60
    assert found.timing(ATTEMPT).count == accepted
    assert found.timing(MATCH).count >= 1


async def test_failures_are_counted(parts: Parts, receiver: Receiver) -> None:
    """Each attempt by how it went; what is told at last is delivered once, and its trip was long."""
    receiver.answers["/hook"] = after_handshake(500, 503, 200)
    await subscribe(parts, f"{receiver.url}/hook")
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put()
        found = await until(parts, lambda f: f.total(EVENTS_DELIVERED) == 1)
    assert found.by(ATTEMPTS, "outcome", kind="events") == {"refused": 2, "accepted": 1}
    assert found.by(NOTIFICATIONS_DELIVERED, "kind") == {"handshake": 1, "events": 1}
    assert found.timing(TRIP).seconds > 0.1


async def test_what_is_sent_once_more_is_no_trip(parts: Parts, receiver: Receiver) -> None:
    """It is a notification that was accepted, of an event that was before."""
    key = await subscribe(parts, receiver.url)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put()
        await until(parts, lambda f: f.total(EVENTS_DELIVERED) == 1)
        assert await parts.resending.ask(key, await state(parts), Range(1, 1), now=now())
        found = await until(parts, lambda f: f.by(NOTIFICATIONS_DELIVERED, "kind").get("resend") == 1)
    assert found.total(EVENTS_DELIVERED) == 1
    assert found.timing(TRIP).count == 1


async def test_an_endpoint_that_is_not_there(parts: Parts) -> None:
    """Nobody takes the connection: that is an attempt, and no delivery."""
    await active(parts)
    async with running(fanout(parts)), delivering(parts):
        await Publisher(parts).put()
        await becomes(parts, SubscriptionStatus.ERROR)
    found = await figures(parts)
    assert found.by(ATTEMPTS, "outcome", kind="events") == {"unreachable": 3}
    assert found.total(NOTIFICATIONS_DELIVERED) == 0


async def test_what_is_set_aside_is_counted(parts: Parts) -> None:
    """A change whose body can't be read."""
    async with running(fanout(parts)):
        await Publisher(parts).put_broken(b"{")
        found = await until(parts, lambda f: f.total(EVALUATIONS_FAILED) == 1)
    assert found.by(EVALUATIONS_FAILED, "reason") == {"body": 1}


async def test_what_is_withheld_is_counted(parts: Parts) -> None:
    """By whom the change is, and why."""
    await active(parts)
    await parts.suppressions.add("default", Rule("all", "Immunization"))
    async with running(fanout(parts)):
        await Publisher(parts).put()
        found = await until(parts, lambda f: f.total(CHANGES_MATCHED) == 1)
    assert found.each(EVENTS_WITHHELD) == {("default", "rule"): 1}
    assert found.total(EVENTS_OWED) == 0


async def test_what_is_dropped_is_counted(parts: Parts) -> None:
    """For want of room, and as retention has it."""
    key = await active(parts)
    small = Outboxes(parts.pipeline, 3, parts.meter)
    await Publisher(parts).put_in(Partition(0))
    (change,) = await entries(parts, Partition(0))
    changes = [replace(change, id=f"{number}-0", at=number) for number in range(now(), now() + 5)]
    await small.owe(key, 0, changes)
    found = await figures(parts)
    assert (found.total(EVENTS_OWED), found.total(EVENTS_DROPPED)) == (5, 2)
    await parts.retention.retain(key, changes[1].at)
    assert (await figures(parts)).total(EVENTS_DROPPED) == 3


def test_names_are_unlike() -> None:
    """No two figures have one name, and no label's value can be taken for another's."""
    assert len({family.metric for family in FAMILIES}) == len(FAMILIES)
    assert all(family.name.replace("_", "").isalpha() for family in FAMILIES)


async def _ten_seconds_pass(parts: Parts) -> None:
    """As if the last sample were ten seconds older."""
    last = int(await parts.pipeline.command("HGET", meter("totals"), ""))
    await parts.pipeline.command("HSET", meter("totals"), "", last - 10_000)
