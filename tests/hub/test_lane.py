"""Delivery: strictly one notification in flight, in order, and what is on the wire while everything else happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import groupby
from pathlib import Path

import pytest

from hub.attempts import Attempts
from hub.channels.origins import SLOW
from hub.due import Claimed, Due
from hub.keys import ResourceId, Shard, SubscriptionKey
from hub.lane import FAIR_SHARE, Lane
from hub.outbox import Subscribed
from hub.store import Store
from hub.stream import Changes
from hub.turn import Turn
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from subscriptions.codes import SubscriptionStatus
from subscriptions.ranges import Range
from tests.facts import eventually
from tests.hub import conftest
from tests.hub.engines import (
    Publisher,
    becomes,
    deliverer,
    delivering,
    events,
    fanout,
    matched,
    member,
    now,
    quiet,
    rewrite,
    running,
    sender,
    state,
    subscribe,
    time_passes,
)
from tests.hub.names import name_server
from tests.hub.wire import Wire, serving
from tests.receiver import Holding, Received, Receiver, after_handshake
from tests.redis_server import RedisServer

ACTIVE, ERROR, OFF = SubscriptionStatus.ACTIVE, SubscriptionStatus.ERROR, SubscriptionStatus.OFF


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def on_the_wire(holding: Holding, many: int = 1) -> None:
    async def so() -> bool:
        return holding.on_the_wire == many

    await eventually(so)


async def delivered(parts: Parts, number: int, id_: str = "s") -> None:
    """Wait until the subscription's events up to this number are behind it."""

    async def so() -> bool:
        return (await state(parts, id_)).delivered >= number

    await eventually(so)


async def test_events_arrive_once_each_in_the_order_of_their_numbers(parts: Parts, receiver: Receiver) -> None:
    """More than one fair share of them, and for more than one subscription."""
    for id_ in ("a", "b", "c"):
        await subscribe(parts, f"{receiver.url}/{id_}", id_=id_, max_count=2 if id_ == "b" else 1)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        for id_ in ("a", "b", "c"):
            await becomes(parts, ACTIVE, id_)
        for _ in range(50):
            await publisher.put()
        for id_ in ("a", "b", "c"):
            await receiver.numbered(f"/{id_}", 50)
            await delivered(parts, 50, id_)
    for id_ in ("a", "b", "c"):
        assert receiver.numbers(f"/{id_}") == list(range(1, 51))
        assert next(r.type for r in receiver.received if r.path == f"/{id_}") == "handshake"
        foci = [focus for received in receiver.at(f"/{id_}") for focus in received.foci]
        assert foci == [f"Immunization/{id_}" for id_ in await events(parts, (await member(parts, id_)).key)]


