"""
Subscribers that accept their handshake and nothing after it. Each has a port, and so an origin, of its own.

    python -m tests.benchmarks.holes HANGING REFUSING

Prints `{"hanging": [url, ...], "refusing": [url, ...]}`. The first take every request and never answer; the others
refuse connections from the handshake on.
"""

import asyncio
import sys
from typing import cast

import orjson
import uvloop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: %b\r\n\r\n"


class Hole(asyncio.Protocol):
    """One connection. What has `"handshake"` in it is one, and arrives whole before it is answered."""

    def __init__(self, holes: "Holes", number: int) -> None:
        self._holes = holes
        self._number = number
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        self._heard = (self._heard + data)[-20_000:]
        if b'"handshake"' in self._heard and self._heard.endswith(b"}"):
            self._heard = b""
            refusing = self._number >= self._holes.hanging
            self._transport.write(OK % (b"close" if refusing else b"keep-alive"))
            if refusing:
                self._holes.servers[self._number].close()
                self._transport.close()


class Holes:
    """All of them."""

    def __init__(self, hanging: int) -> None:
        self.hanging = hanging
        self.servers: list[asyncio.Server] = []

    async def open(self, number: int) -> str:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Hole(self, number), "127.0.0.1", 0)
        self.servers.append(server)
        return "http://{}:{}".format(*server.sockets[0].getsockname())


async def _main(hanging: int, refusing: int) -> None:
    holes = Holes(hanging)
    urls = [await holes.open(number) for number in range(hanging + refusing)]
    print(orjson.dumps({"hanging": urls[:hanging], "refusing": urls[hanging:]}).decode(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main(*map(int, sys.argv[1:])))
