"""Ten thousand subscriptions of a patient each, through the API: a change reaches its one as fast as with ten."""

import asyncio
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from time import monotonic_ns

import httpx
import orjson
import pytest

from tests.benchmarks.load import Load, publisher
from tests.benchmarks.programs import Hub
from tests.benchmarks.report import Report
from tests.benchmarks.sink import Sink
from tests.facts import eventually
from tests.fhir import immunization
from tests.processes import subscription

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1200)]

FEW, MANY = 10, 10_000
ROUNDS, CHANGES = 5, 60
#: Registrations at once.
CLIENTS = 16


@dataclass
class Side:
    """A hub with its subscriptions."""

    hub: Hub
    sink: Sink
    subscriptions: int
    turns: "count[int]" = field(default_factory=count)
    told: int = 0

    async def subscribe(self) -> None:
        numbers = iter(range(self.subscriptions))
        async with httpx.AsyncClient(base_url=f"{self.hub.url}/fhir/r4/", timeout=60) as client:

            async def register() -> None:
                for number in numbers:
                    resource = subscription(
                        f"{self.sink.url}/{number}", "Immunization", f"Immunization?patient=Patient/p{number}"
                    )
                    (await client.post("Subscription", json=resource)).raise_for_status()

            await asyncio.gather(*(register() for _ in range(CLIENTS)))

            async def accepted() -> bool:
                found = await client.get("Subscription", params={"status": "active", "_count": 1})
                return bool(found.json()["total"] == self.subscriptions)

            await eventually(accepted, within=300)
        self.sink.clear()

    async def change(self) -> float:
        """ms from the POST to the last byte of its notification, the median of some changes."""
        taken = []
        for _ in range(CHANGES):
            patient = next(self.turns) * 7 % self.subscriptions
            body = orjson.dumps(immunization(patient=f"p{patient}"))
            async with publisher(f"{self.hub.url}/fhir/r4/Immunization", body, Load()) as connection:
                began = monotonic_ns()
                await connection.post()
                self.told += 1
                await self.sink.until(self.told)
            arrival = self.sink.received[-1]
            assert arrival.path == f"/{patient}"
            taken.append((arrival.at - began) / 1e6)
        assert len(self.sink.received) == self.told
        return median(taken)


async def test_a_change_reaches_its_one_subscriber_as_fast_as_with_ten(tmp_path: Path, report: Report) -> None:
    async with (
        Sink() as few_sink,
        Sink() as many_sink,
        Hub(tmp_path / "few") as few_hub,
        Hub(tmp_path / "many") as many_hub,
    ):
        few, many = Side(few_hub, few_sink, FEW), Side(many_hub, many_sink, MANY)
        await few.subscribe()
        await many.subscribe()
        await few.change(), await many.change()
        pairs = [(await few.change(), await many.change()) for _ in range(ROUNDS)]
    with_few, with_many = median(one for one, _ in pairs), median(other for _, other in pairs)
    report.add(
        f"a lone change, POST sent → its one notification received, {MANY:,} subscriptions against {FEW}",
        f"{with_many:.2f} ms = {with_many / with_few:.2f} ×",
        f"{with_few:.2f} ms",
        "≤ 1.25 ×",
        with_many <= 1.25 * with_few,
        milliseconds={
            str(FEW): [round(one, 2) for one, _ in pairs],
            str(MANY): [round(other, 2) for _, other in pairs],
        },
    )