class Paused(Changes):
    """Changes whose ends are read between two pauses of whoever activates."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.client, parts.pipeline, 4)
        self.asked, self.may_read, self.has_read, self.may_go_on = (asyncio.Event() for _ in range(4))

    async def ends(self) -> dict[int, str]:
        self.asked.set()
        await self.may_read.wait()
        ends = await super().ends()
        self.has_read.set()
        await self.may_go_on.wait()
        return ends


@pytest.mark.parametrize("matching", ["between", "afterwards"])
async def test_activation_misses_nothing_that_comes_after_it_and_fires_nothing_from_before(
    parts: Parts, receiver: Receiver, matching: str
) -> None:
    """
    Changes before, between and after the reading of the streams' ends and the change of the status, in all partitions.
    Those between belong to neither; whether they are matched before the status changes decides.
    """
    paused, publisher = Paused(parts), Publisher(parts)
    key = await subscribe(parts, f"{receiver.url}/s")
    engine = fanout(parts)

    async def put_everywhere() -> set[str]:
        return {(await publisher.put_in(partition)).id for partition in parts.changes.partitions}

    async with delivering(parts, changes=paused):
        await put_everywhere()
        await paused.asked.wait()
        await put_everywhere()
        paused.may_read.set()
        await paused.has_read.wait()
        between = await put_everywhere()
        if matching == "between":
            async with running(engine):
                await matched(parts)
        paused.may_go_on.set()
        await becomes(parts, ACTIVE)
        after = await put_everywhere()
        async with running(fanout(parts)):
            await matched(parts)
            wanted = after if matching == "between" else after | between
            await receiver.numbered("/s", len(wanted))
            await delivered(parts, len(wanted))
    assert set(await events(parts, key)) == wanted
    assert receiver.numbers("/s") == list(range(1, len(wanted) + 1))


async def test_re_activation_leaves_what_was_not_sent_to_be_asked_for_and_misses_nothing_new(
    parts: Parts, receiver: Receiver
) -> None:
    """In `error` and while the handshake waits, changes go on being numbered."""
    receiver.answers["/s"] = after_handshake(200, 500)
    key, publisher, paused = await subscribe(parts, f"{receiver.url}/s"), Publisher(parts), Paused(parts)
    async with running(fanout(parts)):
        async with delivering(parts):
            await becomes(parts, ACTIVE)
            for _ in range(3):
                await publisher.put()
            await matched(parts)
            await becomes(parts, ERROR)
        await publisher.put()
        await matched(parts)
        failed = await state(parts)
        assert (failed.events, failed.delivered, failed.error_code) == (4, 1, "error-response")
        before = len(receiver.received)
        del receiver.answers["/s"]
        async with delivering(parts, changes=paused):
            await rewrite(parts, f"{receiver.url}/s")
            await paused.asked.wait()
            await publisher.put()
            paused.may_read.set()
            await paused.has_read.wait()
            await publisher.put()
            await matched(parts)
            paused.may_go_on.set()
            await becomes(parts, ACTIVE)
            await publisher.put()
            await receiver.until(lambda: 7 in receiver.numbers("/s"))
            await delivered(parts, 7)
            await quiet(parts, key)
    assert [received.type for received in receiver.received[before:]] == ["handshake", "event-notification"]
    assert (await state(parts)).skipped_events == 5
    assert len(await events(parts, key)) == 7


async def test_a_changed_subscription_gets_its_handshake_and_then_what_was_on_the_wire_once_more(
    parts: Parts, receiver: Receiver
) -> None:
    """The answer to what is on the wire does not count any more: it was for another version of the Subscription."""
    receiver.answers["/old"] = holding = Holding()
    await subscribe(parts, f"{receiver.url}/old")
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await on_the_wire(holding)
        await rewrite(parts, f"{receiver.url}/new")
        assert (await state(parts)).status is SubscriptionStatus.REQUESTED
        holding.release()
        await becomes(parts, ACTIVE)
        await publisher.put()
        await receiver.numbered("/new", 2)
        await delivered(parts, 2)
    assert receiver.numbers("/old") == [1]
    assert next(received.type for received in receiver.received if received.path == "/new") == "handshake"
    assert receiver.numbers("/new") == [1, 2]


async def owed(parts: Parts, events: int) -> None:
    """Wait until fan-out has numbered so many events."""

    async def numbered() -> bool:
        return (await state(parts)).events == events

    await eventually(numbered)


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("how", ["off", "deleted"])
async def test_nothing_comes_after_off_or_delete_but_what_was_on_the_wire(
    parts: Parts, receiver: Receiver, how: str, status: int
) -> None:
    """However it is answered: neither the next event, nor a repeat."""
    receiver.answers["/s"] = holding = Holding(status)
    key = await subscribe(parts, f"{receiver.url}/s")
    await subscribe(parts, f"{receiver.url}/other", id_="other")
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await becomes(parts, ACTIVE, "other")
        for _ in range(3):
            await publisher.put()
        await on_the_wire(holding)
        await owed(parts, 3)
        if how == "off":
            await rewrite(parts, f"{receiver.url}/s", status="off")
        else:
            written = await parts.membership.delete(await member(parts), expected="*")
            assert written.outcome is Subscribed.DELETED
        holding.release()
        await publisher.put()
        await receiver.numbered("/other", 4)
        await quiet(parts, key)
    assert receiver.requests["/s"] == 2, "the handshake, and what was on the wire"
    if how == "off":
        held = await state(parts)
        assert (held.status, held.events, held.delivered) == (OFF, 3, 0)


async def test_nothing_is_sent_of_what_was_deleted_while_it_was_put_together(
    parts: Parts, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Its events are gone with it; that is no mishap, and the lease is given back."""
    key = await subscribe(parts, f"{receiver.url}/s", max_count=2)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
    async with running(fanout(parts)):
        for _ in range(2):
            await publisher.put()
        await owed(parts, 2)
    await parts.due.mark([key])  # fan-out may have been stopped just before
    shard = parts.due.shards[key.shard(len(parts.due.shards))]
    (lease,) = (await parts.due.claim(shard, most=10, milliseconds=60_000)).leases
    turn = await parts.outboxes.take(key, lease.token, ahead=1)
    assert isinstance(turn, Turn)
    serving = sender(parts)
    assert await serving.recipient(key, turn.revision)
    await parts.membership.delete(await member(parts), expected="*")
    await Lane(serving, lease, turn).run()
    assert receiver.requests["/s"] == 1, "the handshake"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    assert await parts.due.renew(lease, milliseconds=1) is None
    await serving.channel.close()


