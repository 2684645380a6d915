"""A delivery window gathers what comes in it; a schedule of the subscriber's own stands for the hub's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from subscriptions.ranges import Range
from tests.facts import eventually
from tests.hub.engines import (
    Publisher,
    becomes,
    delivering,
    fanout,
    matched,
    member,
    now,
    rewrite,
    running,
    state,
    subscribe,
    time_passes,
    waiting,
)
from tests.receiver import Receiver, after_handshake

ACTIVE, ERROR = SubscriptionStatus.ACTIVE, SubscriptionStatus.ERROR
#: Seconds: no test takes so long.
DAY = 86_400


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def bundles(receiver: Receiver, path: str = "/s") -> list[list[int]]:
    return [received.numbers for received in receiver.received if received.path == path and received.numbers]


async def shut(parts: Parts) -> None:
    """Wait until the subscription is left alone for the rest of its window."""
    await waiting(parts, (await member(parts)).key)


async def open_it(parts: Parts) -> None:
    await shut(parts)
    key = (await member(parts)).key
    await parts.pipeline.command("HSET", key.subscription, "quiet_until", 1)
    await time_passes(parts, key)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, [[1], [2, 3, 4, 5, 6], [7]], id="as-many-as-there-are"),
        pytest.param({"max_count": 3}, [[1], [2, 3, 4], [5, 6, 7]], id="as-many-as-asked-for"),
        pytest.param({"max_count": 1}, [[1], [2], [3]], id="one-by-one"),
        pytest.param({"heartbeat": DAY}, [[1], [2, 3, 4, 5, 6], [7]], id="with-heartbeats"),
    ],
)
async def test_what_comes_in_the_window_is_gathered(
    parts: Parts, receiver: Receiver, options: dict[str, Any], expected: list[list[int]]
) -> None:
    """The first event waits for nothing; those that follow wait until the window opens, and so do those after them."""
    await subscribe(parts, f"{receiver.url}/s", window=DAY, **options)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await receiver.numbered("/s", 1)
        await shut(parts)
        for _ in range(5):
            await publisher.put()
            await matched(parts)
        await shut(parts)
        assert bundles(receiver) == expected[:1]
        await open_it(parts)
        await receiver.until(lambda: len(bundles(receiver)) == 2)
        await publisher.put()
        await matched(parts)
        await shut(parts)
        assert bundles(receiver) == expected[:2]
        await open_it(parts)
        await receiver.until(lambda: len(bundles(receiver)) == 3)
        await shut(parts)
    assert bundles(receiver) == expected


async def test_a_window_that_opens_over_nothing_lets_the_next_event_pass_at_once(
    parts: Parts, receiver: Receiver
) -> None:
    key = await subscribe(parts, f"{receiver.url}/s", window=DAY)
    shard = parts.due.shards[key.shard(len(parts.due.shards))]
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await open_it(parts)

        async def nowhere() -> bool:
            zsets = (shard.due, shard.wait, shard.lease)
            return not any(await parts.pipeline.all([("ZSCORE", zset, str(key)) for zset in zsets]))

        await eventually(nowhere)
        await publisher.put()
        await receiver.numbered("/s", 2)
    assert bundles(receiver) == [[1], [2]]


async def test_what_failed_is_repeated_by_the_schedule_and_not_by_the_window(parts: Parts, receiver: Receiver) -> None:
    """A window opens with what arrived; then it holds for the next one."""
    receiver.answers["/s"] = after_handshake(503, 503, 200)
    await subscribe(parts, f"{receiver.url}/s", window=DAY)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await receiver.until(lambda: len(bundles(receiver)) == 3)
        await publisher.put()
        await matched(parts)
        await shut(parts)
    assert bundles(receiver) == [[1], [1], [1]]
    assert (await state(parts)).delivered == 1


async def test_a_client_that_changes_it_waits_for_no_window(parts: Parts, receiver: Receiver) -> None:
    """Its handshake comes at once, and what was gathered after it."""
    await subscribe(parts, f"{receiver.url}/s", window=DAY)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await shut(parts)
        for _ in range(3):
            await publisher.put()
        await matched(parts)
        await rewrite(parts, f"{receiver.url}/s", window=DAY)
        await receiver.numbered("/s", 4)
    assert bundles(receiver) == [[1], [2, 3, 4]]
    assert [received.type for received in receiver.received if received.path == "/s"][2] == "handshake"


async def test_what_is_sent_once_more_keeps_to_the_window_too(parts: Parts, receiver: Receiver) -> None:
    """Whoever asks for it, the endpoint gets one Bundle in a window; it comes before what was gathered."""
    key = await subscribe(parts, f"{receiver.url}/s", window=DAY)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        for count in (1, 2):
            await publisher.put()
            await receiver.numbered("/s", count)
            await open_it(parts) if count == 1 else await shut(parts)
        await publisher.put()
        await matched(parts)
        found = await parts.resending.ask(key, await state(parts), Range(1, 2), now=now())
        assert found == Range(1, 2)
        await shut(parts)
        assert bundles(receiver) == [[1], [2]]
        await open_it(parts)
        await receiver.until(lambda: len(bundles(receiver)) > 2)
        await shut(parts)
        assert bundles(receiver) == [[1], [2], [1, 2]]
        await open_it(parts)
        await receiver.until(lambda: len(bundles(receiver)) > 3)
    assert bundles(receiver) == [[1], [2], [1, 2], [3]]


async def test_what_is_asked_for_once_more_lets_what_failed_be_tried_at_once(parts: Parts, receiver: Receiver) -> None:
    """As without a window, which holds for what was answered with 2xx."""
    receiver.answers["/s"] = after_handshake(200, 503, 200)
    key = await subscribe(parts, f"{receiver.url}/s", window=DAY, retry_waits=str(DAY))
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await open_it(parts)
        await publisher.put()
        await receiver.numbered("/s", 2)
        await shut(parts)
        await parts.resending.ask(key, await state(parts), Range(1, 1), now=now())
        await receiver.until(lambda: bundles(receiver) == [[1], [2], [2]])
        await open_it(parts)
        await receiver.until(lambda: bundles(receiver) == [[1], [2], [2], [1]])


async def test_a_schedule_of_its_own_stands_for_the_hubs(parts: Parts, receiver: Receiver) -> None:
    """The hub's has two waits of 50 ms, this one a single wait of a day."""
    receiver.answers["/s"] = after_handshake(500)
    key = await subscribe(parts, f"{receiver.url}/s", retry_waits=str(DAY))
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await Publisher(parts).put()
        await shut(parts)
        held = await parts.pipeline.command("HMGET", key.subscription, "next", "outcome_at")
        assert int(held[0]) - int(held[1]) == pytest.approx(DAY * 1000, abs=60_000)
        await time_passes(parts, key)
        await becomes(parts, ERROR)
    assert (await state(parts)).error.endswith("given up after 2 attempts")
    assert bundles(receiver) == [[1], [1]]


