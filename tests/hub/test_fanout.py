"""Matching: each change becomes an event of whomever it concerns, once, whatever stops or is broken meanwhile."""

import asyncio
from contextlib import suppress

import pytest

from hub.due import Due
from hub.in_force import InForce
from hub.keys import Partition, SubscriptionKey
from hub.pipeline import Pipeline
from hub.stream import START, Changes
from hub.wiring.parts import Parts
from subscriptions.change import Change
from subscriptions.codes import FhirVersion
from subscriptions.matching import Clock, Index, Matches
from subscriptions.search.held import Held
from tests.facts import eventually
from tests.hub.engines import Publisher, active, entries, events, fanout, matched, now, running


async def due(parts: Parts) -> set[str]:
    """The ids of those that are marked as due."""
    found = await parts.pipeline.all([("ZRANGE", shard.due, 0, -1) for shard in parts.due.shards])
    return {SubscriptionKey.parse(name.decode()).id for names in found for name in names}


async def holders(parts: Parts) -> set[bytes | None]:
    """Who matches any of the partitions; None if one is nobody's."""
    return set(await parts.pipeline.all([("GET", p.matcher) for p in parts.changes.partitions]))


async def held_by(parts: Parts, *names: bytes) -> None:
    async def so() -> bool:
        return await holders(parts) == set(names)

    await eventually(so)


async def test_changes_of_all_partitions_become_events_of_whomever_they_concern(parts: Parts) -> None:
    everybody, one = await active(parts, "a"), await active(parts, "b", "Immunization?_id=i7")
    await active(parts, "c", "Immunization?status=not-done")
    publisher = Publisher(parts)
    async with running(fanout(parts)):
        for _ in range(20):
            await publisher.put()
        await matched(parts)
    assert sorted(await events(parts, everybody)) == sorted(f"i{number}" for number in range(20))
    assert await events(parts, one) == ["i7"]
    assert await due(parts) == {"a", "b"}


async def test_changes_of_one_resource_stay_in_order(parts: Parts) -> None:
    key, publisher = await active(parts), Publisher(parts)
    async with running(fanout(parts, batch=3)):
        for number in range(10):
            await publisher.put("same", method="delete" if number == 4 else "update")
        await matched(parts)
    owed = await parts.outboxes.events(key, 1, 99)
    assert [event.version for event in owed] == list(range(1, 11))
    assert [event.interaction.value for event in owed][3:6] == ["update", "delete", "create"]


async def test_two_matchers_share_the_partitions_and_one_takes_over_when_the_other_stops(parts: Parts) -> None:
    key, publisher = await active(parts), Publisher(parts)
    async with running(fanout(parts, name="one")):
        async with running(fanout(parts, name="two")):
            await held_by(parts, b"one", b"two")
            for _ in range(10):
                await publisher.put()
            await matched(parts)
        await held_by(parts, b"one")
        for _ in range(10):
            await publisher.put()
        await matched(parts)
    assert sorted(await events(parts, key)) == sorted(f"i{number}" for number in range(20))
    assert await holders(parts) == {None}


async def test_any_number_of_matchers_may_match_the_same_batch_at_once(parts: Parts) -> None:
    key, publisher = await active(parts), Publisher(parts)
    partition = parts.changes.partitions[0]
    for _ in range(30):
        await publisher.put_in(partition)
    batch = await entries(parts, partition)
    await asyncio.gather(*(fanout(parts).match(partition, batch) for _ in range(4)))
    assert await events(parts, key) == [entry.resource.id for entry in batch]


class Interrupted(Changes):
    """Changes whose mark is about to be moved when `reached` is set, and never is."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.client, parts.pipeline, 4)
        self.reached = asyncio.Event()

    async def advance(self, partition: Partition, pump: str, mark: str) -> bool:
        self.reached.set()
        await asyncio.Event().wait()
        return await super().advance(partition, pump, mark)


async def test_a_matcher_that_dies_between_owing_and_advancing_leaves_nothing_owed_twice(parts: Parts) -> None:
    key, publisher = await active(parts), Publisher(parts)
    partition = parts.changes.partitions[0]
    for _ in range(5):
        await publisher.put_in(partition)
    dying = Interrupted(parts)
    async with running(fanout(parts, changes=dying)):
        async with asyncio.timeout(20):
            await dying.reached.wait()
    before = await events(parts, key)
    assert len(before) == 5
    assert await parts.changes.matched(partition) == START
    await publisher.put_in(partition)
    async with running(fanout(parts)):
        await matched(parts)
    assert (await events(parts, key))[:5] == before
    assert len(await events(parts, key)) == 6


class Forgetful(Due):
    """Due work that is about to be marked when `reached` is set, and never is."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.client, parts.pipeline, 4)
        self.reached = asyncio.Event()

    async def mark(self, subscriptions: list[SubscriptionKey]) -> None:
        self.reached.set()
        await asyncio.Event().wait()
        await super().mark(subscriptions)


