"""Owners and the operator are told how a subscription fares: what, how often, and that nothing waits for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from standardwebhooks import Webhook

from hub import addressees, alerts
from hub.addressees import Addressees, Operator
from hub.alerts import Alerting
from hub.channels.clients import Clients
from hub.channels.rest_hook import RestHook
from hub.credentials import Credentials
from hub.delivery import Delivery
from hub.keyring import Keyring
from hub.keys import ALERTS, SubscriptionKey
from hub.outbox import Outboxes
from hub.seal import Seal
from hub.secrets import Secrets
from hub.turn import Turn, Verb
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from hub.wiring.workers import delivering as delivering_of
from subscriptions.codes import SubscriptionStatus
from subscriptions.signing import Secret
from tests.facts import eventually
from tests.hub.conftest import close, settings
from tests.hub.engines import (
    Publisher,
    active,
    becomes,
    delivering,
    fanout,
    member,
    now,
    rewrite,
    running,
    state,
    subscribe,
)
from tests.hub.life import entry
from tests.receiver import Received, Receiver, after_handshake

ACTIVE, ERROR, OFF = SubscriptionStatus.ACTIVE, SubscriptionStatus.ERROR, SubscriptionStatus.OFF
SECRET = Secret(b"a secret of thirty-two bytes....")


@pytest.fixture
async def parts(redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """All parts, with a key for secrets."""
    key = Fernet.generate_key().decode()
    parts = await built(settings(redis_url, tmp_path).model_copy(update={"secrets_key": key}))
    yield parts
    await close(parts.client)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def alerting(parts: Parts, receiver: Receiver) -> AsyncIterator[Alerting]:
    channel = RestHook(Clients(parts.guard))
    operator = Operator(f"{receiver.url}/operator", Credentials(signing=(SECRET,)), channel)
    yield alerting_with(parts, Addressees(parts.pipeline, parts.keyring, channel, operator, is_drained))
    await channel.close()


async def is_drained(_: str) -> bool:
    return False


def alerting_with(parts: Parts, addressees: Addressees) -> Alerting:
    return Alerting(parts.pipeline, parts.outboxes, addressees, parts.foundation.epoch, parts.tenancy)


def told(receiver: Receiver, path: str = "/operator") -> list[Any]:
    """The alerts that came to a path."""
    return [json.loads(each.body) for each in receiver.received if each.path == path]


def kinds(receiver: Receiver, path: str = "/operator") -> list[str]:
    return [each["type"].removeprefix("subscription.") for each in told(receiver, path)]


async def subscribed(parts: Parts, receiver: Receiver, **options: Any) -> SubscriptionKey:
    return await subscribe(parts, f"{receiver.url}/s", alert_endpoint=f"{receiver.url}/owner", **options)


async def noted(parts: Parts, key: SubscriptionKey, verb: Verb, *, lease: int, said: str = "it is so") -> None:
    """Have a subscription settled like this, as a lane does, with a pinned notification if it needs one."""
    turn = await parts.outboxes.take(key, str(lease))
    assert isinstance(turn, Turn)
    assert await parts.outboxes.settle(key, str(lease), turn, verb, said=said, code="endpoint-gone")


async def due(parts: Parts) -> list[str]:
    return [name.decode() for name in await parts.pipeline.command("ZRANGE", ALERTS, 0, -1)]


async def later(parts: Parts, key: SubscriptionKey, *, milliseconds: int) -> None:
    """Let so much time pass for what is noted of a subscription, and a minute for all of them."""
    fields = await parts.pipeline.command("HGETALL", key.subscription)
    named = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    for name in [name for name in named if name.startswith(b"quiet:")]:
        await parts.pipeline.command("HSET", key.subscription, name, int(named[name]) - milliseconds)
    held = json.loads(named.get(b"alerts", b"{}"))
    for each in held.values():
        for his in each["to"].values():
            if "next" in his:
                his["next"] = str(int(his["next"]) - milliseconds)
    if held:
        await parts.pipeline.command("HSET", key.subscription, "alerts", json.dumps(held))
    score = await parts.pipeline.command("ZSCORE", ALERTS, str(key))
    if score is not None:
        await parts.pipeline.command("ZADD", ALERTS, float(score) - milliseconds, str(key))
    await another_minute(parts)


async def another_minute(parts: Parts) -> None:
    for spent in await parts.pipeline.command("KEYS", "hub:{alerts}:spent:*"):
        await parts.pipeline.command("DEL", spent)


async def test_the_whole_trip(parts: Parts, receiver: Receiver, alerting: Alerting) -> None:
    """Three failures, then the end of the schedule, then a client who asks again: owner and operator hear of each."""
    receiver.answers["/s"] = after_handshake(*[503] * 5)
    key = await subscribed(parts, receiver, retry_waits="1,1,1")
    async with running(fanout(parts)), delivering(parts, alerting=alerting):
        await becomes(parts, ACTIVE)
        await Publisher(parts).put()

        async def failed() -> bool:
            await parts.due.rouse([key])
            await parts.outboxes.call(key)
            return (await state(parts)).status is ERROR

        await eventually(failed)
        await receiver.until(lambda: kinds(receiver, "/owner") == ["failing", "error"])
        await rewrite(parts, f"{receiver.url}/s", alert_endpoint=f"{receiver.url}/owner")
        await becomes(parts, ACTIVE)
        await receiver.until(lambda: kinds(receiver, "/owner") == ["failing", "error", "recovered"])
        await receiver.until(lambda: kinds(receiver) == ["failing", "error", "recovered"])

        async def done() -> bool:
            return await due(parts) == []

        await eventually(done)
    failing, error, recovered = told(receiver, "/owner")
    url = f"{parts.tenancy.base(key.tenant, key.version)}/Subscription/s"
    assert failing["data"]["subscription"] == error["data"]["subscription"] == url
    assert [each["data"]["status"] for each in (failing, error, recovered)] == ["active", "error", "active"]
    assert "missed" not in failing["data"]
    assert error["data"]["missed"] == recovered["data"]["missed"]
    assert error["data"]["missed"] == {
        "first": 1,
        "last": 1,
        "fetch": f"{url}/$events?eventsSinceNumber=1&eventsUntilNumber=1",
    }
    assert "503" in error["data"]["error"]["text"]
    assert "error" not in recovered["data"]


async def test_gone_is_told_and_nothing_of_a_patient_or_a_header_is(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    receiver.answers["/s"] = after_handshake(410)
    await subscribed(parts, receiver, content="full-resource", headers=["Authorization: Bearer hush"])
    async with running(fanout(parts)), delivering(parts, alerting=alerting):
        await becomes(parts, ACTIVE)
        await Publisher(parts).put("patient-secret")
        await becomes(parts, OFF)
        await receiver.until(lambda: kinds(receiver, "/owner") == ["off"] and kinds(receiver) == ["off"])
    sent = [each for each in receiver.received if each.path in ("/owner", "/operator")]
    assert all(b"patient-secret" not in each.body and b"Immunization/" not in each.body for each in sent)
    assert all(name.lower() != "authorization" for each in sent for name, _ in each.headers)
    assert {each.method for each in sent} == {"POST"}


async def test_what_is_told_to_the_operator_is_signed(parts: Parts, receiver: Receiver, alerting: Alerting) -> None:
    key = await subscribed(parts, receiver)
    await noted(parts, key, Verb.ERROR, lease=1)
    await alerting.look()
    (sent,) = [each for each in receiver.received if each.path == "/operator"]
    headers = {name.lower(): value for name, value in sent.headers}
    assert Webhook(SECRET.text).verify(sent.body, headers)["type"] == "subscription.error"
    (theirs,) = [each for each in receiver.received if each.path == "/owner"]
    assert "webhook-signature" not in {name.lower() for name, _ in theirs.headers}


async def test_what_is_told_to_an_owner_is_signed_with_the_secret_of_the_subscription(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    alerting.addressees.keyring = Keyring(parts.pipeline, Seal(parts.pipeline, Secrets((Fernet.generate_key(),))))
    key = await subscribed(parts, receiver)
    rotated = await alerting.addressees.keyring.rotate(key)
    assert rotated is not None
    await noted(parts, key, Verb.ERROR, lease=1)
    await alerting.look()
    (sent,) = [each for each in receiver.received if each.path == "/owner"]
    headers = {name.lower(): value for name, value in sent.headers}
    assert Webhook(rotated.secret.text).verify(sent.body, headers)["type"] == "subscription.error"


async def test_one_of_a_kind_is_told_in_ten_minutes(parts: Parts, receiver: Receiver, alerting: Alerting) -> None:
    key = await subscribed(parts, receiver)
    for lease in (1, 2, 3):
        await noted(parts, key, Verb.ERROR, lease=2 * lease, said=f"for the {lease}. time")
        await alerting.look()
        await rewrite(parts, f"{receiver.url}/s", alert_endpoint=f"{receiver.url}/owner")
    assert [each["data"]["error"]["text"] for each in told(receiver)] == ["for the 1. time"]
    await later(parts, key, milliseconds=alerts.QUIET - 120_000)
    await alerting.look()
    assert len(told(receiver)) == 1
    await later(parts, key, milliseconds=120_000)
    await alerting.look()
    assert [each["data"]["times"] for each in told(receiver)] == [1, 2]
    assert told(receiver)[1]["data"]["error"]["text"] == "for the 3. time"
    assert await due(parts) == []


async def test_so_many_are_told_in_a_minute_and_the_others_later(
    parts: Parts, receiver: Receiver, alerting: Alerting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addressees, "IN_A_MINUTE", 3)
    keys = [await subscribe(parts, f"{receiver.url}/s", id_=f"s{number}") for number in range(5)]
    for key in keys:
        await noted(parts, key, Verb.ERROR, lease=1)
    for _ in range(3):
        await alerting.look()
    assert len(told(receiver)) == 3
    scores = [await parts.pipeline.command("ZSCORE", ALERTS, name) for name in await due(parts)]
    assert all(0 < float(score) - now() <= 60_000 for score in scores)
    await another_minute(parts)
    for key in keys:
        await later(parts, key, milliseconds=60_000)
    await alerting.look()
    assert sorted(each["data"]["subscription"][-2:] for each in told(receiver)) == ["s0", "s1", "s2", "s3", "s4"]


async def test_what_is_told_at_a_drained_origin_waits(parts: Parts, receiver: Receiver, alerting: Alerting) -> None:
    """For the end of that, without being a try; who is told elsewhere is told at once."""
    async with Receiver() as elsewhere:
        key = await subscribe(parts, f"{receiver.url}/s", alert_endpoint=f"{elsewhere.url}/owner")
        drained = {elsewhere.url}

        async def is_drained(where: str) -> bool:
            return where in drained

        alerting.addressees.is_drained = is_drained
        await noted(parts, key, Verb.ERROR, lease=1)
        for _ in range(5):
            await alerting.look()
            await later(parts, key, milliseconds=addressees.HELD)
        assert kinds(receiver) == ["error"]
        assert kinds(elsewhere, "/owner") == []
        drained.clear()
        await alerting.look()
        assert kinds(elsewhere, "/owner") == ["error"]
    assert await due(parts) == []


async def test_deliver_workers_hold_what_is_told_at_drained_origins(parts: Parts, receiver: Receiver) -> None:
    """They know of a drain as they do for notifications."""
    engine = delivering_of(parts)
    assert isinstance(engine, Delivery)
    assert engine.alerting
    await parts.draining.drain(receiver.url, now=now(), milliseconds=60_000, agent="boss")
    assert await engine.alerting.addressees.is_drained(receiver.url)
    await engine.sender.channel.close()
    await engine.alerting.close()


async def test_who_could_not_be_told_is_tried_again_and_the_other_is_not(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    async def no(_: Received) -> int:
        return 500

    receiver.answers["/owner"] = no
    key = await subscribed(parts, receiver)
    await noted(parts, key, Verb.ERROR, lease=1)
    for wait in (*alerts.TRIES, 1, 1):
        await alerting.look()
        await later(parts, key, milliseconds=wait)
    assert (len(told(receiver)), len(told(receiver, "/owner"))) == (1, 1 + len(alerts.TRIES))
    ids = {dict(each.headers)["webhook-id"] for each in receiver.received if each.path == "/operator"}
    assert len(ids) == 1
    assert await due(parts) == []
    assert not (await state(parts)).alerts


async def test_a_mark_that_was_lost_is_set_again(parts: Parts, receiver: Receiver, alerting: Alerting) -> None:
    """As by a crash between settling and marking."""
    key = await subscribed(parts, receiver)
    await noted(parts, key, Verb.ERROR, lease=1)
    await parts.pipeline.command("DEL", ALERTS)
    await alerting.look()
    assert told(receiver) == []
    await parts.membership.repair(now=1)
    await alerting.look()
    assert kinds(receiver) == ["error"]


async def test_who_dies_in_the_middle_of_telling_is_followed_by_another(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    key = await subscribed(parts, receiver)
    await noted(parts, key, Verb.ERROR, lease=1)
    await parts.pipeline.run(alerts.ALARM, [ALERTS], 10, alerts.CLAIMED)
    await alerting.look()
    assert told(receiver) == []
    await later(parts, key, milliseconds=alerts.CLAIMED)
    await alerting.look()
    assert kinds(receiver) == ["error"]


async def test_what_is_noted_while_another_is_told_is_not_forgotten(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    key = await subscribed(parts, receiver)
    await noted(parts, key, Verb.ERROR, lease=1)

    async def meanwhile(_: Received) -> int:
        await rewrite(parts, f"{receiver.url}/s")
        await noted(parts, key, Verb.OFF, lease=2)
        return 200

    receiver.answers["/operator"] = meanwhile
    await alerting.look()
    del receiver.answers["/operator"]
    await alerting.look()
    assert kinds(receiver) == ["error", "off"]


async def test_a_deleted_subscription_is_told_nothing_of(parts: Parts, receiver: Receiver, alerting: Alerting) -> None:
    key = await subscribed(parts, receiver)
    await noted(parts, key, Verb.ERROR, lease=1)
    await parts.membership.delete(await member(parts), expected="*")
    await alerting.look()
    assert told(receiver) == []
    assert await due(parts) == []


@dataclass
class Hanging:
    """Answers nobody before it is released. `here`: requests that wait for it."""

    here: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, _: Received) -> int:
        self.here += 1
        try:
            await self.released.wait()
        finally:
            self.here -= 1
        return 200


@asynccontextmanager
async def hanging(receiver: Receiver) -> AsyncIterator[Hanging]:
    receiver.answers["/owner"] = hangs = Hanging()
    try:
        yield hangs
    finally:
        hangs.released.set()


async def test_an_owner_who_hangs_delays_neither_others_nor_the_operator(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    """However many Subscriptions he has."""
    many = 3 * addressees.AT_ONE
    async with Receiver() as other, hanging(other) as hangs:
        for number in range(many):
            key = await subscribed(parts, other, id_=f"h{number}")
            await noted(parts, key, Verb.ERROR, lease=1)
        key = await subscribed(parts, receiver, id_="good")
        await noted(parts, key, Verb.ERROR, lease=1)
        async with running(alerting):
            await receiver.until(lambda: kinds(receiver, "/owner") == ["error"])
            await receiver.until(lambda: len(told(receiver)) == many + 1)
            await other.until(lambda: hangs.here > 0)
            key = await subscribed(parts, receiver, id_="later")
            await noted(parts, key, Verb.ERROR, lease=1)
            await receiver.until(lambda: kinds(receiver, "/owner") == ["error", "error"])
            assert hangs.here > 0
            hangs.released.set()


async def test_owners_who_hang_at_many_origins_leave_room_for_others(
    parts: Parts, receiver: Receiver, alerting: Alerting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though there are as many of them as may be in hand at once."""
    monkeypatch.setattr(addressees, "SLOW_ONES", 1)
    monkeypatch.setattr(alerts, "AT_ONCE", 4)
    before = alerting.addressees
    alerting = alerting_with(
        parts, Addressees(parts.pipeline, parts.keyring, before.channel, before.operator, is_drained)
    )
    async with AsyncExitStack() as stack:
        hang = []
        for number in range(4):
            other = await stack.enter_async_context(Receiver())
            hang.append(await stack.enter_async_context(hanging(other)))
            await noted(parts, await subscribed(parts, other, id_=f"h{number}"), Verb.ERROR, lease=1)
        async with running(alerting):
            await receiver.until(lambda: len(told(receiver)) == 4)
            await noted(parts, await subscribed(parts, receiver, id_="good"), Verb.ERROR, lease=1)
            await receiver.until(lambda: kinds(receiver, "/owner") == ["error"])
            assert not any(each.released.is_set() for each in hang)
            for each in hang:
                each.released.set()


