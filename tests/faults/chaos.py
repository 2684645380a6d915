"""A hub under load to which one thing after the other happens, at random; and what came of it."""

import asyncio
import contextlib
import os
import platform
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from time import monotonic
from typing import Any

from redis import Redis

from tests.faults.checker import Verdict, check
from tests.faults.proxy import Proxy
from tests.faults.publishers import Publishers, Told
from tests.faults.subscribers import BEHAVIOURS, Subscribers
from tests.fhir import talking_to
from tests.processes import HubProcess, subscription
from tests.redis_server import RedisServer

#: Seconds for a request; a lease is 5 s longer, and a stop outlasts it.
TIMEOUT, STOPPED = 1, 7.5
SETTINGS = {
    "HUB_REQUEST_TIMEOUT": str(TIMEOUT),
    "HUB_RETRY_WAITS": ",".join(["0.1", "0.2", *["0.5"] * 500]),
    "HUB_PUMP_SECONDS": "5",
}
HEALTHY = ("/ids-1", "/ids-2", "/full-1", "/full-2")


@dataclass
class Chaos:
    """
    One run.

    seconds: For which things happen, one after the other, with some seconds of quiet between.
    """

    seconds: float
    seed: int
    data: Path
    happened: Counter[str] = field(default_factory=Counter)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    behind: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    took: float = 0
    changes: int = 0
    repeats: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    async def run(self) -> None:
        with RedisServer() as self.redis, RedisServer() as self.rq:
            proxy, subscribers = Proxy(str(self.redis.socket)), Subscribers(random.Random(self.seed))
            good = Subscribers(random.Random(self.seed))
            async with proxy.listening() as self.proxy, subscribers.serving(), good.serving():
                urls = {"HUB_REDIS_URL": proxy.url, "HUB_RQ_REDIS_URL": self.rq.url}
                async with HubProcess(self.data, SETTINGS | urls) as self.hub:
                    try:
                        await self._run(good, subscribers)
                    finally:
                        self.bugs = [line for line in self.hub.output if '"error"' in line or "Traceback" in line]

    async def _run(self, good: Subscribers, bad: Subscribers) -> None:
        paths = dict.fromkeys(HEALTHY, good) | {f"/{name}": bad for name in BEHAVIOURS}
        async with talking_to(self.hub) as fhir:
            for path, where in [*paths.items(), ("/black-hole", bad)]:
                full = "ids" not in path
                options: dict[str, Any] = {"content": "full-resource", "max_count": 10} if full else {}
                await fhir.subscribe(subscription(f"{where.url}{path}", **options))
        publishers, began = Publishers(self.hub, rest=0.4), monotonic()
        async with publishers.at_work():
            while monotonic() - began < self.seconds:
                await asyncio.sleep(self.dice.uniform(0.5, 2))
                await self._happen()
        self.took, self.repeats = monotonic() - began, publishers.repeats
        versions, told = publishers.versions(), publishers.told
        self.changes = sum(versions.values())
        for path, where in paths.items():
            if not await where.numbered(path, self.changes, seconds=120):
                self.behind.append(path)
            self.verdicts[path] = check(where.received(path), versions, told)
        self.waits = [wait for path in HEALTHY if "full" in path for wait in _waits(good, path, told)]

    async def _happen(self) -> None:
        """What has happened least so far is the likeliest: so a short run sees most of it."""
        least = min(self.happened[name] for name in _EVENTS)
        name = self.dice.choice([name for name in _EVENTS if self.happened[name] == least])
        await _EVENTS[name](self)
        self.happened[name] += 1

    async def kill(self, part: str) -> None:
        await self.hub.kill(part)

    async def kill_redis(self, server: RedisServer) -> None:
        server.kill()
        await asyncio.sleep(self.dice.uniform(0, 1))
        server.start()

    async def kill_the_supervisor(self) -> None:
        await self.hub.stop(kill=True)
        await self.hub.start()

    async def kill_everything(self) -> None:
        for part in ("api", "worker match", "worker deliver", "clock"):
            await self.hub.kill(part)
        await self.kill_redis(self.redis)

    async def stop(self, part: str) -> None:
        if self.hub.pids(part):
            async with self.hub.paused(part):
                await asyncio.sleep(STOPPED)

    async def slow(self) -> None:
        self.proxy.latency = self.dice.uniform(0.05, 0.3)
        await asyncio.sleep(3)
        self.proxy.latency = 0

    async def cut(self) -> None:
        """Reset in the middle of an answer, several times."""
        for _ in range(3):
            self.proxy.cut_after = self.dice.randrange(1, 5_000)
            await asyncio.sleep(0.5)

    async def silence(self) -> None:
        """For about as long as the hub waits for an answer."""
        self.proxy.silence(True)
        await asyncio.sleep(self.dice.uniform(1, 7))
        self.proxy.silence(False)

    async def fill(self) -> None:
        """Redis takes nothing that grows."""
        with contextlib.closing(Redis.from_url(self.redis.url, decode_responses=True)) as redis:
            redis.config_set("maxmemory", 1_000_000)
            await asyncio.sleep(3)
            redis.config_set("maxmemory", 0)

    @property
    def most_duplicates(self) -> int:
        """At most one bundle of each subscription is on its way when something happens; three connections are cut."""
        return sum(count * (3 if name == "connections reset" else 1) for name, count in self.happened.items())

    def table(self) -> str:
        """What happened and what came of it, in Markdown."""
        cuts = quantiles(self.waits, n=100)
        load = " ".join(f"{each:.1f}" for each in os.getloadavg())
        lines = [
            f"{self.took:.0f} s, seed {self.seed}; {os.cpu_count()} cores, {platform.machine()}, Python"
            f" {platform.python_version()}, load {load}. {self.changes} changes acknowledged to 4 publishers, who"
            f" had to repeat {self.repeats} writes.",
            "",
            "Happened: " + ", ".join(f"{name} {count}×" for name, count in sorted(self.happened.items())) + ".",
            "",
            "| subscriber | events | notifications again | lost | out of order | conflicts |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {path.strip('/')} | {v.events} | {v.duplicates} | {len(v.lost)} | {len(v.out_of_order)} |"
            f" {len(v.conflicts) + len(v.doubled)} |"
            for path, v in self.verdicts.items()
        ]
        lines += [
            "",
            f"From the acknowledgement to the first arrival at healthy subscribers: p50 {cuts[49] * 1000:.0f} ms, p99"
            f" {cuts[98] * 1000:.0f} ms.",
        ]
        return "\n".join(lines)


