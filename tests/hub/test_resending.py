"""Events that are sent once more: which ones a time means, and how they come in their lane."""

from collections.abc import AsyncIterator
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.keys import SubscriptionKey
from hub.resending import DISORDER, note
from hub.wire import Argument
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from subscriptions.ranges import Range
from tests.facts import eventually
from tests.hub.engines import (
    Publisher,
    becomes,
    delivered,
    delivering,
    fanout,
    matched,
    member,
    now,
    running,
    state,
    subscribe,
)
from tests.hub.life import R4
from tests.receiver import Holding, Receiver, after_handshake

_examples = count()
_moments = st.none() | st.integers(0, 11 * DISORDER)
#: Of each event: when it would have happened if all went in order, how much earlier it did, and whether it is kept.
_happened = st.tuples(st.integers(0, 10 * DISORDER), st.integers(0, DISORDER), st.booleans())


@given(happened=st.lists(_happened, min_size=1, max_size=30), since=_moments, until=_moments)
@settings(max_examples=200)
async def test_all_events_between_two_instants_are_found(
    lasting: Parts, happened: list[tuple[int, int, bool]], since: int | None, until: int | None
) -> None:
    """Although times may run a little against the numbers, and some events are not kept any more."""
    key = SubscriptionKey("default", R4, "t", f"i{next(_examples)}")
    times = {n: max(at - less, 0) for n, (at, less, kept) in enumerate(sorted(happened), 1) if kept}
    fields = ("type", "Patient", "id", "p", "number", "1", "interaction", "update", "at")
    rows: list[tuple[Argument, ...]] = [("XADD", key.outbox, f"{n}-0", *fields, at) for n, at in times.items()]
    await lasting.pipeline.all(rows)
    found = await lasting.resending.between(key, len(happened), since, until)
    wanted = [n for n, at in times.items() if (since is None or at >= since) and (until is None or at <= until)]
    inside = range(found.first, found.last + 1) if found else range(0)
    assert set(wanted) <= set(inside)
    if wanted:
        assert since is None or times[inside[0]] >= since
        assert until is None or times[inside[-1]] <= until


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def asked(parts: Parts, first: int, last: int) -> Range | SubscriptionStatus | None:
    held = await member(parts)
    return await parts.resending.ask(held.key, held.state, Range(first, last), now=now())


async def test_what_is_sent_once_more_has_its_numbers_and_goes_before_what_is_new(
    parts: Parts, receiver: Receiver
) -> None:
    """In bundles as large as others; `delivered` stays where it is."""
    await subscribe(parts, f"{receiver.url}/s", max_count=2)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        for _ in range(7):
            await publisher.put()
        await receiver.numbered("/s", 7)
        receiver.answers["/s"] = holding = Holding()
        before = len(receiver.at("/s"))
        await publisher.put()
        await matched(parts)
        await receiver.until(lambda: holding.on_the_wire > 0)
        await publisher.put()
        assert await asked(parts, 2, 6) == Range(2, 6)
        await matched(parts)
        del receiver.answers["/s"]
        holding.release()

        async def all_behind() -> bool:
            held = await state(parts)
            return held.delivered == 9 and held.resend == ()

        await eventually(all_behind)
    after = receiver.at("/s")[before:]
    assert [received.numbers for received in after] == [[8], [2, 3], [4, 5], [6], [9]]
    assert len({received.bundle["id"] for received in receiver.at("/s")}) == len(receiver.at("/s"))
    for received in after:
        assert received.parameters["events-since-subscription-start"] == str(received.numbers[-1])


async def test_holes_are_passed_over(parts: Parts, receiver: Receiver) -> None:
    """What is not kept any more, at whatever place, holds up nothing."""
    key = await subscribe(parts, f"{receiver.url}/s", max_count=10)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        for _ in range(9):
            await publisher.put()
        await delivered(parts, 9)
        before = len(receiver.at("/s"))
        await parts.pipeline.command("XDEL", key.outbox, "1-0", "4-0", "5-0", "9-0")
        assert await note(parts.pipeline, key, Range(9, 9)) == Range(9, 9)
        assert await asked(parts, 1, 7) == Range(1, 7)
        await publisher.put()
        await receiver.numbered("/s", 10)
    assert [received.numbers for received in receiver.at("/s")[before:]] == [[2, 3], [6, 7], [10]]


