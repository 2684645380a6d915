"""
A subscriber that costs next to nothing: it keeps what comes, with the time of its last byte, and answers 200.

With `--ports N` it has so many, each an origin. With `--numbers` it keeps of a body no more than the numbers of its
events, joined by blanks: for many or large ones.

Run as a process it prints `{"urls": [...]}`, and is asked by the first port:

    POST  any path             is kept
    GET   /?events=N           is answered, once N events have come, with `[[ns, path, body], ...]`; ns are monotonic
    DELETE /                   forgets everything
"""

import asyncio
import re
from argparse import ArgumentParser
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import NamedTuple, Self, cast

import httptools
import orjson
import uvloop

from tests.receiver import parameters

_NUMBER = re.compile(rb'"event-number","valueString":"(\d+)"')

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Arrival(NamedTuple):
    """One POST. `at` is monotonic, in ns: the same clock in all processes of a machine."""

    at: int
    path: str
    body: bytes

    @property
    def events(self) -> list[tuple[int, str]]:
        """Number and focus (`Immunization/1`) of each event that it tells of; none for a handshake."""
        told = parameters(orjson.loads(self.body)["entry"][0]["resource"])["notification-event"]
        return [(int(e["event-number"]), "/".join(e["focus"]["reference"].split("/")[-2:])) for e in told]


@dataclass
class Sink:
    """The server, on free ports of loopback. `events` have come so far."""

    ports: int = 1
    numbers_only: bool = False
    received: list[Arrival] = field(default_factory=list)
    events: int = 0
    urls: list[str] = field(default_factory=list)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _waiting: list[tuple[int, "asyncio.Future[None]"]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(self.ports):
            server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1_000)
            self._servers.append(server)
            self.urls.append("http://{}:{}".format(*server.sockets[0].getsockname()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()

    @property
    def url(self) -> str:
        return self.urls[0]

    def keep(self, path: str, body: bytes) -> None:
        numbers = _NUMBER.findall(body)
        self.received.append(Arrival(monotonic_ns(), path, b" ".join(numbers) if self.numbers_only else body))
        self.events += len(numbers)
        while self._waiting and self._waiting[0][0] <= self.events:
            _, reached = self._waiting.pop(0)
            if not reached.done():
                reached.set_result(None)

    async def until(self, events: int) -> None:
        """Wait until so many events have come."""
        if self.events < events:
            reached = asyncio.get_running_loop().create_future()
            self._waiting.append((events, reached))
            self._waiting.sort(key=lambda waiting: waiting[0])
            await reached

    def clear(self) -> None:
        self.received.clear()
        self.events = 0


class _Connection(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        match self._parser.get_method():
            case b"POST":
                self._sink.keep(self._path.decode(), b"".join(self._body))
                self._answer(b"")
            case b"DELETE":
                self._sink.clear()
                self._answer(b"")
            case _:
                asked = re.search(rb"events=(\d+)", self._path)
                self._answering = asyncio.create_task(self._tell(int(asked[1]) if asked else 0))

    async def _tell(self, events: int) -> None:
        await self._sink.until(events)
        self._answer(orjson.dumps([[at, path, body.decode()] for at, path, body in self._sink.received]))

    def _answer(self, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(OK % len(body) + body)


async def _main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--ports", type=int, default=1)
    parser.add_argument("--numbers", action="store_true")
    options = parser.parse_args()
    async with Sink(options.ports, options.numbers) as sink:
        print(orjson.dumps({"urls": sink.urls}).decode(), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main())
