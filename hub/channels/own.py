"""The hub's own addresses: its Redis and its api are nobody's endpoint, whatever else is allowed."""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver

from hub.settings import Settings

IP: TypeAlias = IPv4Address | IPv6Address

#: Seconds that a start waits for the addresses of the hub's own names.
PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Own:
    """
    Where the hub itself listens.

    names: Hosts, as `normal` has them, and ports.
    addresses: IP addresses and ports. One of this machine stands for all of this machine's.
    """

    names: frozenset[tuple[str, int]] = frozenset()
    addresses: frozenset[tuple[IP, int]] = frozenset()

    def named(self, host: str, port: int) -> bool:
        """Whether it is the hub by name."""
        return (normal(host), port) in self.names

    def at(self, ip: IP, port: int) -> bool:
        """Whether the hub listens there: what listens on one address of this machine may do so on all of them."""
        here = [own for own, at in self.addresses if at == port]
        return ip in here or (any(map(_of_this_machine, here)) and _of_this_machine(ip))


def normal(host: str) -> str:
    """A host's name in the one way in which it is compared."""
    return host.lower().rstrip(".")


async def found(settings: Settings, nodes: Iterable[tuple[str, int]], resolver: AbstractResolver) -> Own:
    """
    The addresses of the hub that these settings describe, once for the life of a process.

    Of `HUB_BASE_URL` only the name counts, or the address if it is written as one: behind the address of its name there
    may be a proxy that leads to others too.

    Args:
        nodes: Hosts and ports of Redis.
    """
    resolved = {*nodes, *settings.own_addresses}
    base = _place(settings.base_url)
    lists = await asyncio.gather(*(_addresses(host, port, resolver) for host, port in resolved))
    addresses = {address for addresses in lists for address in addresses}
    with suppress(ValueError):
        addresses.add((ip_address("127.0.0.1" if base[0] == "localhost" else base[0]), base[1]))
    return Own(frozenset((normal(host), port) for host, port in {*resolved, base}), frozenset(addresses))


async def _addresses(host: str, port: int, resolver: AbstractResolver) -> list[tuple[IP, int]]:
    with suppress(ValueError):
        return [(ip_address(host), port)]
    with suppress(OSError, UnicodeError):  # TimeoutError is an OSError
        async with asyncio.timeout(PATIENCE):
            answers = await resolver.resolve(host, port, family=socket.AF_UNSPEC)
            return [(ip_address(answer["host"].partition("%")[0]), port) for answer in answers]
    return []


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return normal(parts.hostname or ""), parts.port or (443 if parts.scheme == "https" else 80)


def _of_this_machine(ip: IP) -> bool:
    """Whether this machine has an address: only then a socket can be bound to it."""
    if ip.is_unspecified or ip.is_loopback:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(ip), 0))
        return True
    return False
