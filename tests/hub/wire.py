"""A server below HTTP: it does to its connections whatever a test wants, as no web framework would."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wire:
    """What has happened at the server. `requests`: the bytes of each request's head and body."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    sent: int = 0
    cut: asyncio.Event = field(default_factory=asyncio.Event)

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Read one whole request."""
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(lengths[0].split(b":")[1]))
        self.requests.append(head + body)
        return head

    async def drip(self, writer: asyncio.StreamWriter, piece: bytes, *, pause: float = 0) -> None:
        """Send pieces until the other side has had enough; `cut` is set then."""
        with suppress(OSError):
            while not writer.is_closing():  # uvloop takes it for a bug to write to what was closed
                writer.write(piece)
                await writer.drain()
                self.sent += len(piece)
                await asyncio.sleep(pause)
        self.cut.set()


@asynccontextmanager
async def serving(wire: Wire, handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """Serve on a free port of loopback; what is under way at the end is cancelled."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(wire: Wire, *answers: bytes, close: bool = True) -> Handler:
    """Answers each request of a connection with these bytes in turn, then closes it, or waits."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await wire.request(reader)
            writer.write(answer)
            await writer.drain()
        if not close:
            await reader.read()

    return handle


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST instead of FIN."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
