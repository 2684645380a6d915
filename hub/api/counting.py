"""Requests are counted, and timed but for the streams, which last as long as somebody looks."""

from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.families import HTTP_REQUESTS, REQUEST
from hub.meter import Meter

#: Others are counted as one.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Counting:
    """Counts what an application answers."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status, streams = monotonic(), 500, False

        async def noted(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status, headers = message["status"], message.get("headers", ())
                streams = any(name == b"content-type" and b"event-stream" in value for name, value in headers)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            method = scope["method"]
            self._meter.count(HTTP_REQUESTS, method if method in METHODS else "other", str(status))
            if not streams:
                self._meter.time(REQUEST, monotonic() - began)
