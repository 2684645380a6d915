"""A lone change on an otherwise idle hub: from the POST's first byte sent to the notification's last byte received."""

import asyncio
import random
from itertools import pairwise
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import cast
from urllib.parse import urlsplit

import httptools
import pytest
from rq.job import Job
from rq.registry import FinishedJobRegistry

from hub import jobs
from hub.settings import Settings
from tests.benchmarks.programs import Hub
from tests.benchmarks.report import Report
from tests.benchmarks.sink import Sink
from tests.processes import subscription

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(180)]

BODY = (Path(__file__).parents[2] / "fixtures" / "r4" / "Observation-example.json").read_bytes()
SAMPLES, PAUSE = 500, (0.005, 0.05)
#: Seconds of a shift: short, so that several hand-overs fall into the run.
SHIFT = 5
#: Seconds around the end of a shift in which a change counts as one at a hand-over.
AROUND = 0.25


async def test_lone_change(tmp_path: Path, report: Report) -> None:
    """Every change is one notification, in order."""
    data = tmp_path / "hub"
    sent, answered = [], []
    async with Sink() as sink, Hub(data, {"HUB_PUMP_SECONDS": str(SHIFT)}) as hub:
        await hub.subscribe(subscription(f"{sink.url}/lone", "Observation"))
        sink.clear()
        publisher = await _connected(f"{hub.url}/fhir/r4/Observation")
        offset = time_ns() - monotonic_ns()
        for number in range(1, SAMPLES + 1):
            sent.append(monotonic_ns())
            await publisher.post()
            answered.append(monotonic_ns())
            await sink.until(number)
            await asyncio.sleep(random.uniform(*PAUSE))
        publisher.close()
        ends = await asyncio.to_thread(_ends_of_shifts, (data / "redis.url").read_text())
    assert publisher.statuses == {201}
    assert [number for arrival in sink.received for number, _ in arrival.events] == list(range(1, SAMPLES + 1))

    trips = [(arrival.at - at) / 1e6 for at, arrival in zip(sent, sink.received, strict=True)]
    handed = [
        trip for at, trip in zip(sent, trips, strict=True) if any(abs(at + offset - end) < AROUND * 1e9 for end in ends)
    ]
    assert handed, "no hand-over fell into the run"
    p50, p99 = _quantile(trips, 0.5), _quantile(trips, 0.99)
    report.add(
        f"a lone change, POST sent → notification received ({SAMPLES} of them)",
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(trips):.1f} ms",
        "–",
        "p50 ≤ 8 ms, p99 ≤ 40 ms",
        p50 <= 8 and p99 <= 40,
        p50_ms=round(p50, 2),
        p99_ms=round(p99, 2),
        max_ms=round(max(trips), 2),
        answered_p50_ms=round(_quantile([(b - a) / 1e6 for a, b in zip(sent, answered, strict=True)], 0.5), 2),
        hand_overs=len([end for end in ends if sent[0] < end - offset < sent[-1]]),
        at_hand_overs={"changes": len(handed), "p50_ms": round(_quantile(handed, 0.5), 2), "max_ms": max(handed)},
        longest_pause_s=round(max(b - a for a, b in pairwise(sent)) / 1e9, 3),
    )


class _Publisher(asyncio.Protocol):
    """One connection that POSTs the same resource, and knows when it was answered."""

    def __init__(self, path: str, host: str) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/fhir+json\r\n"
        self._request = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.statuses: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.statuses.add(self._parser.get_status_code())
        self._answered.set_result(None)

    async def post(self) -> None:
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._request)
        await self._answered

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


async def _connected(url: str) -> _Publisher:
    parts = urlsplit(url)
    _, publisher = await asyncio.get_running_loop().create_connection(
        lambda: _Publisher(parts.path, parts.netloc), parts.hostname or "", parts.port or 80
    )
    return publisher


def _ends_of_shifts(redis_url: str) -> list[int]:
    """When shifts ended, in ns since 1970, as RQ has noted it."""
    settings = Settings(redis_url=redis_url)
    ends = []
    for kind in jobs.KINDS:
        queue = jobs.queue(kind, settings)
        ids = FinishedJobRegistry(queue=queue).get_job_ids()
        found = Job.fetch_many(ids, connection=queue.connection, serializer=queue.serializer)
        ends += [int(job.ended_at.timestamp() * 1e9) for job in found if job is not None and job.ended_at is not None]
        queue.connection.close()
    return ends


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]
