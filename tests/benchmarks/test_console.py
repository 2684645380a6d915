"""What it costs a hub with two thousand Subscriptions that a console looks at it, and how soon it is answered."""

from pathlib import Path

import pytest

from tests.benchmarks.load import publish
from tests.benchmarks.report import Report
from tests.benchmarks.stocked import BODIES, Looking, costs, round_of, spread, stocked

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1200)]

#: Pairs of rounds in which the hub takes all it can, and the seconds of each; then changes a second, and for how long.
ROUNDS, SECONDS, RATE, LASTING = 7, 6, 200, 40


async def test_what_a_console_costs(tmp_path: Path, report: Report) -> None:
    """With it and without by turns, so that whatever else happens hits both; then its answers, under another load."""
    with_it, without = [], []
    async with stocked(tmp_path) as at:
        await round_of(at, SECONDS)
        for _ in range(ROUNDS):
            async with Looking(at.hub).open():
                with_it.append(await round_of(at, SECONDS))
            without.append(await round_of(at, SECONDS))
        async with Looking(at.hub, every=0.2).open() as looking:
            load = await publish(at.url, *BODIES, seconds=LASTING, rate=RATE)
        assert looking.figures > LASTING / 2
    costs(report, "with a console that asks, against none", with_it, without)
    for name, times in looking.times.items():
        report.add(
            f"the console's {name} at {load.rate:.0f} changes/s, answered after p50 / p95 / longest",
            spread(times),
            "–",
            "p95 < 100 ms",
            sorted(times)[int(len(times) * 0.95)] < 100,
            milliseconds=[round(each, 1) for each in times],
        )
