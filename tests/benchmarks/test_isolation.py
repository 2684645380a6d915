"""A hundred healthy subscribers beside some that never answer or refuse connections: what they wait for theirs."""

import asyncio
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import monotonic_ns

import httpx
import orjson
import pytest

from tests.benchmarks import programs
from tests.benchmarks.load import Load, publisher
from tests.benchmarks.programs import Hub, Program
from tests.benchmarks.report import Report
from tests.benchmarks.test_burst import register

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

FIXTURE = Path(__file__).parents[2] / "fixtures" / "r4" / "Observation-example.json"
HEALTHY, HOLES, ROUNDS = 100, (0, 10, 100, 500), 3
#: Changes for the healthy in one run, and seconds between two.
CHANGES, PAUSE = 60, 0.15
#: Seconds between two changes for the others, all the time.
OTHERS = 1.0
#: Those of the healthy before the run: connections are made, and the others hang and are refused.
WARM = 20


def body(patient: str) -> bytes:
    return orjson.dumps(orjson.loads(FIXTURE.read_bytes()) | {"subject": {"reference": f"Patient/{patient}"}})


async def test_isolation(tmp_path: Path, report: Report) -> None:
    """
    Half of the others accept and never answer, half refuse connections, each at an origin of its own; a change that
    concerns all of them comes every second. The healthy get theirs in order, one event each, and none twice.
    """
    p50: dict[int, list[float]] = {many: [] for many in HOLES}
    p99: dict[int, list[float]] = {many: [] for many in HOLES}
    for round_ in range(ROUNDS):
        for many in (HOLES, HOLES[::-1])[round_ % 2]:
            folder = tmp_path / f"{round_}-{many}"
            folder.mkdir()
            waits = sorted(await _run(many, folder))
            p50[many].append(waits[len(waits) // 2])
            p99[many].append(waits[int(len(waits) * 0.99)])
    alone = median(p99[0])
    for many in HOLES[1:]:
        beside = median(p99[many])
        report.add(
            f"{HEALTHY} healthy subscribers beside {many} that hang or refuse, POST sent → notification received",
            f"p50 {median(p50[many]):.1f} ms, p99 {beside:.1f} ms = {beside / alone:.2f} ×",
            f"p50 {median(p50[0]):.1f} ms, p99 {alone:.1f} ms: with none",
            "p99 ≤ 1.2 ×",
            beside <= 1.2 * alone,
            p99_ms=[round(each, 1) for each in p99[many]],
            p99_ms_alone=[round(each, 1) for each in p99[0]],
            p50_ms=[round(each, 1) for each in p50[many]],
            p50_ms_alone=[round(each, 1) for each in p50[0]],
        )


async def _run(many: int, folder: Path) -> list[float]:
    """ms of each notification of the healthy."""
    holes = Program(("tests.benchmarks.holes", str(many // 2), str(many - many // 2)), folder / "holes.log")
    async with programs.sink(folder / "sink.log") as sink, holes, Hub(folder / "hub") as hub:
        await register(hub, [f"{sink.url}/{n}" for n in range(HEALTHY)], "patient=Patient/healthy")
        urls = (await holes.said()).values()
        await register(hub, [url for each in urls for url in each], "patient=Patient/others")
        others = asyncio.create_task(_publish_for_others(hub)) if many else None
        sent: list[int] = []
        try:
            async with publisher(f"{hub.url}/fhir/r4/Observation", body("healthy"), Load()) as connection:
                for _ in range(WARM):
                    await connection.post()
                    await asyncio.sleep(PAUSE)
                await sink.arrivals(events=WARM * HEALTHY)
                await sink.clear()
                for _ in range(CHANGES):
                    sent.append(monotonic_ns())
                    await connection.post()
                    await asyncio.sleep(max(0, PAUSE - (monotonic_ns() - sent[-1]) / 1e9))
            arrivals = await sink.arrivals(events=CHANGES * HEALTHY)
        finally:
            if others is not None:
                others.cancel()
                with suppress(asyncio.CancelledError):
                    await others
    told = [(arrival.path, number) for arrival in arrivals for number, _ in arrival.events]
    assert len(told) == len(set(told)) == len(arrivals) == CHANGES * HEALTHY
    return [(arrival.at - sent[number - WARM - 1]) / 1e6 for arrival in arrivals for number, _ in arrival.events]


async def _publish_for_others(hub: Hub) -> None:
    async with httpx.AsyncClient(base_url=f"{hub.url}/fhir/r4/") as client:
        while True:
            await client.post("Observation", content=body("others"), headers={"Content-Type": "application/fhir+json"})
            await asyncio.sleep(OTHERS)
