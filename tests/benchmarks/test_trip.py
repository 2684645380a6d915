"""The whole trip under load: publishers as fast as the hub answers, one subscription, everything on this machine."""

import asyncio
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import programs
from tests.benchmarks.load import CONNECTIONS, Load
from tests.benchmarks.programs import Hub
from tests.benchmarks.report import Report
from tests.processes import subscription

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(240)]

BODY = Path(__file__).parents[2] / "fixtures" / "r4" / "Observation-example.json"
WARM, SECONDS = 3, 20


@pytest.mark.parametrize(
    "options", [pytest.param({"max_count": 50}, id="max-count-50"), pytest.param({}, id="without-max-count")]
)
async def test_trip(options: dict[str, Any], tmp_path: Path, report: Report, request: pytest.FixtureRequest) -> None:
    """Every accepted change is one event, numbered without gaps, delivered once and in order."""
    async with programs.sink(tmp_path / "sink.log") as sink, Hub(tmp_path / "hub") as hub:
        await hub.subscribe(subscription(f"{sink.url}/all", "Observation", **options))
        publish = ("tests.benchmarks.load", f"{hub.url}/fhir/r4/Observation", str(BODY))
        warm = Load(**await programs.run(*publish, str(WARM), log=tmp_path / "load.log"))
        before = len(warm.answers)
        await sink.arrivals(events=before)
        await sink.clear()

        memory, cpu = [hub.memory()], hub.cpu()
        loading = asyncio.create_task(programs.run(*publish, str(SECONDS), log=tmp_path / "load.log"))
        await asyncio.sleep(SECONDS / 2)
        memory.append(hub.memory())
        load = Load(**await loading)
        memory.append(hub.memory())
        arrivals = await sink.arrivals(events=len(load.answers))
        cpu = {name: used - cpu[name] for name, used in hub.cpu().items()}

    assert set(load.statuses) == {"201"}
    events = [event for arrival in arrivals for event in arrival.events]
    assert [number for number, _ in events] == list(range(before + 1, before + len(load.answers) + 1))
    created = sorted("/".join(location.split("/")[-4:-2]) for location in load.locations)
    assert sorted(focus for _, focus in events) == created

    delivered = list(accumulate(len(arrival.events) for arrival in arrivals))
    times = [arrival.at for arrival in arrivals]

    def backlog(at: int) -> int:
        come = bisect_right(times, at)
        return max(0, bisect_right(load.answers, at) - (delivered[come - 1] if come else 0))

    left = backlog(load.ended)
    sustained = len(load.answers) / ((times[-1] - load.began) / 1e9)
    drain = max(0, times[-1] - load.ended) / 1e9
    flat = all(memory[2][name] <= 1.1 * memory[1][name] for name in memory[2] if name != "redis")
    report.add(
        f"the whole trip, {CONNECTIONS} connections, one subscription, {request.node.callspec.id}",
        f"{sustained:,.0f}/s sustained, backlog {left:,}, drained in {drain:.1f} s",
        f"accepted {load.rate:,.0f}/s",
        "≥ 800/s, memory flat",
        sustained >= 800 and flat,
        sustained_per_s=round(sustained, 1),
        accepted_per_s=round(load.rate, 1),
        delivered_per_s_under_load=round((len(load.answers) - left) / SECONDS, 1),
        notifications=len(arrivals),
        changes=len(load.answers),
        backlog_each_second=[backlog(load.began + second * 10**9) for second in range(1, SECONDS + 1)],
        drained_in_s=round(drain, 2),
        memory_mib={name: [sample[name] for sample in memory] for name in memory[0]},
        redis_kib_per_change=round((memory[2]["redis"] - memory[0]["redis"]) * 1024 / len(load.answers), 1),
        cpu_us_per_change={name: round(used / len(load.answers) * 1e6) for name, used in cpu.items()},
        publishers_cpu=round(load.cpu, 2),
    )
