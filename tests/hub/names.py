"""A DNS server on loopback: what it knows, it says; about what is slow, it is silent."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

A, NO_ERROR, NO_SUCH_NAME = 1, 0, 3


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """
    Answers for the names in `known` with their IPv4 address; for those that end in `.slow.example`, never; for others
    that there are none.

    asked: How often each name was asked for.
    """

    known: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    address: str = ""
    _transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # of UDP
        host, port = transport.get_extra_info("sockname")
        self._transport, self.address = transport, f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, rest = [], data[12:]
        while length := rest[0]:
            labels.append(rest[1 : 1 + length].decode())
            rest = rest[1 + length :]
        name, kind = ".".join(labels).lower(), int.from_bytes(rest[1:3], "big")
        self.asked[name] += 1
        if name.endswith(".slow.example"):
            return
        question = data[12 : len(data) - len(rest) + 5]
        address = self.known.get(name)
        answer = b""
        if address is not None and kind == A:
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address)
        code = NO_SUCH_NAME if address is None else NO_ERROR
        head = data[:2] + bytes([0x81, 0x80 | code, 0, 1, 0, 1 if answer else 0, 0, 0, 0, 0])
        assert self._transport is not None
        self._transport.sendto(head + question + answer, addr)


@asynccontextmanager
async def name_server(**known: str) -> AsyncIterator[NameServer]:
    """A name server that knows `<name>.example`."""
    server = NameServer({f"{name}.example": address for name, address in known.items()})
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
