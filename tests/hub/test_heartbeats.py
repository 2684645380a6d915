"""Heartbeats: only to whoever asked for them, when nothing else was sent for a period; tried like events."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from tests.facts import eventually
from tests.hub.engines import Publisher, becomes, delivering, fanout, member, now, rewrite, running, state, subscribe
from tests.receiver import Answer, Received, Receiver, after_handshake

ACTIVE, ERROR, OFF = SubscriptionStatus.ACTIVE, SubscriptionStatus.ERROR, SubscriptionStatus.OFF
#: Seconds, one of which is over soon: FHIR has no shorter period, and none of a day ends in a test.
SHORT, LONG = 1, 86_400


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def types(receiver: Receiver, path: str = "/s") -> list[str]:
    return [received.type for received in receiver.received if received.path == path]


def gaps(receiver: Receiver) -> list[float]:
    """Seconds between one notification and the next, as the subscriber measures them."""
    return [after - before for before, after in pairwise(each.at for each in receiver.received if each.path == "/s")]


def heartbeats(receiver: Receiver, path: str = "/s") -> list[Received]:
    return [received for received in receiver.received if (received.path, received.type) == (path, "heartbeat")]


async def time_for_a_heartbeat(parts: Parts, id_: str = "s") -> None:
    """Let the subscription's next heartbeat be due."""
    key = (await member(parts, id_)).key
    shard = parts.due.shards[key.shard(len(parts.due.shards))]

    async def foreseen() -> bool:
        return await parts.pipeline.command("ZSCORE", shard.due, str(key)) is not None

    await eventually(foreseen)
    await parts.pipeline.command("HSET", key.subscription, "beat_at", 1)
    await parts.pipeline.command("ZADD", shard.due, "XX", 1, str(key))
    await parts.pipeline.command("XADD", shard.wake, "*", "at", 1)


async def test_it_says_that_nothing_is_new(parts: Parts, receiver: Receiver) -> None:
    """No event is in it, and it counts as none: not even the last one is told of again."""
    await subscribe(parts, f"{receiver.url}/s", heartbeat=LONG)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await time_for_a_heartbeat(parts)
        await receiver.until(lambda: len(heartbeats(receiver)) == 1)
        await publisher.put()
        await receiver.numbered("/s", 1)
        await time_for_a_heartbeat(parts)
        await receiver.until(lambda: len(heartbeats(receiver)) == 2)
        await publisher.put()
        await receiver.numbered("/s", 2)
    assert types(receiver) == ["handshake", "heartbeat", "event-notification", "heartbeat", "event-notification"]
    first, second = heartbeats(receiver)
    assert [each.parameters["events-since-subscription-start"] for each in (first, second)] == ["0", "1"]
    for each in (first, second):
        assert each.parameters["status"] == "active"
        assert each.parameters["topic"]
        assert each.parameters["notification-event"] == []
        assert len(each.bundle["entry"]) == 1
    assert len({received.bundle["id"] for received in receiver.received}) == 5


async def test_no_period_passes_without_a_notification(parts: Parts, receiver: Receiver) -> None:
    """Really: the subscriber measures it. Beside it is one who did not ask for heartbeats, and one who says no."""
    receiver.answers["/refuses"] = _refuse
    for id_, options in (("s", {"heartbeat": SHORT}), ("plain", {}), ("refuses", {"heartbeat": SHORT})):
        await subscribe(parts, f"{receiver.url}/{id_}", id_=id_, **options)
    async with delivering(parts):
        await becomes(parts, ACTIVE, "plain")
        await becomes(parts, ERROR, "refuses")
        # Each may be late on its way, and all of them are not.
        await receiver.until(lambda: len(heartbeats(receiver)) >= 3 and min(gaps(receiver)) < SHORT, seconds=60)
    assert types(receiver, "/plain") == ["handshake"]
    assert set(types(receiver, "/refuses")) == {"handshake"}
    assert min(gaps(receiver)) > 0.8 * SHORT, "it comes when it must, and not before"


