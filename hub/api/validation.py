"""`Subscription/$validate`: a registration that is only tried. https://hl7.org/fhir/R4/resource-operation-validate.html."""

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from hub.api import documentation
from hub.api.exchange import Answer, Exchange
from hub.api.outcome import outcome
from hub.api.routes import Route
from hub.api.subscriptions import Subscriptions
from hub.ingest.validation import issues
from hub.store import instant
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue

ACCEPTED = Issue(IssueCode.INFORMATIONAL, "The Subscription would be accepted.", "Subscription")


@dataclass(frozen=True)
class Validation:
    """The dry run of a create or update at one FHIR base."""

    subscriptions: Subscriptions

    def routes(self) -> Iterator[Route]:
        yield Route("POST", "/Subscription/$validate", self.validate, documentation.VALIDATE)

    async def validate(self, request: Request) -> Response:
        """All that is against a Subscription; or that it would be accepted, and what its filters are understood as."""
        exchange, s = Exchange(request), self.subscriptions
        exchange.without_parameters()
        resource, _ = await s.sent(exchange)
        wanted, found = await s.admission.judge(s.version, resource, now=instant(s.now()))
        told = {issue.expression for issue in found}
        found += (issue for issue in issues(resource) if issue.expression not in told)
        if found:
            return exchange.respond(Answer(200, outcome(*found)))
        understood = (
            Issue(IssueCode.INFORMATIONAL, each.text, "Subscription.criteria")
            for each in s.admission.understood(wanted)
        )
        return exchange.respond(Answer(200, outcome(ACCEPTED, *understood, severity="information")))
