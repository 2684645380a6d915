"""RQ's Redis is away, and not the hub's: RQ carries nothing that is worth keeping, so all goes on."""

from pathlib import Path

from tests.facts import eventually
from tests.fhir import immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver
from tests.redis_server import RedisServer

WORKERS = ("worker match", "worker deliver")


def without_rq(hub: HubProcess) -> bool:
    """Whether both workers have found out that they have to do without RQ."""
    return all(any('"rq.away"' in line and f'"{kind}"' in line for line in hub.output) for kind in ("match", "deliver"))


async def test_rq_away(data: Path, receiver: Receiver) -> None:
    """The workers go on as the processes that they are, and take jobs again when it is back; stopped, they end well."""
    with RedisServer() as rq:
        async with HubProcess(data, {"HUB_RQ_REDIS_URL": rq.url, "HUB_PUMP_SECONDS": "1"}) as hub:
            async with talking_to(hub) as fhir:
                await fhir.subscribe(subscription(f"{receiver.url}/away"))
                await eventually(lambda: hub.have(1))
                before = [hub.pids(worker) for worker in WORKERS]
                rq.kill()
                await eventually(lambda: without_rq(hub))
                await fhir.put(immunization("away"))
                await receiver.numbered("/away", 1)
                rq.start()
                with rq.client() as redis:
                    await eventually(lambda: redis.scard("rq:workers") == len(WORKERS))
                assert [hub.pids(worker) for worker in WORKERS] == before
                rq.kill()
                hub.output.clear()
                await eventually(lambda: without_rq(hub))
            assert await hub.stop() == 0
            # Who takes longer than a stop may take is killed.
            assert not [line for line in hub.output if "part.died" in line or "part.killed" in line]