async def test_what_was_deleted_and_created_anew_while_its_notification_was_on_the_wire_begins_anew(
    parts: Parts, receiver: Receiver
) -> None:
    receiver.answers["/s"] = holding = Holding()
    await subscribe(parts, f"{receiver.url}/s")
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await on_the_wire(holding)
        await parts.membership.delete(await member(parts), expected="*")
        await subscribe(parts, f"{receiver.url}/s")
        await becomes(parts, ACTIVE)
        holding.release()
        await publisher.put("new")
        await delivered(parts, 1)
    first, second = receiver.at("/s")
    assert (first.numbers, second.numbers) == ([1], [1])
    assert second.foci == ["Immunization/new"]
    assert first.bundle["id"] != second.bundle["id"]


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
async def test_a_lane_that_dies_with_its_notification_on_the_wire_is_followed_by_one_that_sends_the_same_bytes(
    parts: Parts, receiver: Receiver, content: str
) -> None:
    """Although more events came meanwhile, and newer versions of what it tells of."""
    receiver.answers["/s"] = holding = Holding()
    key = await subscribe(parts, f"{receiver.url}/s", content=content, max_count=10)
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts) as delivery:
        await becomes(parts, ACTIVE)
        await publisher.put("same")
        await on_the_wire(holding)
        for lane in list(delivery._running):
            lane.cancel()
        await publisher.put("same")
        await publisher.put("same", method="delete")
        await matched(parts)
        await time_passes(parts, key)
        await on_the_wire(holding, 2)
        holding.release()
        await delivered(parts, 3)
    first, second, third = receiver.at("/s")
    assert first.body == second.body
    assert (first.numbers, third.numbers) == ([1], [2, 3])
    assert third.bundle["id"] != first.bundle["id"]


async def test_a_failed_notification_is_repeated_with_the_same_bytes_until_it_is_taken(
    parts: Parts, receiver: Receiver
) -> None:
    receiver.answers["/s"] = after_handshake(500, 503, 200)
    await subscribe(parts, f"{receiver.url}/s", content="full-resource")
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put("same")
        await publisher.put("same")
        await delivered(parts, 2)
    assert receiver.numbers("/s") == [1, 1, 1, 2]
    assert len({received.body for received in receiver.at("/s")[:3]}) == 1
    assert (await state(parts)).failing == ""


