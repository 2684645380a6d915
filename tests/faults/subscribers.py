"""Subscribers below HTTP: they keep what came, byte by byte, and some of them answer as nobody should."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Self

from tests.hub.wire import reset
from tests.receiver import Received

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#: Seconds, longer than any request may take.
FOR_LONG = 5.0

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def _says(answer: str, body: bytes = b"") -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return behave


async def _hangs(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(FOR_LONG)


async def _drips(writer: asyncio.StreamWriter) -> None:
    end = monotonic() + FOR_LONG
    writer.write(b"HTTP/1.1 200 O")
    while monotonic() < end and not writer.is_closing():
        writer.write(b"K")
        await writer.drain()
        await asyncio.sleep(0.2)


async def _half_closes(writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    await asyncio.sleep(FOR_LONG)


async def _closes(_: asyncio.StreamWriter) -> None:
    """The caller does it: it has read the request and says nothing."""


async def _resets(writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def _talks_nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01\x00 220 mail.example ESMTP\r\n\r\n")


#: What they do to one request in three; those that took it all the same are healthy but for that.
BEHAVIOURS: dict[str, Behaviour] = {
    "500": _says("500 No"),
    "429": _says("429 Slowly\r\nRetry-After: 1"),
    "redirect": _says("307 There\r\nLocation: /healthy"),
    "10-MB": _says("200 OK", b"x" * 10_000_000),
    "hangs": _hangs,
    "drips": _drips,
    "half-closes": _half_closes,
    "closes": _closes,
    "resets": _resets,
    "nonsense": _talks_nonsense,
}


@dataclass
class Subscribers:
    """
    A server on a free port of loopback, each path of which is a subscriber.

    dice: Decides when one misbehaves; paths that name no behaviour never do. `/black-hole` answers handshakes only.
    pauses: Seconds that a path takes to answer.
    """

    dice: random.Random
    pauses: Mapping[str, float] = field(default_factory=dict)
    url: str = ""
    requests: defaultdict[str, list[tuple[float, bytes]]] = field(default_factory=lambda: defaultdict(list))
    numbers: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    await writer.drain()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one request; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        [length] = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        body = await reader.readexactly(int(length.partition(":")[2]))
        path = head.split()[1]
        received = Received.of("POST", path, [], body)
        if received.type != "event-notification":
            writer.write(OK)
            return True
        self.requests[path].append((monotonic(), body))
        self.numbers[path].update(received.numbers)
        self._came.set()
        behaviour = BEHAVIOURS.get(path.strip("/").partition(".")[0])
        if path == "/black-hole":
            await asyncio.sleep(3600)
        if path in self.pauses:
            await asyncio.sleep(self.pauses[path])
        if behaviour is None or self.dice.random() > 1 / 3:
            writer.write(OK)
            return True
        await behaviour(writer)
        return False

    def received(self, path: str) -> list[Received]:
        """What came to a path, in order of arrival."""
        return [replace(Received.of("POST", path, [], body), at=at) for at, body in self.requests[path]]

    async def numbered(self, path: str, count: int, *, seconds: float) -> bool:
        """Wait until so many different events have come to a path; False when they don't."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self.numbers[path]) < count:
                    self._came.clear()
                    await self._came.wait()
        return len(self.numbers[path]) >= count
