"""
A hub as it was when it was last asked: what it told a page then is told again, without a hub that does anything for it.

So a page does the same, and takes the same of the machine, as one that looks at the hub itself.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from typing import Self

import httpx
import orjson
from aiohttp import web

#: Of an answer's fields, those that decide what a page does with it.
KEPT = ("Content-Type", "Content-Security-Policy", "Cache-Control", "ETag")

#: Figures that are kept: they come once a second.
FIGURES = 5


@dataclass
class Recording:
    """
    Of one hub.

    url: Where it can be asked.
    asked: Questions that the hub itself had to answer so far.
    """

    hub: str
    url: str = ""
    asked: int = 0
    _answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    _figures: list[dict[str, object]] = field(default_factory=list)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        app = web.Application()
        app.router.add_get("/admin/live", self._live)
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            async with httpx.AsyncClient(base_url=self.hub, timeout=30) as self._client:
                await self._listen()
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                host, port = runner.addresses[0][:2]
                self.url = f"http://{host}:{port}"
                yield self
        finally:
            await runner.cleanup()

    async def _listen(self) -> None:
        async with self._client.stream("GET", "/admin/live") as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    self._figures.append(orjson.loads(line.removeprefix("data: ")))
                    if len(self._figures) == FIGURES:
                        return

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path_qs not in self._answers:
            self.asked += 1
            told = await self._client.get(request.path_qs)
            headers = {name: told.headers[name] for name in KEPT if name in told.headers}
            self._answers[request.path_qs] = told.status_code, headers, told.content
        status, headers, body = self._answers[request.path_qs]
        return web.Response(status=status, headers=headers, body=body)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """One figure a second, as if it were of now."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for figures in cycle(self._figures):
            told = figures | {"at": datetime.now(UTC).isoformat(timespec="milliseconds")}
            await response.write(b"event: figures\ndata: %s\n\n" % orjson.dumps(told))
            await asyncio.sleep(1)
        return response
