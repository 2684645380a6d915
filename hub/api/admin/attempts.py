"""`/admin/subscriptions/…/attempts`: what was tried."""

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from hub.api.admin.named import Named
from hub.api.admin.shown import attempt, json
from hub.api.documentation import seen as documentation
from hub.api.routes import Route
from hub.attempts import Attempts


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """The attempts at the notifications of one tenant's Subscriptions."""

    named: Named
    attempts: Attempts

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/admin/subscriptions/{version}/{id}/attempts", self.last, documentation.ATTEMPTS)

    async def last(self, request: Request) -> Response:
        """The last attempts at a Subscription's notifications, the latest first."""
        found = await self.attempts.last((await self.named.member(request)).key)
        return json({"attempts": list(map(attempt, found))})
