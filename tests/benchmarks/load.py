"""
Publishers as fast as the server answers: each connection POSTs the same body again as soon as the last is answered.

    python -m tests.benchmarks.load URL FILE SECONDS

Prints a Load as JSON. No more of an answer is parsed than its status and Location, so that this isn't the bottleneck:
`cpu` says how much of a core it took.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from time import monotonic_ns, process_time
from typing import cast
from urllib.parse import urlsplit

import httptools
import orjson
import uvloop

CONNECTIONS = 16


@dataclass
class Load:
    """
    What was sent and answered.

    began, ended: Monotonic, in ns: before the first request and after the last answer.
    cpu: Cores that the publishers took.
    answers: When each answer came, monotonic in ns, in order.
    locations: Of what was created.
    """

    began: int = 0
    ended: int = 0
    cpu: float = 0.0
    statuses: dict[str, int] = field(default_factory=Counter)
    answers: list[int] = field(default_factory=list)
    locations: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.answers) / ((self.ended - self.began) / 1e9)


class Publisher(asyncio.Protocol):
    """One connection that POSTs resources, in turn, one at a time, and notes in a Load what is answered."""

    def __init__(self, path: str, host: str, bodies: Iterator[bytes], load: Load) -> None:
        self._head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/fhir+json\r\n"
        self._bodies = bodies
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def post(self) -> None:
        """POST, and wait for the answer."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._answered = asyncio.get_running_loop().create_future()
        body = next(self._bodies)
        self._transport.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await self._answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(error or ConnectionError("closed without an answer"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"location":
            self._load.locations.append(value.decode())

    def on_message_complete(self) -> None:
        self._load.answers.append(monotonic_ns())
        status = str(self._parser.get_status_code())
        self._load.statuses[status] = self._load.statuses.get(status, 0) + 1
        self._answered.set_result(None)


@asynccontextmanager
async def publisher(url: str, body: bytes, load: Load, *others: bytes) -> AsyncIterator[Publisher]:
    """A connection to a server. `others`: What is sent after the first, before it comes again."""
    parts = urlsplit(url)
    transport, publisher = await asyncio.get_running_loop().create_connection(
        lambda: Publisher(parts.path, parts.netloc, cycle((body, *others)), load),
        parts.hostname or "",
        parts.port or 80,
    )
    try:
        yield publisher
    finally:
        transport.close()


async def publish(url: str, *bodies: bytes, seconds: float, rate: float = 0, over: asyncio.Event | None = None) -> Load:
    """
    Publish for so many seconds; a request that is under way then is waited for.

    Args:
        bodies: Dealt out to the connections, which send theirs in turn; one goes to all.
        rate: So many a second, as far as the server takes them; 0 for as many as it takes.
        over: When it is set, it is enough.
    """
    load, used = Load(began=monotonic_ns()), process_time()
    until = load.began + int(seconds * 1e9)

    async def one(number: int) -> None:
        body, *others = bodies[number % len(bodies) :: CONNECTIONS]
        pause = CONNECTIONS / rate * 1e9 if rate else 0.0
        due = load.began + pause * number / CONNECTIONS
        async with publisher(url, body, load, *others) as connection:
            while monotonic_ns() < until and not (over and over.is_set()):
                if pause:
                    await asyncio.sleep(max(0, due - monotonic_ns()) / 1e9)
                    due += pause
                await connection.post()

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))
    load.ended = monotonic_ns()
    load.cpu = (process_time() - used) / ((load.ended - load.began) / 1e9)
    return load


if __name__ == "__main__":
    url, file, seconds = sys.argv[1:]
    load = uvloop.run(publish(url, Path(file).read_bytes(), seconds=float(seconds)))
    print(orjson.dumps(load).decode(), flush=True)