async def test_a_notification_ends_before_its_resources_are_too_many_bytes(parts: Parts, receiver: Receiver) -> None:
    """Of more than are read at once, in repeats, and in what is sent once more. One event is told in any case."""
    key, publisher, many = (
        await subscribe(parts, f"{receiver.url}/s", max_count=100, content="full-resource"),
        Publisher(parts),
        30,
    )
    async with running(fanout(parts)):
        async with delivering(parts):
            await becomes(parts, ACTIVE)
        for _ in range(2 * many):
            resource = await publisher.put("x")
        await matched(parts)
    (largest,) = await parts.store.bodies([(resource, 2 * many)])
    assert largest is not None
    receiver.answers["/s"] = after_handshake(500, 200)
    async with delivering(parts, most_bytes=many * len(largest), waits=(0.1,)):
        await delivered(parts, 2 * many)
        await parts.resending.ask(key, await state(parts), Range(2, many + 2), now=now())
        came = [received.numbers for received in await receiver.events("/s", 5)]
    first, second = list(range(1, many + 1)), list(range(many + 1, 2 * many + 1))
    assert came == [first, first, second, list(range(2, many + 2)), [many + 2]]
    assert len({received.body for received in receiver.at("/s")}) == 4
    async with delivering(parts, most_bytes=1):
        await parts.resending.ask(key, await state(parts), Range(1, 2), now=now())
        assert [received.numbers for received in (await receiver.events("/s", 7))[5:]] == [[1], [2]]
    told = [attempt.sending for attempt in await Attempts(parts.pipeline).last(key)]
    assert [(each.first, each.last) for each in reversed(told)][1:4] == [(1, many), (1, many), (many + 1, 2 * many)]


async def test_when_all_attempts_have_failed_it_is_in_error_and_its_events_are_numbered_on(
    parts: Parts, receiver: Receiver
) -> None:
    receiver.answers["/s"] = after_handshake(500)
    key, publisher = await subscribe(parts, f"{receiver.url}/s"), Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await becomes(parts, ERROR)
        await publisher.put()
        await matched(parts)
        await quiet(parts, key)
    assert receiver.numbers("/s") == [1, 1, 1]
    held = await state(parts)
    assert (held.events, held.delivered) == (2, 0)
    assert "500" in held.error
    assert "3 attempts" in held.error


async def test_410_turns_it_off_at_once(parts: Parts, receiver: Receiver) -> None:
    receiver.answers["/s"] = after_handshake(410)
    key, publisher = await subscribe(parts, f"{receiver.url}/s"), Publisher(parts)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await becomes(parts, OFF)
        await publisher.put()
        await matched(parts)
        await quiet(parts, key)
    assert receiver.numbers("/s") == [1]
    assert (await state(parts)).events == 1


async def test_a_handshake_is_tried_three_times_with_the_same_bytes(parts: Parts, receiver: Receiver) -> None:
    async def fail(_: Received) -> int:
        return 500

    receiver.answers["/s"] = fail
    key = await subscribe(parts, f"{receiver.url}/s")
    async with delivering(parts):
        await eventually(lambda: _given_up(parts, key))
        await quiet(parts, key)
    assert len(receiver.received) == 3
    assert len({received.body for received in receiver.received}) == 1
    assert (await state(parts)).error.startswith("the handshake failed")


async def _given_up(parts: Parts, key: SubscriptionKey) -> bool:
    """Whether it is in error. If it waits for its time, that has come."""
    shard = parts.due.shards[key.shard(len(parts.due.shards))]
    await parts.pipeline.command("HDEL", key.subscription, "next")
    await parts.pipeline.command("ZADD", shard.wait, "XX", 1, str(key))
    await parts.pipeline.command("XADD", shard.wake, "*", "at", 1)
    return (await state(parts)).status is ERROR


async def test_one_that_is_not_registered_is_left_for_a_while_after_its_handshake(
    parts: Parts, receiver: Receiver
) -> None:
    """Its delete is under way, or was: its endpoint is not asked again and again."""
    key = await subscribe(parts, f"{receiver.url}/s")
    await parts.registry.remove(key)
    shard = parts.due.shards[key.shard(len(parts.due.shards))]
    async with delivering(parts):
        await receiver.until(lambda: bool(receiver.at("/s", "handshake")))
        await eventually(lambda: parts.pipeline.command("ZSCORE", shard.wait, str(key)))
    assert float(await parts.pipeline.command("ZSCORE", shard.wait, str(key))) > now() + 50_000
    assert len(receiver.at("/s", "handshake")) == 1


async def test_a_handshake_that_is_answered_with_4xx_is_not_tried_again(parts: Parts, receiver: Receiver) -> None:
    async def forbid(_: Received) -> int:
        return 403

    receiver.answers["/s"] = forbid
    key = await subscribe(parts, f"{receiver.url}/s")
    async with delivering(parts):
        await becomes(parts, ERROR)
        await quiet(parts, key)
    assert len(receiver.received) == 1