async def test_asking_replaces_the_wait_of_what_failed(parts: Parts, receiver: Receiver) -> None:
    """What would be tried again much later is tried now; then comes what was asked for."""
    key = await subscribe(parts, f"{receiver.url}/s")
    publisher = Publisher(parts)
    async with running(fanout(parts)):
        async with delivering(parts):
            await becomes(parts, SubscriptionStatus.ACTIVE)
            await publisher.put()
            await receiver.numbered("/s", 1)
        receiver.answers["/s"] = after_handshake(503)
        async with delivering(parts, waits=(3600,)):
            await publisher.put()
            await receiver.numbered("/s", 2)

            async def waits() -> bool:
                shard = parts.due.shards[key.shard(len(parts.due.shards))]
                return await parts.pipeline.command("ZSCORE", shard.wait, str(key)) is not None

            await eventually(waits)
            del receiver.answers["/s"]
            assert await asked(parts, 1, 2) == Range(1, 1)
            await receiver.events("/s", 4)
    first, failed, again, once_more = receiver.at("/s")
    assert [received.numbers for received in (first, failed, again, once_more)] == [[1], [2], [2], [1]]
    assert failed.body == again.body
    assert first.bundle["id"] != once_more.bundle["id"]


async def test_what_fails_once_more_ends_in_error_and_is_given_up(parts: Parts, receiver: Receiver) -> None:
    await subscribe(parts, f"{receiver.url}/s")
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await publisher.put()
        await delivered(parts, 1)
        receiver.answers["/s"] = after_handshake(500)
        assert await asked(parts, 1, 1) == Range(1, 1)
        await becomes(parts, SubscriptionStatus.ERROR)
    held = await state(parts)
    assert (held.delivered, held.resend, held.error_code) == (1, (), "error-response")
    assert await asked(parts, 1, 1) is SubscriptionStatus.ERROR


async def test_a_repeat_that_has_to_say_less_is_another_notification(parts: Parts, receiver: Receiver) -> None:
    """What is sent once more stays in the outbox beyond its time, but the versions that it points at do not."""
    key = await subscribe(parts, f"{receiver.url}/s", content="full-resource")
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts, waits=(0.1,) * 1000):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await publisher.put("a")
        await publisher.put("a")
        for partition in parts.changes.partitions:  # the last change of each stays
            await publisher.put_in(partition)
        await matched(parts)
        await receiver.numbered("/s", 2 + len(parts.changes.partitions))
        receiver.answers["/s"] = after_handshake(503)
        before = len(receiver.at("/s"))
        assert await asked(parts, 1, 1) == Range(1, 1)
        await receiver.until(lambda: len(receiver.at("/s")) > before + 1)
        await parts.retention.keep(now() + 1, 0)
        whole = len(receiver.at("/s"))
        await receiver.until(lambda: len(receiver.at("/s")) > whole + 1)
        del receiver.answers["/s"]

        async def done() -> bool:
            return (await state(parts)).resend == ()

        await eventually(done)
    again = receiver.at("/s")[before:]
    assert {tuple(received.numbers) for received in again} == {(1,)}
    assert len({received.body for received in again}) == 2
    assert len({(received.bundle["id"], received.body) for received in again}) == 2
    assert again[0].bundle["id"] != again[-1].bundle["id"]
    assert [event.number for event in await parts.outboxes.events(key, 1, 1)] == [1]


async def test_a_notification_tells_what_was_dropped_before_it(parts: Parts, receiver: Receiver) -> None:
    """And which bodies are not kept any more: then it holds up nothing."""
    receiver.answers["/s"] = after_handshake(500)
    key = await subscribe(parts, f"{receiver.url}/s", content="full-resource")
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts, waits=(0.1,) * 1000):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        for id_ in ("a", "b", "c"):
            await publisher.put(id_)
            await matched(parts)
        await receiver.numbered("/s", 1)
        last = (await parts.outboxes.events(key, 3, 3))[0]
        fields = ("type", "Immunization", "id", "c", "number", "7", "interaction", "update", "at", last.at + 1_000)
        await parts.pipeline.command("XADD", key.outbox, "4-0", *fields)
        await parts.pipeline.command("HSET", key.subscription, "events", 4)
        await parts.retention.retain(key, last.at + 1)
        del receiver.answers["/s"]
        await receiver.until(lambda: 4 in receiver.told["/s"])

        async def behind() -> bool:
            held = await state(parts)
            return (held.delivered, held.untold) == (4, None)

        await eventually(behind)
    told = receiver.at("/s")[-1].bundle["entry"][0]["resource"]["parameter"]
    assert [each["valueCodeableConcept"]["text"] for each in told if each["name"] == "error"] == [
        "events 1 to 3 were dropped undelivered, and can't be had any more",
        "not all resources are kept any more as they were: event 4",
    ]
    assert (await state(parts)).dropped_events == 3
