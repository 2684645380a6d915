"""After a recovery no number that may have been given is given again, whatever happens in between."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from redis.asyncio import Redis

from hub.errors import NotTheHub
from hub.keys import EPOCH, SubscriptionKey
from hub.recovery import NUMBERS_PER_SECOND, RECOVER, ROUND, Recovered
from hub.registered import Registered
from hub.settings import Settings
from hub.turn import Verb
from hub.wiring.commands import recovery, resealing
from hub.wiring.parts import Parts, parts
from subscriptions.audit import OPERATOR, Act, Kind
from subscriptions.codes import SubscriptionStatus
from tests.hub.conftest import close, settings
from tests.hub.life import R4, Life, entry

HOUR = 3_600_000


@pytest.fixture
def wanted(redis_url: str, tmp_path: Path) -> Settings:
    return settings(redis_url, tmp_path).model_copy(update={"data_dir": tmp_path})


@pytest.fixture
async def process(wanted: Settings) -> AsyncIterator[Parts]:
    found = await parts(wanted)
    await found.watch.look()
    yield found
    await close(found.client)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield redis


async def recover(wanted: Settings, *, force: bool = False) -> Recovered:
    async with recovery(wanted) as found:
        return await found.run(force=force)


async def age(redis: Redis, ms: int) -> None:
    """Make it a state of so long ago."""
    count = int(await redis.hget(EPOCH, "count") or 0)
    await redis.hset(EPOCH, "count", str(count - ms))


async def subscribed(process: Parts, id_: str) -> Life:
    key = SubscriptionKey("default", R4, id_, "i")
    assert await process.registry.enter(Registered(key, True, 1, 1, b"{}"))
    return Life(process.outboxes, key)


async def state(redis: Redis, life: Life) -> dict[str, str]:
    found = await redis.hgetall(life.key.subscription)
    return {str(name): str(value) for name, value in found.items()}


async def test_numbers_go_on_above_all_and_subscriptions_say_what_happened(
    process: Parts, redis: Redis, wanted: Settings
) -> None:
    """Those that are off stay off. What was owed is skipped as after any error, and kept. Owners are told."""
    active, requested, off = [await subscribed(process, id_) for id_ in ("active", "requested", "off")]
    await active.active()
    await process.outboxes.owe(active.key, 0, [entry(0, number) for number in range(1, 6)])
    await active.settle(await active.turn(), Verb.DELIVERED)
    await requested.write(SubscriptionStatus.REQUESTED, expected="")
    await off.active()
    await process.outboxes.owe(off.key, 0, [entry(0, 1)])
    await off.write(SubscriptionStatus.OFF)
    before = [await state(redis, life) for life in (active, requested, off)]
    await age(redis, HOUR)
    did = await recover(wanted)
    assert "holds an older state" in did.reason
    assert (did.failed, did.off) == (2, 1)
    assert HOUR // 1000 * NUMBERS_PER_SECOND <= did.jump - ROUND < (HOUR // 1000 + 60) * NUMBERS_PER_SECOND
    for life, old in zip((active, requested, off), before, strict=True):
        new = await state(redis, life)
        above = int(new["events"])
        assert above % ROUND == 0
        assert int(old["events"]) + did.jump <= above < int(old["events"]) + did.jump + ROUND
        assert new["delivered"] == new["events"]
        assert int(new["revision"]) == int(old["revision"]) + 1
        assert not {"sending", "attempt", "next", "failing"} & new.keys()
        assert new["status"] == ("off" if life is off else "error")
    told = await state(redis, active)
    assert re.search(r"state of \d{4}-.* UTC\. Events up to number 5 are kept: .* above 7[2-9]\d{6}\.", told["error"])
    assert (told["skipped"], told["skipped_events"]) == ("3-5", "3")
    assert json.loads(told["alerts"])["error"]["text"] == told["error"]
    assert "alerts" not in await state(redis, off)
    assert [event.number for event in await process.outboxes.events(active.key, 1, 10**12)] == [1, 2, 3, 4, 5]


async def test_after_reactivation_the_next_number_is_above(process: Parts, redis: Redis, wanted: Settings) -> None:
    """And what comes while it is in `error` is numbered, and skipped, as ever."""
    life = await subscribed(process, "s")
    await life.active()
    await age(redis, HOUR)
    did = await recover(wanted)
    async with again(wanted) as process:
        life = Life(process.outboxes, life.key, token=life.token)
        above = int((await state(redis, life))["events"])
        assert above >= did.jump
        owed = await process.outboxes.owe(life.key, 0, [entry(0, 1)])
        assert owed is not None
        assert (owed.events, owed.send) == (above + 1, False)
        await life.write(SubscriptionStatus.REQUESTED)
        await life.settle(await life.turn(), Verb.ACTIVE)
        await process.outboxes.owe(life.key, 0, [entry(0, 2)])
        turn = await life.turn()
        assert turn.sending is not None
        assert turn.sending.first == above + 2
        assert (await state(redis, life))["skipped"] == f"{above + 1}-{above + 1}"


async def test_a_recovery_that_is_cut_short_goes_on_and_does_nothing_twice(
    process: Parts, redis: Redis, wanted: Settings
) -> None:
    """Meanwhile no hub starts on the store."""
    one, two = await subscribed(process, "one"), await subscribed(process, "two")
    await one.active()
    await two.active()
    await age(redis, HOUR)
    await redis.hset(EPOCH, mapping={"recovering": "new", "jump": "5000000"})
    await process.pipeline.run(RECOVER, [one.key.subscription], "new", 5_000_000, ROUND, "%s %s")
    with pytest.raises(NotTheHub, match="begun and not finished"):
        await parts(wanted)
    did = await recover(wanted)
    assert (did.id, did.jump, did.failed) == ("new", 5_000_000, 2)
    for life in (one, two):
        assert (await state(redis, life))["events"] == "5000000"
        assert (await state(redis, life))["revision"] == "3"
    with pytest.raises(NotTheHub, match="nothing to recover"):
        await recover(wanted)
    async with again(wanted) as process:
        assert process.foundation.epoch == "new"


async def test_the_same_state_restored_again_goes_on_above_what_came_of_the_first_recovery(
    process: Parts, redis: Redis, wanted: Settings
) -> None:
    life = await subscribed(process, "s")
    await life.active()
    kept = {key: await process.pipeline.command("DUMP", key) for key in await raw_keys(process)}
    reached = 0
    for _ in range(4):
        await redis.flushall()
        for key, value in kept.items():
            await process.pipeline.command("RESTORE", key, 0, value)
        await age(redis, 1)
        await recover(wanted)
        above = int((await state(redis, life))["events"])
        assert above > reached + ROUND // 2
        reached = above


async def raw_keys(process: Parts) -> list[bytes]:
    return list(await process.pipeline.command("KEYS", "*"))


async def test_an_emptied_redis_begins_a_new_store(process: Parts, redis: Redis, wanted: Settings) -> None:
    """Processes of before take it for the successor of theirs; a start takes it as it is."""
    await redis.flushall()
    did = await recover(wanted)
    assert (did.jump, did.failed) == (0, 0)
    assert did.id != process.foundation.epoch
    assert await redis.hget(EPOCH, "before") == process.foundation.epoch
    async with again(wanted) as successor:
        assert successor.foundation.epoch == did.id
        assert successor.foundation.count > process.memory.count
    await process.watch.look()
    assert "was recovered" in process.memory.lost


@pytest.mark.usefixtures("process")
async def test_nothing_is_recovered_without_need(redis: Redis, wanted: Settings) -> None:
    """But by force; also what may be another hub's."""
    with pytest.raises(NotTheHub, match="there is nothing to recover: Redis holds all that is known of"):
        await recover(wanted)
    assert (await recover(wanted, force=True)).jump >= ROUND
    (wanted.data_dir / "epoch").write_text("another 5\n")
    await redis.hdel(EPOCH, "before")
    with pytest.raises(NotTheHub, match="data of another hub"):
        await recover(wanted)
    did = await recover(wanted, force=True)
    assert "another" in str(await redis.hget(EPOCH, "before")).split()
    assert (wanted.data_dir / "epoch").read_text().startswith(did.id)
    await redis.flushall()
    (wanted.data_dir / "epoch").unlink()
    with pytest.raises(NotTheHub, match="there is nothing to recover: Redis is empty"):
        await recover(wanted)


