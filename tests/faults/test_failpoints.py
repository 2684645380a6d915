"""A process dies at each step that changes something, once: what was promised is kept by the next one."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from hub.failpoints import KILLED
from tests.facts import eventually
from tests.faults.checker import check
from tests.faults.conftest import directory
from tests.faults.lives import Life
from tests.faults.publishers import Told
from tests.faults.story import PATHS
from tests.fhir import immunization, talking_to
from tests.processes import HubProcess, free_port, subscription
from tests.receiver import Answer, Received, Receiver, lots
from tests.redis_server import RedisServer

HUB = Path(str(files("hub")))
#: Those that are no step of their own: others begin with them.
LUA = {file.stem: file.read_text() for file in (HUB / "lua").glob("*.lua")}
INCLUDED = set(" ".join(re.findall(r"^-- include: (.+)$", "\n".join(LUA.values()), re.M)).split())
SCRIPTS = LUA.keys() - INCLUDED
#: Commands that change something, where the hub asks for them by themselves.
WRITES = set(
    re.findall(
        r'"(XADD|XTRIM|XDEL|ZADD|ZREM|ZREMRANGEBYSCORE|SADD|SREM|HSETNX|HSET|HDEL|HINCRBY|INCR|SETEX|SET|DEL)"',
        "\n".join(file.read_text() for file in HUB.rglob("*.py")),
    )
)
STEPS = sorted({*SCRIPTS, *map(str.lower, WRITES), "request"})
#: What every event passes. Of other steps `make test` takes but the point behind each, `make chaos` takes them all.
ON_THE_WAY = {"put", "owe", "mark", "advance", "claim", "take", "request", "settle", "release"}
POINTS = [
    f"{when}:{step}"
    for step in STEPS
    for when in ("before", "after")
    if when == "after" or step in ON_THE_WAY or "CHAOS_SECONDS" in os.environ
]
#: Stores of an older layout are what these steps are for.
OF_MIGRATION = {"reindex", "hset"}
#: Stores that hold an earlier state than is noted are what these are for.
OF_RECOVERY = {"recover", "refound"}
#: As many as Redis has databases.
AT_ONCE = 12


@dataclass
class Lives:
    """The program that lives are forked from."""

    process: asyncio.subprocess.Process
    waiting: dict[str, "asyncio.Future[int]"] = field(default_factory=dict)

    async def live(self, life: Life) -> int:
        """Live one; returns how it ended."""
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.waiting[life.data] = ended
        assert self.process.stdin
        self.process.stdin.write(json.dumps(asdict(life)).encode() + b"\n")
        return await ended

    async def listen(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            data, code = line.split()
            self.waiting.pop(data.decode()).set_result(int(code))


@asynccontextmanager
async def lives() -> AsyncIterator[Lives]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.lives"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    found = Lives(process)
    listening = asyncio.create_task(found.listen())
    try:
        yield found
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()
        listening.cancel()


async def gone(_: Received) -> int:
    return 410


def slow_after_handshake(seconds: float) -> Answer:
    async def answer(received: Received) -> int:
        if received.type != "handshake":
            await asyncio.sleep(seconds)
        return 200

    return answer


async def killed_at(point: str, server: RedisServer, database: int, found: Lives) -> list[str]:
    """What was not kept when the process was killed at a point; empty when all was."""
    with directory() as data, server.client() as redis:
        async with Receiver() as receiver:
            receiver.answers["/gone"] = gone
            receiver.answers["/slow"] = slow_after_handshake(0.1)
            redis.select(database)
            redis.flushdb()
            life = Life(f"{server.url}?db={database}", str(data), receiver.url, free_port())
            step = point.partition(":")[2]
            older, earlier = step in OF_MIGRATION, step in OF_RECOVERY
            if (older or earlier) and (code := await found.live(life)) != 0:
                return [f"the one before ended with {code}"]
            if (code := await found.live(replace(life, crash_at=point, older=older, earlier=earlier))) != KILLED:
                return [f"the process was not killed there, but ended with {code}"]
            if (code := await found.live(life)) != 0:
                return [f"the next one ended with {code}"]
            told = [
                Told(**line["told"])
                for line in map(json.loads, (data / "told").read_text().splitlines())
                if "told" in line
            ]
            versions = {each.reference: max(t.version for t in told if t.reference == each.reference) for each in told}
            broken = []
            for path in PATHS:
                verdict = check(receiver.at(path), versions, told)
                broken += [f"{path}: {line}" for line in verdict.broken]
                if verdict.duplicates > 1:
                    broken.append(f"{path}: {verdict.duplicates} notifications came again")
            return broken


@pytest.mark.timeout(600)
async def test_each_point() -> None:
    """Whichever it is: nothing lost, doubled, out of order or in two forms, and at most one comes again."""
    databases: asyncio.Queue[int] = asyncio.Queue()
    for number in range(AT_ONCE):
        databases.put_nowait(number)
    results: dict[str, list[str]] = {}
    with RedisServer() as server:
        async with lives() as found:

            async def one(point: str) -> None:
                database = await databases.get()
                results[point] = await killed_at(point, server, database, found)
                databases.put_nowait(database)

            await asyncio.gather(*map(one, POINTS))
    assert len(results) == len(POINTS) >= len(SCRIPTS)
    assert set(STEPS) >= ON_THE_WAY
    assert "\n".join(f"{point}: {line}" for point, broken in results.items() for line in broken) == ""


async def test_a_hub_that_is_told_to_die(data: Path, receiver: Receiver) -> None:
    """A part of `hub serve` dies there once: it is started again without the word, and what it had done is there."""
    async with (
        HubProcess(data, {"HUB_CRASH_AT": "after:put:3", "HUB_REQUEST_TIMEOUT": "15"}) as hub,
        talking_to(hub) as fhir,
    ):
        await fhir.subscribe(subscription(f"{receiver.url}/all", content="full-resource"))
        for lot in "12":
            await fhir.put(immunization("a", lot=lot))
        before = hub.pids("api")
        with pytest.raises(httpx.TransportError):
            await fhir.put(immunization("a", lot="3"))
        await eventually(lambda: hub.pids("api") not in ([], before))

        async def is_back() -> bool:
            with suppress(httpx.TransportError):
                return (await fhir.http.get(f"{hub.url}/readyz")).status_code == 200
            return False

        await eventually(is_back)
        for lot in "4567":
            await fhir.put(immunization("a", lot=lot))
        assert lots(await receiver.events("/all", 7)) == list("1234567")
