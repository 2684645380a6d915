"""
Which addresses the hub may call. Asked at registration as a courtesy, and for every connection as the guard.

Names are resolved by the connector; what it is about to dial passes through `Guard.open_socket`, whatever the notation
was, so that neither a second DNS answer nor an odd literal gets by. Python's `is_global` is no help: it lets NAT64,
6to4, IPv4-compatible and multicast addresses pass.
"""

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from hub.settings import Network

#: Cloud metadata services: never, whatever is allowed.
_NEVER = frozenset(
    map(
        ip_address,
        ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
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


class BlockedAddress(OSError):
    """The hub must not connect to this address; the text names address and rule."""


@dataclass(frozen=True, slots=True)
class Guard:
    """
    The rule for outgoing connections.

    allow_private: Loopback and private addresses are allowed (development).
    networks: Private networks that are allowed.
    ports: The ports that may be called on public addresses.
    """

    allow_private: bool
    networks: tuple[Network, ...]
    ports: frozenset[int]

    def refusal(self, address: str, port: int) -> str | None:
        """Why this port of this IP address must not be called, or None if it may."""
        literal = ip_address(address.partition("%")[0])
        ip = _effective(literal)
        if ip in _NEVER:
            return f"{address} is a metadata service"
        judged = ip if literal in _NAT64 else literal
        private = next((network for network in _BLOCKED if judged in network), None)
        if private is None:
            allowed = ", ".join(map(str, sorted(self.ports)))
            return None if port in self.ports else f"port {port} is not one of {allowed}"
        if self.allow_private or any(ip in network for network in self.networks if network.version == ip.version):
            return None
        return f"{address} is in {private}"

    async def refusal_of(self, host: str, port: int) -> str | None:
        """The same for a name, or any notation of an address; a name that can't be resolved now is not refused."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return None
        refusals = (self.refusal(str(sockaddr[0]), port) for *_, sockaddr in found)
        return next((refusal for refusal in refusals if refusal), None)

    def open_socket(self, address: Any) -> socket.socket:
        """A socket for the address that is about to be dialled, as `getaddrinfo` gave it; BlockedAddress if refused."""
        family, type_, protocol, _, sockaddr = address
        reason = self.refusal(str(sockaddr[0]), sockaddr[1])
        if reason:
            raise BlockedAddress(reason)
        return socket.socket(family=family, type=type_, proto=protocol)


def _effective(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does (NAT64 and IPv4-mapped)."""
    if isinstance(ip, IPv6Address) and (ip in _NAT64 or ip in _MAPPED):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
