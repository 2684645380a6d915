"""What all tests share: a real Redis for each xdist worker, and asyncio on uvloop."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.redis_server import RedisServer

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("hub", deadline=None)
settings.load_profile("hub")

# Children inherit what is ignored: under nohup or in the background of a script, no hub could be stopped by these.
for stop, default in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(stop) is signal.SIG_IGN:
        signal.signal(stop, default)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A cluster of one node, so that a step over two hash tags fails here and not in production."""
    with RedisServer(cluster=True) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis: of the cluster's node, as a plain client sees it."""
    return _emptied(redis_server)


@pytest.fixture
def redis_cluster_url(redis_server: RedisServer) -> str:
    """The same, for a cluster client, which needs a host and port."""
    _emptied(redis_server)
    return f"redis://127.0.0.1:{redis_server.port}"


@pytest.fixture(scope="session")
def rq_redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def rq_redis_url(rq_redis_server: RedisServer) -> str:
    """The URL of an empty plain Redis: RQ can't use a cluster."""
    return _emptied(rq_redis_server)


def _emptied(server: RedisServer) -> str:
    with server.client() as redis:
        redis.flushall()
        redis.script_flush()
    return server.url
