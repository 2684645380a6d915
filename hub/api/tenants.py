"""
Each tenant's own application, below `/t/{tenant}`; what is elsewhere is the default tenant's.

Nothing in an application knows of another tenant. One that there isn't is a path like any other that leads nowhere.
"""

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.access import DEFAULT, Access
from hub.api.outcome import answer
from hub.errors import Unavailable

_PLACE = re.compile(r"/t/([^/]+)(?=/|$)")


class Tenants:
    """
    Hands requests to the application of the tenant whose they are: made when it is first asked for, and kept.

    made: The application of a tenant.
    """

    def __init__(self, app: ASGIApp, access: Access, made: Callable[[str], ASGIApp]) -> None:
        self._app = app
        self._access = access
        self._made = made
        self._applications: dict[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PLACE.match(scope["path"]) if scope["type"] == "http" else None
        if found is None or found[1] == DEFAULT:
            return await self._app(scope, receive, send)
        try:
            await self._access.current()
        except Unavailable as error:
            return await (await answer(Request(scope), error))(scope, receive, send)
        if found[1] not in self._access.tenants:
            return await self._app(scope, receive, send)
        scope["root_path"] = found[0]
        return await self._application(found[1])(scope, receive, send)

    def _application(self, tenant: str) -> ASGIApp:
        if tenant not in self._applications:
            self._applications[tenant] = self._made(tenant)
        return self._applications[tenant]
