"""A subscriber: a real HTTP server that keeps what it was sent, and answers as a test wants it to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self

import orjson
from aiohttp import web

#: Answers one request with a status, or with a whole response; may wait as long as it likes.
Answer = Callable[["Received"], Awaitable[int | web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived. `at` is monotonic, in seconds."""

    path: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float

    @property
    def bundle(self) -> Any:
        return orjson.loads(self.body)

    @property
    def parameters(self) -> dict[str, Any]:
        """The R4 status Parameters of the bundle, as in `parameters`."""
        return parameters(self.bundle["entry"][0]["resource"])

    @property
    def type(self) -> str:
        return str(self.parameters["type"])

    @property
    def numbers(self) -> list[int]:
        """The event numbers that it tells of."""
        return [int(event["event-number"]) for event in self.parameters["notification-event"]]

    @property
    def foci(self) -> list[str]:
        """The last two segments of each event's focus: `Immunization/1`."""
        return [
            "/".join(event["focus"]["reference"].split("/")[-2:]) for event in self.parameters["notification-event"]
        ]


def parameters(resource: dict[str, Any]) -> dict[str, Any]:
    """R4 status Parameters by name (`notification-event` as a list)."""
    found: dict[str, Any] = {"notification-event": []}
    for parameter in resource["parameter"]:
        if parameter["name"] == "notification-event":
            found["notification-event"].append({part["name"]: _value(part) for part in parameter["part"]})
        else:
            found[parameter["name"]] = _value(parameter)
    return found


def _value(parameter: dict[str, Any]) -> Any:
    return next(value for name, value in parameter.items() if name.startswith("value"))


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
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.ServerRunner | None = None
    url: str = ""

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle), handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        received = Received(request.path, list(request.headers.items()), body, monotonic())
        self.received.append(received)
        self._came.set()
        answer = await self.answers.get(request.path, accept)(received)
        return web.Response(status=answer) if isinstance(answer, int) else answer

    def at(self, path: str, type_: str = "event-notification") -> list[Received]:
        """What came to a path, of one type of notification, in order of arrival."""
        return [received for received in self.received if received.path == path and received.type == type_]

    def numbers(self, path: str) -> list[int]:
        """The event numbers that came to a path, in order of arrival."""
        return [number for received in self.at(path) for number in received.numbers]

    async def until(self, fact: Callable[[], bool], *, seconds: float = 30) -> None:
        """Wait until a fact holds; TimeoutError when it doesn't in time."""
        async with asyncio.timeout(seconds):
            while not fact():
                self._came.clear()
                await self._came.wait()
