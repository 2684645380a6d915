"""
No endpoint makes the hub connect to what it must not: each blocked range, however it is written or found.

What proves it is Python itself: it tells of every `connect`, whoever asked for it.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hub.channels.clients import Clients
from hub.channels.guard import Guard
from hub.channels.own import Own
from hub.channels.rest_hook import RestHook
from hub.wiring.parts import parts
from subscriptions.codes import FhirVersion
from subscriptions.message import Message
from subscriptions.retry import Accepted, Blocked, Outcome, Refused, Unreachable
from subscriptions.versions.forms import FORMS
from tests.hub.conftest import close, settings
from tests.hub.names import name_server
from tests.hub.test_guard import BLOCKED, NEVER
from tests.hub.wire import Wire, answering, serving
from tests.processes import subscription

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CLOSED = Guard(allow_private=False, networks=(), ports=frozenset({443, 8443}))
OPEN = replace(CLOSED, allow_private=True)
#: Lets this machine's first loopback address be called, and no other.
ONE = replace(CLOSED, networks=(ip_network("127.0.0.1/32"),))

#: Everything that must not be called: first, last and a middle address of each range, and the metadata services.
ADDRESSES = sorted(
    {str(net[n]) for net in map(ip_network, BLOCKED) for n in (0, -1, net.num_addresses // 3)} | set(NEVER)
)


class Connects:
    """The addresses that sockets were connected to, while somebody looks."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and self.seen is not None and isinstance(arguments[1], tuple):
            self.seen.append(f"{arguments[1][0]}:{arguments[1][1]}")

    @contextmanager
    def watched(self) -> Iterator[list[str]]:
        seen: list[str] = []
        self.seen = seen
        try:
            yield seen
        finally:
            self.seen = None


@pytest.fixture(scope="session")
def connects() -> Connects:
    """Only one: a hook of this kind stays for the life of a process."""
    return Connects()


@asynccontextmanager
async def hook(guard: Guard) -> AsyncIterator[RestHook]:
    made = RestHook(Clients(guard, frozenset({"trusted.example"})))
    try:
        yield made
    finally:
        await made.close()


async def call(made: RestHook, host: str, port: int = 443) -> Outcome:
    """One attempt, over http where there is nobody to shake hands with."""
    wanted = FORMS[FhirVersion.R4].parse_subscription(
        subscription("http://127.0.0.1/"), now=datetime.now(UTC), allow_http=True
    )
    host = f"[{host}]" if ":" in host else host
    return await made.send(replace(wanted, endpoint=f"http://{host}:{port}/"), Message(b"{}"), seconds=10)


def notations(address: str) -> list[str]:
    """Ways to write an address that some resolver, library or browser takes for it."""
    ip = ip_address(address)
    if not isinstance(ip, IPv4Address):
        return [address, ip.exploded.upper(), f"{address}%25lo"]
    a, b, c, d = ip.packed
    number = int(ip)
    return [
        address, f"{address}.", str(number), hex(number), f"0{number:o}", f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}", f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"::ffff:{address}", f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}", f"::{address}", f"64:ff9b::{address}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
    ]  # fmt: skip


async def test_no_literal_in_any_notation(connects: Connects) -> None:
    """Each blocked address, in each notation of it: no socket is connected, and what is said is no success."""
    async with name_server() as names, hook(replace(CLOSED, name_servers=(names.address,))) as made:
        for address in ADDRESSES:
            for host in notations(address):
                with connects.watched() as seen:
                    said = await call(made, host)
                assert isinstance(said, Blocked | Unreachable), host
                assert seen == [], host


async def test_no_name(connects: Connects) -> None:
    """Each blocked address, as the one that a name has, at registration and at an attempt."""
    known = {f"n{number}": address for number, address in enumerate(ADDRESSES)}
    async with name_server(**known) as names:
        guard = replace(CLOSED, name_servers=(names.address,))
        async with hook(guard) as made:
            for name, address in known.items():
                with connects.watched() as seen:
                    said = await call(made, f"{name}.example")
                assert isinstance(said, Blocked), address
                assert await guard.refusal_of(f"{name}.example", 443) == said.rule
                assert seen == [], address


@pytest.mark.parametrize("address", ["127.0.0.2", "10.0.0.1", "169.254.169.254", "fd00::1", "::ffff:10.0.0.1"])
@pytest.mark.parametrize("order", ["127.0.0.1 {}", "{} 127.0.0.1"])
async def test_no_name_with_a_blocked_address_among_others(connects: Connects, address: str, order: str) -> None:
    """A name that has an allowed address too is refused whole: the allowed one is not connected to either."""
    async with (
        name_server(several=order.format(address), one="127.0.0.1") as names,
        serving(wire := Wire(), answering(wire, OK)),
    ):
        guard = replace(ONE, name_servers=(names.address,))
        async with hook(guard) as made:
            with connects.watched() as seen:
                said = await call(made, "several.example", wire.port)
            assert isinstance(said, Blocked), said
            assert await guard.refusal_of("several.example", wire.port) == said.rule
            assert seen == []
            with connects.watched() as seen:
                assert await call(made, "one.example", wire.port) == Accepted(200)
            assert seen == [f"127.0.0.1:{wire.port}"]
    assert wire.connections == 1


