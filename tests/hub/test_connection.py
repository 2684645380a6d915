"""What a connection may take: uvicorn with the hub's limits, on a real port, asked by raw sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hub.api.protection import Protection
from hub.cli.connection import Limited, Limits
from tests.facts import eventually

PATIENT = Limits(head=30, body=30, head_bytes=2_000, connections=50, body_bytes=1_000_000)
#: Seconds that end within a test.
SOON = 0.3

GET = b"GET /path HTTP/1.1\r\nHost: h\r\n\r\n"
BEGUN = b"POST /path HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n"
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


@dataclass
class Served:
    """
    An application that reads what it is sent, and answers; at `/early` before it has read, at `/held` once it may.

    limits: Those of what begins from now on, if they are changed.
    connections: Those that are there.
    let: Set, what is held is answered.
    seen: What became of the bodies.
    """

    port: int
    limits: Limits
    connections: Collection[object]
    let: asyncio.Event
    seen: list[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = b"" if scope["path"] == "/early" else await request.body()
            self.seen.append("read")
        except ClientDisconnect:
            self.seen.append("gone")
            return
        if scope["path"] == "/held":
            await self.let.wait()
        size = 20_000_000 if scope["path"] == "/large" else len(body)
        await Response(b"x" * size)(scope, receive, send)


@dataclass
class Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        return int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def drip(self, data: bytes = b"x") -> None:
        """Send a little again and again, as long as that is taken."""
        with suppress(ConnectionError):
            while True:
                await self.send(data)
                await asyncio.sleep(0.02)

    async def end(self) -> bytes:
        """What comes until the other side closes; a reset is an end, too."""
        with suppress(ConnectionError):
            return await self.reader.read()
        return b""


@asynccontextmanager
async def serving(limits: Limits, keep_alive: float = 5) -> AsyncIterator[Served]:
    served = Served(0, replace(limits), (), asyncio.Event(), [])
    options = {"lifespan": "off", "log_config": None, "proxy_headers": False, "server_header": False}
    config = Limited(Protection(served), served.limits, port=0, timeout_keep_alive=keep_alive, **options)
    server = uvicorn.Server(config)
    server.capture_signals = suppress  # type: ignore[method-assign, assignment] # the tests' process keeps its own
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn says it by a flag)
        await asyncio.sleep(0.005)
    served.port = server.servers[0].sockets[0].getsockname()[1]
    served.connections = server.server_state.connections
    try:
        yield served
    finally:
        server.should_exit = server.force_exit = True
        await running


@asynccontextmanager
async def peer(served: Served) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


async def there(served: Served, peers: int) -> None:
    """Wait until the other side has so many: what they send has a deadline of its own, by the limits of then."""
    await eventually(lambda: len(served.connections) == peers)


async def refused(one: Peer, status: int, code: str) -> str:
    """It is answered with an OperationOutcome, which has all headers, and closed; returns what it says."""
    got, headers, body = await one.answer()
    assert got == status
    assert headers | HEADERS | {"connection": "close"} == headers
    assert "server" not in headers
    assert headers["content-type"] == "application/fhir+json; charset=utf-8"
    (told,) = json.loads(body)["issue"]
    assert told["code"] == code
    assert await one.end() == b""
    return str(told["details"]["text"])


async def test_ordinary_requests() -> None:
    """One after the other on a connection, pipelined ones too; each answer has the headers."""
    async with serving(PATIENT) as served, peer(served) as one:
        await one.send(GET + GET + BEGUN + b"x" * 400)
        await one.send(b"x" * 600 + GET)
        answers = [await one.answer() for _ in range(4)]
        assert [(status, len(body)) for status, _, body in answers] == [(200, 0), (200, 0), (200, 1000), (200, 0)]
        assert all(headers | HEADERS == headers and "server" not in headers for _, headers, _ in answers)
        assert served.limits.received == 0


@pytest.mark.parametrize(
    "sent", [b"GET /path", b"GET /path HTTP/1.1\r\nHo", b"GET /path HTTP/1.1\r\nHost: h\r\nX-"], ids=len
)
async def test_a_head_that_does_not_end(sent: bytes) -> None:
    """However it drips: the deadline is of the whole."""
    async with serving(PATIENT) as served, peer(served) as one:
        await there(served, 1)
        served.limits.head = SOON
        await one.send(sent)
        dripping = asyncio.create_task(one.drip())
        assert "head" in await refused(one, 408, "timeout")
        dripping.cancel()


async def test_a_connection_that_says_nothing() -> None:
    """At its beginning, or behind a request."""
    async with serving(PATIENT, keep_alive=0.2) as served, peer(served) as kept:
        await kept.send(GET)
        assert (await kept.answer())[0] == 200
        served.limits.head = SOON
        async with peer(served) as silent:
            assert (await silent.end(), await kept.end()) == (b"", b"")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_drips(chunked: bool) -> None:
    """Whoever reads it learns that it doesn't come, and the client is answered."""
    begun = BEGUN.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked") if chunked else BEGUN
    async with serving(replace(PATIENT, body=SOON)) as served, peer(served) as one:
        await one.send(begun)
        dripping = asyncio.create_task(one.drip(b"1\r\nx\r\n" if chunked else b"x"))
        assert "body" in await refused(one, 408, "timeout")
        assert served.seen == ["gone"]
        assert served.limits.received == 0
        dripping.cancel()


