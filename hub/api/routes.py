"""How interactions become routes: one way for all, so that paths, documentation and HEAD are the same everywhere."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

PREFIX = "/fhir/r4"

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """
    One interaction: where, and by what.

    path: Below the FHIR base.
    """

    method: str
    path: str
    handler: Handler
    summary: str

    @property
    def tag(self) -> str:
        """The heading that the documentation has it under."""
        return "Subscription" if self.path.startswith("/Subscription") else "FHIR R4"


def add(app: FastAPI, route: Route) -> None:
    """Register a route, with its path's parameters in the documentation, and HEAD beside GET."""
    names = re.findall(r"\{(\w+)", route.path)
    described = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    app.add_api_route(
        PREFIX + route.path,
        route.handler,
        methods=[route.method],
        summary=route.summary,
        tags=[route.tag],
        response_class=Response,
        openapi_extra={"parameters": described} if described else None,
        include_in_schema=route.path != "/",
    )
    if route.method == "GET":
        app.add_api_route(PREFIX + route.path, route.handler, methods=["HEAD"], include_in_schema=False)
