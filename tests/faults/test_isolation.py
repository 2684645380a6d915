"""A subscriber that never answers delays no other, on the same origin neither, nor when pumps hand over."""

import asyncio
from pathlib import Path
from statistics import quantiles
from time import monotonic

from redis.asyncio import Redis

from tests.fhir import Fhir, immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Holding, Receiver

HANGING = 40
#: The finished shifts of the one deliver worker, as RQ keeps them.
SHIFTS = "rq:finished:hub-deliver"


async def test_hanging(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """
    Events of a healthy subscriber go through, one after the other and over two hand-overs of the one deliver worker,
    while forty subscribers at the same host and port hold their requests open all the time.
    """
    assert len(hub.pids("worker deliver")) == 1
    holding = Holding()
    paths = [f"/hanging-{number}" for number in range(HANGING)]
    receiver.answers.update(dict.fromkeys(paths, holding))
    wanted = [subscription(f"{receiver.url}{path}", "Immunization", "patient=Patient/hanging") for path in paths]
    healthy = subscription(f"{receiver.url}/healthy", "Immunization", "patient=Patient/healthy")
    ids = await asyncio.gather(*(fhir.subscribe(each) for each in [*wanted, healthy]))
    await fhir.put(immunization("hanging", patient="hanging"))
    await receiver.until(lambda: holding.on_the_wire == HANGING)

    waits: list[float] = []
    async with Redis.from_url(hub.redis_url) as redis:
        before = await redis.zcard(SHIFTS)
        while await redis.zcard(SHIFTS) < before + 2:
            began = monotonic()
            await fhir.put(immunization("healthy", patient="healthy", lot=str(len(waits))))
            await receiver.numbered("/healthy", len(waits) + 1)
            waits.append(monotonic() - began)
    assert holding.on_the_wire == HANGING
    assert [receiver.requests[path] for path in paths] == [2] * HANGING
    assert receiver.numbers("/healthy") == list(range(1, len(waits) + 1))
    cuts = quantiles(waits, n=100)
    print(
        f"\nPUT to notification beside {HANGING} hanging: {len(waits)} events,"
        f" p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, longest {max(waits) * 1000:.0f} ms"
    )
    assert max(waits) < 1
    holding.release()
    for id_ in ids:
        await fhir.delete(f"Subscription/{id_}")


async def test_more_hanging_subscribers_than_lanes(tmp_path: Path, receiver: Receiver) -> None:
    """A worker with eight lanes, and sixteen subscribers that hold their requests open: the healthy one is served."""
    async with (
        HubProcess(tmp_path, {"HUB_DELIVER_LANES": "8", "HUB_REQUEST_TIMEOUT": "60"}) as hub,
        talking_to(hub) as fhir,
    ):
        holding = Holding()
        paths = [f"/hanging-{number}" for number in range(16)]
        receiver.answers.update(dict.fromkeys(paths, holding))
        for path in [*paths, "/healthy"]:
            patient = "healthy" if path == "/healthy" else "hanging"
            await fhir.subscribe(subscription(f"{receiver.url}{path}", "Immunization", f"patient=Patient/{patient}"))
        await fhir.put(immunization("hanging", patient="hanging"))
        await receiver.until(lambda: holding.on_the_wire == len(paths))
        await fhir.put(immunization("healthy", patient="healthy"))
        await receiver.numbered("/healthy", 1)
        assert holding.on_the_wire == len(paths)
        holding.release()