def _waits(where: Subscribers, path: str, told: list[Told]) -> list[float]:
    """Seconds from the acknowledgement of each change to its first arrival; 0 if that was before."""
    came: dict[str, float] = {}
    for received in where.received(path):
        for entry in received.bundle["entry"][1:]:
            came.setdefault(entry["resource"]["lotNumber"], received.at)
    return [max(0.0, came[each.lot] - each.at) for each in told if each.lot in came]


def _kill(part: str) -> Callable[[Chaos], Awaitable[None]]:
    return lambda chaos: chaos.kill(part)


def _stop(part: str) -> Callable[[Chaos], Awaitable[None]]:
    return lambda chaos: chaos.stop(part)


_EVENTS: dict[str, Callable[[Chaos], Awaitable[None]]] = {
    "api killed": _kill("api"),
    "match worker killed": _kill("worker match"),
    "deliver worker killed": _kill("worker deliver"),
    "clock killed": _kill("clock"),
    "Redis killed": lambda chaos: chaos.kill_redis(chaos.redis),
    "RQ's Redis killed": lambda chaos: chaos.kill_redis(chaos.rq),
    "supervisor killed": Chaos.kill_the_supervisor,
    "everything killed": Chaos.kill_everything,
    "match worker stopped": _stop("worker match"),
    "deliver worker stopped": _stop("worker deliver"),
    "Redis slow": Chaos.slow,
    "connections reset": Chaos.cut,
    "Redis silent": Chaos.silence,
    "Redis full": Chaos.fill,
}
