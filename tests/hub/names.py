"""A DNS server on loopback: what it knows, it says, or now this and now that; about what is slow, it is silent."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

NO_ERROR, NO_SUCH_NAME = 0, 3
#: The type of a record by the version of the address in it: A and AAAA.
TYPES = {4: 1, 6: 28}


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """
    Answers for the names in `known` with their addresses; for those that end in `.slow.example`, never; for others
    that there are none.

    known: By name: addresses, joined by blanks. What stands behind a `/` is answered to the next question instead.
    asked: How often each name was asked for; `told`: how often for addresses of one type.
    """

    known: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    told: Counter[tuple[str, int]] = field(default_factory=Counter)
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
        answers = [
            address.packed
            for address in map(ip_address, self._answer(name, kind).split())
            if TYPES[address.version] == kind
        ]
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(packed)) + packed for packed in answers)
        code = NO_ERROR if name in self.known else NO_SUCH_NAME
        head = data[:2] + bytes([0x81, 0x80 | code, 0, 1, 0, len(answers), 0, 0, 0, 0])
        assert self._transport is not None
        self._transport.sendto(head + question + records, addr)

    def _answer(self, name: str, kind: int) -> str:
        answers = self.known.get(name, "").split("/")
        self.told[name, kind] += 1
        return answers[min(self.told[name, kind], len(answers)) - 1]


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
