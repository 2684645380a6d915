"""Programs that take part in a measurement, each in a process of its own."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import orjson

from hub.cli.parts import tied
from tests.benchmarks.sink import Arrival
from tests.facts import eventually

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Program:
    """
    `python -m ...`, running until it is left. What it prints and logs goes to a file, as in production.

    arguments: Behind `-m`.
    settings: Environment beyond that of the tests.
    """

    arguments: tuple[str, ...]
    log: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: "asyncio.subprocess.Process | None" = None

    async def __aenter__(self) -> Self:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *self.arguments),
                env=os.environ | self.settings,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=2**28,
                preexec_fn=tied(),
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(15):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def line(self) -> str:
        """The next line that it prints."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, f"it ended: {self.log.read_text()[-2000:]}"
        return line.decode()

    async def said(self) -> Any:
        """The same of a program that prints JSON."""
        return orjson.loads(await self.line())


async def run(*arguments: str, log: Path) -> Any:
    """Run a program to its end; returns the JSON that it printed."""
    async with Program(arguments, log) as program:
        return await program.said()


@dataclass
class Hub:
    """
    `hub serve` as it is by default, but for the addresses that it may call; its log goes to a file.

    settings: Environment beyond that.
    """

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    url: str = ""

    def __post_init__(self) -> None:
        argv = ("hub", "serve", "--port", "0", "--data", str(self.data))
        allowed = {"HUB_ALLOW_HTTP_ENDPOINTS": "true", "HUB_ALLOW_PRIVATE_ENDPOINTS": "true"}
        self._program = Program(argv, self.data.with_suffix(".log"), allowed | self.settings)

    async def __aenter__(self) -> Self:
        await self._program.__aenter__()
        ready = await self._program.line()
        self.url = ready.split()[2].removesuffix("/fhir/r4")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._program.__aexit__()

    def memory(self) -> dict[str, float]:
        """Resident memory of each part, in MiB."""
        return {name: memory_mib(pid) for name, pid in self._parts()}

    def cpu(self) -> dict[str, float]:
        """Processor time of each part so far, in seconds."""
        return {name: cpu_seconds(pid) for name, pid in self._parts()}

    async def subscribe(self, resource: dict[str, Any]) -> str:
        """Register a Subscription and wait until it is active; returns its id."""
        async with httpx.AsyncClient(base_url=f"{self.url}/fhir/r4/") as client:
            answer = (await client.post("Subscription", json=resource)).raise_for_status()
            id_: str = answer.json()["id"]

            async def active() -> bool:
                return bool((await client.get(f"Subscription/{id_}")).json()["status"] == "active")

            await eventually(active)
        return id_

    def _parts(self) -> Iterator[tuple[str, int]]:
        pids = Path(f"/proc/{self._program.pid}/task/{self._program.pid}/children").read_text().split()
        for pid in map(int, pids):
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            yield "redis" if "redis" in argv[0] else " ".join(argv[3:5] if argv[3] == "worker" else argv[3:4]), pid


@dataclass
class SinkProcess:
    """A sink in a process of its own."""

    program: Program
    urls: list[str] = field(default_factory=list)
    _client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=120))

    async def __aenter__(self) -> Self:
        await self.program.__aenter__()
        self.urls = (await self.program.said())["urls"]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        await self.program.__aexit__()

    @property
    def url(self) -> str:
        return self.urls[0]

    async def arrivals(self, *, events: int = 0) -> list[Arrival]:
        """All that has come, once there are so many events."""
        response = await self._client.get(self.url, params={"events": events})
        return [Arrival(at, path, body.encode()) for at, path, body in orjson.loads(response.content)]

    async def clear(self) -> None:
        await self._client.delete(self.url)


def sink(log: Path, *options: str) -> SinkProcess:
    return SinkProcess(Program(("tests.benchmarks.sink", *options), log))


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0
