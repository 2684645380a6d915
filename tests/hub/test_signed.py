"""Signed notifications, delivered by HTTP and verified by the standard's own library."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import time_ns
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from hub.channels.clients import Clients
from hub.channels.rest_hook import RestHook
from hub.errors import NotTheHub
from hub.keyring import MOST_SECRETS, OVERLAP, ROTATE, TooOften
from hub.keys import SIGNING_KEY, SubscriptionKey
from hub.secrets import Secrets
from hub.turn import Kind, Sending
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from subscriptions.codes import SubscriptionStatus
from subscriptions.signing import Secret, public_text
from subscriptions.subscription import Style
from tests.facts import eventually
from tests.hub.conftest import close, settings
from tests.hub.engines import (
    Publisher,
    becomes,
    deliverer,
    delivering,
    fanout,
    member,
    quiet,
    rewrite,
    running,
    state,
    subscribe,
)
from tests.hub.test_legacy import register
from tests.receiver import Holding, Received, Receiver, after_handshake

KEY = Fernet.generate_key().decode()


@pytest.fixture
async def parts(redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """All parts, with a key for secrets."""
    parts = await built(settings(redis_url, tmp_path).model_copy(update={"secrets_key": KEY}))
    yield parts
    await close(parts.client)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def rotated(parts: Parts, key: SubscriptionKey) -> Secret:
    found = await parts.keyring.rotate(key)
    assert found is not None
    return found.secret


def headers(received: Received) -> dict[str, str]:
    return {name.lower(): value for name, value in received.headers}


def verify(received: Received, *secrets: Secret) -> None:
    """As a receiver does it: by each of these secrets."""
    for secret in secrets:
        Webhook(secret.text).verify(received.body, headers(received), json_parse=False)


async def public(parts: Parts) -> Ed25519PublicKey:
    key = await parts.keyring.hub_key()
    assert key is not None
    return Ed25519PublicKey.from_public_bytes(b64decode(public_text(key.public_key()).removeprefix("whpk_")))


async def verify_by_public_key(parts: Parts, received: Received) -> None:
    given = headers(received)
    (entry,) = [each for each in given["webhook-signature"].split(" ") if each.startswith("v1a,")]
    content = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + received.body
    (await public(parts)).verify(b64decode(entry.removeprefix("v1a,")), content)


async def test_handshake_and_events_are_signed(parts: Parts, receiver: Receiver) -> None:
    """By the secret and by the hub's key; the id is that of the Bundle."""
    key = await subscribe(parts, f"{receiver.url}/hook")
    secret = await rotated(parts, key)
    async with delivering(parts), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put()
        await receiver.events("/hook", 1)
    assert [received.type for received in receiver.received] == ["handshake", "event-notification"]
    for received in receiver.received:
        verify(received, secret)
        await verify_by_public_key(parts, received)
        assert headers(received)["webhook-id"] == received.bundle["id"]


async def test_nothing_is_signed_before_a_secret_was_asked_for(parts: Parts, receiver: Receiver) -> None:
    """And then from the next notification on."""
    key = await subscribe(parts, f"{receiver.url}/hook")
    async with delivering(parts), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        secret = await rotated(parts, key)
        await Publisher(parts).put()
        await receiver.events("/hook", 1)
    handshake, event = receiver.received
    assert not [name for name in headers(handshake) if name.startswith("webhook-")]
    verify(event, secret)


async def test_a_repeat_has_the_same_id_and_another_timestamp(parts: Parts, receiver: Receiver) -> None:
    receiver.answers["/hook"] = after_handshake(500, 503, 200)
    key = await subscribe(parts, f"{receiver.url}/hook")
    secret = await rotated(parts, key)
    delivery, seconds = deliverer(parts), count()
    began = time_ns() // 1_000_000
    delivery.sender.channel = RestHook(Clients(parts.guard), now=lambda: began + 1000 * next(seconds))
    async with running(delivery), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put()
        repeats = await receiver.events("/hook", 3)
    assert len({received.body for received in repeats}) == 1
    assert len({headers(received)["webhook-id"] for received in repeats}) == 1
    assert len({headers(received)["webhook-timestamp"] for received in repeats}) == 3
    for received in repeats:
        verify(received, secret)


