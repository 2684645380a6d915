"""`/readyz`: each reason says what to do."""

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from hub.keys import CLOCK, EPOCH, pumps
from tests.facts import eventually
from tests.hub.api.server import Hub, patient, serving
from tests.hub.conftest import BASE, settings
from tests.redis_server import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One of its own, which may go away."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    with server.client() as redis:
        yield redis


@pytest.fixture
async def hub(server: RedisServer, tmp_path: Path) -> AsyncIterator[Hub]:
    wanted = settings(server.url, tmp_path).model_copy(update={"max_unmatched": 1, "allow_volatile_redis": True})
    async with serving(wanted) as found:
        yield found


async def ready(hub: Hub, status: int = 200) -> dict[str, Any]:
    answer = await hub.get(f"{BASE}/readyz")
    assert answer.status_code == status
    return dict(answer.json())


async def test_nothing_to_do(hub: Hub, redis: Redis) -> None:
    for kind in ("match", "deliver"):
        redis.zadd(pumps(kind), {"one": 10**13})
    redis.set(CLOCK, "one")
    assert await ready(hub) == {"status": "ready", "pumps": {"match": 1, "deliver": 1}}


async def test_no_workers(hub: Hub, redis: Redis) -> None:
    """Which ones to start."""
    assert "start `hub worker match` and `hub worker deliver`" in (await ready(hub))["waits"]
    redis.zadd(pumps("match"), {"one": 10**13})
    assert "start `hub worker deliver`, or see" in (await ready(hub))["waits"]


async def test_no_clock(hub: Hub) -> None:
    """It is no reason to take the api away, and nothing is tried again without one."""
    assert "start `hub clock`" in (await ready(hub))["clock"]


async def test_behind(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))

    async def declines() -> bool:
        return "declines" in await ready(hub)

    await eventually(declines)  # what was found before the write is believed for a second
    assert (await ready(hub))["declines"] == (
        "The hub is behind: 1 changes are not matched yet."
        " See that `hub worker match` is at work; start more of them, up to HUB_PARTITIONS"
    )


async def test_full(server: RedisServer, tmp_path: Path) -> None:
    wanted = settings(server.url, tmp_path).model_copy(update={"max_memory_bytes": 1_000})
    async with serving(wanted) as hub:
        said = (await ready(hub))["declines"]
    assert said.startswith("The hub is full: Redis uses ")
    assert said.endswith(". Give Redis more memory, or keep less: HUB_RETENTION_DAYS, HUB_RETENTION_BYTES")


async def test_a_redis_that_may_forget(hub: Hub, redis: Redis) -> None:
    redis.config_set("appendfsync", "everysec")
    assert (await ready(hub))["volatile"] == (
        "appendfsync is everysec, not always. Change that in Redis: HUB_ALLOW_VOLATILE_REDIS=true lets it forget"
    )


async def test_a_redis_that_has_lost_its_memory(hub: Hub, redis: Redis) -> None:
    redis.delete(EPOCH)
    said = await ready(hub, 503)
    assert said["reason"].endswith("Restore its data, or `hub recover`")


async def test_a_redis_that_is_away_since_the_disk_is_full(
    hub: Hub, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends when it can't write, and the hub goes on when there is room."""
    server.kill()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4_096))
    said = await ready(hub, 503)
    data = re.escape(str(tmp_path))
    assert re.search(
        rf"[^.]\. The disk is full \(4,096 bytes are free where {data}\S* is\): make room$", said["reason"]
    )


async def test_a_redis_that_is_away(hub: Hub, server: RedisServer) -> None:
    server.kill()
    said = await ready(hub, 503)
    assert said["reason"].endswith(
        ". See that the Redis at HUB_REDIS_URL runs, and what it says in its log; `hub doctor` says more"
    )
    assert ".." not in said["reason"]
