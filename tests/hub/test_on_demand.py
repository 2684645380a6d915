"""A test notification on demand: through the lane, now, with its outcome where every attempt's is."""

from collections.abc import AsyncIterator

import pytest

from hub.attempts import Attempts
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from tests.hub.engines import (
    Publisher,
    becomes,
    delivering,
    fanout,
    matched,
    member,
    quiet,
    running,
    state,
    subscribe,
    waiting,
)
from tests.receiver import Receiver, after_handshake

ACTIVE, ERROR = SubscriptionStatus.ACTIVE, SubscriptionStatus.ERROR


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def types(receiver: Receiver) -> list[str]:
    return [received.type for received in receiver.received]


async def test_it_is_a_heartbeat_and_moves_no_number(parts: Parts, receiver: Receiver) -> None:
    key = await subscribe(parts, f"{receiver.url}/s")
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await Publisher(parts).put()
        await receiver.until(lambda: len(receiver.received) == 2)
        await quiet(parts, key)
        assert await parts.membership.test(await member(parts))
        await receiver.until(lambda: len(receiver.received) == 3)
        await quiet(parts, key)
    assert types(receiver) == ["handshake", "event-notification", "heartbeat"]
    assert receiver.received[2].parameters["events-since-subscription-start"] == "1"
    attempt, *_ = await Attempts(parts.pipeline).last(key)
    assert (attempt.sending.kind, attempt.verb) == ("heartbeat", "delivered")
    assert ((await state(parts)).delivered, (await state(parts)).test) == (1, False)


async def test_who_waits_for_a_repeat_is_tried_at_once_and_then_gets_the_test(parts: Parts, receiver: Receiver) -> None:
    receiver.answers["/s"] = after_handshake(503, 200)
    key = await subscribe(parts, f"{receiver.url}/s", retry_waits="3600,3600")
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await Publisher(parts).put()
        await receiver.until(lambda: len(receiver.received) == 2)
        await waiting(parts, key)
        assert await parts.membership.test(await member(parts))
        await receiver.until(lambda: len(receiver.received) == 4)
        await quiet(parts, key)
    assert types(receiver) == ["handshake", "event-notification", "event-notification", "heartbeat"]


async def test_a_delivery_window_does_not_hold_it_back(parts: Parts, receiver: Receiver) -> None:
    await subscribe(parts, f"{receiver.url}/s", window=3_600)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await Publisher(parts).put()
        await receiver.until(lambda: len(receiver.received) == 2)
        await matched(parts)
        assert await parts.membership.test(await member(parts))
        await receiver.until(lambda: types(receiver)[2:] == ["heartbeat"])


async def test_nothing_is_sent_to_who_is_not_active(parts: Parts, receiver: Receiver) -> None:
    await subscribe(parts, f"{receiver.url}/s")
    assert not await parts.membership.test(await member(parts))
    receiver.answers["/s"] = after_handshake(400)
    async with delivering(parts):
        await becomes(parts, ACTIVE)
        assert await parts.membership.test(await member(parts))
        await becomes(parts, ERROR)
    assert not await parts.membership.test(await member(parts))
    assert not (await state(parts)).test


async def test_one_whose_marking_was_lost_is_sent_all_the_same(parts: Parts, receiver: Receiver) -> None:
    key = await subscribe(parts, f"{receiver.url}/s")
    async with delivering(parts):
        await becomes(parts, ACTIVE)
        await quiet(parts, key)
        assert await parts.outboxes.call(key, test=True)
        await parts.membership.repair(now=1)
        await receiver.until(lambda: types(receiver) == ["handshake", "heartbeat"])