@pytest.mark.parametrize("style", [Style.R4, Style.MEDPLUM])
@pytest.mark.parametrize("payload", ["", "application/fhir+json"])
async def test_what_is_no_bundle_is_signed_too(parts: Parts, receiver: Receiver, style: Style, payload: str) -> None:
    """Under a UUID of its own for each event, an empty body and a delete included."""
    await register(parts, receiver.url, style, payload)
    secret = await rotated(parts, (await member(parts)).key)
    async with delivering(parts), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        publisher = Publisher(parts)
        for _ in range(2):
            await publisher.put("i")
        await receiver.until(lambda: len(receiver.received) == 2)
    for received in receiver.received:
        verify(received, secret)
        await verify_by_public_key(parts, received)
    one, other = (UUID(headers(received)["webhook-id"]) for received in receiver.received)
    assert one != other


@pytest.mark.parametrize("kind", [Kind.HEARTBEAT, Kind.RESEND])
async def test_every_other_kind_is_signed(parts: Parts, receiver: Receiver, kind: Kind) -> None:
    key = await subscribe(parts, f"{receiver.url}/hook")
    async with delivering(parts), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put()
        await receiver.events("/hook", 1)
        await quiet(parts, key)
    secret = await rotated(parts, key)
    pinned = Sending(1, 0 if kind is Kind.HEARTBEAT else 1, 1_764_000_000_000, kind)
    await parts.pipeline.command("HSET", key.subscription, "sending", str(pinned), "attempt", 0)
    await parts.due.schedule(key, 1, end=None)
    async with delivering(parts):
        await receiver.until(lambda: len(receiver.received) == 3)
    verify(receiver.received[-1], secret)
    assert headers(receiver.received[-1])["webhook-id"] == receiver.received[-1].bundle["id"]


async def test_rotation(parts: Parts, receiver: Receiver) -> None:
    """For a day both secrets sign; whoever holds either can verify, and whoever holds another one can't."""
    key = await subscribe(parts, f"{receiver.url}/hook")
    one = await rotated(parts, key)
    async with delivering(parts), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        before = time_ns() // 1_000_000
        found = await parts.keyring.rotate(key)
        assert found is not None
        assert found.before_until is not None
        assert before <= found.before_until - OVERLAP <= time_ns() // 1_000_000
        await Publisher(parts).put()
        (received,) = await receiver.events("/hook", 1)
    verify(received, one, found.secret)
    with pytest.raises(WebhookVerificationError):
        verify(received, Secret(b"x" * 32))
    credentials = await parts.keyring.of(key, None)
    assert credentials.signing == (found.secret, replace(one, until=found.before_until))


async def test_a_rotation_repeats_what_is_on_its_way_and_loses_nothing(parts: Parts, receiver: Receiver) -> None:
    """What is settled after it was not sent under the new secret: it goes out once more, signed by both."""
    receiver.answers["/hook"] = holding = Holding()
    key = await subscribe(parts, f"{receiver.url}/hook")
    one = await rotated(parts, key)
    async with delivering(parts), running(fanout(parts)):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        await Publisher(parts).put()
        await receiver.events("/hook", 1)
        other = await rotated(parts, key)
        holding.release()
        first, again = await receiver.events("/hook", 2)
        await quiet(parts, key)
    assert (first.body, first.numbers) == (again.body, again.numbers)
    assert headers(first)["webhook-id"] == headers(again)["webhook-id"]
    verify(first, one)
    verify(again, one, other)
    assert (await state(parts)).delivered == 1


async def test_a_secret_outlives_an_update_and_not_a_delete(parts: Parts, receiver: Receiver) -> None:
    key = await subscribe(parts, f"{receiver.url}/hook")
    secret = await rotated(parts, key)
    await rewrite(parts, f"{receiver.url}/other")
    assert (await parts.keyring.of(key, None)).signing == (secret,)
    await parts.membership.delete(await member(parts), expected="*")
    assert await parts.keyring.rotate(key) is None
    assert await parts.pipeline.command("EXISTS", key.subscription) == 0


