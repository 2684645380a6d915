"""A lone change on an otherwise idle hub: from the POST's first byte sent to the notification's last byte received."""

import asyncio
import random
from pathlib import Path
from time import monotonic_ns, time_ns

import pytest
from rq.job import Job
from rq.registry import FinishedJobRegistry

from hub import jobs
from hub.settings import Settings
from tests.benchmarks.load import Load, publisher
from tests.benchmarks.programs import Hub
from tests.benchmarks.report import Report
from tests.benchmarks.sink import Sink
from tests.processes import subscription

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(180)]

BODY = Path(__file__).parents[2] / "fixtures" / "r4" / "Observation-example.json"
SAMPLES, PAUSE = 500, (0.005, 0.05)
#: Seconds of a shift: short, so that several hand-overs fall into the run.
SHIFT = 5
#: Seconds around the end of a shift in which a change counts as one at a hand-over.
AROUND = 0.25


async def test_lone_change(tmp_path: Path, report: Report) -> None:
    """Every change is one notification, in order."""
    data, load, sent = tmp_path / "hub", Load(), []
    async with Sink() as sink, Hub(data, {"HUB_PUMP_SECONDS": str(SHIFT)}) as hub:
        await hub.subscribe(subscription(f"{sink.url}/lone", "Observation"))
        sink.clear()
        async with publisher(f"{hub.url}/fhir/r4/Observation", BODY.read_bytes(), load) as connection:
            for number in range(1, SAMPLES + 1):
                sent.append(monotonic_ns())
                await connection.post()
                await sink.until(number)
                await asyncio.sleep(random.uniform(*PAUSE))
        ends = await asyncio.to_thread(_ends_of_shifts, (data / "redis.url").read_text())
    assert load.statuses == {"201": SAMPLES}
    assert [number for arrival in sink.received for number, _ in arrival.events] == list(range(1, SAMPLES + 1))

    trips = [(arrival.at - at) / 1e6 for at, arrival in zip(sent, sink.received, strict=True)]
    answers = [(answer - at) / 1e6 for at, answer in zip(sent, load.answers, strict=True)]
    hand_overs = [end for end in ends if sent[0] < end < sent[-1]]
    assert hand_overs
    handed = [
        trip for at, trip in zip(sent, trips, strict=True) if any(abs(at - end) < AROUND * 1e9 for end in hand_overs)
    ]
    p50, p99 = _quantile(trips, 0.5), _quantile(trips, 0.99)
    report.add(
        f"a lone change, POST sent → notification received ({SAMPLES} of them)",
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(trips):.1f} ms; at hand-overs max {max(handed):.1f} ms",
        "–",
        "p50 ≤ 8 ms, p99 ≤ 40 ms",
        p50 <= 8 and p99 <= 40,
        p50_ms=round(p50, 2),
        p99_ms=round(p99, 2),
        max_ms=round(max(trips), 2),
        answered_p50_ms=round(_quantile(answers, 0.5), 2),
        hand_overs=len(hand_overs),
        changes_at_hand_overs=len(handed),
        p50_ms_at_hand_overs=round(_quantile(handed, 0.5), 2),
        max_ms_at_hand_overs=round(max(handed), 2),
    )


def _ends_of_shifts(redis_url: str) -> list[int]:
    """When shifts ended, monotonic in ns, as RQ has noted it."""
    found = []
    for kind in jobs.KINDS:
        queue = jobs.queue(kind, Settings(redis_url=redis_url))
        ids = FinishedJobRegistry(queue=queue).get_job_ids()
        found += Job.fetch_many(ids, connection=queue.connection, serializer=queue.serializer)
        queue.connection.close()
    ago = time_ns() - monotonic_ns()
    return [int(job.ended_at.timestamp() * 1e9) - ago for job in found if job and job.ended_at]


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]
