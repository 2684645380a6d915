"""Subscribers that keep a log of what they saw: each request, when it came, and what they said to it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import time
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from tests.receiver import Received, Receiver

#: What is said to a request: a status; None for never anything.
Behaviour: TypeAlias = Callable[["Subscriber", Received], Awaitable[int | None]]


def wall() -> int:
    """ms since 1970."""
    return int(time() * 1000)


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One request. Times are in ms since 1970.

    at: When it had come.
    answered: When it was answered; None: it wasn't, or not yet.
    status, said: The answer. None: as above.
    """

    received: Received
    at: int
    answered: int | None = None
    status: int | None = None
    said: str = ""

    @property
    def accepted(self) -> bool:
        return self.status == 200

    @property
    def outcome(self) -> str:
        """What the hub must call it, once it is over."""
        return "unreachable" if self.status is None else "accepted" if self.accepted else "refused"

    @property
    def kind(self) -> str:
        return "events" if self.received.type == "event-notification" else self.received.type


@dataclass
class Subscriber:
    """
    One endpoint with an origin of its own.

    version, patient: FHIR version of the Subscription, and whose Immunizations it is about; empty: everybody's.
    options: Of the Subscription.
    seconds: After which the hub gives up an answer.
    ill: While it is set, `behave` does what it is called for; else it accepts.
    closed: From when to when it refused connections, in ms.
    """

    name: str
    version: str
    behave: Behaviour
    patient: str = ""
    options: dict[str, object] = field(default_factory=dict)
    seconds: float = 4.0
    ill: bool = False
    log: list[Entry] = field(default_factory=list)
    closed: list[tuple[int, int]] = field(default_factory=list)
    _server: Receiver = field(default_factory=Receiver)
    _forever: asyncio.Event = field(default_factory=asyncio.Event)
    _shut: socket.socket | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Subscriber"]:
        self._server.answers = {"/hook": self._answer}
        await self._server.__aenter__()
        try:
            yield self
        finally:
            self._forever.set()
            if self._shut is not None:
                self._shut.close()
            await self._server.__aexit__()

    @property
    def origin(self) -> str:
        return self._server.url

    @property
    def url(self) -> str:
        return f"{self.origin}/hook"

    async def shut(self) -> None:
        """Refuse connections from now on."""
        began, port = wall(), urlsplit(self.origin).port
        await self._server.__aexit__()
        self._shut = _bound(port or 0)
        self.closed.append((began, 2**53))

    async def open(self) -> None:
        """And no more."""
        assert self._shut is not None
        port = self._shut.getsockname()[1]
        self._shut.close()
        self._shut, self._server.listening = None, _bound(port)
        await self._server.__aenter__()
        self.closed[-1] = self.closed[-1][0], wall()

    async def _answer(self, received: Received) -> web.StreamResponse:
        place = len(self.log)
        self.log.append(Entry(received, wall()))
        status = await self.behave(self, received) if self.ill and received.type != "handshake" else 200
        if status is None:
            await self._forever.wait()
            return web.Response(status=503)
        said = f"{self.name} says {status} to request {place}"
        self.log[place] = replace(self.log[place], answered=wall(), status=status, said=said)
        return web.Response(status=status, text=said)

    def over(self, until: int) -> Iterator[Entry]:
        """The requests that were answered by then, or given up."""
        return (each for ended, each in self.ended() if ended <= until)

    def ended(self) -> Iterator[tuple[int, Entry]]:
        """Each with the time, in ms, at which it is answered or given up."""
        for each in self.log:
            yield int(each.at + self.seconds * 1000) if each.answered is None else each.answered, each

    def begun(self, until: int) -> Iterator[Entry]:
        """Those that had come by then."""
        return (each for each in self.log if each.at <= until)

    def told(self, entries: Iterator[Entry]) -> set[int]:
        """The numbers that it has accepted among these."""
        return {number for each in entries if each.accepted for number in each.received.numbers}


def _bound(port: int) -> socket.socket:
    """A socket that is bound, and refuses connections as long as nobody listens at it."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    return found


async def refuses(_: Subscriber, __: Received) -> int | None:
    return 500


async def is_gone(_: Subscriber, __: Received) -> int | None:
    return 410


async def is_slow(_: Subscriber, __: Received) -> int | None:
    await asyncio.sleep(0.4)
    return 200


def now_and_then(bad: int | None, *, each: int) -> Behaviour:
    """Every so many requests it says this, and to all others 200."""

    async def behave(subscriber: Subscriber, _: Received) -> int | None:
        return bad if len(subscriber.log) % each == 0 else 200

    return behave
