"""
A subscriber that costs next to nothing: it keeps what comes, with the time of its last byte, and answers 200.

Run as a process it prints `{"url": ...}`, and is asked by the same port:

    POST  any path             is kept
    GET   /?events=N           is answered, once N events have come, with `[[ns, path, body], ...]`; ns are monotonic
    DELETE /                   forgets everything
"""

import asyncio
import re
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import NamedTuple, Self, cast

import httptools
import orjson
import uvloop

from tests.receiver import parameters

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
    """The server, on a free port of loopback. `events` have come so far."""

    received: list[Arrival] = field(default_factory=list)
    events: int = 0
    url: str = ""
    _server: asyncio.Server | None = None
    _waiting: list[tuple[int, "asyncio.Future[None]"]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.url = "http://{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    def keep(self, path: str, body: bytes) -> None:
        self.received.append(Arrival(monotonic_ns(), path, body))
        self.events += body.count(b'"notification-event"')
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
    async with Sink() as sink:
        print(orjson.dumps({"url": sink.url}).decode(), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main())
