"""Which addresses may be called: the whole list, however an address is written, and over a real connector."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from hub.channels.clients import Clients
from hub.channels.guard import Guard
from hub.channels.rest_hook import RestHook
from subscriptions.codes import FhirVersion
from subscriptions.message import Message
from subscriptions.retry import Accepted, Blocked, Fault, Outcome, Unreachable
from subscriptions.versions.forms import FORMS
from tests.facts import eventually
from tests.hub.names import name_server
from tests.hub.wire import Wire, answering, serving
from tests.processes import subscription

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

#: What nobody outside a hub's own network has: special-purpose registries of IANA, and forms that hide an IPv4 address.
BLOCKED = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "::/8", "64:ff9b:1::/48", "100::/64", "2001::/23",
    "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip

#: Single addresses that deserve a name.
PRIVATE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.1.1", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "255.255.255.255", "224.0.0.1", "::", "::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1",
    "0:0:0:0:0:5efe:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::c0a8:1", "64:ff9b:1::1",
    "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1",
    "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
]  # fmt: skip

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.1", "223.255.255.255", "64:ff9b::8.8.8.8",
    "2606:4700::1111",
]  # fmt: skip

NEVER = [
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
]  # fmt: skip

CLOSED = Guard(allow_private=False, networks=(), ports=frozenset({443, 8443}))
OPEN = replace(CLOSED, allow_private=True)


def hidden(address: str) -> list[str]:
    """The same address, and the IPv6 forms that lead to it."""
    ip = ip_address(address)
    if not isinstance(ip, IPv4Address):
        return [address]
    six_to_four, teredo = (
        IPv6Address(0x2002 << 112 | int(ip) << 80 | 1),
        IPv6Address(0x20010000 << 96 | ~int(ip) % 2**32),
    )
    translated = [f"{prefix}{ip}" for prefix in ("::", "::ffff:", "::ffff:0:", "64:ff9b::", "64:ff9b:1::")]
    return [address, *translated, str(six_to_four), str(teredo)]


@pytest.mark.parametrize("network", BLOCKED)
def test_a_blocked_network_is_blocked_from_its_first_to_its_last_address(network: str) -> None:
    net = ip_network(network)
    for address in (net[0], net[1], net[net.num_addresses // 2], net[-2], net[-1]):
        assert CLOSED.refusal(str(address), 443) is not None, address
    kind = type(net[0])
    for number in (int(net[0]) - 1, int(net[-1]) + 1):
        if 0 <= number < 2**net.max_prefixlen and not any(kind(number) in ip_network(other) for other in BLOCKED):
            assert CLOSED.refusal(str(kind(number)), 443) is None, "the address beside it is somebody else's"


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_with_its_rule_unless_it_is_allowed(address: str) -> None:
    reason = CLOSED.refusal(address, 443)
    assert reason is not None
    assert address in reason
    assert OPEN.refusal(address, 443) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called_on_its_ports_only(address: str) -> None:
    """Nor does it open other ports that private addresses are allowed."""
    for guard in (CLOSED, OPEN):
        assert guard.refusal(address, 443) is None
        assert guard.refusal(address, 8443) is None
        assert guard.refusal(address, 25) == "port 25 is not one of 443, 8443"


@pytest.mark.parametrize("address", [form for address in NEVER for form in hidden(address)])
def test_a_metadata_service_is_refused_whatever_is_allowed(address: str) -> None:
    everything = Guard(True, (ip_network("0.0.0.0/0"), ip_network("::/0")), frozenset({80, 443}))
    for guard in (CLOSED, OPEN, everything):
        for port in (80, 443):
            assert guard.refusal(address, port) == f"{address} is a metadata service"


def test_a_network_that_is_allowed_is_allowed_alone() -> None:
    guard = replace(CLOSED, networks=(ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")))
    assert guard.refusal("10.1.2.3", 8080) is None
    assert guard.refusal("::ffff:10.1.2.3", 8080) is None
    assert guard.refusal("fd00:1::5", 8080) is None
    for address in ("10.2.0.1", "127.0.0.1", "fd00:2::5", "::ffff:10.2.0.1"):
        assert guard.refusal(address, 8080) is not None


async def test_a_name_is_refused_as_a_courtesy_if_any_of_its_addresses_is() -> None:
    assert await CLOSED.refusal_of("localhost", 443) is not None
    assert await CLOSED.refusal_of("0x7f.1", 443) == "127.0.0.1 is in 127.0.0.0/8"
    assert await CLOSED.refusal_of("nobody.invalid", 443) is None
    assert await OPEN.refusal_of("localhost", 9999) is None


@pytest.mark.parametrize("host", ["::1", "fe80::1%eth0", "::ffff:127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0"])
async def test_any_notation_of_an_address_is_refused_as_a_courtesy_without_asking_for_a_name(host: str) -> None:
    async with name_server() as names:
        refusal = await replace(CLOSED, name_servers=(names.address,)).refusal_of(host, 443)
    assert refusal is not None
    assert not names.asked


async def test_names_that_are_slow_delay_no_registration_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long their own waits for them."""
    monkeypatch.setattr("hub.channels.guard.COURTESY", 60)
    async with name_server(private="10.1.2.3", public="1.1.1.1") as names:
        guard = replace(CLOSED, name_servers=(names.address,))
        slow = [asyncio.create_task(guard.refusal_of(f"n{n}.slow.example", 443)) for n in range(40)]
        await eventually(lambda: len(names.asked) == len(slow))
        assert await guard.refusal_of("private.example", 443) == "10.1.2.3 is in 10.0.0.0/8"
        assert await guard.refusal_of("public.example", 443) is None
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_names_that_are_slow_are_waited_for_no_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not refused."""
    monkeypatch.setattr("hub.channels.guard.COURTESY", 0.1)
    async with name_server() as names:
        guard = replace(CLOSED, name_servers=(names.address,))
        slow = [guard.refusal_of(f"n{n}.slow.example", 443) for n in range(40)]
        assert await asyncio.gather(*slow) == [None] * len(slow)


async def test_an_address_that_a_name_server_tells_is_looked_at_before_it_is_called() -> None:
    loopback = replace(CLOSED, networks=(ip_network("127.0.0.1/32"),))
    async with name_server(ours="127.0.0.1", theirs="127.0.0.2") as names:
        guard = replace(loopback, name_servers=(names.address,))
        async with calling(guard, wire := Wire()) as hook:
            assert await call(hook, "ours.example", wire.port) == Accepted(200)
            assert await call(hook, "theirs.example", wire.port) == Blocked("127.0.0.2 is in 127.0.0.0/8")
            assert await call(hook, "nobody.example", wire.port) == Unreachable(Fault.DNS)
    assert wire.connections == 1


@asynccontextmanager
async def calling(guard: Guard, wire: Wire) -> AsyncIterator[RestHook]:
    hook = RestHook(Clients(guard))
    try:
        async with serving(wire, answering(wire, OK)):
            yield hook
    finally:
        await hook.close()


async def call(hook: RestHook, host: str, port: int) -> Outcome:
    wanted = FORMS[FhirVersion.R4].parse_subscription(
        subscription("http://127.0.0.1/"), now=datetime.now(UTC), allow_http=True
    )
    return await hook.send(replace(wanted, endpoint=f"http://{host}:{port}/"), Message(b"{}"), seconds=10)


#: Ways to write loopback that lead there when it is allowed.
LOOPBACK = ["127.0.0.1", "0.0.0.0", "localhost", "LocalHost", "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]", "[0:0:0:0:0:FFFF:127.0.0.1]"]  # fmt: skip
#: Ways to write it that HTTP clients refuse by themselves, or that are names to them which nobody has.
ODD = [
    "0x7f.1",
    "0x7f000001",
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "[::127.0.0.1]",
    "[::1]",
    "[::]",
    "0",
]


@pytest.mark.parametrize("host", LOOPBACK)
async def test_loopback_is_not_called_however_it_is_written(host: str) -> None:
    """The same name is called when that is allowed: it does lead there."""
    async with calling(CLOSED, wire := Wire()) as hook:
        said = await call(hook, host, wire.port)
        assert isinstance(said, Blocked), said
    assert wire.connections == 0
    async with calling(OPEN, wire := Wire()) as hook:
        assert await call(hook, host, wire.port) == Accepted(200)


@pytest.mark.parametrize("host", [*ODD, "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "0x646464c8"])
async def test_odd_notations_lead_nowhere(host: str) -> None:
    """Those of a metadata service neither. What is asked for as a name, the name server does not know."""
    async with name_server() as names, calling(replace(CLOSED, name_servers=(names.address,)), wire := Wire()) as hook:
        assert isinstance(await call(hook, host, wire.port), Blocked | Unreachable)
    assert wire.connections == 0


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::169.254.169.254]",
     "[fd00:ec2::254]", "[FD00:0EC2:0::0254]", "168.63.129.16", "169.254.170.2", "192.0.0.192"],
)  # fmt: skip
async def test_a_metadata_service_is_not_called_however_it_is_written(host: str) -> None:
    """Not even when private addresses are allowed."""
    async with calling(OPEN, Wire()) as hook:
        said = await call(hook, host, 80)
    assert isinstance(said, Blocked)
    assert said.rule.endswith("is a metadata service")


class Names(AbstractResolver):
    """A name service that answers each question with the next of these lists of addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:  # noqa: ARG002
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0, flags=socket.AI_NUMERICHOST,
            )
            for address in self.answers.pop(0)
        ]  # fmt: skip

    async def close(self) -> None:
        assert not self.answers


