"""
Which addresses the hub may call. Asked at registration as a courtesy, and for every connection as the guard.

Names are resolved without threads: the system's resolver keeps one for each name that is slow, and there are two for
all. What the connector is about to dial passes through `Guard.open_socket`, whatever the notation was, so that neither
a second DNS answer nor an odd literal gets by. Python's `is_global` is no help: it lets NAT64, 6to4, IPv4-compatible
and multicast addresses pass.
"""

import asyncio
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import AsyncResolver

from hub.channels.own import Own
from hub.values import Network

#: Seconds that a registration waits for the addresses of a name.
COURTESY = 2.0

#: Cloud metadata services: never, whatever is allowed.
_NEVER = frozenset(
    map(
        ip_address,
        (
            *("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
            *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
        ),
    )
)

_BLOCKED = [
    ip_network(text)
    for text in [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/8",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ]
]

_NAT64 = ip_network("64:ff9b::/96")
_MAPPED = ip_network("::ffff:0:0/96")


class Never(str):
    """Why an address must not be called that nobody can allow. Other reasons depend on the settings."""

    __slots__ = ()


class BlockedAddress(OSError):
    """The hub must not connect to this address; the reason names address and rule."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Guard:
    """
    The rule for outgoing connections.

    allow_private: Loopback and private addresses are allowed (development).
    networks: Private networks that are allowed.
    ports: The ports that may be called on public addresses.
    name_servers: Who is asked for names, as `address:port`; empty for the system's. /etc/hosts comes first.
    own: The hub's own addresses: never, whatever is allowed.
    """

    allow_private: bool
    networks: tuple[Network, ...]
    ports: Collection[int]
    name_servers: tuple[str, ...] = ()
    own: Own = field(default_factory=Own)

    def resolver(self) -> AbstractResolver:
        """What names are resolved with, on the running loop; to be closed."""
        names = AsyncResolver(nameservers=self.name_servers) if self.name_servers else AsyncResolver()
        return _Resolver(self, names)

    def refusal(self, address: str, port: int) -> str | None:
        """Why this port of this IP address must not be called, or None if it may."""
        literal = ip_address(address.partition("%")[0])
        ip = _effective(literal)
        if not _NEVER.isdisjoint(_meant(literal)):
            return Never(f"{address} is a metadata service")
        if self.own.at(ip, port):
            return Never(f"{address}:{port} is the hub itself")
        judged = ip if literal in _NAT64 else literal
        private = next((network for network in _BLOCKED if judged in network), None)
        if private is None:
            allowed = ", ".join(map(str, sorted(self.ports)))
            return None if port in self.ports else f"port {port} is not one of {allowed}"
        if self.allow_private or any(ip in network for network in self.networks if network.version == ip.version):
            return None
        return f"{address} is in {private}"

    async def refusal_of(self, host: str, port: int) -> str | None:
        """
        The same for a name, or any notation of an address. A name is refused if any of its addresses is.

        One that can't be resolved now, or not in two seconds, is not refused.
        """
        numeric = _numeric(host)
        if numeric is not None:
            return self.refusal(numeric, port)
        resolver = self.resolver()
        try:
            async with asyncio.timeout(COURTESY):
                await resolver.resolve(host, port, family=socket.AF_UNSPEC)
        except BlockedAddress as blocked:
            return blocked.reason
        except (OSError, UnicodeError):  # TimeoutError is an OSError
            return None
        finally:
            await resolver.close()
        return None

    def open_socket(self, address: Any) -> socket.socket:
        """A socket for the address that is about to be dialled, as `getaddrinfo` has it; BlockedAddress if refused."""
        family, type_, protocol, _, sockaddr = address
        reason = self.refusal(str(sockaddr[0]), sockaddr[1])
        if reason:
            raise BlockedAddress(reason)
        return socket.socket(family=family, type=type_, proto=protocol)


@dataclass(frozen=True, slots=True)
class _Resolver(AbstractResolver):
    """
    Refuses a name if any of its addresses is: who answers with one of ours among others tries which one is taken.

    That it is said here, and not only by `open_socket`, is also for the text: of several addresses the connector tells
    only that none was reached.
    """

    guard: Guard
    names: AbstractResolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self.guard.own.named(host, port):
            raise BlockedAddress(Never(f"{host}:{port} is the hub itself"))
        found = await self.names.resolve(host, port, family)
        for address in found:
            if refusal := self.guard.refusal(address["host"], port):
                raise BlockedAddress(refusal)
        return found

    async def close(self) -> None:
        await self.names.close()


def _numeric(host: str) -> str | None:
    """The address that a host is a notation of, the old ones included (`0x7f.1`); None when it is a name."""
    with suppress(ValueError):
        return str(ip_address(host))
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _meant(ip: IPv4Address | IPv6Address) -> set[IPv4Address | IPv6Address]:
    """An address, and the IPv4 addresses that it leads to by whatever translates or tunnels it: NAT64, 6to4, Teredo."""
    if isinstance(ip, IPv4Address):
        return {ip}
    inner = {IPv4Address(int(ip) & 0xFFFFFFFF), ip.sixtofour, ip.teredo[1] if ip.teredo else None}
    return {ip, *(each for each in inner if each)}


def _effective(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does (NAT64 and IPv4-mapped)."""
    if isinstance(ip, IPv6Address) and (ip in _NAT64 or ip in _MAPPED):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
