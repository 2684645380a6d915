"""Owners and the operator are told how a subscription fares: what, how often, and that nothing waits for it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from standardwebhooks import Webhook

from hub import alerts
from hub.alerts import Alerting, Operator
from hub.channels.clients import Clients
from hub.channels.rest_hook import RestHook
from hub.credentials import Credentials
from hub.keyring import Keyring
from hub.keys import ALERTS, ALERTS_SPENT, SubscriptionKey
from hub.secrets import Secrets
from hub.turn import Turn, Verb
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from subscriptions.signing import Secret
from tests.facts import eventually
from tests.hub.engines import Publisher, becomes, delivering, fanout, member, rewrite, running, state, subscribe
from tests.receiver import Received, Receiver, after_handshake

ACTIVE, ERROR, OFF = SubscriptionStatus.ACTIVE, SubscriptionStatus.ERROR, SubscriptionStatus.OFF
SECRET = Secret(b"a secret of thirty-two bytes....")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def alerting(parts: Parts, receiver: Receiver) -> AsyncIterator[Alerting]:
    channel = RestHook(Clients(parts.guard))
    operator = Operator(f"{receiver.url}/operator", Credentials(signing=(SECRET,)), channel)
    yield Alerting(parts.pipeline, parts.keyring, channel, operator, parts.foundation.epoch, parts.bases)
    await channel.close()


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
        if "next" in each:
            each["next"] = str(int(each["next"]) - milliseconds)
    if held:
        await parts.pipeline.command("HSET", key.subscription, "alerts", json.dumps(held))
    score = await parts.pipeline.command("ZSCORE", ALERTS, str(key))
    if score is not None:
        await parts.pipeline.command("ZADD", ALERTS, float(score) - milliseconds, str(key))
    await parts.pipeline.command("DEL", ALERTS_SPENT)


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
    url = f"{parts.bases[key.version]}/Subscription/s"
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
    alerting.keyring = Keyring(parts.pipeline, Secrets((Fernet.generate_key(),)))
    key = await subscribed(parts, receiver)
    rotated = await alerting.keyring.rotate(key)
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
    await later(parts, key, milliseconds=alerts.QUIET - 5_000)
    await alerting.look()
    assert len(told(receiver)) == 1
    await later(parts, key, milliseconds=10_000)
    await alerting.look()
    assert [each["data"]["times"] for each in told(receiver)] == [1, 2]
    assert told(receiver)[1]["data"]["error"]["text"] == "for the 3. time"
    assert await due(parts) == []


async def test_so_many_are_told_in_a_minute_and_the_others_later(
    parts: Parts, receiver: Receiver, alerting: Alerting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "IN_A_MINUTE", 3)
    keys = [await subscribe(parts, f"{receiver.url}/s", id_=f"s{number}") for number in range(5)]
    for key in keys:
        await noted(parts, key, Verb.ERROR, lease=1)
    for _ in range(3):
        await alerting.look()
    assert len(told(receiver)) == 3
    await parts.pipeline.command("DEL", ALERTS_SPENT)
    await alerting.look()
    assert sorted(each["data"]["subscription"][-2:] for each in told(receiver)) == ["s0", "s1", "s2", "s3", "s4"]


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
    await parts.pipeline.run(alerts.ALARM, [ALERTS, ALERTS_SPENT], 60, 10, alerts.CLAIMED)
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