@dataclass(frozen=True)
class Answering(Guard):
    """One that has the addresses of names from a test."""

    names: Names = field(default_factory=Names)

    def resolver(self) -> AbstractResolver:
        return self.names


async def named(guard: Guard, wire: Wire, *answers: list[str]) -> list[Outcome]:
    """Call a name as often as there are answers to the question for its addresses."""
    same = {each.name: getattr(guard, each.name) for each in fields(guard)}
    hook = RestHook(Clients(Answering(**same, names=Names(*answers))))
    async with serving(wire, answering(wire, OK)):
        said = [await call(hook, "hook.example", wire.port) for _ in answers]
    await hook.close()
    return said


async def test_a_name_that_is_private_only_when_it_is_called_is_not_called() -> None:
    """What the name was at registration, or a moment ago, does not matter: each connection is looked at."""
    loopback = replace(CLOSED, networks=(ip_network("127.0.0.1/32"),))
    first, second = await named(loopback, wire := Wire(), ["127.0.0.1"], ["127.0.0.2"])
    assert (first, second) == (Accepted(200), Blocked("127.0.0.2 is in 127.0.0.0/8"))
    assert wire.connections == 1


async def test_a_second_address_is_looked_at_like_the_first() -> None:
    loopback = replace(CLOSED, networks=(ip_network("127.0.0.1/32"),))
    for answer in (["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "10.0.0.1"]):
        assert await named(loopback, wire := Wire(), answer) == [Accepted(200)]
        assert wire.connections == 1


async def test_whoever_has_only_blocked_addresses_is_told_so() -> None:
    """The connector tries them all, and tells of the last one."""
    (said,) = await named(CLOSED, wire := Wire(), ["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"])
    assert isinstance(said, Blocked), said
    assert wire.connections == 0
