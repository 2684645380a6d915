"""A hub with as many Subscriptions as operators may have to look at, and somebody who looks at it all the time."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Self

import httpx
import orjson

from tests.benchmarks import programs
from tests.benchmarks.load import publish
from tests.benchmarks.programs import Hub, SinkProcess
from tests.benchmarks.report import Report
from tests.facts import eventually
from tests.fhir import immunization
from tests.processes import subscription

#: Subscriptions of a patient each, and more whose endpoint takes nothing; registrations at once.
SUBSCRIPTIONS, BROKEN, CLIENTS = 2_000, 20, 16
BODIES = [orjson.dumps(immunization(patient=f"p{number}")) for number in range(SUBSCRIPTIONS)]

#: Where nobody listens.
NOWHERE = "http://127.0.0.1:9"

#: Seconds between two readings of the overview.
READS = 5.0


@dataclass
class Stocked:
    """A hub whose Subscriptions are all active but for the broken ones, which are in error."""

    hub: Hub
    sink: SinkProcess

    @property
    def url(self) -> str:
        return f"{self.hub.url}/fhir/r4/Immunization"

    async def first_look(self) -> float:
        """ms until the first overview since the hub's start, for which each Subscription is read."""
        began = perf_counter()
        async with httpx.AsyncClient(timeout=60) as client:
            (await client.get(f"{self.hub.url}/admin/overview")).raise_for_status()
        return (perf_counter() - began) * 1000

    async def subscribe(self) -> None:
        numbers = iter(range(SUBSCRIPTIONS + BROKEN))
        async with httpx.AsyncClient(base_url=f"{self.hub.url}/fhir/r4/", timeout=60) as client:

            async def register() -> None:
                for number in numbers:
                    where = f"{self.sink.url}/{number}" if number < SUBSCRIPTIONS else f"{NOWHERE}/{number}"
                    wanted = subscription(where, "Immunization", f"Immunization?patient=Patient/p{number}")
                    (await client.put(f"Subscription/s{number}", json=wanted | {"id": f"s{number}"})).raise_for_status()

            await asyncio.gather(*(register() for _ in range(CLIENTS)))

            async def settled() -> bool:
                found = await client.get("Subscription", params={"status": "requested", "_summary": "count"})
                return bool(found.json()["total"] == 0)

            await eventually(settled, within=300)
        await self.sink.clear()


@asynccontextmanager
async def stocked(folder: Path) -> AsyncIterator[Stocked]:
    async with programs.sink(folder / "sink.log", "--numbers") as sink, Hub(folder / "hub") as hub:
        found = Stocked(hub, sink)
        await found.subscribe()
        yield found


@dataclass(frozen=True, slots=True)
class Round:
    """
    Some seconds of changes.

    rate: Changes per second that were accepted and delivered, until the last one was.
    cpu: Microseconds of the hub's processes for each change.
    """

    rate: float
    cpu: float
    each: dict[str, float]


async def round_of(at: Stocked, seconds: float) -> Round:
    """As many changes as the hub takes."""
    await at.sink.clear()
    before = at.hub.cpu()
    load = await publish(at.url, *BODIES, seconds=seconds)
    assert set(load.statuses) == {"201"}, load.statuses
    arrivals = await at.sink.arrivals(events=len(load.answers))
    used = {name: (spent - before[name]) / len(load.answers) * 1e6 for name, spent in at.hub.cpu().items()}
    last = max(each.at for each in arrivals)
    return Round(len(load.answers) / (last - load.began) * 1e9, sum(used.values()), used)


@dataclass
class Looking:
    """
    What an open console asks for: the figures as they come, the overview, and what its operator wants to see.

    every: Seconds from one action of its operator to the next.
    times: By what was asked: the ms until the last byte of the answer.
    figures: How often they came.
    """

    hub: Hub
    every: float = 1.0
    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    figures: int = 0
    _client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=30))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        async with self._client, asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in (self._follow(), self._read(), self._act())]
            yield self
            for task in tasks:
                task.cancel()

    async def _follow(self) -> None:
        async with self._client.stream("GET", f"{self.hub.url}/admin/live") as stream:
            assert stream.status_code == 200
            async for line in stream.aiter_lines():
                self.figures += line == "event: figures"

    async def _read(self) -> None:
        while True:
            await self._ask("overview", "overview")
            await self._ask("history", "history?minutes=60")
            await asyncio.sleep(READS)

    async def _act(self) -> None:
        for name, *paths in _acts():
            for path in paths:
                await self._ask(name, path)
            await asyncio.sleep(self.every)

    async def _ask(self, name: str, path: str) -> None:
        began = perf_counter()
        answer = await self._client.get(f"{self.hub.url}/admin/{path}")
        assert answer.status_code == 200, answer.text
        self.times[name].append((perf_counter() - began) * 1000)


def _acts() -> Iterator[tuple[str, ...]]:
    """What is asked of the hub for one action after the other, again and again."""
    one = "subscriptions/r4/s{}"
    for number in cycle(range(SUBSCRIPTIONS)):
        own = one.format(number)
        yield "list", "subscriptions?count=50"
        yield "filter", "subscriptions?count=50&status=error"
        yield "search", f"subscriptions?count=50&q=s{number}"
        yield "sort", "subscriptions?count=50&sort=updated"
        yield "page", "subscriptions?count=50&sort=id&page=0.r4.s150"
        yield "detail", own, f"{own}/attempts", f"{own}/events?count=50"
        yield "topics", "topics"
        yield "index", "index"


def spread(times: list[float]) -> str:
    """p50, p95 and the longest."""
    cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else times * 19
    return f"{cuts[9]:.0f} / {cuts[18]:.0f} / {max(times):.0f} ms"


def costs(report: Report, how: str, looked_at: list[Round], alone: list[Round]) -> None:
    """What it takes of throughput and of processor time; goal: 5 %."""
    rates = [each.rate for each in looked_at], [each.rate for each in alone]
    report.ratio(f"changes stored and delivered {how}, {SUBSCRIPTIONS:,} Subscriptions", *rates, goal=0.95)
    used, bare = median(each.cpu for each in looked_at), median(each.cpu for each in alone)
    report.add(
        f"the hub's processor time for a change {how}",
        f"{used:.0f} µs = {used / bare:.3f} ×",
        f"{bare:.0f} µs",
        "≤ 1.05 ×",
        used <= 1.05 * bare,
        by_part=[each.each for each in looked_at],
        baseline_by_part=[each.each for each in alone],
    )
