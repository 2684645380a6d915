"""`/admin/…`: what operators ask, in JSON of our own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.api import documentation
from hub.api.routes import Route
from hub.attempts import Attempt, Attempts
from hub.errors import Refused
from hub.membership import Member, Membership
from subscriptions.codes import FhirVersion, IssueCode


@dataclass(frozen=True)
class Administration:
    """What operators ask of one tenant."""

    tenant: str
    membership: Membership
    attempts: Attempts

    def routes(self) -> Iterator[Route]:
        path = "/admin/subscriptions/{version}/{id}/attempts"
        yield Route("GET", path, self.last_attempts, documentation.ATTEMPTS, base="")

    async def last_attempts(self, request: Request) -> Response:
        """The last attempts at a Subscription's notifications, the latest first."""
        found = await self.attempts.last((await self._member(request)).key)
        return JSONResponse({"attempts": [_shown(attempt) for attempt in found]})

    async def _member(self, request: Request) -> Member:
        """The Subscription that a path names."""
        version, id_ = request.path_params["version"], request.path_params["id"]
        member = None
        if version in list(FhirVersion):
            member = await self.membership.find(self.tenant, FhirVersion(version), id_)
        if member is None:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"There is no Subscription/{id_} at /fhir/{version}.")
        return member


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
