"""Headers of Subscriptions stand in Redis sealed, reach the endpoint as they were given, and are nobody's else."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.fernet import Fernet

from hub.attempts import Attempts
from hub.errors import NotTheHub
from hub.keys import REGISTRY, SEALERS
from hub.seal import Seal
from hub.secrets import Secrets
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from subscriptions.codes import SubscriptionStatus
from tests.dump import everything
from tests.facts import eventually
from tests.hub.conftest import close, settings
from tests.hub.engines import (
    Publisher,
    becomes,
    delivering,
    fanout,
    member,
    now,
    quiet,
    rewrite,
    running,
    sender,
    state,
    subscribe,
)
from tests.receiver import Received, Receiver

KEY, OTHER = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TOKEN = "9f2c4a-hush-hush"
HEADERS = [f"Authorization: Bearer {TOKEN}", "X-Ward: 7"]


@pytest.fixture
async def parts(redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """All parts, with a key for secrets."""
    parts = await with_keys(redis_url, tmp_path, KEY)
    yield parts
    await close(parts.client)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def with_keys(redis_url: str, tmp_path: Path, *keys: str) -> Parts:
    return await built(settings(redis_url, tmp_path).model_copy(update={"secrets_key": ",".join(keys)}))


def authorized(received: Received) -> str:
    return dict(received.headers).get("Authorization", "")


async def clear(parts: Parts) -> None:
    """Keep the headers of the Subscription as a release before layout 4 did: in its resource, in both places."""
    held = await member(parts)
    sent = parts.seal.sent(held.key.version, held.state.resource, held.state.headers)
    record = await parts.pipeline.command("HGET", REGISTRY, held.key.registered_as)
    await parts.pipeline.command("HSET", held.key.subscription, "resource", sent)
    await parts.pipeline.command("HDEL", held.key.subscription, "headers")
    await parts.pipeline.command("HSET", REGISTRY, held.key.registered_as, record.replace(held.state.resource, sent))


async def test_a_header_goes_to_the_endpoint_and_stands_nowhere_in_redis(parts: Parts, receiver: Receiver) -> None:
    """Through its whole life: handshake, events, failures, a repeat, a change, an end; and an endpoint that echoes."""

    async def echo(received: Received) -> web.Response:
        status = 503 if received.type == "event-notification" and len(receiver.at("/hook")) == 1 else 200
        return web.json_response({"authorization": authorized(received), "token": TOKEN}, status=status)

    receiver.answers["/hook"] = echo
    key = await subscribe(parts, f"{receiver.url}/hook", headers=HEADERS)
    async with delivering(parts), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put()
        await receiver.events("/hook", 2)
        await quiet(parts, key)
        assert TOKEN.encode() not in await everything(parts.pipeline.command)
        await rewrite(parts, f"{receiver.url}/hook", headers=HEADERS)
        await becomes(parts, SubscriptionStatus.ACTIVE)
    await parts.pipeline.command("HSET", key.subscription, "end", 1)
    await parts.membership.turn_off(key, now=now())
    await parts.membership.repair(now=now())
    assert (await state(parts)).status is SubscriptionStatus.OFF
    assert {authorized(received) for received in receiver.received} == {f"Bearer {TOKEN}"}
    assert {dict(received.headers)["X-Ward"] for received in receiver.received} == {"7"}
    held = await everything(parts.pipeline.command)
    assert f"{receiver.url}/hook".encode() in held
    assert TOKEN.encode() not in held
    said = [attempt.sent.answer for attempt in await Attempts(parts.pipeline).last(key)]
    assert any('"token": "****************"' in each for each in said), said


async def test_a_header_of_before_layout_4_is_read_and_sealed_when_it_is_written(
    parts: Parts, receiver: Receiver
) -> None:
    await subscribe(parts, f"{receiver.url}/hook", headers=HEADERS)
    await clear(parts)
    assert TOKEN.encode() in await everything(parts.pipeline.command)
    async with delivering(parts), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put()
        (received,) = await receiver.events("/hook", 1)
        assert authorized(received) == f"Bearer {TOKEN}"
        await rewrite(parts, f"{receiver.url}/hook", headers=HEADERS)
        assert TOKEN.encode() not in await everything(parts.pipeline.command)


async def test_a_header_that_does_not_open_is_no_failure_of_the_subscribers(
    parts: Parts, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent without it, no event is lost, and once the key is there all goes on by itself."""
    key = await subscribe(parts, f"{receiver.url}/hook", headers=HEADERS)
    async with delivering(parts), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
    sealed = (await state(parts)).headers
    strange = Secrets.of(OTHER, None).seal(b"[]")
    await parts.pipeline.command("HSET", key.subscription, "headers", strange)
    receiver.received.clear()
    caplog.set_level(logging.INFO)
    async with delivering(parts), running(fanout(parts)):
        await Publisher(parts).put()
        await eventually(lambda: "delivery.broken" in caplog.messages)
    assert receiver.received == []
    held = await state(parts)
    assert (held.status, held.failing, held.events, held.delivered) == (SubscriptionStatus.ACTIVE, "", 1, 0)
    await parts.pipeline.command("HSET", key.subscription, "headers", sealed)
    await parts.due.schedule(key, 1, end=None)
    async with delivering(parts):
        (received,) = await receiver.events("/hook", 1)
    assert (authorized(received), received.numbers) == (f"Bearer {TOKEN}", [1])


async def test_it_is_opened_once_for_each_revision(parts: Parts) -> None:
    key = await subscribe(parts, "http://127.0.0.1:9/", headers=HEADERS)
    one = sender(parts)
    first = await one.recipient(key, 1)
    assert first is not None
    assert first.subscription.headers == (("Authorization", f"Bearer {TOKEN}"), ("X-Ward", "7"))
    assert TOKEN not in repr(first)
    assert await one.recipient(key, 1) is first
    await rewrite(parts, "http://127.0.0.1:9/", headers=["Authorization: another"])
    second = await one.recipient(key, 2)
    assert second is not None
    assert second.subscription.headers == (("Authorization", "another"),)


async def test_a_part_that_lacks_a_key_does_not_start(parts: Parts, redis_url: str, tmp_path: Path) -> None:
    """As soon as anything was sealed by that key, and no earlier: then one line says which it is."""
    await close((await with_keys(redis_url, tmp_path, OTHER)).client)
    await subscribe(parts, "http://127.0.0.1:9/", headers=HEADERS)
    with pytest.raises(NotTheHub, match="HUB_SECRETS_KEY is not set"):
        await with_keys(redis_url, tmp_path)
    with pytest.raises(NotTheHub, match=f"none of the keys .*fingerprint {parts.seal.secrets.fingerprints[0]}"):
        await with_keys(redis_url, tmp_path, OTHER)
    await close((await with_keys(redis_url, tmp_path, OTHER, KEY)).client)


async def test_a_key_is_noted_before_anything_is_sealed_by_it(parts: Parts) -> None:
    seal = Seal(parts.pipeline, Secrets.of(OTHER, None))
    assert await parts.pipeline.command("SMEMBERS", SEALERS) in ([], set())
    await seal.seal(b"x")
    assert await seal.sealers() == list(seal.secrets.fingerprints)
    assert OTHER.encode() not in await everything(parts.pipeline.command)
