"""A process notices when Redis holds another store, or an earlier state of it, and asks nothing of it then."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from hub.errors import Declined, Unavailable
from hub.keys import EPOCH
from hub.memory import LOST, OLDER, RECOVERED, RECOVERING
from hub.settings import Settings
from hub.watch import NOTED
from hub.wiring.parts import Parts, parts
from tests.facts import eventually
from tests.hub.conftest import close, settings


@pytest.fixture(params=["alone", "cluster"])
async def process(
    request: pytest.FixtureRequest, redis_url: str, redis_cluster_url: str, tmp_path: Path
) -> AsyncIterator[Parts]:
    """The parts of a process that keeps a mark."""
    wanted: Settings = settings(redis_url, tmp_path).model_copy(update={"data_dir": tmp_path})
    if request.param == "cluster":
        wanted = wanted.model_copy(update={"redis_url": redis_cluster_url, "redis_cluster": True})
    found = await parts(wanted)
    yield found
    await close(found.client)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """The operator's way to the same Redis."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield redis


async def declined(process: Parts) -> str:
    """What is said to whoever wants something of the store."""
    with pytest.raises(Declined) as refused:
        await process.pipeline.command("GET", "x")
    with pytest.raises(Declined):
        await process.pipeline.all([("GET", "x")])
    return str(refused.value)


async def test_the_count_rises_with_each_look_and_the_note_follows(
    process: Parts, redis: Redis, tmp_path: Path
) -> None:
    """By the clock, and by one where the clock has gone back; what is noted is never ahead of Redis."""
    watch = process.watch
    await watch.look()
    first = int(await redis.hget(EPOCH, "count") or 0)
    seconds, _ = await redis.time()
    assert seconds * 1000 - 60_000 < first <= (seconds + 1) * 1000
    assert (tmp_path / "epoch").read_text() == f"{process.memory.epoch} {first}\n"
    await watch.look()
    assert int(await redis.hget(EPOCH, "count") or 0) == process.memory.count
    ahead = first + 3_600_000
    await redis.hset(EPOCH, "count", str(ahead))
    await watch.look()
    assert process.memory.count == int(await redis.hget(EPOCH, "count") or 0) == ahead + 1
    assert (tmp_path / "epoch").read_text() == f"{process.memory.epoch} {ahead + 1}\n"
    await redis.hset(EPOCH, "count", str(ahead + NOTED))
    await watch.look()
    assert (tmp_path / "epoch").read_text() == f"{process.memory.epoch} {ahead + 1}\n"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({}, LOST, id="empty"),
        pytest.param({"id": "another", "count": "9" * 13}, LOST, id="swapped"),
        pytest.param({"count": "1"}, OLDER, id="older"),
        pytest.param({"recovering": "x"}, RECOVERING, id="under-recovery"),
    ],
)
async def test_another_store_is_asked_nothing_until_the_right_one_is_back(
    process: Parts, redis: Redis, fields: dict[str, str], said: str
) -> None:
    """Also where the connections stay; and nothing is written there."""
    await process.watch.look()
    kept: dict[Any, Any] = dict(await redis.hgetall(EPOCH))
    await redis.flushall()
    if fields:
        await redis.hset(EPOCH, mapping=kept | fields)
    there = await redis.hgetall(EPOCH)
    await process.watch.look()
    assert said in await declined(process)
    assert await redis.hgetall(EPOCH) == there
    await redis.delete(EPOCH)
    await redis.hset(EPOCH, mapping=kept)
    await process.watch.look()
    assert await process.pipeline.command("GET", "x") is None


async def test_a_new_connection_judges_before_anything_is_asked(redis_url: str, tmp_path: Path, redis: Redis) -> None:
    """A Redis that was restored was restarted: nothing reaches it by a connection of before."""
    process = await parts(settings(redis_url, tmp_path))
    await process.watch.look()
    await redis.hset(EPOCH, "count", "1")
    await process.client.connection_pool.disconnect()  # type: ignore[union-attr] # it is no Cluster
    await redis.client_kill_filter(_type="normal", skipme=True)

    async def is_declined() -> bool:
        with pytest.raises(Unavailable) as refused:
            await process.pipeline.command("SET", "x", "1")
        return OLDER in str(refused.value)

    await eventually(is_declined)
    assert await redis.get("x") is None
    await close(process.client)


async def test_a_process_whose_store_was_recovered_ends(process: Parts, redis: Redis) -> None:
    """Whoever started it starts it again."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    try:
        await redis.hset(EPOCH, mapping={"id": "new", "before": f"{process.memory.epoch} older"})
        async with asyncio.timeout(20):
            await process.watch.run()
            await told.wait()
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert RECOVERED in await declined(process)