async def test_a_subscriber_that_takes_its_time_delays_nobody_not_even_on_its_own_origin(
    parts: Parts, receiver: Receiver
) -> None:
    receiver.answers |= {f"/slow{n}": Holding() for n in range(6)}
    for n in range(6):
        await subscribe(parts, f"{receiver.url}/slow{n}", id_=f"slow{n}")
    await subscribe(parts, f"{receiver.url}/quick", id_="quick")
    publisher = Publisher(parts)
    async with running(fanout(parts)), delivering(parts, slots=8, timeout=60):
        for id_ in ("quick", *(f"slow{n}" for n in range(6))):
            await becomes(parts, ACTIVE, id_)
        for _ in range(30):
            await publisher.put()
        await receiver.numbered("/quick", 30)
        await receiver.until(lambda: all(receiver.requests[f"/slow{n}"] == 2 for n in range(6)))
        for holding in receiver.answers.values():
            assert isinstance(holding, Holding)
            holding.release()


async def test_endpoints_that_hang_at_many_origins_leave_all_lanes_to_the_quick_and_are_charged_nothing_for_it(
    parts: Parts, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Two lanes, six places for slow requests, ten origins that hang: four requests are broken off. Their subscriptions
    wait for a place, and get the same bytes then.
    """
    caplog.set_level("INFO", "hub")
    holding = Holding()
    ids = [f"hanging{n}" for n in range(10)]
    async with AsyncExitStack() as stack:
        hanging = [await stack.enter_async_context(Receiver({"/s": holding})) for _ in ids]
        for id_, each in zip(ids, hanging, strict=True):
            await subscribe(parts, f"{each.url}/s", "status=not-done", id_=id_)
        await subscribe(parts, f"{receiver.url}/s", "status=completed")
        await stack.enter_async_context(running(fanout(parts)))
        delivery = await stack.enter_async_context(delivering(parts, lanes=2, timeout=60))
        for id_ in (*ids, "s"):
            await becomes(parts, ACTIVE, id_)
        publisher = Publisher(parts)
        await publisher.put(status="not-done")
        await on_the_wire(holding, len(ids))
        await eventually(lambda: caplog.messages.count("delivery.postponed") == 4)
        assert delivery.sender.origins.slow == 6
        await publisher.put()
        await delivered(parts, 1)
        assert delivery.sender.origins.slow == 6
        assert [(await state(parts, id_)).failing for id_ in ids] == [""] * len(ids)
        holding.release()
        for id_ in ids:
            await delivered(parts, 1, id_)
    assert sum(len(each.at("/s")) for each in hanging) == len(ids) + 4
    for each in hanging:
        assert len({received.body for received in each.at("/s")}) == 1


async def test_what_was_accepted_is_not_sent_again_because_its_body_is_slow(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lane, whose three places for slow requests are taken; the status comes in time, the body does not."""
    monkeypatch.setattr("hub.channels.rest_hook.MOST_BODY", 3 * SLOW)
    holding, wire = Holding(), Wire()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.request(reader)
        if len(wire.requests) == 1:  # the handshake
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        await wire.drip(writer, b"x", pause=0.05)

    async with AsyncExitStack() as stack:
        for n in range(3):
            each = await stack.enter_async_context(Receiver({"/s": holding}))
            await subscribe(parts, f"{each.url}/s", "status=not-done", id_=f"hanging{n}")
        await stack.enter_async_context(serving(wire, handle))
        await subscribe(parts, f"http://127.0.0.1:{wire.port}/", "status=completed")
        await stack.enter_async_context(running(fanout(parts)))
        delivery = await stack.enter_async_context(delivering(parts, lanes=1, timeout=60))
        for id_ in ("hanging0", "hanging1", "hanging2", "s"):
            await becomes(parts, ACTIVE, id_)
        publisher = Publisher(parts)
        await publisher.put(status="not-done")
        await eventually(lambda: delivery.sender.origins.slow == 3)
        await publisher.put()
        await delivered(parts, 1)
        assert len(wire.requests) == 2
        holding.release()


async def test_names_that_are_slow_delay_nobody(parts: Parts, receiver: Receiver) -> None:
    """The name server is silent about those of forty endpoints; a name that it knows is called meanwhile."""
    port = receiver.url.rpartition(":")[2]
    slow = [f"slow{n}" for n in range(40)]
    async with (
        name_server(good="127.0.0.1") as names,
        delivering(parts, name_servers=(names.address,), timeout=60, last_seconds=0.1),
    ):
        for id_ in slow:
            await subscribe(parts, f"http://{id_}.slow.example:{port}/s", id_=id_)
        await eventually(lambda: len(names.asked) == len(slow))
        await subscribe(parts, f"http://good.example:{port}/s")
        await becomes(parts, ACTIVE)
        assert [(await state(parts, id_)).failing for id_ in slow] == [""] * len(slow), "all of them still wait"
    assert receiver.requests["/s"] == 1


async def test_a_subscription_with_a_long_backlog_gives_its_place_to_others(parts: Parts, receiver: Receiver) -> None:
    """With one place for all: after twenty notifications it is the other one's turn."""
    one_shard = Due(parts.client, parts.pipeline, 1)
    for id_ in ("a", "b"):
        await subscribe(parts, f"{receiver.url}/{id_}", id_=id_)
    publisher = Publisher(parts)
    async with running(fanout(parts)):
        async with delivering(parts):
            await becomes(parts, ACTIVE, "a")
            await becomes(parts, ACTIVE, "b")
        for _ in range(50):
            await publisher.put()
        await matched(parts)
    for id_ in ("a", "b"):
        await one_shard.mark([(await member(parts, id_)).key])
    async with delivering(parts, lanes=1, due=one_shard):
        await receiver.numbered("/a", 50)
        await receiver.numbered("/b", 50)
    turns = [list(turn) for _, turn in groupby(r.path for r in receiver.received if r.type != "handshake")]
    assert len(turns) >= 6
    assert all(len(turn) <= FAIR_SHARE for turn in turns)


async def test_a_subscription_that_cannot_be_read_delays_no_other(parts: Parts, receiver: Receiver) -> None:
    for id_, resource in (("bad", b"{}"), ("worse", b"[]"), ("worst", b"{")):
        bad = await subscribe(parts, f"{receiver.url}/{id_}", id_=id_)
        await parts.pipeline.command("HSET", bad.subscription, "resource", resource)
    await subscribe(parts, f"{receiver.url}/good", id_="good")
    async with delivering(parts):
        await becomes(parts, ACTIVE, "good")
    assert {received.path for received in receiver.received} == {"/good"}


async def test_a_token_that_redis_forgot_does_not_stop_a_subscription(parts: Parts, receiver: Receiver) -> None:
    key = await subscribe(parts, f"{receiver.url}/s")
    await parts.pipeline.command("HSET", key.subscription, "token", 1000)
    async with delivering(parts):
        await becomes(parts, ACTIVE)
    assert await parts.pipeline.command("HGET", key.subscription, "token") == b"1001"


async def test_what_is_told_to_stop_ends_what_it_has_begun_and_starts_nothing_more(
    parts: Parts, receiver: Receiver
) -> None:
    receiver.answers["/s"] = holding = Holding()
    key, publisher = await subscribe(parts, f"{receiver.url}/s"), Publisher(parts)
    async with running(fanout(parts)):
        async with delivering(parts) as delivery:
            await becomes(parts, ACTIVE)
            for _ in range(3):
                await publisher.put()
            await on_the_wire(holding)
            await matched(parts)
            asyncio.get_running_loop().call_later(0.05, holding.release)
            # Leaving cancels the engine, while the notification is on the wire.
        assert delivery.sender.stopping
        assert receiver.numbers("/s") == [1]
        held = await state(parts)
        assert (held.events, held.delivered) == (3, 1)
        shard = parts.due.shards[key.shard(len(parts.due.shards))]
        assert await parts.pipeline.command("ZSCORE", shard.lease, str(key)) is None
        assert await parts.pipeline.command("ZSCORE", shard.due, str(key)) is not None


class Brief(Due):
    """Due work that is leased for a second only: it has to be renewed before each request."""

    async def claim(self, shard: Shard, *, most: int, milliseconds: int) -> Claimed:
        return await super().claim(shard, most=most, milliseconds=min(milliseconds, 1000))


class Stuck(Store):
    """Resources of which the first answer takes as long as a test wants."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.pipeline, 4)
        self.asked, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def bodies(self, versions: list[tuple[ResourceId, int]]) -> list[bytes | None]:
        if not self.asked.is_set():
            self.asked.set()
            await self.may_go_on.wait()
        return await super().bodies(versions)


async def test_a_lease_that_runs_out_while_a_notification_is_being_made_is_nobodys_leave_to_send(
    parts: Parts, receiver: Receiver
) -> None:
    """Whoever has the next lease sends it; the first lane hears from Redis late, and sends nothing."""
    due, stuck = Brief(parts.client, parts.pipeline, 4), Stuck(parts)
    key = await subscribe(parts, f"{receiver.url}/s", content="full-resource")
    async with running(fanout(parts)), delivering(parts, due=due, store=stuck) as delivery:
        await becomes(parts, ACTIVE)
        await Publisher(parts).put()
        await stuck.asked.wait()
        await time_passes(parts, key)
        await delivered(parts, 1)
        stuck.may_go_on.set()
        await eventually(lambda: not delivery._running)
        assert receiver.numbers("/s") == [1]


class Failing(Due):
    """Due work that can't be waited for any more, once `fails` is set: a bug of ours."""

    fails = False

    async def work_came(self, shard: Shard, seen: str, *, wait_ms: int) -> str:
        if self.fails:
            raise RuntimeError("a bug of ours")
        return await super().work_came(shard, seen, wait_ms=wait_ms)


@pytest.mark.parametrize("how", ["stopped", "failed"])
async def test_what_is_on_the_wire_when_our_process_ends_is_not_charged_to_the_subscriber(
    parts: Parts, receiver: Receiver, how: str
) -> None:
    """The lane is broken off, its lease given back, and another process sends the same bytes at once."""
    receiver.answers["/s"] = holding = Holding()
    key, publisher = await subscribe(parts, f"{receiver.url}/s"), Publisher(parts)
    due = Failing(parts.client, parts.pipeline, 4)
    ending = asyncio.create_task(deliverer(parts, last_seconds=0.1, due=due).run())
    async with running(fanout(parts)):
        await becomes(parts, ACTIVE)
        await publisher.put()
        await on_the_wire(holding)
        if how == "stopped":
            ending.cancel()
        due.fails = how == "failed"
        await asyncio.wait({ending})
        assert ending.cancelled() == (how == "stopped")
        if how == "failed":  # asked for, or it would be reported in whatever test runs when the task is forgotten
            assert isinstance(ending.exception(), ExceptionGroup)
        shard = parts.due.shards[key.shard(len(parts.due.shards))]
        assert await parts.pipeline.command("ZSCORE", shard.lease, str(key)) is None
        assert await parts.pipeline.command("ZSCORE", shard.due, str(key)) is not None
        assert await parts.pipeline.command("HMGET", key.subscription, "attempt", "failing") == [b"0", None]
        holding.release()
        async with delivering(parts):
            await delivered(parts, 1)
    first, second = receiver.at("/s")
    assert first.body == second.body


async def test_what_the_subscriber_took_does_not_reach_it_twice_because_redis_was_away(
    receiver: Receiver, tmp_path: Path
) -> None:
    """The lane goes on trying to settle as long as its lease lasts."""
    receiver.answers["/s"] = holding = Holding()
    with RedisServer() as server:
        parts = await built(conftest.settings(server.url, tmp_path))
        await subscribe(parts, f"{receiver.url}/s")
        publisher = Publisher(parts)
        async with running(fanout(parts)), delivering(parts):
            await becomes(parts, ACTIVE)
            await publisher.put()
            await on_the_wire(holding)
            server.kill()
            holding.release()
            await on_the_wire(holding, 0)
            server.start()
            await delivered(parts, 1)
            await publisher.put()
            await delivered(parts, 2)
        await conftest.close(parts.client)
    assert receiver.numbers("/s") == [1, 2]
