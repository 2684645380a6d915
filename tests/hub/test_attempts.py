"""The log of attempts: what an operator sees of each."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from hub.attempts import Attempts
from hub.keys import SubscriptionKey
from hub.turn import Kind, Sent, Verb
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from subscriptions.pace import Pace
from tests.facts import eventually
from tests.hub.engines import Publisher, becomes, delivering, fanout, member, running, state, subscribe
from tests.hub.life import R4, Life, entry
from tests.receiver import Received, Receiver

ACTIVE, ERROR = SubscriptionStatus.ACTIVE, SubscriptionStatus.ERROR
LONG_ANSWER = "no\x1b[2J\n\x00 " + "é" * 300


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def test_each_attempt_is_there_with_what_came_of_it(parts: Parts, receiver: Receiver) -> None:
    """Of an answer its beginning, without what could do something to a terminal."""
    left = [web.Response(status=500, text=LONG_ANSWER), web.Response(status=200, text="thanks")]

    async def answer(received: Received) -> int | web.StreamResponse:
        return 200 if received.type == "handshake" else left.pop(0)

    receiver.answers["/s"] = answer
    key = await subscribe(parts, f"{receiver.url}/s", max_count=5)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await Publisher(parts).put()

        async def over() -> bool:
            return (await state(parts)).delivered == 1

        await eventually(over)
    found = await Attempts(parts.pipeline).last(key)
    assert [(each.verb, each.number, each.sending.kind) for each in found] == [
        (Verb.DELIVERED, 2, Kind.EVENTS),
        (Verb.AGAIN, 1, Kind.EVENTS),
        (Verb.ACTIVE, 1, Kind.HANDSHAKE),
    ]
    good, bad, handshake = found
    assert good.sending == bad.sending
    assert (good.sending.first, good.sending.last) == (1, 1)
    assert bad.said == "the endpoint answered 500: it failed"
    assert good.sent.answer == "thanks"
    assert bad.sent.answer == "no [2J   " + "é" * 191
    assert len(bad.sent.answer) == 200
    bodies = [len(received.body) for received in receiver.received]
    assert [each.sent.bytes for each in reversed(found)] == bodies
    assert handshake.at <= bad.at <= good.at
    assert all(0 <= each.sent.milliseconds < 30_000 for each in found)


async def test_what_was_not_sent_has_no_bytes(parts: Parts) -> None:
    """The name leads nowhere, or where the hub must not call."""
    key = await subscribe(parts, "http://169.254.169.254/hook", id_="blocked")
    async with delivering(parts):
        await becomes(parts, ERROR, "blocked")
    found = await Attempts(parts.pipeline).last(key)
    assert [(each.verb, each.sent.bytes, each.sent.answer) for each in found] == [
        (Verb.ERROR, 0, ""),
        (Verb.AGAIN, 0, ""),
        (Verb.AGAIN, 0, ""),
    ]


async def test_a_hundred_are_kept_and_none_of_a_subscription_that_is_gone(parts: Parts) -> None:
    life, attempts = (
        Life(parts.outboxes, SubscriptionKey("default", R4, "s", "i"), pace=Pace(1)),
        Attempts(parts.pipeline),
    )
    turn = await life.active()
    await parts.outboxes.owe(life.key, 0, [entry(0, number) for number in range(1, 106)])
    turn = await life.turn()
    for number in range(1, 106):
        settled = await parts.outboxes.settle(
            life.key, str(life.token), turn, Verb.DELIVERED, said="so", sent=Sent(number, 7, "")
        )
        assert settled is not None
        turn = settled
    found = await attempts.last(life.key)
    assert [each.sent.milliseconds for each in found] == list(range(105, 5, -1))
    await parts.outboxes.delete(life.key, expected="*")
    assert await attempts.last(life.key) == []
    assert await parts.pipeline.command("EXISTS", life.key.attempts) == 0


async def test_what_is_answered_after_a_delete_leaves_nothing(parts: Parts, receiver: Receiver) -> None:
    """Its key would stay for ever."""
    key = await subscribe(parts, f"{receiver.url}/s")

    async def deleting(_: Received) -> int:
        await parts.membership.delete(await member(parts), expected="*")
        return 500

    receiver.answers["/s"] = deleting
    async with delivering(parts):
        await receiver.until(lambda: receiver.requests["/s"] == 1)
        shard = parts.due.shards[key.shard(len(parts.due.shards))]

        async def left() -> bool:
            return await parts.pipeline.command("ZSCORE", shard.lease, str(key)) is None

        await eventually(left)
    assert await parts.pipeline.command("EXISTS", key.attempts, key.subscription) == 0