async def test_so_many_secrets_sign_at_once(parts: Parts) -> None:
    """One more is refused, and changes nothing: a receiver may still hold any of them."""
    key = await subscribe(parts, "http://127.0.0.1:9/")
    secrets = [await rotated(parts, key) for _ in range(MOST_SECRETS)]
    before = await parts.pipeline.command("HGETALL", key.subscription)
    with pytest.raises(TooOften):
        await parts.keyring.rotate(key)
    assert await parts.pipeline.command("HGETALL", key.subscription) == before
    signing = (await parts.keyring.of(key, None)).signing
    assert [secret.key for secret in signing] == [secret.key for secret in reversed(secrets)]


async def test_a_secret_whose_time_is_over_is_forgotten_at_the_next_rotation(parts: Parts) -> None:
    key = await subscribe(parts, "http://127.0.0.1:9/")
    first = await rotated(parts, key)
    await rotated(parts, key)
    held = await parts.pipeline.command("HGET", key.subscription, "secrets")
    *newer, _ = held.decode().split(" ")
    await parts.pipeline.command("HSET", key.subscription, "secrets", " ".join([*newer, "1"]))
    await rotated(parts, key)
    assert len((await parts.keyring.of(key, None)).signing) == 2
    assert first.key not in [secret.key for secret in (await parts.keyring.of(key, None)).signing]


async def test_a_rotation_that_is_repeated_is_one(parts: Parts) -> None:
    """The answer of a script may be lost."""
    key = await subscribe(parts, "http://127.0.0.1:9/")
    await rotated(parts, key)
    replies = [await parts.pipeline.run(ROTATE, [key.subscription], b"sealed", OVERLAP, MOST_SECRETS) for _ in range(2)]
    assert replies[0] == replies[1]
    assert (await state(parts)).revision == 3


async def test_redis_holds_nothing_in_clear(parts: Parts) -> None:
    key = await subscribe(parts, "http://127.0.0.1:9/")
    secret = await rotated(parts, key)
    held = b" ".join((await parts.pipeline.command("HGETALL", key.subscription)).values())
    for clear in (secret.key, secret.text.encode(), b64encode(secret.key), secret.key.hex().encode()):
        assert clear not in held
    hub_key = await parts.keyring.hub_key()
    assert hub_key is not None
    assert hub_key.private_bytes_raw() not in await parts.pipeline.command("GET", SIGNING_KEY)


async def test_a_process_without_the_key_to_the_secrets_does_not_start(
    parts: Parts, redis_url: str, tmp_path: Path
) -> None:
    """Once there are secrets; one line says what to set."""
    plain = settings(redis_url, tmp_path)
    await close((await built(plain)).client)
    await rotated(parts, await subscribe(parts, "http://127.0.0.1:9/"))
    with pytest.raises(NotTheHub, match="HUB_SECRETS_KEY is not set"):
        await built(plain)
    with pytest.raises(NotTheHub, match="none of the keys"):
        await built(plain.model_copy(update={"secrets_key": Fernet.generate_key().decode()}))
    both = f"{Fernet.generate_key().decode()},{KEY}"
    await close((await built(plain.model_copy(update={"secrets_key": both}))).client)


async def test_a_secret_that_can_not_be_opened_is_no_failure_of_the_subscribers(
    parts: Parts, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent unsigned; the attempt isn't counted, and the operator is told."""
    key = await subscribe(parts, f"{receiver.url}/hook")
    await rotated(parts, key)
    sealed = Secrets.of(Fernet.generate_key().decode(), None).seal(b"x" * 32).decode()
    await parts.pipeline.command("HSET", key.subscription, "secrets", f"{sealed} 0")
    async with delivering(parts):
        await eventually(lambda: "delivery.broken" in caplog.messages)
    assert receiver.received == []
    held = await state(parts)
    assert (held.status, held.failing) == (SubscriptionStatus.REQUESTED, "")
