"""How interactions become routes: one way for all, so that paths, documentation and HEAD are the same everywhere."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route as Served

from hub.access import Caller
from hub.api.asking import Asking
from hub.api.documented import Documented
from hub.api.page import POLICY, page
from hub.errors import Refused, insufficient
from hub.veil import Veil
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """
    One interaction: where, by what, and what is said of it.

    path: Below the base.
    base: A FHIR base, such as `/fhir/r4`; empty for the root.
    """

    method: str
    path: str
    handler: Handler
    documented: Documented
    base: str = ""

    @property
    def tag(self) -> str:
        """The heading that the documentation has it under."""
        version = self.base.rpartition("/")[2].upper()
        if not version:
            return "administration"
        if self.path.startswith("/SubscriptionTopic"):
            return f"{version} SubscriptionTopic"
        return f"{version} Subscription" if self.path.startswith("/Subscription") else f"FHIR {version}"


#: What is put around a route's handler.
Around = Callable[[Route, Handler], Handler]


def nothing_around(_: Route, handler: Handler) -> Handler:
    """The handler alone."""
    return handler


class Gate(Protocol):
    """Tells callers apart. `asking`: How it is described."""

    @property
    def asking(self) -> Asking: ...

    async def caller(self, request: Request) -> Caller:
        """Who makes a request, with its rights there. Raises Refused: 401, or 404 where it has no business at all."""


def at(base: str, routes: Iterable[Route]) -> Iterator[Route]:
    """Routes below a base."""
    return (replace(route, base=base) for route in routes)


class Application(FastAPI):
    """
    FastAPI with our routes. Their handlers read requests by themselves, as FHIR has them: they are served as they are,
    which is quicker, and FastAPI describes them only when somebody asks for `/openapi.json`.

    around: What is put around each route's handler.
    """

    def __init__(self, routes: Iterable[Route], gate: Gate, around: Around, veil: Veil, **options: Any) -> None:
        super().__init__(**options)
        self._schemes = gate.asking.schemes
        self.described = tuple(routes)
        # HEAD comes with GET.
        self.router.routes += [
            Served(each.base + each.path, around(each, _guarded(each, gate, veil)), methods=[each.method])
            for each in self.described
        ]
        if self.openapi_url:
            self.router.routes.append(Served("/docs", self._docs))

    async def _docs(self, _: Request) -> Response:
        return HTMLResponse(page(self.openapi()), headers={"Content-Security-Policy": POLICY})

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            router = APIRouter()
            for each in self.described:
                _describe(router, each, self._schemes)
            routes = [*self.routes, *router.routes]
            self.openapi_schema = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=routes
            )
            if self._schemes:
                self.openapi_schema.setdefault("components", {})["securitySchemes"] = dict(self._schemes)
        return self.openapi_schema


def _guarded(route: Route, gate: Gate, veil: Veil) -> Handler:
    """A route's handler for those alone who may call it. Who that is stands in the request's scope, and the veil."""
    needs, handler = route.documented.needs, route.handler
    if needs.anybody:
        return handler

    async def admit(request: Request) -> None:
        caller = request.scope["caller"] = await gate.caller(request)
        if lacking := needs.lacking(caller, request.path_params.get("type", "")):
            raise forbidden(lacking)

    async def guarded(request: Request) -> Response:
        request.scope["veil"], request.scope["admit"] = veil, admit
        await admit(request)
        return await handler(request)

    return guarded


def forbidden(scope: str) -> Refused:
    """What a client is told that lacks a scope: https://www.rfc-editor.org/rfc/rfc6750#section-3.1."""
    return Refused(403, Issue(IssueCode.FORBIDDEN, f"This needs the scope {scope}."), headers=insufficient(scope))


def _describe(router: APIRouter, route: Route, schemes: Iterable[str]) -> None:
    router.add_api_route(
        route.base + route.path,
        route.handler,
        methods=[route.method],
        summary=route.documented.summary,
        tags=[route.tag],
        status_code=route.documented.status,
        response_class=Response,
        openapi_extra=route.documented.operation(route.path, schemes),
        # `/` is another way to write the base, and Basic's paths are among those of every type.
        include_in_schema=route.path != "/" and not route.path.startswith("/{type:basic}"),
    )
