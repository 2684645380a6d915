"""A collector of traces: a real HTTP server that takes spans by OTLP, and keeps them as a test asks for them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.facts import LONG

#: Kinds of spans, as the protocol has them.
SERVER, CLIENT, CONSUMER = 2, 3, 5


@dataclass(frozen=True, slots=True)
class Taken:
    """
    One span. Ids are hexadecimal.

    parent: Empty for the first one of a trace.
    links: The traces that it is linked to.
    process: The instance of the service that has sent it.
    """

    trace: str
    id: str
    parent: str
    name: str
    kind: int
    failed: bool
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[str]
    process: str


@dataclass
class Collector:
    """
    It listens on a free port of loopback.

    status: What it answers.
    """

    status: int = 200
    requests: int = 0
    spans: list[Taken] = field(default_factory=list)
    service: set[str] = field(default_factory=set)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle), handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        body, status = await request.read(), self.status
        self.requests += 1
        if status == 200:
            assert request.path == "/v1/traces"
            self.bodies.append(body)
            self._take(ExportTraceServiceRequest.FromString(body))
        self._came.set()
        return web.Response(status=status)

    def _take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            own = _read(resource.resource.attributes)
            self.service.add(own["service.name"])
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Taken(
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.name,
                            span.kind,
                            span.status.code == 2,
                            _read(span.attributes),
                            [_read(event.attributes) for event in span.events],
                            [link.trace_id.hex() for link in span.links],
                            own["service.instance.id"],
                        )
                    )

    def of(self, trace: str, kind: int | None = None) -> list[Taken]:
        """The spans of a trace, of one kind if that is asked for."""
        return [each for each in self.spans if each.trace == trace and kind in (None, each.kind)]

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until a fact holds; TimeoutError when it doesn't in time."""
        async with asyncio.timeout(LONG):
            while not fact():
                self._came.clear()
                await self._came.wait()


def _read(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
