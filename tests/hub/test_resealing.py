"""`hub secrets reseal`: afterwards the key in front opens everything alone, and nothing else has changed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.credentials import ClientCredentials
from hub.errors import NotTheHub
from hub.keyring import Entrusted
from hub.keys import EPOCH, LAYOUT, SubscriptionKey
from hub.resealing import RESEAL, Resealing
from hub.seal import Seal
from hub.secrets import Secrets, Unopened
from hub.wiring.parts import Parts
from subscriptions.codes import FhirVersion
from tests.dump import everything
from tests.hub.conftest import close
from tests.hub.engines import member, now, rewrite, sender, state, subscribe
from tests.hub.test_seal import HEADERS, KEY, OTHER, TOKEN, clear, with_keys

ENDPOINT = "http://127.0.0.1:9/"
OAUTH = ClientCredentials("http://127.0.0.1:9/token", "hub", "s3cr3t")


@pytest.fixture
async def parts(redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """All parts, with the old key alone."""
    parts = await with_keys(redis_url, tmp_path, KEY)
    yield parts
    await close(parts.client)


async def entrusted(parts: Parts, id_: str = "s") -> SubscriptionKey:
    """A Subscription with all that can be sealed: headers, two secrets, credentials."""
    key = await subscribe(parts, ENDPOINT, id_=id_, headers=HEADERS)
    for _ in range(2):
        await parts.keyring.rotate(key)
    await parts.keyring.entrust(key, Entrusted(OAUTH, origin="http://127.0.0.1:9"))
    return key


def resealing(parts: Parts, *keys: str) -> Resealing:
    return Resealing(parts.pipeline, parts.registry, Seal(parts.pipeline, Secrets.of(",".join(keys), None)))


async def opened(parts: Parts, key: SubscriptionKey) -> Any:
    """All that an endpoint is shown."""
    recipient = await sender(parts).recipient(key, (await state(parts, key.id)).revision)
    assert recipient is not None
    return recipient.subscription.headers, recipient.credentials.signing, recipient.credentials.oauth


async def test_afterwards_the_old_key_is_not_needed(parts: Parts, redis_url: str, tmp_path: Path) -> None:
    """And no Subscription has another version, so that nothing on its way is repeated."""
    keys = [await entrusted(parts, id_) for id_ in ("a", "b")]
    before = [(await opened(parts, key), await state(parts, key.id)) for key in keys]
    with pytest.raises(NotTheHub):
        await with_keys(redis_url, tmp_path, OTHER)
    done = await resealing(parts, OTHER, KEY).run()
    assert (done.subscriptions, done.changed, done.unopened) == (2, 2, ())
    assert done.retired == Secrets.of(KEY, None).fingerprints
    after = await with_keys(redis_url, tmp_path, OTHER)
    for key, (shown, held) in zip(keys, before, strict=True):
        assert await opened(after, key) == shown
        assert (await state(after, key.id)).revision == held.revision
    assert await after.keyring.hub_key() is not None
    await close(after.client)


async def test_to_do_it_again_changes_nothing(parts: Parts) -> None:
    await entrusted(parts)
    await resealing(parts, OTHER, KEY).run()
    before = await everything(parts.pipeline.command)
    done = await resealing(parts, OTHER, KEY).run()
    assert (done.subscriptions, done.changed, done.retired) == (1, 0, ())
    assert await everything(parts.pipeline.command) == before


async def test_it_goes_on_where_it_was_cut_short(parts: Parts) -> None:
    """What was done stays done, and the old key is kept until all is."""
    keys = [await entrusted(parts, id_) for id_ in ("a", "b", "c")]
    new = resealing(parts, OTHER, KEY)
    await new.seal.enter()
    registered = await parts.registry.find("default", FhirVersion.R4, "a")
    assert registered is not None
    assert await new._subscription(registered)
    assert set(await new.seal.sealers()) == set(new.seal.secrets.fingerprints)
    done = await resealing(parts, OTHER, KEY).run()
    assert (done.subscriptions, done.changed) == (len(keys), 2)
    assert await new.seal.sealers() == [new.seal.secrets.fingerprints[0]]


async def test_what_was_kept_in_clear_is_sealed(parts: Parts) -> None:
    key = await subscribe(parts, ENDPOINT, headers=HEADERS)
    await clear(parts)
    shown = await opened(parts, key)
    done = await resealing(parts, KEY).run()
    assert done.changed == 1
    assert TOKEN.encode() not in await everything(parts.pipeline.command)
    assert await opened(parts, key) == shown
    assert await parts.membership.repair(now=now()) == 0


async def test_a_crash_between_state_and_registry_leaves_nothing_in_clear(parts: Parts) -> None:
    """The state was sealed and the registry was not: the next run sees it."""
    key = await subscribe(parts, ENDPOINT, headers=HEADERS)
    sealed = await state(parts)
    await clear(parts)
    await parts.pipeline.command("HSET", key.subscription, "resource", sealed.resource, "headers", sealed.headers)
    assert (await resealing(parts, KEY).run()).changed == 1
    assert TOKEN.encode() not in await everything(parts.pipeline.command)


async def test_what_does_not_open_is_left_and_named(parts: Parts) -> None:
    """So no key is forgotten, and whoever finds it can try again."""
    await entrusted(parts, "a")
    key = await entrusted(parts, "b")
    other = Seal(parts.pipeline, Secrets.of(OTHER, None))
    await parts.pipeline.command("HSET", key.subscription, "headers", await other.seal(b"[]"))
    before = await parts.pipeline.command("HGETALL", key.subscription)
    done = await resealing(parts, KEY).run()
    assert (done.changed, done.unopened, done.retired) == (0, ("default/r4/b",), ())
    assert await parts.pipeline.command("HGETALL", key.subscription) == before
    assert await other.sealers() == sorted((*other.secrets.fingerprints, *parts.seal.secrets.fingerprints))
    assert (await resealing(parts, KEY, OTHER).run()).unopened == ()


async def test_a_key_that_opens_nothing_leaves_no_mark(parts: Parts) -> None:
    """Else the hub would ask for it from then on."""
    await entrusted(parts)
    assert set((await resealing(parts, OTHER).run()).unopened) == {"signing", "default/r4/s"}
    assert await parts.seal.sealers() == sorted(Secrets.of(KEY, None).fingerprints)


async def test_a_key_that_is_lost_is_forgotten_only_when_that_is_asked_for(
    parts: Parts, redis_url: str, tmp_path: Path
) -> None:
    """The hub starts again; what it sealed is given anew by whoever gave it."""
    key = await entrusted(parts)
    with pytest.raises(NotTheHub):
        await with_keys(redis_url, tmp_path, OTHER)
    done = await resealing(parts, OTHER).run(forget=True)
    assert set(done.unopened) == {"signing", "default/r4/s"}
    assert done.retired == Secrets.of(KEY, None).fingerprints
    after = await with_keys(redis_url, tmp_path, OTHER)
    with pytest.raises(Unopened):
        await opened(after, key)
    await rewrite(after, ENDPOINT, headers=HEADERS)
    assert (await state(after)).headers
    await close(after.client)


async def test_a_write_meanwhile_is_not_undone(parts: Parts) -> None:
    key = await entrusted(parts)
    held = await state(parts)
    await rewrite(parts, ENDPOINT, headers=["Authorization: new"])
    stale = ("headers", held.headers, Secrets.of(OTHER, None).seal(b"[]"))
    assert await parts.pipeline.run(RESEAL, [key.subscription], *stale) == 0
    await asyncio.gather(
        resealing(parts, OTHER, KEY).run(), *(rewrite(parts, ENDPOINT, headers=[f"X-N: {n}"]) for n in range(5))
    )
    last = await member(parts)
    record = await parts.registry.find("default", FhirVersion.R4, "s")
    assert record is not None
    assert (record.resource, record.revision) == (last.state.resource, last.state.revision)


async def test_without_a_key_nothing_is_done(parts: Parts) -> None:
    with pytest.raises(NotTheHub, match="HUB_SECRETS_KEY is not set"):
        await resealing(parts).run()


@pytest.mark.parametrize("keyed", [True, False])
async def test_a_store_of_before_layout_4_is_sealed_when_it_is_migrated(
    parts: Parts, redis_url: str, tmp_path: Path, keyed: bool
) -> None:
    """Where there is a key; without one it goes on as it was."""
    key = await subscribe(parts, ENDPOINT, headers=HEADERS)
    await clear(parts)
    await parts.pipeline.command("DEL", "hub:{registry}:sealers")
    await parts.pipeline.command("HSET", EPOCH, "layout", 3)
    migrated = await with_keys(redis_url, tmp_path, *([KEY] if keyed else []))
    assert await migrated.pipeline.command("HGET", EPOCH, "layout") == str(LAYOUT).encode()
    assert (TOKEN.encode() not in await everything(migrated.pipeline.command)) is keyed
    assert (await opened(migrated, key))[0][0] == ("Authorization", f"Bearer {TOKEN}")
    await close(migrated.client)
