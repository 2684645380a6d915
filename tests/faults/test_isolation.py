"""A subscriber that never answers delays no other, on the same origin neither, nor when pumps hand over."""

import asyncio
from itertools import count
from pathlib import Path
from statistics import quantiles
from time import monotonic

import pytest
from redis.asyncio import Redis

from tests.facts import eventually
from tests.fhir import immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Holding, Receiver

#: Beside the healthy one at its own origin, which has 64 places, and at each of two others.
HANGING = (80, 40, 40)
#: Seconds that a hand-over may cost an event, and how many hand-overs each run sees.
PROMISED, HAND_OVERS = 0.1, 4
#: Runs of which one has to be such that not each hand-over delays somebody: others may have taken the machine since.
RUNS = 5
#: The finished shifts of the one deliver worker, as RQ keeps them.
SHIFTS = "rq:finished:hub-deliver"


@pytest.mark.timeout(300)
async def test_hanging(data: Path, receiver: Receiver) -> None:
    """
    Events of a healthy subscriber go through, one after the other and over the hand-overs of the one deliver worker,
    while many at its own origin and at others hold their requests open all the time. Hand-overs delay none of them:
    what a machine that others use too does to single events shows in a run before, in which nobody hangs.
    """
    settings = {"HUB_PUMP_SECONDS": "1", "HUB_REQUEST_TIMEOUT": "300"}
    async with (
        Receiver() as second,
        Receiver() as third,
        HubProcess(data, settings) as hub,
        talking_to(hub) as fhir,
        Redis.from_url(hub.redis_url) as redis,
    ):
        await eventually(lambda: hub.have(1))
        holding = Holding()
        endpoints = [
            f"{where.url}/hanging-{number}"
            for where, many in zip((receiver, second, third), HANGING, strict=True)
            for number in range(many)
        ]
        for where in (receiver, second, third):
            where.answers.update({f"/hanging-{number}": holding for number in range(max(HANGING))})
        wanted = [subscription(endpoint, "Immunization", "patient=Patient/hanging") for endpoint in endpoints]
        healthy = subscription(f"{receiver.url}/healthy", "Immunization", "patient=Patient/healthy")
        await asyncio.gather(*(fhir.subscribe(each) for each in [*wanted, healthy]))
        sent = count(1)

        async def run() -> list[float]:
            """The seconds from PUT to notification of each event."""
            waits: list[float] = []
            enough = await redis.zcard(SHIFTS) + HAND_OVERS
            while await redis.zcard(SHIFTS) < enough:
                number, began = next(sent), monotonic()
                await fhir.put(immunization("healthy", patient="healthy", lot=str(number)))
                await receiver.numbered("/healthy", number)
                waits.append(monotonic() - began)
            return waits

        alone = await run()
        await fhir.put(immunization("hanging", patient="hanging"))
        await eventually(lambda: holding.on_the_wire == len(endpoints))
        for _ in range(RUNS):
            beside = await run()
            late = [wait for wait in beside if wait > max(PROMISED, 2 * max(alone))]
            if len(late) < HAND_OVERS:
                break
        assert holding.on_the_wire == len(endpoints)
        assert all(many == 2 for path, many in receiver.requests.items() if path != "/healthy")
        assert receiver.numbers("/healthy") == list(range(1, next(sent)))
        for name, waits in ("alone", alone), (f"beside {len(endpoints)} hanging", beside):
            cuts = quantiles(waits, n=100)
            print(
                f"\nPUT to notification {name}: {len(waits)} events, p50 {cuts[49] * 1000:.0f} ms,"
                f" p99 {cuts[98] * 1000:.0f} ms, longest {max(waits) * 1000:.0f} ms"
            )
        assert len(late) < HAND_OVERS, f"each hand-over delays somebody: {late}"
        holding.release()


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