async def test_a_matcher_that_dies_between_owing_and_marking_leaves_nobody_unmarked(parts: Parts) -> None:
    """When the batch is matched again nothing of it is owed any more; who has a backlog is marked all the same."""
    await active(parts)
    await Publisher(parts).put()
    dying, forgetful = fanout(parts), Forgetful(parts)
    dying.due = forgetful
    async with running(dying):
        async with asyncio.timeout(20):
            await forgetful.reached.wait()
    assert await due(parts) == set()
    async with running(fanout(parts)):
        await matched(parts)
    assert await due(parts) == {"s"}


async def test_the_mark_moves_forward_only_and_not_while_somebody_else_matches(parts: Parts) -> None:
    partition = parts.changes.partitions[0]
    assert await parts.changes.hold(partition, "one", milliseconds=60_000)
    assert not await parts.changes.hold(partition, "two", milliseconds=60_000)
    assert await parts.changes.advance(partition, "one", "1000-10")
    assert not await parts.changes.advance(partition, "two", "2000-0")
    for older in ("1000-9", "999-99", START):
        assert await parts.changes.advance(partition, "one", older)
        assert await parts.changes.matched(partition) == "1000-10"
    await parts.changes.let_go(partition, "two")
    assert not await parts.changes.hold(partition, "two", milliseconds=60_000)
    await parts.changes.let_go(partition, "one")
    assert await parts.changes.hold(partition, "two", milliseconds=60_000)


async def test_a_batch_that_takes_longer_than_the_lease_is_done_when_it_is_done(parts: Parts) -> None:
    """Else a change that concerns very many would be matched again and again, and nothing after it ever."""
    partition = parts.changes.partitions[0]
    await parts.changes.hold(partition, "one", milliseconds=1)
    await held_by(parts, None)  # type: ignore[arg-type]  # it ran out
    assert await parts.changes.advance(partition, "one", "1000-0")
    assert await parts.changes.matched(partition) == "1000-0"