@pytest.mark.parametrize("how", ["failing", "gathered", "heartbeat"])
async def test_off_and_on_again_nothing_of_before_comes(parts: Parts, receiver: Receiver, how: str) -> None:
    """Neither what was to be repeated, nor what was gathered, nor a heartbeat: a handshake, and the next change."""
    answers = {"failing": after_handshake(500), "gathered": after_handshake(200), "heartbeat": after_handshake(200)}
    receiver.answers["/s"] = answers[how]
    options: dict[str, Any] = {"retry_waits": str(DAY), "window": DAY, "heartbeat": DAY}
    key = await subscribe(parts, f"{receiver.url}/s", **options)
    shard, publisher = parts.due.shards[key.shard(len(parts.due.shards))], Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        sent = 0
        if how != "heartbeat":
            await publisher.put()
            await receiver.until(lambda: bundles(receiver) == [[1]])
            await shut(parts)
            await publisher.put()
            await publisher.put()
            await matched(parts)
            sent = 1
        await rewrite(parts, f"{receiver.url}/s", status="off", **options)
        await publisher.put()
        await matched(parts)
        receiver.answers["/s"] = after_handshake(200)
        await rewrite(parts, f"{receiver.url}/s", **options)
        await becomes(parts, ACTIVE)
        await publisher.put()
        numbered = 4 if sent else 1
        await receiver.until(lambda: numbered in receiver.numbers("/s"))
        await shut(parts)
        await parts.pipeline.command("ZADD", shard.due, 1, str(key))
        await parts.pipeline.command("XADD", shard.wake, "*", "at", 1)

        async def looked_after() -> bool:
            return await parts.pipeline.command("ZSCORE", shard.due, str(key)) is None

        await eventually(looked_after)
        await shut(parts)
    told = [received.type for received in receiver.received]
    assert told == ["handshake", *["event-notification"] * sent, "handshake", "event-notification"]
    assert bundles(receiver)[sent:] == [[numbered]]
    held = await state(parts)
    assert (held.events, held.delivered) == (numbered, numbered)
