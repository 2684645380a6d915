"""How interactions become routes: one way for all, so that paths, documentation and HEAD are the same everywhere."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from hub.api.documentation import Documented

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


def at(base: str, routes: Iterable[Route]) -> Iterator[Route]:
    """Routes below a base."""
    return (replace(route, base=base) for route in routes)


def add(app: FastAPI, route: Route) -> None:
    """Register a route, with HEAD beside GET."""
    path = route.base + route.path
    app.add_api_route(
        path,
        route.handler,
        methods=[route.method],
        summary=route.documented.summary,
        tags=[route.tag],
        status_code=route.documented.status,
        response_class=Response,
        openapi_extra=route.documented.operation(route.path),
        # `/` is another way to write the base, and Basic's paths are among those of every type.
        include_in_schema=route.path != "/" and not route.path.startswith("/{type:basic}"),
    )
    if route.method == "GET":
        app.add_api_route(path, route.handler, methods=["HEAD"], include_in_schema=False)
