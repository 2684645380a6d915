"""Delivery out of filled outboxes, against a bare loop of POSTs of the same bytes over the same client."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

import orjson
import pytest
from redis.asyncio import Redis

from hub import jobs
from hub.access import DEFAULT
from hub.instants import instant, now_ms
from hub.keys import ResourceId, SubscriptionKey
from hub.pump import DELIVER
from hub.settings import Settings
from hub.stream import START
from hub.wiring.parts import Parts, parts
from hub.write import Write
from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.versions.forms import FORMS
from tests.benchmarks import programs
from tests.benchmarks.programs import Program, cpu_seconds
from tests.benchmarks.report import Report
from tests.benchmarks.sink import Arrival
from tests.facts import eventually
from tests.processes import subscription

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(240)]

SUBSCRIBERS, EVENTS, ROUNDS = 64, 100, 5
R4 = FhirVersion.R4

#: Environment of the worker, beside what is at its default.
ENVIRONMENT = {
    "HUB_BASE_URL": "http://hub.example",
    "HUB_ALLOW_HTTP_ENDPOINTS": "true",
    "HUB_ALLOW_PRIVATE_ENDPOINTS": "true",
}


async def test_delivery(rq_redis_url: str, tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every subscriber gets all of its events, once and in order."""
    for name, value in {**ENVIRONMENT, "HUB_REDIS_URL": rq_redis_url, "HUB_DATA_DIR": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    worker = Program(("hub", "worker", "deliver"), tmp_path / "worker.log")
    rates, cpu, baseline, baseline_cpu = [], [], [], []
    async with _parts(settings) as hub, programs.sink(tmp_path / "sink.log") as sink, worker:
        await asyncio.to_thread(jobs.top_up, jobs.queue(DELIVER, settings))
        outboxes = Filled(hub, await _subscribed(hub, sink.url))
        for round_ in range(ROUNDS):
            await outboxes.fill()
            await sink.clear()
            used = cpu_seconds(worker.pid)
            await hub.due.mark(outboxes.keys)
            arrivals = await sink.arrivals(events=SUBSCRIBERS * EVENTS)
            cpu.append(cpu_seconds(worker.pid) - used)
            rates.append(_rate(arrivals))
            sent = _by_path(arrivals)
            assert len(sent) == SUBSCRIBERS
            for came in sent.values():
                numbers = [number for arrival in came for number, _ in arrival.events]
                assert numbers == list(range(round_ * EVENTS + 1, (round_ + 1) * EVENTS + 1))

            given = [(sink.url + path, [a.body.decode() for a in came]) for path, came in sent.items()]
            file = tmp_path / "bodies.json"
            file.write_bytes(orjson.dumps(given))
            await sink.clear()
            posts = await programs.run("tests.benchmarks.posts", str(file), log=tmp_path / "posts.log")
            baseline_cpu.append(posts["cpu"])
            again = [arrival for arrival in await sink.arrivals() if not arrival.path.endswith("?warm")]
            baseline.append(_rate(again))
            assert sorted(a[1:] for a in again) == sorted(a[1:] for a in arrivals)
    report.ratio(
        f"delivery out of filled outboxes, {SUBSCRIBERS} subscribers, one worker",
        rates,
        baseline,
        goal=0.45,
        events_each=EVENTS,
        bytes=len(arrivals[-1].body),
        cpu_us_each=round(median(cpu) / (SUBSCRIBERS * EVENTS) * 1e6),
        baseline_cpu_us_each=round(median(baseline_cpu) / (SUBSCRIBERS * EVENTS) * 1e6),
    )


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[Parts]:
    hub = await parts(settings)
    try:
        yield hub
    finally:
        assert isinstance(hub.client, Redis)
        await hub.client.aclose()
        await hub.client.connection_pool.disconnect()


class Filled:
    """Outboxes that are owed the same changes."""

    def __init__(self, hub: Parts, keys: list[SubscriptionKey]) -> None:
        self.keys = keys
        self._hub = hub
        self._marks = dict.fromkeys(hub.changes.partitions, START)

    async def fill(self) -> None:
        """Owe EVENTS more changes to each, and have nobody notice yet."""
        results = await asyncio.gather(*(self._hub.store.put(_immunization()) for _ in range(EVENTS)))
        assert all(result.version == 1 for result in results)
        for partition, mark in self._marks.items():
            changes = await self._hub.changes.after(partition, mark, count=EVENTS, wait_ms=1)
            await asyncio.gather(*(self._hub.outboxes.owe(key, partition.number, changes) for key in self.keys))
            self._marks[partition] = changes[-1].id if changes else mark


def _immunization() -> Write:
    resource = ResourceId(DEFAULT, R4, "Immunization", str(uuid4()))
    head = b'{"resourceType":"Immunization","id":"%b","meta":{"versionId":"' % resource.id.encode()
    return Write(resource, "create", now_ms(), head, b'"},"status":"completed"}')


async def _subscribed(hub: Parts, url: str) -> list[SubscriptionKey]:
    """Active Subscriptions, each with a path of its own at one origin."""
    for number in range(SUBSCRIBERS):
        resource = subscription(f"{url}/{number}")
        wanted = FORMS[R4].parse_subscription(resource, now=instant(now_ms()), allow_http=True)
        await hub.membership.create(DEFAULT, R4, str(number), wanted, orjson.dumps(resource), now=now_ms())

    async def active() -> bool:
        statuses = {member.state.status async for member in hub.membership.all(DEFAULT, R4)}
        return statuses == {SubscriptionStatus.ACTIVE}

    await eventually(active)
    return [member.key async for member in hub.membership.all(DEFAULT, R4)]


def _by_path(arrivals: list[Arrival]) -> dict[str, list[Arrival]]:
    found: defaultdict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        found[arrival.path].append(arrival)
    return found


def _rate(arrivals: list[Arrival]) -> float:
    """Arrivals per second."""
    times = [arrival.at for arrival in arrivals]
    return (len(times) - 1) / ((max(times) - min(times)) / 1e9)
