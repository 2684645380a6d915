"""
Publishers as fast as the server answers: each connection POSTs the same body again as soon as the last is answered.

    python -m tests.benchmarks.load URL FILE SECONDS [CONNECTIONS]

Prints a Load as JSON. It parses no more of an answer than its status and Location, so that it isn't the bottleneck:
`cpu` says how much of a core it took.
"""

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass, field
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


class _Publisher(asyncio.Protocol):
    def __init__(self, request: bytes, load: Load, until: int) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._request = request
        self._load = load
        self._until = until
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._parser is not None:
            self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"location":
            self._load.locations.append(value.decode())

    def on_message_complete(self) -> None:
        assert self._parser is not None
        assert self._transport is not None
        now = monotonic_ns()
        self._load.answers.append(now)
        self._load.statuses[str(self._parser.get_status_code())] += 1
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def _send(self) -> None:
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._request)


async def publish(url: str, body: bytes, *, seconds: float, connections: int = CONNECTIONS) -> Load:
    """Publish for so many seconds; a request that is under way then is waited for."""
    parts = urlsplit(url)
    request = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/fhir+json\r\n"
        f"Accept: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    load = Load(began=monotonic_ns())
    used, until = process_time(), load.began + int(seconds * 1e9)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Publisher(request, load, until), parts.hostname or "", parts.port or 80)
        for _ in range(connections)
    ]
    await asyncio.gather(*(publisher.closed for _, publisher in made))
    load.ended = monotonic_ns()
    load.cpu = (process_time() - used) / ((load.ended - load.began) / 1e9)
    return load


if __name__ == "__main__":
    url, file, seconds, *rest = sys.argv[1:]
    connections = int(rest[0]) if rest else CONNECTIONS
    load = uvloop.run(publish(url, Path(file).read_bytes(), seconds=float(seconds), connections=connections))
    print(orjson.dumps(load).decode(), flush=True)