BROKEN = [
    pytest.param(b"", id="no JSON at all"),
    pytest.param(b"{", id="half of an object"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[1]", id="a list"),
    pytest.param(b'{"patient":3}', id="a number for an object"),
    pytest.param(b'{"patient":[[[]]],"status":{},"identifier":7}', id="wrong types"),
    pytest.param(b"[" * 100_000 + b"]" * 100_000, id="too deep"),
]


@pytest.mark.parametrize("body", BROKEN)
async def test_a_change_that_cannot_be_read_delays_no_other(parts: Parts, body: bytes) -> None:
    """It is set aside and counted."""
    choosy, publisher = await active(parts, "s", "Immunization?patient=Patient/1,Patient/2"), Publisher(parts)
    everybody = await active(parts, "e")
    broken = await publisher.put_broken(body)
    beside = [await publisher.put_in(Partition(broken.partition(4))) for _ in range(2)]
    engine = fanout(parts)
    async with running(engine):
        await matched(parts)
    assert {resource.id for resource in beside} <= set(await events(parts, everybody))
    assert await events(parts, choosy) == []
    assert engine.poison.total() == 1


async def test_nothing_of_a_resource_is_logged(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """What can't be evaluated is named in the log; who asks why is told more, if they may read the resource."""
    key, publisher = await active(parts, "s", "Immunization?date=2026"), Publisher(parts)
    await publisher.put_broken(b'{"resourceType":"Immunization","occurrenceDateTime":"ZAA0067"}')
    async with running(fanout(parts)):
        await matched(parts)
    assert await events(parts, key) == []
    (logged,) = [vars(record) for record in caplog.records if record.message == "change.set-aside"]
    assert logged["reason"].startswith("Immunization.date could not be read: ")
    assert "ZAA0067" not in str(logged)


async def test_a_change_whose_body_is_gone_delays_no_other(parts: Parts) -> None:
    key, publisher = await active(parts), Publisher(parts)
    gone = await publisher.put("gone")
    await parts.pipeline.command("HDEL", Partition(gone.partition(4)).resource(gone), "b1")
    await publisher.put("there")
    engine = fanout(parts)
    async with running(engine):
        await matched(parts)
    assert await events(parts, key) == ["there"]
    assert engine.poison == {"body": 1}


class Buggy(Index[SubscriptionKey]):
    """An index with a bug that one resource brings to light."""

    def match(self, change: Change, held: Held, clock: Clock | None = None) -> Matches[SubscriptionKey]:
        if change.id == "odd":
            raise ZeroDivisionError
        return super().match(change, held, clock)


async def test_a_bug_that_one_change_brings_to_light_delays_no_other(parts: Parts) -> None:
    key, publisher = await active(parts), Publisher(parts)
    for id_ in ("a", "odd", "b"):
        await publisher.put(id_)
    engine = fanout(parts)
    indexes: dict[tuple[str, FhirVersion], Index[SubscriptionKey]] = {}
    indexes[key.tenant, key.version] = Buggy(parts.tenancy.context(key.tenant, key.version))
    engine.in_force = InForce(parts.registry, parts.tenancy, parts.access, _indexes=indexes)
    async with running(engine):
        await matched(parts)
    assert sorted(await events(parts, key)) == ["a", "b"]
    assert engine.poison == {"matching": 1}


async def test_a_subscription_that_cannot_be_understood_delays_no_other(parts: Parts) -> None:
    bad, good = await active(parts, "bad"), await active(parts, "good")
    registered = await parts.registry.find("default", bad.version, "bad")
    assert registered is not None
    await parts.pipeline.command(
        "HSET",
        "hub:{registry}:subscriptions",
        bad.registered_as,
        registered.record.replace(b"immunization", b"elephant"),
    )
    await Publisher(parts).put("a")
    engine = fanout(parts)
    async with running(engine):
        await matched(parts)
    assert (await events(parts, good), await events(parts, bad)) == (["a"], [])
    assert set(engine.in_force.broken) == {"default/r4/bad"}
    assert engine.poison == {"subscription": 1}


async def test_changes_that_are_matched_are_trimmed_and_the_ends_stay_known(parts: Parts) -> None:
    key, publisher = await active(parts), Publisher(parts)
    async with running(fanout(parts)):
        for _ in range(400):
            await publisher.put()
        await matched(parts)
        ends = await parts.changes.ends()
        await parts.retention.keep(now() + 1, 0)
        assert await parts.changes.ends() == ends
        lengths = await parts.pipeline.all([("XLEN", partition.changes) for partition in parts.changes.partitions])
        assert lengths == [1] * len(lengths)
        await publisher.put("last")
        await matched(parts)
    assert [event.id for event in await parts.outboxes.events(key, 401, 401)] == ["last"]


async def test_what_is_not_matched_yet_is_never_trimmed(parts: Parts) -> None:
    publisher, partition = Publisher(parts), parts.changes.partitions[0]
    for _ in range(250):
        await publisher.put_in(partition)
    all_of_them = await entries(parts, partition)
    await parts.changes.hold(partition, "one", milliseconds=60_000)
    await parts.changes.advance(partition, "one", all_of_them[120].id)
    await parts.retention.keep(now() + 1, 0)
    assert await entries(parts, partition) == all_of_them[120:]


async def test_a_redis_that_comes_back_is_gone_on_with(parts: Parts) -> None:
    """Its connections break under a matcher that waits for changes."""
    key, publisher = await active(parts), Publisher(parts)
    async with running(fanout(parts)):
        await publisher.put("a")
        await matched(parts)
        with suppress(Exception):
            await Pipeline(parts.client).command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
        await eventually(lambda: _stored(publisher))
        await matched(parts)
    assert "a" in await events(parts, key)
    assert len(await events(parts, key)) >= 2


async def _stored(publisher: Publisher) -> bool:
    with suppress(Exception):
        await publisher.put()
        return True
    return False
