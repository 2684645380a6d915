"""`hub serve`: the whole hub in one command, with all its parts as real processes."""

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic

import httpx
import pytest
from redis import Redis

from hub.cli import FILES
from tests.facts import eventually, lives
from tests.processes import HubProcess

PARTS = ("redis", "api", "worker match", "worker deliver", "clock")


def serve(data: Path, *options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a `hub serve` that ends by itself."""
    return hub("serve", "--data", str(data), *options, **settings)


def hub(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "hub", *arguments]
    return subprocess.run(argv, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60)


def all_pids(hub: HubProcess) -> list[int]:
    return [pid for part in PARTS for pid in hub.pids(part)]


def complete(hub: HubProcess) -> bool:
    """Whether each part runs, once."""
    return all(len(hub.pids(part)) == 1 for part in PARTS)


async def ready(hub: HubProcess) -> bool:
    try:
        async with httpx.AsyncClient(base_url=hub.url) as client:
            return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def put_patient(hub: HubProcess) -> None:
    patient = {"resourceType": "Patient", "id": "example"}
    async with hub.client() as client:
        assert (await client.put("Patient/example", json=patient)).status_code == 201


async def has_patient(hub: HubProcess) -> bool:
    async with hub.client() as client:
        return (await client.get("Patient/example")).status_code == 200


async def test_ready(data: Path) -> None:
    """When it is ready it says so in one line, and what that names is there."""
    async with HubProcess(data) as hub:
        assert hub.output == [f"hub ready: {hub.url}/fhir/r4 · {hub.url}/docs · {hub.url}/console · data in {data}"]
        async with httpx.AsyncClient(base_url=hub.url) as client:
            for path in ("/readyz", "/healthz", "/docs", "/console/", "/fhir/r4/metadata"):
                assert (await client.get(path)).status_code == 200
        await eventually(lambda: complete(hub))


async def test_files(data: Path) -> None:
    """Whoever is allowed few files by his shell gets as many as the system allows: each slow endpoint holds one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with HubProcess(data) as hub:
            await eventually(lambda: complete(hub))
            [worker] = hub.pids("worker deliver")
            assert resource.prlimit(worker, resource.RLIMIT_NOFILE)[0] == min(FILES, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_stop(data: Path) -> None:
    """SIGTERM ends it within ten seconds, well, with nothing left behind."""
    async with HubProcess(data) as hub:
        await eventually(lambda: complete(hub))
        pids = all_pids(hub)
        began = monotonic()
        assert await hub.stop() == 0
        assert monotonic() - began < 10
        assert not [pid for pid in pids if lives(pid)]
        assert not [line for line in hub.output if "part.died" in line or "part.killed" in line]


async def test_start_again(data: Path) -> None:
    """Started again on the same data it has what it had."""
    async with HubProcess(data) as hub:
        await put_patient(hub)
        await hub.stop()
        await hub.start()
        assert await has_patient(hub)


async def test_kill_of_the_supervisor(data: Path) -> None:
    """kill -9 of the supervisor alone, and a second start at once, at the same address: nothing is lost or doubled."""
    async with HubProcess(data) as hub:
        await eventually(lambda: complete(hub))
        pids = all_pids(hub)
        await put_patient(hub)
        await hub.stop(kill=True)
        await hub.start()
        assert await has_patient(hub)
        assert not [pid for pid in pids if lives(pid)]


async def test_restart(data: Path) -> None:
    """Whichever part is killed is started again, alone, and the hub still knows what it knew."""
    async with HubProcess(data) as hub:
        await put_patient(hub)
        redis_url = (data / "redis.url").read_text()
        # Who finds no Redis when it starts is not at work yet: it ends, and is started again.
        await eventually(lambda: hub.have(1))
        await eventually(lambda: check("clock", redis_url) == (0, ""))
        for part in PARTS:
            await eventually(lambda: complete(hub))
            [killed] = hub.pids(part)
            others = set(all_pids(hub)) - {killed}
            await hub.kill(part)
            await eventually(lambda: complete(hub) and not lives(killed))  # noqa: B023 (awaited before it changes)
            await eventually(lambda: ready(hub))
            assert await has_patient(hub)
            assert others == set(all_pids(hub)) - set(hub.pids(part))


async def test_redis_of_ones_own(rq_redis_url: str, data: Path) -> None:
    """With HUB_REDIS_URL no Redis is started, and nothing is written beside it."""
    async with HubProcess(data / "none", {"HUB_REDIS_URL": rq_redis_url}) as hub:
        await eventually(lambda: all(hub.pids(part) for part in PARTS[1:]))
        assert hub.pids("redis") == []
        assert not (data / "none").exists()


def check(part: str, redis_url: str) -> tuple[int, str]:
    """The exit code of `hub check`, and what it says."""
    run = hub("check", part, HUB_REDIS_URL=redis_url)
    return run.returncode, run.stdout + run.stderr


async def test_check(data: Path, rq_redis_url: str) -> None:
    """`hub check` says by its exit code whether a part is at work, and in one line what is the matter."""
    async with HubProcess(data):
        redis_url = (data / "redis.url").read_text()
        for part in ("match", "deliver", "clock"):
            await eventually(lambda: check(part, redis_url) == (0, ""))  # noqa: B023 (awaited before it changes)
    idle = "is at work: start it, or see why it ends in what it says on stderr"
    for kind in ("match", "deliver"):
        assert check(kind, rq_redis_url) == (1, f"hub check: no {kind} worker of this host {idle}\n")
    assert check("clock", rq_redis_url) == (1, f"hub check: no clock {idle}\n")
    code, said = check("match", redis_url)
    assert code == 1
    assert said.startswith("hub check: no answer from the Redis at HUB_REDIS_URL (")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "settings", "line"),
    [
        pytest.param(
            ["--host", "0.0.0.0"],
            {},
            "0.0.0.0 is not loopback and HUB_AUTH is none",
            id="open-to-all",
        ),
        pytest.param(
            ["--host", "0.0.0.0"],
            {"HUB_ALLOW_OPEN": "true"},
            "--host 0.0.0.0 is no address for others: set HUB_BASE_URL",
            id="no-address-for-others",
        ),
        pytest.param(
            ["--host", "192.0.2.1"],
            {"HUB_ALLOW_OPEN": "true"},
            "can't listen on 192.0.2.1:8000: Cannot assign requested address; choose an address of this machine",
            id="not-ours",
        ),
        pytest.param(
            [], {"HUB_PARTITIONS": "many"}, "HUB_PARTITIONS: 'many' should be a whole number", id="bad-setting"
        ),
    ],
)
def test_refusals(data: Path, options: list[str], settings: dict[str, str], line: str) -> None:
    """What can't work is refused at once, in one line that says what to change."""
    run = serve(data, *options, **settings)
    assert run.returncode == 2
    assert run.stderr.startswith(f"hub serve: {line}")
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""


