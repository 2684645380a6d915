"""A subscriber: a real HTTP server that keeps what it was sent, and answers as a test wants it to."""

import asyncio
import re
import socket
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self

import orjson
from aiohttp import web

from tests.facts import LONG

#: Answers one request with a status, or with a whole response; may wait as long as it likes.
Answer = Callable[["Received"], Awaitable[int | web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Received:
    """
    One notification as it arrived. What is no Bundle has no type and no numbers.

    at: Monotonic, in seconds.
    parameters: The status in the bundle, as in `parameters`.
    numbers: The event numbers that it tells of.
    """

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float
    bundle: Any = field(repr=False)
    parameters: dict[str, Any] = field(repr=False)
    numbers: list[int]

    @classmethod
    def of(cls, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> Self:
        at, bundle = monotonic(), orjson.loads(body or b"null")
        if not bundle or "entry" not in bundle:
            return cls(method, path, headers, body, at, bundle, {"type": ""}, [])
        status = parameters(bundle["entry"][0]["resource"])
        numbers = [int(event["event-number"]) for event in status["notification-event"]]
        return cls(method, path, headers, body, at, bundle, status, numbers)

    @property
    def type(self) -> str:
        return str(self.parameters["type"])

    @property
    def foci(self) -> list[str]:
        """The last two segments of each event's focus: `Immunization/1`."""
        return [
            "/".join(event["focus"]["reference"].split("/")[-2:]) for event in self.parameters["notification-event"]
        ]


def parameters(resource: dict[str, Any]) -> dict[str, Any]:
    """A status by the names of R4's Parameters (`notification-event` as a list), whatever FHIR version it is of."""
    if "parameter" not in resource:
        told = [
            {_kebab(name): value for name, value in event.items()} for event in resource.get("notificationEvent", [])
        ]
        return {_kebab(name): value for name, value in resource.items()} | {"notification-event": told}
    found: dict[str, Any] = {"notification-event": []}
    for parameter in resource["parameter"]:
        if parameter["name"] == "notification-event":
            found["notification-event"].append({part["name"]: _value(part) for part in parameter["part"]})
        else:
            found[parameter["name"]] = _value(parameter)
    return found


def _kebab(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name)


def _value(parameter: dict[str, Any]) -> Any:
    return next(value for name, value in parameter.items() if name.startswith("value"))


def lots(received: list[Received]) -> list[str]:
    """The lot numbers of the Immunizations in full-resource notifications, in order: they tell versions apart."""
    return [entry["resource"]["lotNumber"] for each in received for entry in each.bundle["entry"][1:]]


async def accept(_: Received) -> int:
    return 200


@dataclass
class Holding:
    """
    Accepts handshakes; every other notification waits for its answer until `release`.

    on_the_wire: Notifications that wait now.
    """

    status: int = 200
    on_the_wire: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, received: Received) -> int:
        if received.type == "handshake":
            return 200
        self.on_the_wire += 1
        try:
            await self._released.wait()
        finally:
            self.on_the_wire -= 1
        return self.status

    def release(self) -> None:
        self._released.set()


def after_handshake(*statuses: int) -> Answer:
    """Accepts handshakes; answers other notifications with these in turn, and all after them with the last one."""
    left = list(statuses)

    async def answer(received: Received) -> int:
        if received.type == "handshake":
            return 200
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


@dataclass
class Receiver:
    """
    A server on a free port of loopback.

    answers: By path; others are answered with 200.
    listening: A socket that is bound already, such as one of a port that refused connections until now.
    requests, told: By path: how many requests came, and all event numbers that they told of.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    told: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    listening: socket.socket | None = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.ServerRunner | None = None
    url: str = ""

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle), handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        if self.listening is not None:
            await web.SockSite(self._runner, self.listening).start()
        else:
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        received = Received.of(request.method, request.path, list(request.headers.items()), body)
        self.received.append(received)
        self.requests[received.path] += 1
        self.told[received.path].update(received.numbers)
        self._came.set()
        answer = await self.answers.get(request.path, accept)(received)
        return web.Response(status=answer) if isinstance(answer, int) else answer

    def at(self, path: str, type_: str = "event-notification") -> list[Received]:
        """What came to a path, of one type of notification, in order of arrival."""
        return [received for received in self.received if received.path == path and received.type == type_]

    def numbers(self, path: str) -> list[int]:
        """The event numbers that came to a path, in order of arrival."""
        return [number for received in self.at(path) for number in received.numbers]

    async def events(self, path: str, count: int, *, seconds: float = LONG) -> list[Received]:
        """Wait until so many event notifications have come to a path; all that have."""
        await self.until(lambda: len(self.at(path)) >= count, seconds=seconds)
        return self.at(path)

    async def more(self, count: int, *paths: str, seconds: float = LONG) -> None:
        """Wait until so many more requests have come to each of these paths."""
        enough = {path: self.requests[path] + count for path in paths}
        await self.until(lambda: all(self.requests[path] >= enough[path] for path in paths), seconds=seconds)

    async def numbered(self, path: str, count: int, *, seconds: float = LONG) -> None:
        """Wait until so many different event numbers have come to a path."""
        await self.until(lambda: len(self.told[path]) >= count, seconds=seconds)

    async def until(self, fact: Callable[[], bool], *, seconds: float = LONG) -> None:
        """Wait until a fact holds; TimeoutError when it doesn't in time."""
        async with asyncio.timeout(seconds):
            while not fact():
                self._came.clear()
                await self._came.wait()