@asynccontextmanager
async def again(wanted: Settings) -> AsyncIterator[Parts]:
    """A process that is started on the store."""
    found = await parts(wanted)
    try:
        yield found
    finally:
        await close(found.client)


async def test_it_is_audited(process: Parts, redis: Redis, wanted: Settings) -> None:
    """Each recovery is, with its reason: of an earlier state, and of an empty Redis, whose audit begins with it."""
    await process.audit.record("default", Act(Kind.TOPIC_CREATED, "lab"))
    await age(redis, HOUR)
    await recover(wanted, force=True)
    assert [entry.act.kind async for entries in process.audit.oldest("default") for entry in entries] == [
        Kind.TOPIC_CREATED, Kind.RECOVERED
    ]  # fmt: skip
    await redis.flushall()
    recovered = await recover(wanted)
    again = await parts(wanted)
    found = [entry.act async for entries in again.audit.oldest("default") for entry in entries]
    assert found == [Act(Kind.RECOVERED, OPERATOR, text=recovered.reason)]
    await close(again.client)


async def test_resealing_is_audited(process: Parts, wanted: Settings) -> None:
    """Before anything is sealed."""
    async with resealing(wanted.model_copy(update={"secrets_key": Fernet.generate_key().decode()})):
        found = [entry.act async for entries in process.audit.oldest("default") for entry in entries]
        assert found == [Act(Kind.RESEALED, OPERATOR)]
