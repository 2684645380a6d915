"""A subscription is told of 20,000 changes of the past: how fast, and what another one waits meanwhile."""

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic_ns

import pytest

from subscriptions.versions.instant import write
from tests.benchmarks.load import Load, publish, publisher
from tests.benchmarks.programs import Hub
from tests.benchmarks.report import Report
from tests.benchmarks.sink import Sink
from tests.processes import subscription

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(180)]

R4 = Path(__file__).parents[2] / "fixtures" / "r4"
PAST, LONE = (R4 / f"{name}-example.json" for name in ("Observation", "Immunization"))
CHANGES, SAMPLES, PAUSE = 20_000, 200, (0.005, 0.02)


async def test_past(tmp_path: Path, report: Report) -> None:
    """Each change comes once; lone changes to another subscription are delivered meanwhile."""
    async with Sink() as past, Sink() as other, Hub(tmp_path / "hub") as hub:
        await hub.subscribe(subscription(f"{other.url}/lone", "Immunization"))
        start, told = write(datetime.now(UTC)), 0
        while told < CHANGES:
            load = await publish(f"{hub.url}/fhir/r4/Observation", PAST.read_bytes(), seconds=1)
            told += len(load.answers)
        before = await _lone(hub, other, SAMPLES)
        began = monotonic_ns()
        wanted = subscription(f"{past.url}/past", "Observation", max_count=100, start=start)
        await hub.subscribe(wanted)
        meanwhile = list[float]()
        while past.events < told:
            meanwhile += await _lone(hub, other, 10)
        seconds = (monotonic_ns() - began) / 1e9
    numbers = [number for arrival in past.received for number, _ in arrival.events]
    assert numbers == list(range(1, told + 1))
    p50, p99 = _quantile(meanwhile, 0.5), _quantile(meanwhile, 0.99)
    calm50, calm99 = _quantile(before, 0.5), _quantile(before, 0.99)
    report.add(
        f"{told:,} changes of the past, told from the Subscription on; a lone change of another meanwhile",
        f"{told / seconds:,.0f} /s; p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(meanwhile):.1f} ms",
        f"p50 {calm50:.1f} ms, p99 {calm99:.1f} ms",
        "p50 and p99 ≤ 2 ×",
        p50 <= 2 * calm50 and p99 <= 2 * calm99,
        rate=round(told / seconds),
        p50_ms=round(p50, 2),
        p99_ms=round(p99, 2),
        samples=len(meanwhile),
    )


async def _lone(hub: Hub, sink: Sink, many: int) -> list[float]:
    """ms from each lone change's POST to its notification."""
    trips, load = list[float](), Load()
    async with publisher(f"{hub.url}/fhir/r4/Immunization", LONE.read_bytes(), load) as connection:
        for _ in range(many):
            at, number = monotonic_ns(), sink.events + 1
            await connection.post()
            await sink.until(number)
            trips.append((sink.received[-1].at - at) / 1e6)
            await asyncio.sleep(random.uniform(*PAUSE))
    assert load.statuses == {"201": many}
    return trips


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]
