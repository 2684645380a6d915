"""`/admin/origins`: nothing new is sent to an origin for a while, since its operators want it so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from hub.api.admin.shown import iso, json
from hub.api.documentation import steered as documentation
from hub.api.exchange import Exchange
from hub.api.members import members
from hub.api.routes import Route
from hub.channels.origins import origin
from hub.draining import Draining, OriginState
from hub.errors import Refused
from hub.survey import Survey
from subscriptions.codes import IssueCode

#: Minutes that a drain may be for: a week.
LONGEST = 10_080


@dataclass(frozen=True, slots=True)
class DrainedOrigins:
    """
    The hub's; tenants share origins, so that the default tenant's operators alone drain one.

    now: ms since 1970.
    max_body, max_nesting: Bytes and levels of JSON.
    """

    draining: Draining
    survey: Survey
    now: Callable[[], int]
    max_body: int
    max_nesting: int

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/admin/origins", self.all, documentation.ORIGINS)
        yield Route("POST", "/admin/origins/drain", self.drain, documentation.DRAIN)
        yield Route("POST", "/admin/origins/resume", self.resume, documentation.RESUME_ORIGIN)

    async def all(self, request: Request) -> Response:
        """Those that are left alone, drained or failing."""
        Exchange(request).without_parameters()
        return json({"origins": list(map(shown, await self.draining.states()))})

    async def drain(self, request: Request) -> Response:
        """Send nothing new to an origin for so many minutes. What is under way ends; what comes is kept in order."""
        exchange, body = await self._asked(request, "origin", "minutes")
        where, minutes = _origin(body), body.get("minutes")
        if not isinstance(minutes, int) or isinstance(minutes, bool) or not 1 <= minutes <= LONGEST:
            text = f"`minutes` must be a whole number from 1 to {LONGEST}."
            raise Refused.because(400, IssueCode.VALUE, text, "minutes")
        if not any(row.wanted.origin == where for row in await self.survey.fresh()):
            text = f"No Subscription's endpoint is at {where}."
            raise Refused.because(404, IssueCode.NOT_FOUND, text, "origin")
        until = await self.draining.drain(where, now=self.now(), milliseconds=minutes * 60_000, agent=exchange.client)
        text = f"Nothing new is sent to {where} until {iso(until)}: what comes waits, and then goes on in its order."
        return json({"origin": where, "until": iso(until), "text": text})

    async def resume(self, request: Request) -> Response:
        """Send what waits."""
        exchange, body = await self._asked(request, "origin")
        where = _origin(body)
        if not await self.draining.resume(where, agent=exchange.client):
            raise Refused.because(404, IssueCode.NOT_FOUND, f"{where} is not drained.", "origin")
        return json({"origin": where, "text": f"What waits for {where} goes on its way."})

    async def _asked(self, request: Request, *taken: str) -> tuple[Exchange, dict[str, Any]]:
        exchange = Exchange(request)
        return exchange, await members(exchange, frozenset(taken), max_body=self.max_body, max_nesting=self.max_nesting)


def shown(of: OriginState) -> dict[str, Any]:
    """How it stands with an origin."""
    return {
        "origin": of.origin,
        "state": of.standing.value,
        "since": iso(of.since),
        "failures": of.failures,
        "probeAt": iso(of.probe_at),
        "parked": of.parked,
        "until": iso(of.until),
        "by": of.by or None,
    }


def _origin(body: dict[str, Any]) -> str:
    """The origin in a body, normalised; Refused with 400 for what is none."""
    text = body.get("origin")
    try:
        parts = urlsplit(text) if isinstance(text, str) else None
        web = parts and parts.scheme in ("http", "https") and parts.hostname
        if web and parts and not (parts.path.strip("/") or parts.query):
            return origin(str(text))
    except ValueError:  # of a port that is none
        pass
    text = "`origin` must be scheme, host and port of endpoints, as `https://ward.example:443`."
    raise Refused.because(400, IssueCode.VALUE, text, "origin")
