"""A Redis that is not given, not there or not ours: each part says so in one line, and what to do. Real processes."""

import asyncio
import json
import os
import random
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from tests.facts import eventually
from tests.processes import HubProcess
from tests.redis_server import CLUSTER_PORTS, RedisServer

WORKERS = ("worker match", "worker deliver", "clock")
ALL = ("api", "check match", *WORKERS)

NOBODY = "redis://127.0.0.1:1"
AWAY = (
    r"no answer from the Redis at {} (Error 111 connecting to 127.0.0.1:1. Connection refused): start it, or correct {}"
)
UNWELCOME = "the Redis at {} doesn't take the user and password in {}: correct them there"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One of its own, with a password."""
    with RedisServer() as server:
        with server.client() as redis:
            redis.config_set("requirepass", "right")
        yield server


async def ended(command: str, settings: dict[str, str]) -> tuple[int, str]:
    """The exit code of a hub that ends by itself, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", *command.split()),
        env=os.environ | {"HUB_BASE_URL": "http://hub.example", "HUB_DATA_DIR": "/nowhere"} | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, output.decode()


async def say(commands: tuple[str, ...], settings: dict[str, str], code: int, line: str) -> None:
    """Each ends with this exit code, and has said this line."""
    answers = await asyncio.gather(*(ended(command, settings) for command in commands))
    wanted = [(code, f"hub {command.split()[0]}: {line}\n") for command in commands]
    assert answers == wanted


async def test_no_url() -> None:
    line = "HUB_REDIS_URL is not set: single parts need the URL of the Redis that they share"
    await say(ALL, {}, 2, line)


async def test_nobody_there() -> None:
    """After a while in which it may still start."""
    name = "HUB_REDIS_URL"
    await say(("check match",), {name: NOBODY}, 1, AWAY.format(name, name))
    answers = await asyncio.gather(*(ended(command, {name: NOBODY}) for command in ("api", *WORKERS)))
    for code, said in answers:
        assert code == 1
        assert said.count("\n") == 1
        assert "no answer from the Redis at HUB_REDIS_URL (Error 111 " in said
        assert said.endswith(": start it, or correct HUB_REDIS_URL\n")


async def test_wrong_password(server: RedisServer, data: Path) -> None:
    name = "HUB_REDIS_URL"
    url = f"unix://:wrong@{server.socket}"
    await say((*ALL, f"serve --port 0 --data {data}"), {name: url}, 2, UNWELCOME.format(name, name))


async def test_nobody_there_for_rq(server: RedisServer) -> None:
    name = "HUB_RQ_REDIS_URL"
    settings = {"HUB_REDIS_URL": f"unix://:right@{server.socket}", name: NOBODY}
    await say(WORKERS, settings, 1, AWAY.format(name, name))


async def test_wrong_password_for_rq(server: RedisServer, data: Path) -> None:
    name = "HUB_RQ_REDIS_URL"
    settings = {"HUB_REDIS_URL": f"unix://:right@{server.socket}", name: f"unix://:wrong@{server.socket}"}
    await say((*WORKERS, f"serve --port 0 --data {data}"), settings, 2, UNWELCOME.format(name, name))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        pytest.param(
            {"HUB_REDIS_URL": "unix://:right@{}?db=99"},
            "the Redis at HUB_REDIS_URL refuses the hub (DB index is out of range): correct HUB_REDIS_URL",
            id="no-such-database",
        ),
        pytest.param(
            {"HUB_RQ_REDIS_URL": "unix://:right@{}?db=99"},
            "the Redis at HUB_RQ_REDIS_URL refuses the hub (DB index is out of range): correct HUB_RQ_REDIS_URL",
            id="no-such-database-for-rq",
        ),
        pytest.param({"HUB_REDIS_CLUSTER": "true"}, "HUB_REDIS_CLUSTER=true needs HUB_REDIS_URL", id="half-a-cluster"),
        pytest.param({"HUB_RQ_REDIS_URL": "foo"}, "HUB_RQ_REDIS_URL: its value should be redis://", id="no-url"),
    ],
)
async def test_refused_by_serve(server: RedisServer, data: Path, settings: dict[str, str], line: str) -> None:
    """Once, and not by each part again and again."""
    settings = {name: value.format(server.socket) for name, value in settings.items()}
    code, said = await ended(f"serve --port 0 --data {data}", settings)
    assert code == 2
    assert said.startswith(f"hub serve: {line}")
    assert said.count("\n") == 1


async def test_no_cluster() -> None:
    """A Redis that is no Cluster is told from one that is away."""
    line = (
        "the Redis at HUB_REDIS_URL refuses the hub (Cluster mode is not enabled on this node): correct HUB_REDIS_URL"
    )
    server = RedisServer()
    server.port = random.choice(CLUSTER_PORTS)
    with server:
        url = f"redis://127.0.0.1:{server.port}"
        settings = {"HUB_REDIS_CLUSTER": "true", "HUB_REDIS_URL": url, "HUB_RQ_REDIS_URL": url}
        await say(("api", "check match"), settings, 2, line)


@pytest.mark.parametrize("name", ["HUB_REDIS_URL", "HUB_RQ_REDIS_URL"])
async def test_serve_waits(data: Path, name: str) -> None:
    """A Redis that is away when the hub starts is waited for; each try is one line of the log."""
    with RedisServer() as server:
        server.kill()
        hub = HubProcess(data, {name: server.url})
        starting = asyncio.create_task(hub.start())
        await eventually(lambda: len(hub.output) > 1 or starting.done())
        server.start()
        await starting
        await hub.stop()
    before = takewhile(lambda line: not line.startswith("hub ready"), hub.output)
    lines = [json.loads(line) for line in before]
    assert {line["event"] for line in lines} == {"redis.waiting"}
    assert all(f"no answer from the Redis at {name}" in line["reason"] for line in lines)
