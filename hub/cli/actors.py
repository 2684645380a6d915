"""Who plays in the demo beside the publisher: a hub in processes of its own, and a subscriber that listens."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

import httpx
import orjson

from hub.cli import REFUSED
from hub.cli.parts import tied
from hub.errors import NotTheHub, Unavailable
from hub.receiver import Event, Notification, Receiver, Source, Verifier

#: Seconds that any single step may take.
PATIENCE = 30.0

CANONICAL_BASE = "https://fhir-event-hub.example"

#: All of the hub's settings: none of the caller's is inherited.
SETTINGS = {
    "HUB_ALLOW_HTTP_ENDPOINTS": "true",
    "HUB_ALLOW_PRIVATE_ENDPOINTS": "true",
    "HUB_CANONICAL_BASE": CANONICAL_BASE,
}

#: How a line begins that says where something happened, not what.
TRACE = (" ", "Traceback ", "During handling ", "The above exception ")


@dataclass
class Hub:
    """`steps` are the lines of its log, as they come."""

    url: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    last_words: str = "it said nothing"
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, raw: bytes) -> None:
        """Take a line that it wrote on stderr."""
        line = raw.decode(errors="replace").rstrip()
        if line and not line.startswith(TRACE):
            self.last_words = line
        with suppress(ValueError):
            self.steps.append(orjson.loads(line))
            self._came.set()

    def logged(self, event: str) -> Iterator[dict[str, Any]]:
        """The lines of one kind."""
        return (step for step in self.steps if step["event"] == event)

    @property
    def matched(self) -> list[dict[str, Any]]:
        """The lines of the changes that are matched."""
        return list(self.logged("change.matched"))

    @property
    def events(self) -> int:
        """How many events these made."""
        return sum(step["events"] for step in self.matched)

    async def until_matched(self, changes: int) -> None:
        """Wait until so many changes are matched. TimeoutError if they aren't."""
        await _until(self._came, lambda: len(self.matched) >= changes)


@dataclass
class Subscriber:
    """
    The application that wants to be told, with `hub.receiver`.

    received: Each notification with the time of its arrival, seconds since 1970, repeats too.
    handled: The events that the receiver has handed over.
    """

    received: list[tuple[float, Notification]] = field(default_factory=list)
    handled: list[Event] = field(default_factory=list)
    first: bytes = b""
    _receiver: "asyncio.Future[Receiver]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def know(self, base: str, secret: str) -> None:
        """From now on it takes what is signed by this secret, and asks this FHIR base for what it misses."""
        self._receiver.set_result(Receiver(self._handle, verifier=Verifier(secret), source=Source(base)))

    async def take(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Take a notification: a 2xx says that it has arrived."""
        at = time()
        receipt = await (await asyncio.shield(self._receiver)).receive(body, headers)
        if receipt.notification:
            self.received.append((at, receipt.notification))
            if receipt.notification.events and not self.first:
                self.first = body
        self._came.set()
        return receipt.status

    async def _handle(self, event: Event) -> None:
        self.handled.append(event)

    async def until(self, count: int) -> None:
        """Wait until so many notifications have come. TimeoutError if they don't."""
        await _until(self._came, lambda: len(self.received) >= count)


async def _until(came: asyncio.Event, fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not fact():
            came.clear()
            await came.wait()


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[Hub]:
    """
    `hub serve` on a free port; it dies with this process, however that ends.

    NotTheHub or Unavailable, with the hub's last words, if it does not start, or if what is done with it fails.
    """
    others = {name: value for name, value in os.environ.items() if not name.upper().startswith("HUB_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", "serve", "--port", "0", "--data", str(data)),
        env=others | SETTINGS,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=tied(),
    )
    hub, failure = Hub(), None
    reading = asyncio.create_task(_hear(process, hub))
    try:
        hub.url = await _ready(process)
        yield hub
    except (TimeoutError, httpx.HTTPError) as error:
        failure = error
    finally:
        if process.returncode is None:
            _terminate(process.pid)
        code = await process.wait()
        await reading
    if failure is not None:
        kind = NotTheHub if code == REFUSED else Unavailable
        raise kind(f"its hub failed: {hub.last_words}") from failure


def _terminate(pid: int) -> None:
    """Not by `process.terminate()`, which may take the exit code of one that has just ended from who waits for it."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


async def _ready(process: asyncio.subprocess.Process) -> str:
    """The URL at which it says that it is ready. TimeoutError if it never does."""
    async with asyncio.timeout(PATIENCE):
        line = (await process.stdout.readline()).decode() if process.stdout else ""
    if not line.startswith("hub ready: "):
        raise TimeoutError
    return line.split()[2].removesuffix("/fhir/r4")


async def _hear(process: asyncio.subprocess.Process, hub: Hub) -> None:
    if process.stderr:
        async for line in process.stderr:
            hub.hear(line)
