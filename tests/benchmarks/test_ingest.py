"""Ingest, validated and on disk: one `hub api` process against a bare endpoint, each on a Redis of its own."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx
import pytest
from redis import Redis

from hub.keys import Partition
from hub.settings import Settings
from tests.benchmarks import programs
from tests.benchmarks.bare import STREAM
from tests.benchmarks.load import CONNECTIONS, Load
from tests.benchmarks.programs import Program, cpu_seconds
from tests.benchmarks.report import Report
from tests.facts import eventually
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(240)]

FIXTURES = Path(__file__).parents[2] / "fixtures" / "r4"
SECONDS, ROUNDS = 3, 5


@dataclass
class Side:
    """One of the two that are compared, and what came of it."""

    url: str
    pid: int
    loads: list[Load] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    async def publish(self, body: Path, log: Path, *, seconds: float) -> None:
        used = cpu_seconds(self.pid)
        load = Load(**await programs.run("tests.benchmarks.load", self.url, str(body), str(seconds), log=log))
        self.loads.append(load)
        self.cpu.append((cpu_seconds(self.pid) - used) / len(load.answers) * 1e6)

    @property
    def rates(self) -> list[float]:
        """Of all rounds but the first, which warms up."""
        return [load.rate for load in self.loads[1:]]

    @property
    def accepted(self) -> int:
        """How many resources were created; there was no other answer."""
        assert {status for load in self.loads for status in load.statuses} == {"201"}
        locations = [location for load in self.loads for location in load.locations]
        assert len(set(locations)) == len(locations)
        return len(locations)


@pytest.mark.parametrize("example", ["Observation-example", "Immunization-example"])
async def test_ingest(
    example: str, rq_redis_url: str, tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every resource that was accepted is one change in the store."""
    body = FIXTURES / f"{example}.json"
    type_, url = example.partition("-")[0], f"http://127.0.0.1:{_free_port()}"
    wanted = {"REDIS_URL": rq_redis_url, "BASE_URL": url, "DATA_DIR": str(tmp_path / "none")}
    for name, value in {**wanted, "MAX_UNMATCHED": "10000000"}.items():  # nobody matches here
        monkeypatch.setenv(f"HUB_{name}", value)
    api = Program(("hub", "api", "--port", url.rpartition(":")[2]), tmp_path / "api.log")
    with RedisServer() as other:
        endpoint = Program(("tests.benchmarks.bare", other.url), tmp_path / "bare.log")
        async with api, endpoint:
            await eventually(lambda: _ready(url))
            bare = Side(f"{(await endpoint.said())['url']}/{type_}", endpoint.pid)
            hub = Side(f"{url}/fhir/r4/{type_}", api.pid)
            for round_ in range(1 + ROUNDS):
                for side in (hub, bare):
                    await side.publish(body, tmp_path / "load.log", seconds=SECONDS if round_ else 1)
        with Redis.from_url(rq_redis_url) as redis:
            assert sum(redis.xlen(Partition(p).changes) for p in range(Settings().partitions)) == hub.accepted
        with other.client() as redis:
            assert redis.xlen(STREAM) == bare.accepted
    report.ratio(
        f"ingest of {example} ({body.stat().st_size:,} bytes), {CONNECTIONS} connections, one api process",
        hub.rates,
        bare.rates,
        goal=0.6,
        cpu_us_each=round(median(hub.cpu)),
        baseline_cpu_us_each=round(median(bare.cpu)),
        publishers_cpu=round(max(load.cpu for load in hub.loads + bare.loads), 2),
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def _ready(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"{url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False