async def test_a_body_that_drips_behind_its_answer() -> None:
    """What was answered early is not answered again: it is closed, however it drips."""
    async with serving(replace(PATIENT, body=1.5)) as served, peer(served) as one:
        await one.send(BEGUN.replace(b"/path", b"/early"))
        assert (await one.answer())[0] == 200
        dripping = asyncio.create_task(one.drip())
        assert await one.end() == b""
        dripping.cancel()


async def test_a_client_that_takes_no_answer() -> None:
    """It is cut off, and the answer is forgotten."""
    async with serving(replace(PATIENT, body=SOON)) as served, peer(served) as one:
        one.writer.transport.pause_reading()  # type: ignore[attr-defined] # that of a socket can
        await one.send(GET.replace(b"/path", b"/large"))
        await eventually(lambda: cut_off(one))


async def cut_off(one: Peer) -> bool:
    """Whether the other side has it no more."""
    try:
        one.writer.write(b"x")
        await asyncio.sleep(0.01)
    except ConnectionError:
        return True
    return one.writer.is_closing() or one.reader.exception() is not None


async def test_a_request_that_takes_long_is_let() -> None:
    """It waits for the hub: no deadline is for that, nor for what has come behind it in part."""
    async with serving(PATIENT) as served, peer(served) as one, peer(served) as two:
        await there(served, 2)
        served.limits.head = served.limits.body = SOON
        await one.send(GET.replace(b"/path", b"/held"))
        await two.send(GET.replace(b"/path", b"/held") + b"GET /path HT")
        await eventually(lambda: len(served.seen) == 2)
        await asyncio.sleep(2.5 * SOON)
        served.limits.head = PATIENT.head  # once it is let, the rest of its head may take as long as it likes
        await asyncio.sleep(2.5 * SOON)
        served.let.set()
        assert (await one.answer())[0] == (await two.answer())[0] == 200
        await two.send(b"TP/1.1\r\nHost: h\r\n\r\n")
        assert (await two.answer())[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /" + b"x" * 3_000 + b" HTTP/1.1\r\n\r\n", id="url"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 3_000 + b"\r\n\r\n", id="header"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 500 + b"\r\n", id="headers"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 20])
async def test_a_large_head(sent: bytes, pieces: int) -> None:
    """At once or in pieces, and also when it never ends."""
    async with serving(PATIENT) as served, peer(served) as one:
        size = len(sent) // pieces + 1
        with suppress(ConnectionError):
            for at in range(0, len(sent) - 4, size):
                await one.send(sent[at : at + size])
                await asyncio.sleep(0)
        assert "2000 bytes" in await refused(one, 431, "too-long")
        assert served.seen == []


async def test_what_comes_behind_a_body_is_no_header() -> None:
    """Trailers are not taken for headers, and are counted."""
    begun = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    async with serving(PATIENT) as served, peer(served) as one, peer(served) as two:
        await one.send(begun + b"Authorization: x\r\n\r\n")
        assert (await one.answer())[0] == 200
        await two.send(begun + b"X: 1\r\n" * 500)
        await refused(two, 431, "too-long")


async def test_nonsense() -> None:
    async with serving(PATIENT) as served, peer(served) as one, peer(served) as two:
        await one.send(b"\x16\x03\x01\x02\x00\x01\x00")
        await refused(one, 400, "structure")
        await two.send(BEGUN.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked") + b"zz\r\n")
        await refused(two, 400, "structure")


async def test_whoever_holds_a_place_longest_has_to_go() -> None:
    """First the idle, then the incomplete; who is being answered stays, and the last one is told that it is full."""
    async with serving(replace(PATIENT, connections=3)) as served, peer(served) as held:
        await held.send(GET.replace(b"/path", b"/held"))
        async with peer(served) as incomplete, peer(served) as idle:
            await incomplete.send(BEGUN + b"x")
            await idle.send(GET)
            assert (await idle.answer())[0] == 200
            async with peer(served) as third, peer(served) as fourth:
                await third.send(GET.replace(b"/path", b"/held"))
                assert await idle.end() == b""
                await fourth.send(GET.replace(b"/path", b"/held"))
                await refused(incomplete, 503, "throttled")
                await eventually(lambda: len(served.seen) == 5)
                async with peer(served) as fifth:
                    await refused(fifth, 503, "throttled")
                served.let.set()
                assert [(await each.answer())[0] for each in (held, third, fourth)] == [200, 200, 200]


async def test_whoever_sends_most_has_to_go() -> None:
    """Bodies that are not complete fill no memory: the largest is refused, and a small one gets through."""
    huge = b"POST / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n"
    async with serving(replace(PATIENT, body_bytes=1_000)) as served, peer(served) as large, peer(served) as small:
        await large.send(huge + b"x" * 900)
        await eventually(lambda: served.limits.received == 900)
        await small.send(b"POST / HTTP/1.1\r\nContent-Length: 200\r\n\r\n" + b"x" * 200)
        assert (await small.answer())[0] == 200
        await refused(large, 503, "throttled")
        async with peer(served) as one:
            await one.send(huge + b"x" * 1_001)
            await refused(one, 503, "throttled")
        assert served.limits.received == 0
