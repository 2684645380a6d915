"""`/admin/…`: what operators ask, in JSON of our own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.api.documentation import administration as documentation
from hub.api.exchange import Exchange
from hub.api.members import members
from hub.api.recovering import again, ms, within
from hub.api.routes import Route
from hub.attempts import Attempt, Attempts
from hub.errors import Refused
from hub.membership import Member, Membership
from hub.resending import Resending
from subscriptions.audit import Kind
from subscriptions.codes import FhirVersion, IssueCode


@dataclass(frozen=True)
class Administration:
    """
    What operators ask of one tenant.

    now: ms since 1970.
    max_body, max_nesting: Bytes and levels of JSON.
    """

    tenant: str
    membership: Membership
    attempts: Attempts
    resending: Resending
    now: Callable[[], int]
    max_body: int
    max_nesting: int

    def routes(self) -> Iterator[Route]:
        path = "/admin/subscriptions/{version}/{id}"
        yield Route("GET", f"{path}/attempts", self.last_attempts, documentation.ATTEMPTS)
        yield Route("POST", f"{path}/redeliver", self.redeliver, documentation.REDELIVER)

    async def last_attempts(self, request: Request) -> Response:
        """The last attempts at a Subscription's notifications, the latest first."""
        found = await self.attempts.last((await self._member(request)).key)
        return JSONResponse({"attempts": [_shown(attempt) for attempt in found]})

    async def redeliver(self, request: Request) -> Response:
        """Send events once more, from a number or an instant to another, both included; each may be left out."""
        exchange = Exchange(request)
        body = await members(exchange, {"from", "to"}, max_body=self.max_body, max_nesting=self.max_nesting)
        (first, since), (last, until) = (_number_or_instant(body, name) for name in ("from", "to"))
        member = await self._member(request)
        sent = await again(
            self.resending,
            member,
            within(first, last, member),
            since,
            until,
            now=self.now(),
            agent=exchange.client,
            kind=Kind.REDELIVERED,
        )
        told = {"first": sent.found and sent.found.first, "last": sent.found and sent.found.last, "text": str(sent)}
        return JSONResponse(told, 202)

    async def _member(self, request: Request) -> Member:
        """The Subscription that a path names."""
        version, id_ = request.path_params["version"], request.path_params["id"]
        member = None
        if version in list(FhirVersion):
            member = await self.membership.find(self.tenant, FhirVersion(version), id_)
        if member is None:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"There is no Subscription/{id_} at /fhir/{version}.")
        return member


def _number_or_instant(body: dict[str, Any], name: str) -> tuple[int | None, int | None]:
    """A number, or ms since 1970; both None when nothing is given. Raises Refused for anything else."""
    match body.get(name):
        case None:
            return None, None
        case int(number) if number >= 0 and not isinstance(number, bool):
            return number, None
        case str(text):
            return None, ms(name, text)
    text = f"`{name}` must be the number of an event, or an instant."
    raise Refused.because(400, IssueCode.VALUE, text, name)


def _shown(attempt: Attempt) -> dict[str, Any]:
    sending, sent = attempt.sending, attempt.sent
    return {
        "at": datetime.fromtimestamp(attempt.at / 1000, UTC).isoformat(timespec="milliseconds"),
        "kind": sending.kind,
        "firstEvent": None if sending.eventless else sending.first,
        "lastEvent": None if sending.eventless else sending.last,
        "attempt": attempt.number,
        "decision": attempt.verb,
        "said": attempt.said,
        "milliseconds": sent.milliseconds,
        "bytes": sent.bytes,
        "answer": sent.answer,
    }
