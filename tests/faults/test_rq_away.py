"""RQ's Redis is away, and not the hub's: RQ carries nothing that is worth keeping, so all goes on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from redis import Redis

from tests.facts import eventually
from tests.fhir import immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver
from tests.redis_server import RedisServer

KINDS = ("match", "deliver")
WORKERS = tuple(f"worker {kind}" for kind in KINDS)


def without_rq(hub: HubProcess) -> bool:
    """Whether both workers have found out that they have to do without RQ."""
    return all(any('"rq.away"' in line and f'"{kind}"' in line for line in hub.output) for kind in KINDS)


async def test_rq_away(data: Path, receiver: Receiver) -> None:
    """The workers go on as the processes that they are, and take jobs again when it is back; stopped, they end well."""
    with RedisServer() as rq, rq.client() as redis:
        async with HubProcess(data, {"HUB_RQ_REDIS_URL": rq.url, "HUB_PUMP_SECONDS": "1"}) as hub:
            async with talking_to(hub) as fhir:
                await fhir.subscribe(subscription(f"{receiver.url}/away"))
                await eventually(lambda: redis.scard("rq:workers") == len(WORKERS))
                before, known = [hub.pids(worker) for worker in WORKERS], redis.smembers("rq:workers")
                rq.kill()
                await eventually(lambda: without_rq(hub))
                await fhir.put(immunization("away"))
                await receiver.numbered("/away", 1)
                rq.start()
                await eventually(lambda: len(redis.smembers("rq:workers") - known) == len(WORKERS))
                assert [hub.pids(worker) for worker in WORKERS] == before
                hub.output.clear()
                rq.kill()
                await eventually(lambda: without_rq(hub))
            assert await hub.stop() == 0
            # Who takes longer than a stop may take is killed.
            assert not [line for line in hub.output if "part.died" in line or "part.killed" in line]


def on_shift(redis: Redis, *, since: timedelta) -> bool:
    """Whether each worker began its shift less than so long ago, so that it won't talk to RQ's Redis yet."""
    jobs = [f"rq:job:{redis.hget(str(worker), 'current_job')!s}" for worker in redis.smembers("rq:workers")]
    begun = [redis.hget(job, "started_at") for job in jobs]
    now = datetime.now(UTC)
    return len(begun) == len(WORKERS) and all(at and now - datetime.fromisoformat(str(at)) < since for at in begun)


async def test_rq_silent(data: Path, receiver: Receiver) -> None:
    """It takes connections and answers none of them: shifts go on until it does, and nothing waits for it."""
    with RedisServer() as rq, rq.client() as redis:
        own = {"HUB_RQ_REDIS_URL": rq.url, "HUB_PUMP_SECONDS": "4"}
        async with HubProcess(data, own) as hub, talking_to(hub) as fhir:
            await fhir.subscribe(subscription(f"{receiver.url}/silent"))
            await eventually(lambda: on_shift(redis, since=timedelta(seconds=2)))
            with rq.paused():
                await eventually(lambda: without_rq(hub))
                for number in range(1, 6):
                    await fhir.put(immunization("silent"))
                    await receiver.numbered("/silent", number)
                noticed = [line for line in hub.output if '"rq.away"' in line]
            before = [hub.pids(worker) for worker in WORKERS]
            await eventually(lambda: on_shift(redis, since=timedelta(seconds=2)))
            assert [hub.pids(worker) for worker in WORKERS] == before
            with rq.paused():
                assert await hub.stop() == 0
            assert not [line for line in hub.output if "part.killed" in line and "worker" in line]
    # No RQ worker quit meanwhile: that asks RQ's Redis again and again, and its loop stands still as long.
    assert len(noticed) == len(WORKERS)
    assert all("did not confirm" in line for line in noticed)


async def test_a_worker_starts_where_rq_is_silent(data: Path) -> None:
    with RedisServer() as rq:
        async with HubProcess(data, {"HUB_RQ_REDIS_URL": rq.url}) as hub:
            await eventually(lambda: hub.have(1))
            with rq.paused():
                for kind in KINDS:
                    await hub.another("worker", kind)
                await eventually(lambda: hub.have(2))


async def test_rq_refuses(data: Path, receiver: Receiver) -> None:
    """It answers, and takes nothing that is written, as one does whose replicas are gone."""
    with RedisServer() as rq, rq.client() as redis:
        own = {"HUB_RQ_REDIS_URL": rq.url, "HUB_PUMP_SECONDS": "1"}
        async with HubProcess(data, own) as hub, talking_to(hub) as fhir:
            await fhir.subscribe(subscription(f"{receiver.url}/refuses"))
            await eventually(lambda: redis.scard("rq:workers") == len(WORKERS))
            before, known = [hub.pids(worker) for worker in WORKERS], redis.smembers("rq:workers")
            # Then a shift can end, and it is RQ that finds out.
            await eventually(lambda: all(redis.llen(f"rq:queue:hub-{kind}") for kind in KINDS))
            redis.config_set("min-replicas-to-write", 1)
            await eventually(lambda: without_rq(hub))
            await fhir.put(immunization("refuses"))
            await receiver.numbered("/refuses", 1)
            redis.config_set("min-replicas-to-write", 0)
            await eventually(lambda: len(redis.smembers("rq:workers") - known) == len(WORKERS))
            assert [hub.pids(worker) for worker in WORKERS] == before
