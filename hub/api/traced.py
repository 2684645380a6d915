"""Requests that may store something, as spans, where traces are on. Reads have none: nothing follows from them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.calls import plain
from hub.api.routes import Around, Handler, Route
from hub.tracing import REQUEST, Traces, parent_of

READS = ("GET", "HEAD", "OPTIONS")

#: Where a request's scope has the template of its route.
_ROUTE = "traced"


class Traced:
    """An application that takes up the trace of whoever asks it, or begins one."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READS:
            return await self._app(scope, receive, send)
        span = self._traces.request(scope["method"], scope["scheme"], _parent(scope))
        status, before = 500, REQUEST.set(span)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            REQUEST.reset(before)
            span.answered(status, scope.get(_ROUTE, ""))


def named(around: Around) -> Around:
    """What is put around a route's handler; then the span has its template, since in a path anything may stand."""

    def put_around(route: Route, handler: Handler) -> Handler:
        inner, template = around(route, handler), route.base + plain(route)

        async def traced(request: Request) -> Response:
            request.scope[_ROUTE] = ("/t/{tenant}" if request.scope["root_path"] else "") + template
            return await inner(request)

        return traced

    return put_around


def _parent(scope: Scope) -> str:
    """The `traceparent` of a request; empty without one, and for more than one."""
    given = [value for name, value in scope["headers"] if name == b"traceparent"]
    return parent_of(given[0].decode("latin-1")) if len(given) == 1 else ""
