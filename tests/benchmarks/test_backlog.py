"""A hundred thousand events that wait for one subscription, in Bundles of a hundred."""

import asyncio
from pathlib import Path
from statistics import median
from uuid import uuid4

import orjson
import pytest
from redis import Redis

from hub import jobs
from hub.access import DEFAULT
from hub.instants import instant, now_ms
from hub.keys import ResourceId, SubscriptionKey
from hub.pump import DELIVER
from hub.settings import Settings
from hub.stream import Entry
from hub.wiring.parts import Parts, parts
from hub.write import Write
from subscriptions.codes import FhirVersion, Interaction, SubscriptionStatus
from subscriptions.versions.forms import FORMS
from tests.benchmarks import programs
from tests.benchmarks.programs import Program, cpu_seconds
from tests.benchmarks.report import Report
from tests.benchmarks.test_delivery import ENVIRONMENT
from tests.facts import eventually
from tests.processes import subscription
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

R4 = FhirVersion.R4
BODY = Path(__file__).parents[2] / "fixtures" / "r4" / "Observation-example.json"
BACKLOG, BUNDLE, RESOURCES, ROUNDS = 100_000, 100, 2_000, 3


@pytest.mark.parametrize("content", ["id-only", "full-resource"])
async def test_backlog(
    content: str,
    rq_redis_server: RedisServer,
    rq_redis_url: str,
    tmp_path: Path,
    report: Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each event arrives once and in order; rate and cost are of one deliver worker."""
    for name, value in {**ENVIRONMENT, "HUB_REDIS_URL": rq_redis_url, "HUB_DATA_DIR": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    rates, cpu, redis_cpu, commands = [], [], [], []
    worker = Program(("hub", "worker", "deliver"), tmp_path / "worker.log")
    hub = await parts(settings)
    async with programs.sink(tmp_path / "sink.log", "--numbers") as sink, worker:
        await asyncio.to_thread(jobs.top_up, jobs.queue(DELIVER, settings))
        key = await _subscribed(hub, f"{sink.url}/all", content)
        resources = await _stored(hub)
        redis = rq_redis_server.client()
        for round_ in range(ROUNDS):
            await _owe(hub, key, resources, round_)
            await sink.clear()
            used, server, asked = cpu_seconds(worker.pid), _server_cpu(redis), _commands(redis)
            await hub.due.mark([key])
            arrivals = await sink.arrivals(events=BACKLOG)
            numbers = [int(number) for arrival in arrivals for number in arrival.body.split()]
            assert numbers == list(range(round_ * BACKLOG + 1, (round_ + 1) * BACKLOG + 1))
            cpu.append(cpu_seconds(worker.pid) - used)
            redis_cpu.append(_server_cpu(redis) - server)
            commands.append(_commands(redis) - asked)
            rates.append(BACKLOG * (1 - 1 / len(arrivals)) / ((arrivals[-1].at - arrivals[0].at) / 1e9))
        redis.close()
    await hub.close()
    rate, bytes_ = median(rates), len(BODY.read_bytes())
    report.add(
        f"a backlog of {BACKLOG:,} events of one subscription, maxCount {BUNDLE}, {content}",
        f"{rate:,.0f} events/s",
        "–",
        "≥ 10,000/s",
        rate >= 10_000,
        rates=[round(each) for each in rates],
        bytes_each=bytes_,
        cpu_us_each=round(median(cpu) / BACKLOG * 1e6, 1),
        redis_cpu_us_each=round(median(redis_cpu) / BACKLOG * 1e6, 1),
        redis_commands_each=round(median(commands) / BACKLOG, 3),
    )


def _server_cpu(redis: Redis) -> float:
    found = redis.info("cpu")
    return float(found["used_cpu_sys"]) + float(found["used_cpu_user"])


def _commands(redis: Redis) -> int:
    """All that were executed so far, those inside scripts too."""
    return sum(each["calls"] for each in redis.info("commandstats").values())


async def _subscribed(hub: Parts, url: str, content: str) -> SubscriptionKey:
    resource = subscription(url, "Observation", content=content, max_count=BUNDLE)
    wanted = FORMS[R4].parse_subscription(resource, now=instant(now_ms()), allow_http=True)
    await hub.membership.create(DEFAULT, R4, "all", wanted, orjson.dumps(resource), now=now_ms())

    async def active() -> bool:
        found = await hub.membership.find(DEFAULT, R4, "all")
        return found is not None and found.state.status is SubscriptionStatus.ACTIVE

    await eventually(active)
    found = await hub.membership.find(DEFAULT, R4, "all")
    assert found is not None
    return found.key


async def _stored(hub: Parts) -> list[ResourceId]:
    body = orjson.dumps({k: v for k, v in orjson.loads(BODY.read_bytes()).items() if k not in ("resourceType", "id")})
    found = [ResourceId(DEFAULT, R4, "Observation", str(uuid4())) for _ in range(RESOURCES)]
    for resource in found:
        head = b'{"resourceType":"Observation","id":"%b","meta":{"versionId":"' % resource.id.encode()
        await hub.store.put(Write(resource, "create", now_ms(), head, b'"},' + body[1:]))
    return found


async def _owe(hub: Parts, key: SubscriptionKey, resources: list[ResourceId], round_: int) -> None:
    """Owe so many changes of these resources, and have nobody notice yet."""
    at, step = now_ms(), 250
    for first in range(0, BACKLOG, step):
        changes = [
            Entry(f"{at + round_}-{number}", resources[number % RESOURCES], 1, Interaction.CREATE, at)
            for number in range(first, first + step)
        ]
        owed = await hub.outboxes.owe(key, 0, changes)
        assert owed is not None
        assert owed.fresh == step
