"""One change that concerns a thousand subscribers, against a bare loop of POSTs of the same bytes."""

import asyncio
from pathlib import Path
from statistics import median
from time import monotonic_ns

import httpx
import orjson
import pytest

from tests.benchmarks import programs
from tests.benchmarks.load import Load, publisher
from tests.benchmarks.programs import Hub
from tests.benchmarks.report import Report
from tests.facts import eventually
from tests.processes import subscription

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

BODY = Path(__file__).parents[2] / "fixtures" / "r4" / "Observation-example.json"
SUBSCRIBERS, ROUNDS = 1_000, 9
#: Registrations at once.
CLIENTS = 16


@pytest.mark.parametrize("origins", [1, 100])
async def test_burst(origins: int, tmp_path: Path, report: Report) -> None:
    """Every subscriber is told of each change once."""
    async with programs.sink(tmp_path / "sink.log", "--ports", str(origins)) as sink, Hub(tmp_path / "hub") as hub:
        await register(hub, [f"{sink.urls[n % origins]}/{n}" for n in range(SUBSCRIBERS)])
        last, cpu, rates, baseline = [], [], [], []
        for round_ in range(ROUNDS + 1):
            await sink.clear()
            before, began = hub.cpu(), monotonic_ns()
            async with publisher(f"{hub.url}/fhir/r4/Observation", BODY.read_bytes(), Load()) as connection:
                await connection.post()
            arrivals = await sink.arrivals(events=SUBSCRIBERS)
            assert len({arrival.path for arrival in arrivals}) == len(arrivals) == SUBSCRIBERS
            assert {number for arrival in arrivals for number, _ in arrival.events} == {round_ + 1}
            bodies = [[sink.urls[int(a.path[1:]) % origins] + a.path, [a.body.decode()]] for a in arrivals]
            file = tmp_path / "bodies.json"
            file.write_bytes(orjson.dumps(bodies))
            await sink.clear()
            posts = await programs.run("tests.benchmarks.posts", str(file), log=tmp_path / "posts.log")
            if round_:  # the first one makes connections
                last.append((arrivals[-1].at - began) / 1e6)
                cpu.append({name: (used - before[name]) / SUBSCRIBERS * 1e6 for name, used in hub.cpu().items()})
                rates.append(SUBSCRIBERS / last[-1] * 1e3)
                baseline.append(SUBSCRIBERS / posts["took"])
    ratio = median(rates) / median(baseline)
    report.add(
        f"one change to {SUBSCRIBERS:,} subscribers of {origins} origins, POST sent → the last one told",
        f"{median(last):.0f} ms, at {median(rates):,.0f}/s = {ratio:.2f}",
        f"{median(baseline):,.0f}/s",
        "≤ 500 ms, ≥ 0.5",
        median(last) <= 500 and ratio >= 0.5,
        milliseconds=[round(each) for each in last],
        rates=[round(each) for each in rates],
        cpu_us_each={name: round(median(each[name] for each in cpu)) for name in cpu[0]},
        baseline_rates=[round(each) for each in baseline],
    )


async def register(hub: Hub, endpoints: list[str], *filters: str) -> None:
    """Subscriptions on Observations, all of them active."""
    left = iter(endpoints)
    async with httpx.AsyncClient(base_url=f"{hub.url}/fhir/r4/", timeout=60) as client:

        async def some() -> None:
            for endpoint in left:
                resource = subscription(endpoint, "Observation", *filters)
                (await client.post("Subscription", json=resource)).raise_for_status()

        async def active() -> bool:
            found = await client.get("Subscription", params={"status": "requested", "_count": 1})
            return bool(found.json()["total"] == 0)

        await asyncio.gather(*(some() for _ in range(CLIENTS)))
        await eventually(active, within=120)