@pytest.mark.parametrize("command", ["serve", "api"])
def test_port_of_somebody_else(data: Path, rq_redis_url: str, command: str) -> None:
    """A port that is taken is said to be, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"HUB_DATA_DIR": str(data), "HUB_REDIS_URL": rq_redis_url, "HUB_BASE_URL": "http://hub.example"}
        run = hub(command, "--port", str(port), **settings)
    advice = "stop what listens there, or choose another by --port"
    line = f"can't listen on 127.0.0.1:{port}: Address already in use; {advice}"
    assert (run.returncode, run.stderr) == (2, f"hub {command}: {line}\n")


@pytest.mark.parametrize("command", ["serve", "api"])
@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_no_port(command: str, port: str) -> None:
    run = hub(command, "--port", port)
    assert run.returncode == 2
    assert run.stderr.endswith(f"\nhub {command}: error: argument --port: {port!r} should be a port: 0 to 65535\n")
    assert run.stderr.startswith("usage: ")


async def test_directory_of_another(data: Path) -> None:
    """A second hub on the same data is refused."""
    async with HubProcess(data):
        run = serve(data, "--port", "0")
    assert run.returncode == 2
    assert run.stderr.startswith(f"hub serve: another hub already runs on {data}")


async def test_other_partitions(data: Path) -> None:
    """A store that was begun with another number of partitions is refused, once and not by each part."""
    async with HubProcess(data) as hub:
        await hub.stop()
        run = serve(data, "--port", "0", HUB_PARTITIONS="2")
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith("hub serve: HUB_PARTITIONS is 2, but the store was begun with 4")
        assert run.stderr.count("\n") == 1


def test_volatile_redis(rq_redis_url: str, data: Path) -> None:
    """A Redis that may forget what it confirmed is refused."""
    with Redis.from_url(rq_redis_url) as redis:
        redis.config_set("appendfsync", "everysec")
        try:
            run = serve(data, "--port", "0", HUB_REDIS_URL=rq_redis_url)
        finally:
            redis.config_set("appendfsync", "always")
    assert run.returncode == 2
    assert run.stderr.startswith("hub serve: this Redis may forget what it confirmed (appendfsync is everysec")
    assert run.stderr.count("\n") == 1


def test_broken_data(data: Path) -> None:
    """A Redis that can't read its data is not started for ever: its last line is shown."""
    (data / "appendonly.aof").write_bytes(b"*1\r\n$3\r\nNOT REDIS\r\n" * 100)
    run = serve(data, "--port", "0")
    assert run.returncode == 2
    assert run.stderr.startswith(f"hub serve: Redis doesn't start on {data}: ")
    assert run.stderr.count("\n") == 1
