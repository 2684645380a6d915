"""How interactions become routes: one way for all, so that paths, documentation and HEAD are the same everywhere."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from hub.api.documentation import Documented

PREFIX = "/fhir/r4"

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """
    One interaction: where, by what, and what is said of it.

    path: Below the FHIR base, which is `base`.
    """

    method: str
    path: str
    handler: Handler
    documented: Documented
    base: str = PREFIX

    @property
    def tag(self) -> str:
        """The heading that the documentation has it under."""
        if self.path.startswith("/admin/"):
            return "administration"
        if self.path.startswith("/SubscriptionTopic"):
            return "SubscriptionTopic"
        return "Subscription" if self.path.startswith("/Subscription") else "FHIR R4"


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