async def test_no_name_that_changes_its_answer(connects: Connects) -> None:
    """
    Allowed at registration, another address at the attempt: it is looked at then. And between the look and the connect
    there is no other question that could be answered otherwise: one attempt asks once.
    """
    async with (
        name_server(turning="127.0.0.1/127.0.0.1/127.0.0.2/127.0.0.1") as names,
        serving(wire := Wire(), answering(wire, OK)),
    ):
        guard = replace(ONE, name_servers=(names.address,))
        assert await guard.refusal_of("turning.example", wire.port) is None
        async with hook(guard) as made:
            for expected, connected in (
                (Accepted(200), [f"127.0.0.1:{wire.port}"]),
                (Blocked("127.0.0.2 is in 127.0.0.0/8"), []),
                (Accepted(200), [f"127.0.0.1:{wire.port}"]),
            ):
                before = names.told["turning.example", 1]
                with connects.watched() as seen:
                    assert await call(made, "turning.example", wire.port) == expected
                assert [each for each in seen if each != names.address] == connected
                assert names.told["turning.example", 1] == before + 1
    assert wire.connections == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["same host", "127.0.0.2", "169.254.169.254", "[::1]"])
async def test_no_redirect(connects: Connects, status: int, to: str) -> None:
    """A redirect is a refusal, wherever it leads."""
    async with hook(ONE) as made, serving(target := Wire(), answering(target, OK)):
        where = f"127.0.0.1:{target.port}" if to == "same host" else f"{to}:{target.port}"
        answer = OK.replace(b"200 OK", b"%d Go\r\nLocation: http://%b/" % (status, where.encode()))
        async with serving(wire := Wire(), answering(wire, answer)):
            with connects.watched() as seen:
                assert await call(made, "127.0.0.1", wire.port) == Refused(status)
    assert seen == [f"127.0.0.1:{wire.port}"]
    assert target.connections == 0


@pytest.mark.parametrize("host", ["metadata.example", "trusted.example"])
async def test_no_metadata_service_by_a_name_that_is_allowed(connects: Connects, host: str) -> None:
    """Not with private addresses allowed, nor by a name that is allowed although it is private."""
    async with name_server(metadata="169.254.169.254", trusted="fd00:ec2::254") as names:
        guard = replace(OPEN, ports=frozenset({80}), name_servers=(names.address,))
        async with hook(guard) as made:
            with connects.watched() as seen:
                said = await call(made, host, 80)
    assert isinstance(said, Blocked)
    assert said.rule.endswith("is a metadata service")
    assert seen == []


async def test_no_other_port_of_a_public_address(connects: Connects) -> None:
    async with name_server(public="1.1.1.1") as names, hook(replace(OPEN, name_servers=(names.address,))) as made:
        for port in (22, 25, 80, 6379, 8080):
            for host in ("1.1.1.1", "public.example", "2606:4700::1111"):
                with connects.watched() as seen:
                    assert await call(made, host, port) == Blocked(f"port {port} is not one of 443, 8443")
                assert seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "0.0.0.0", "::1", "::ffff:127.0.0.1"])
async def test_not_the_hub_itself(connects: Connects, redis_cluster_url: str, tmp_path: Path, host: str) -> None:
    """Redis, the api, and whatever else is said to be the hub's, by any address of this machine."""
    given = settings(redis_cluster_url, tmp_path).model_copy(
        update={"base_url": "http://127.0.0.1:8111", "own_addresses": (("localhost", 8112),)}
    )
    built = await parts(given)
    redis = urlsplit(redis_cluster_url).port
    assert redis
    async with hook(built.guard) as made, serving(wire := Wire(), answering(wire, OK)):
        for port in (redis, 8111, 8112):
            with connects.watched() as seen:
                said = await call(made, host, port)
            assert isinstance(said, Blocked), said
            assert said.rule.endswith(f":{port} is the hub itself")
            assert await built.guard.refusal_of(host, port) is not None
            assert seen == []
        if host not in ("127.0.0.2", "::1"):  # where nobody listens
            assert await call(made, host, wire.port) == Accepted(200)
    await close(built.client)


async def test_not_the_hub_itself_by_name(connects: Connects) -> None:
    """In whatever case, and also while its address is another one, such as that of a proxy."""
    async with name_server(hub="127.0.0.1") as names:
        own = Own(frozenset({("hub.example", 443)}))
        guard = replace(OPEN, own=own, name_servers=(names.address,))
        async with hook(guard) as made:
            for host in ("hub.example", "HUB.Example", "hub.example."):
                with connects.watched() as seen:
                    said = await call(made, host)
                assert said == Blocked(f"{host.lower()}:443 is the hub itself")
                assert await guard.refusal_of(host, 443) == f"{host}:443 is the hub itself"
                assert seen == []
