"""Clients that send their requests a byte at a time, or never, hold no places that others need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.fhir import immunization, talking_to
from tests.processes import HubProcess

HEAD = (
    b"PUT /fhir/r4/Patient/slow HTTP/1.1\r\nHost: h\r\n"
    b"Content-Type: application/fhir+json\r\nContent-Length: 100000\r\n\r\n"
)
BEGINNINGS = (b"", b"PUT /fhir/r4/Pat", HEAD, HEAD + b'{"resourceType":"Patient","id":"slow","text":"')
COUNT = 200


@asynccontextmanager
async def dripping(port: int, beginning: bytes) -> AsyncIterator["asyncio.Task[bytes]"]:
    """A connection on which one byte follows another; what it is answered in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def drip() -> None:
        with suppress(ConnectionError):
            writer.write(beginning)
            while beginning:
                await writer.drain()
                await asyncio.sleep(0.2)
                writer.write(b"x")

    async def answer() -> bytes:
        try:
            return await reader.read()
        except ConnectionError:
            return b""

    sending, answered = asyncio.create_task(drip()), asyncio.create_task(answer())
    try:
        yield answered
    finally:
        sending.cancel()
        answered.cancel()
        writer.close()


@pytest.mark.parametrize("places", [512, 50])
async def test_whoever_drips_delays_nobody(data: Path, places: int) -> None:
    """
    A publisher is answered as ever while 200 drip: beside them, or where they have all places, instead of the oldest
    of them.
    """
    settings = {"HUB_HEADER_TIMEOUT": "60", "HUB_BODY_TIMEOUT": "60", "HUB_MAX_CONNECTIONS": str(places)}
    async with HubProcess(data, settings) as hub, talking_to(hub) as fhir, AsyncExitStack() as stack:
        port = int(hub.url.rpartition(":")[2])
        slow = [
            await stack.enter_async_context(dripping(port, BEGINNINGS[number % len(BEGINNINGS)]))
            for number in range(COUNT)
        ]
        for number in range(20):
            await fhir.put(immunization(f"quick-{number}"))
            async with hub.client() as another:
                assert (await another.get("Immunization/quick-0")).status_code == 200
        still = sum(not each.done() for each in slow)
        assert still == COUNT if places > COUNT else still < places


async def test_whoever_drips_is_told_and_gone(data: Path) -> None:
    """408, or nothing to whoever has said nothing; none of it was stored."""
    async with HubProcess(data, {"HUB_HEADER_TIMEOUT": "1", "HUB_BODY_TIMEOUT": "1"}) as hub:
        async with AsyncExitStack() as stack:
            port = int(hub.url.rpartition(":")[2])
            slow = [
                await stack.enter_async_context(dripping(port, beginning))
                for beginning in BEGINNINGS
                for _ in range(10)
            ]
            async with asyncio.timeout(30):
                answers = await asyncio.gather(*slow)
        assert [answer[:12] for answer in answers] == [b""] * 10 + [b"HTTP/1.1 408"] * 30
        async with hub.client() as client:
            assert (await client.get("Patient/slow")).status_code == 404
        assert not [line for line in hub.output if "Exception" in line or "request.failed" in line]
