"""The hub's parts on a real Redis, in the process of the tests."""

from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest
from redis.asyncio import Redis

from hub.pipeline import Client, script
from hub.settings import Settings
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from tests.redis_server import RedisServer

BASE = "http://hub.example"
SCRIPTS = sorted(file.name.removesuffix(".lua") for file in (files("hub") / "lua").iterdir())


def settings(url: str, data: Path) -> Settings:
    """Quick, and allowed to call receivers on loopback."""
    return Settings(
        redis_url=url,
        base_url=BASE,
        data_dir=data / "none",
        handshake_delay=0,
        request_timeout=5,
        retry_waits=(0.05, 0.05),
        allow_http_endpoints=True,
        allow_private_endpoints=True,
        rate_unknown=0,
    )


async def close(client: Client) -> None:
    """Close all connections: a pool that was handed to a client is not the client's to close."""
    await client.aclose()
    if isinstance(client, Redis):
        await client.connection_pool.disconnect()


@pytest.fixture
async def parts(redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """All parts, on an empty Redis."""
    parts = await built(settings(redis_url, tmp_path))
    yield parts
    await close(parts.client)


@pytest.fixture(scope="module")
async def lasting(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    """
    All parts, on a Redis that is emptied once: for properties, whose examples keep apart by their names. It knows all
    scripts, so that what is asked for at once is done in its order.
    """
    with redis_server.client() as redis:
        redis.flushall()
        for name in SCRIPTS:
            redis.script_load(script(name).source)
    parts = await built(settings(redis_server.url, tmp_path_factory.mktemp("data")))
    yield parts
    await close(parts.client)
