"""What all tests share: a real Redis and a whole hub for each xdist worker, and asyncio on uvloop."""

import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.facts import eventually
from tests.fhir import Fhir, talking_to
from tests.processes import SHARED, HubProcess
from tests.receiver import Receiver
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
    return emptied(redis_server)


@pytest.fixture
def redis_cluster_url(redis_server: RedisServer) -> str:
    """The same, for a cluster client, which needs a host and port."""
    emptied(redis_server)
    return f"redis://127.0.0.1:{redis_server.port}"


@pytest.fixture(scope="session")
def rq_redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def rq_redis_url(rq_redis_server: RedisServer) -> str:
    """The URL of an empty plain Redis: RQ can't use a cluster."""
    return emptied(rq_redis_server)


def emptied(server: RedisServer) -> str:
    """The URL of a Redis that has nothing in it any more."""
    with server.client() as redis:
        redis.flushall()
        redis.script_flush()
    return server.url


@pytest.fixture(scope="session")
async def hub() -> AsyncIterator[HubProcess]:
    """One hub in processes of its own, for tests that keep apart by their resources and paths."""
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        async with HubProcess(Path(folder), SHARED) as hub:
            await eventually(lambda: hub.have(1))
            yield hub


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        yield Path(folder)


@pytest.fixture
async def fhir(hub: HubProcess) -> AsyncIterator[Fhir]:
    async with talking_to(hub) as fhir:
        yield fhir


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver
