"""A hub under load to which one thing after the other happens, at random; and what came of it."""

import asyncio
import contextlib
import os
import platform
import random
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from time import monotonic
from typing import Any

from redis import Redis

from tests.facts import eventually
from tests.faults.checker import Fault, Verdict, causes, check
from tests.faults.proxy import Proxy
from tests.faults.publishers import Publishers, Told
from tests.faults.subscribers import BEHAVIOURS, Subscribers
from tests.fhir import talking_to
from tests.processes import HubProcess, subscription
from tests.redis_server import RedisServer

#: Seconds for a request; a lease is 5 s longer, and a stop outlasts it.
TIMEOUT, STOPPED = 2, 8.5
SETTINGS = {
    "HUB_REQUEST_TIMEOUT": str(TIMEOUT),
    "HUB_RETRY_WAITS": ",".join(["0.1", "0.2", *["0.5"] * 500]),
    "HUB_PUMP_SECONDS": "5",
}
HEALTHY = ("/ids", "/ids-slow", "/full", "/full-slow")
#: Seconds in which these answer, so that most of what happens finds something on its way.
SLOW = {"/ids-slow": 0.1, "/full-slow": 0.3}
#: What can't touch a notification that is on its way.
HARMLESS = frozenset({"api killed", "api stopped", "match worker killed", "match worker stopped", "clock killed"})

#: What leaves a process waiting for an answer of either Redis, for so many seconds: it may show until then.
SILENT, UNANSWERED = frozenset({"Redis stopped", "RQ's Redis stopped", "Redis silent"}), 5.0


@dataclass
class Chaos:
    """
    One run.

    seconds: For which things happen, one after the other, with some seconds of quiet between.
    happened: How often each thing did. `faults` has each time, and that of each of several resets in a row.
    caused: How many notifications each thing made healthy subscribers get again.
    uncaused: What healthy subscribers got again for no reason, or more than once for one.
    behind: Subscribers that did not get all.
    waits: Seconds from an acknowledgement to the first arrival at a healthy subscriber.
    ended: Exit codes of workers that nobody killed, and nobody supervised.
    bugs: What the hub logged of its failures.
    """

    seconds: float
    seed: int
    data: Path
    happened: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    caused: Counter[str] = field(default_factory=Counter)
    uncaused: list[str] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    behind: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    took: float = 0
    changes: int = 0
    repeats: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    async def run(self) -> None:
        with RedisServer() as self.redis, RedisServer() as self.rq:
            proxy, subscribers = Proxy(str(self.redis.socket)), Subscribers(random.Random(self.seed))
            good = Subscribers(random.Random(self.seed), pauses=SLOW)
            async with proxy.listening() as self.proxy, subscribers.serving(), good.serving():
                urls = {"HUB_REDIS_URL": proxy.url, "HUB_RQ_REDIS_URL": self.rq.url}
                async with HubProcess(self.data, SETTINGS | urls) as self.hub:
                    try:
                        await self._start_others()
                        await self._run(good, subscribers)
                    finally:
                        self.bugs = [line for line in self.hub.output if '"error"' in line or "Traceback" in line]

    async def _start_others(self) -> None:
        """Workers that share the work with those of `hub serve`: they take over what a stopped one holds."""
        self.others: list[Process] = [await self.hub.another("worker", kind) for kind in ("match", "deliver")]
        await eventually(lambda: self.hub.have(2))

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
        self.changes = sum(publishers.versions().values())
        for path, where in paths.items():
            if not await where.numbered(path, self.changes, seconds=120):
                self.behind.append(path)
        # It takes seconds, in which subscribers still have to answer what is on its way.
        await asyncio.to_thread(self._judge, paths, publishers)
        self.waits = _waits(good, "/full", publishers.told)
        self.ended = [code for other in self.others if (code := other.returncode) is not None]

    def _judge(self, paths: Mapping[str, Subscribers], publishers: Publishers) -> None:
        versions, told = publishers.versions(), publishers.told
        for path, where in paths.items():
            self.verdicts[path] = check(where.received(path), versions, told)
        for path in HEALTHY:
            good = paths[path].received(path)
            for again, fault in causes(good, self.faults):
                if fault is None:
                    came = ", ".join(f"{each.at:.2f}" for each in good if each.bundle["id"] == again.bundle["id"])
                    self.uncaused.append(f"{path}: {again.numbers} came at {came}; {self._faults()}")
                else:
                    self.caused[fault.name] += 1

    def _faults(self) -> str:
        return ", ".join(f"{each.name} {each.began:.2f} to {each.ended:.2f}" for each in self.faults)

    async def _happen(self) -> None:
        """What has happened least so far is the likeliest: so a short run sees most of it."""
        least = min(self.happened[name] for name in _EVENTS)
        name = self.dice.choice([name for name in _EVENTS if self.happened[name] == least])
        if name == "RQ's Redis killed":
            # Who starts just then ends: it would be for a supervisor to start it again.
            await eventually(lambda: self.hub.have(2))
        async with self._fault(name):
            await _EVENTS[name](self)
        self.happened[name] += 1

    @contextlib.asynccontextmanager
    async def _fault(self, name: str) -> AsyncIterator[None]:
        """Note it, unless nothing that is on its way to a subscriber can come again for it."""
        began = monotonic()
        yield
        if name not in HARMLESS:
            self.faults.append(Fault(name, began, monotonic() + (UNANSWERED if name in SILENT else 0)))

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
        for other in self.others:
            with contextlib.suppress(ProcessLookupError):
                other.kill()
            await other.wait()
        await self.kill_redis(self.redis)
        self.others = [await self.hub.another("worker", kind) for kind in ("match", "deliver")]

    async def stop(self, part: str) -> None:
        if self.hub.pids(part):
            async with self.hub.paused(part):
                await asyncio.sleep(STOPPED)

    async def stop_redis(self, server: RedisServer) -> None:
        with server.paused():
            await asyncio.sleep(STOPPED)

    async def slow(self) -> None:
        self.proxy.latency = self.dice.uniform(0.05, 0.3)
        await asyncio.sleep(3)
        self.proxy.latency = 0

    async def cut(self) -> None:
        """Reset in the middle of an answer, several times: each is a fault of its own."""
        for _ in range(2):
            async with self._fault("connections reset"):
                await self._cut()
        await self._cut()

    async def _cut(self) -> None:
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

    def table(self) -> str:
        """What happened and what came of it, in Markdown."""
        cuts = quantiles(self.waits, n=100)
        load = " ".join(f"{each:.1f}" for each in os.getloadavg())
        lines = [
            f"{self.took:.0f} s, seed {self.seed}; {os.cpu_count()} cores, {platform.machine()}, Python"
            f" {platform.python_version()}, load {load}. {self.changes} changes acknowledged to 4 publishers, who"
            f" had to repeat {self.repeats} writes.",
            "",
            "| what happened | times | notifications that healthy subscribers got again for it |",
            "|---|---|---|",
            *(f"| {name} | {self.happened[name]} | {self.caused[name]} |" for name in _EVENTS),
            "",
            f"For one of these a subscriber got one again at most; for no reason: {len(self.uncaused)}.",
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
            f"From the acknowledgement to the first arrival at `full`: p50 {cuts[49] * 1000:.0f} ms, p99"
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
    "api stopped": _stop("api"),
    "match worker stopped": _stop("worker match"),
    "deliver worker stopped": _stop("worker deliver"),
    "Redis stopped": lambda chaos: chaos.stop_redis(chaos.redis),
    "RQ's Redis stopped": lambda chaos: chaos.stop_redis(chaos.rq),
    "Redis slow": Chaos.slow,
    "connections reset": Chaos.cut,
    "Redis silent": Chaos.silence,
    "Redis full": Chaos.fill,
}