async def test_what_happens_while_an_owner_hangs_is_told_to_the_operator_at_once_and_once(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    async with Receiver() as other, hanging(other) as hangs:
        key = await subscribed(parts, other)
        await noted(parts, key, Verb.ERROR, lease=1)
        async with running(alerting):
            await other.until(lambda: hangs.here == 1)
            await rewrite(parts, f"{other.url}/s", alert_endpoint=f"{other.url}/owner")
            await noted(parts, key, Verb.OFF, lease=2)
            await receiver.until(lambda: kinds(receiver) == ["error", "off"])
            assert hangs.here == 1
            hangs.released.set()

            async def was_told() -> bool:
                return b'"error"' not in await parts.pipeline.command("HGET", key.subscription, "alerts")

            await eventually(was_told)  # else `later` would write what is noted as it was before
            await later(parts, key, milliseconds=60_000)
            await other.until(lambda: kinds(other, "/owner") == ["error", "off"])
    assert kinds(receiver) == ["error", "off"]


async def owed(parts: Parts, key: SubscriptionKey, *times: int, most: int = 100) -> None:
    """Owe events of these times (ms), no more than so many of which may wait."""
    held = await state(parts, key.id)
    changes = [replace(entry(0, number), at=at) for number, at in enumerate(times, held.events + 1)]
    assert await Outboxes(parts.pipeline, most).owe(key, 0, changes)
    await parts.outboxes.alert([key])


async def test_events_that_retention_dropped_are_said_to_be_gone(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    """With their range; what can be fetched is what still waits."""
    key = await active(parts)
    await owed(parts, key, 10, 10, 10, 99, 99)
    await parts.retention.retain(key, 50)
    await alerting.look()
    (dropped,) = told(receiver)
    url = f"{parts.tenancy.base(key.tenant, key.version)}/Subscription/s/$events"
    assert dropped["type"] == "subscription.dropped"
    assert dropped["data"]["missed"] == {"first": 1, "last": 3, "gone": [{"first": 1, "last": 3}]}
    assert dropped["data"]["waiting"] == {
        "first": 4,
        "last": 5,
        "fetch": f"{url}?eventsSinceNumber=4&eventsUntilNumber=5",
    }
    text = "events 1 to 3 were dropped undelivered, and can't be had any more: they were not kept any longer"
    assert dropped["data"]["error"] == {"text": text}


async def test_of_a_full_backlog_is_told_what_is_gone_and_what_can_be_fetched(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    key = await active(parts)
    await owed(parts, key, 10, 10, 10, 10, 10, most=2)
    await alerting.look()
    error, dropped = sorted(told(receiver), key=lambda each: each["type"], reverse=True)
    kept = (
        f"{parts.tenancy.base(key.tenant, key.version)}/Subscription/s/$events?eventsSinceNumber=1&eventsUntilNumber=2"
    )
    gone = [{"first": 3, "last": 5}]
    assert (error["type"], dropped["type"]) == ("subscription.error", "subscription.dropped")
    assert error["data"]["missed"] == {"first": 1, "last": 5, "gone": gone, "fetch": kept}
    assert dropped["data"]["missed"] == {"first": 3, "last": 5, "gone": gone}
    assert dropped["data"]["waiting"] == {"first": 1, "last": 2, "fetch": kept}
    assert dropped["data"]["error"]["text"].startswith("events 3 to 5 were dropped undelivered, and can't be had")


async def test_what_retention_took_since_is_not_offered(parts: Parts, receiver: Receiver, alerting: Alerting) -> None:
    """An alert that was noted earlier tells what is so when it is told."""
    key = await active(parts)
    await owed(parts, key, 10, 99)
    await noted(parts, key, Verb.ERROR, lease=3)
    await parts.retention.retain(key, 1_000)
    await alerting.look()
    error = next(each for each in told(receiver) if each["type"] == "subscription.error")
    assert error["data"]["missed"] == {"first": 1, "last": 2, "gone": [{"first": 1, "last": 2}]}


async def test_its_end_is_told_and_what_was_not_sent_by_then(
    parts: Parts, receiver: Receiver, alerting: Alerting
) -> None:
    key = await active(parts)
    await owed(parts, key, 10, 20)
    await parts.pipeline.command("HSET", key.subscription, "end", 1_000)
    await parts.membership.turn_off(key, now=now())
    await parts.membership.turn_off(key, now=now())
    assert (await state(parts)).status is OFF
    await alerting.look()
    (off,) = told(receiver)
    assert (off["type"], off["data"]["status"]) == ("subscription.off", "off")
    assert off["data"]["error"] == {"text": "its end has come"}
    fetch = (
        f"{parts.tenancy.base(key.tenant, key.version)}/Subscription/s/$events?eventsSinceNumber=1&eventsUntilNumber=2"
    )
    assert off["data"]["missed"] == {"first": 1, "last": 2, "fetch": fetch}


async def test_a_client_who_turns_it_off_knows_that(parts: Parts, receiver: Receiver, alerting: Alerting) -> None:
    await active(parts)
    await rewrite(parts, f"{receiver.url}/s", status="off")
    assert (await state(parts)).status is OFF
    await parts.membership.repair(now=now())
    await alerting.look()
    assert told(receiver) == []