async def _refuse(_: Received) -> int:
    return 403


async def test_an_event_notification_starts_the_period_anew(parts: Parts, receiver: Receiver) -> None:
    key = await subscribe(parts, f"{receiver.url}/s", heartbeat=LONG)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await parts.pipeline.command("HSET", key.subscription, "beat_at", 9)
        await Publisher(parts).put()
        await receiver.numbered("/s", 1)

        async def counted_anew() -> bool:
            return ((await state(parts)).beat_at or 0) > now() + (LONG - 60) * 1000

        await eventually(counted_anew)
    assert types(receiver) == ["handshake", "event-notification"]


@pytest.mark.parametrize(
    ("answer", "attempts", "status"),
    [
        pytest.param(after_handshake(503, 200), 2, ACTIVE, id="once"),
        pytest.param(after_handshake(500), 3, ERROR, id="for-ever"),
        pytest.param(after_handshake(410), 1, OFF, id="gone"),
    ],
)
async def test_one_that_fails_follows_the_schedule(
    parts: Parts, receiver: Receiver, answer: Answer, attempts: int, status: SubscriptionStatus
) -> None:
    """As an event does: the same bytes again, and no others beside it; then `error`, in which there are none."""
    receiver.answers["/s"] = answer
    key = await subscribe(parts, f"{receiver.url}/s", heartbeat=LONG)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await time_for_a_heartbeat(parts)
        await receiver.until(lambda: len(heartbeats(receiver)) == attempts)

        async def over() -> bool:
            held = await state(parts)
            return held.status is status and not held.failing

        await eventually(over)
    assert len({received.body for received in heartbeats(receiver)}) == 1
    held = await parts.pipeline.command("HMGET", key.subscription, "beat_at", "sending")
    assert (held[0] is not None, held[1]) == (status is ACTIVE, None)


@pytest.mark.parametrize("how", ["off", "deleted", "without"])
async def test_there_are_none_any_more_when_nobody_wants_them(parts: Parts, receiver: Receiver, how: str) -> None:
    """Although one was foreseen."""
    key = await subscribe(parts, f"{receiver.url}/s", heartbeat=LONG)
    await subscribe(parts, f"{receiver.url}/other", id_="other", heartbeat=LONG)
    shard = parts.due.shards[key.shard(len(parts.due.shards))]
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await becomes(parts, ACTIVE, "other")
        if how == "deleted":
            await parts.membership.delete(await member(parts), expected="*")
        elif how == "off":
            await rewrite(parts, f"{receiver.url}/s", status="off", heartbeat=LONG)
        else:
            await rewrite(parts, f"{receiver.url}/s")
            await becomes(parts, ACTIVE)
        await parts.pipeline.command("ZADD", shard.due, 1, str(key))
        await time_for_a_heartbeat(parts, "other")
        await receiver.until(lambda: len(heartbeats(receiver, "/other")) == 1)

        async def nowhere() -> bool:
            zsets = (shard.due, shard.wait, shard.lease)
            return not any(await parts.pipeline.all([("ZSCORE", zset, str(key)) for zset in zsets]))

        await eventually(nowhere)
    assert types(receiver) == ["handshake"] * (2 if how == "without" else 1)


async def test_whoever_waits_for_one_is_not_forgotten_when_its_place_in_the_lists_is_lost(
    parts: Parts, receiver: Receiver
) -> None:
    key = await subscribe(parts, f"{receiver.url}/s", heartbeat=SHORT)
    shard = parts.due.shards[key.shard(len(parts.due.shards))]
    async with delivering(parts):
        await becomes(parts, ACTIVE)
    for zset in (shard.due, shard.wait, shard.lease):
        await parts.pipeline.command("ZREM", zset, str(key))
    assert await parts.membership.repair(now=now()) == 1
    assert await parts.membership.repair(now=now()) == 0
    sent = len(heartbeats(receiver))
    async with delivering(parts):
        await receiver.until(lambda: len(heartbeats(receiver)) > sent)
