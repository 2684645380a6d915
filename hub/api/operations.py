"""
`$status`: how Subscriptions stand. GET and POST, of one and of many. And `$test`, which is our own.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/OperationDefinition-backport-subscription-status.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api.documentation import subscriptions as documentation
from hub.api.exchange import Answer, Exchange
from hub.api.outcome import outcome
from hub.api.routes import Route
from hub.api.subscriptions import Subscriptions
from hub.errors import Refused
from hub.ingest.strict import parse
from hub.instants import instant
from hub.membership import Member
from subscriptions.codes import ErrorCode, IssueCode, NotificationType, SubscriptionStatus
from subscriptions.errors import Issue
from subscriptions.notification import Failure, Notification, notification_id
from subscriptions.subscription import Style

#: What the operation takes, and the kind of each; a comma joins several.
_PARAMETERS = ("id", "status")


@dataclass(frozen=True)
class Operations:
    """The operations on Subscriptions at one FHIR base. `hub` is the store's id."""

    subscriptions: Subscriptions
    hub: str

    def routes(self) -> Iterator[Route]:
        for method, many in (("GET", documentation.STATUSES), ("POST", documentation.STATUSES_BY_POST)):
            yield Route(method, "/Subscription/$status", self.status_of_many, many)
            yield Route(method, "/Subscription/{id}/$status", self.status_of_one, documentation.STATUS)
            for path in ("/Subscription/$get-ws-binding-token", "/Subscription/{id}/$get-ws-binding-token"):
                yield Route(method, path, self.binding_token, documentation.BINDING_TOKEN)
        yield Route("POST", "/Subscription/{id}/$test", self.test, documentation.TEST)

    async def status_of_one(self, request: Request) -> Response:
        """How a Subscription stands. Parameters mean nothing here."""
        exchange = Exchange(request)
        member = await self.subscriptions.member(exchange.caller, request.path_params["id"])
        await self.subscriptions.admission.topics.refresh()
        return self._respond(exchange, [self._entry(member)])

    async def status_of_many(self, request: Request) -> Response:
        """How Subscriptions stand: those of the given ids, in one of the given states; all of its own by default."""
        exchange = Exchange(request)
        given = exchange.query
        if request.method == "POST":
            given += await self._parameters(exchange)
        if unknown := [name for name, _ in given if name not in _PARAMETERS]:
            text = f"{unknown[0]} is not a parameter of $status, which takes id and status."
            raise Refused.because(400, IssueCode.NOT_SUPPORTED, text)
        ids, statuses = (
            {part for name, value in given if name == wanted for part in value.split(",")} for wanted in _PARAMETERS
        )
        if strange := statuses - set(SubscriptionStatus):
            text = f"{min(strange)} is not a status: those are {', '.join(SubscriptionStatus)}."
            raise Refused.because(400, IssueCode.VALUE, text, "status")
        s = self.subscriptions
        await s.admission.topics.refresh()
        entries = [
            self._entry(member)
            async for member in s.membership.all(s.tenant, s.version, ids or None, by=exchange.caller)
            if not statuses or member.state.status in statuses
        ]
        return self._respond(exchange, entries)

    async def test(self, request: Request) -> Response:
        """Have a notification without events sent now. The answer doesn't wait for that, but says where it is seen."""
        s, exchange = self.subscriptions, Exchange(request)
        exchange.without_parameters()
        member = await s.member(exchange.caller, request.path_params["id"])
        await self.queue_test(member, agent=exchange.client)
        text = (
            "A heartbeat is queued, and goes out next. What went wrong is seen at"
            f" {s.base}/Subscription/{member.key.id}/$status, and each attempt by the operator at"
            f" /admin/subscriptions/{s.version}/{member.key.id}/attempts."
        )
        return exchange.respond(Answer(202, outcome(Issue(IssueCode.INFORMATIONAL, text), severity="information")))

    async def queue_test(self, member: Member, *, agent: str) -> None:
        """Have a notification without events sent now. Raises Refused, 409, where none can be."""
        s = self.subscriptions
        if member.state.style is not Style.TOPIC:
            text = (
                "The criteria are a search: nothing is sent without a resource, so that there is nothing to test with."
            )
            raise Refused.because(409, IssueCode.NOT_SUPPORTED, text, s.form.topic_element)
        if not await s.membership.test(member, agent=agent):
            text = f"Only an active Subscription is sent something, and this one is `{member.state.status}`."
            raise Refused.because(409, IssueCode.BUSINESS_RULE, text, "Subscription.status")

    async def binding_token(self, _: Request) -> Response:
        """Nothing can be bound where there is no websocket, and the client is told so."""
        text = "$get-ws-binding-token is not supported: there is no websocket here, and `rest-hook` is the one channel."
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, "Subscription")

    async def _parameters(self, exchange: Exchange) -> list[tuple[str, str]]:
        """The Parameters resource of a POST as names and values; none when it has no body."""
        body = await exchange.body(self.subscriptions.max_body) if exchange.has_body else b""
        resource = parse(body, max_nesting=self.subscriptions.max_nesting) if body else {"resourceType": "Parameters"}
        given: Any = resource.get("parameter", [])
        if resource.get("resourceType") != "Parameters" or not isinstance(given, list):
            raise Refused.because(400, IssueCode.STRUCTURE, "A Parameters resource is expected.", "Parameters")
        return [_named(parameter, f"Parameters.parameter[{i}]") for i, parameter in enumerate(given)]

    def _respond(self, exchange: Exchange, entries: Sequence[bytes]) -> Response:
        s, at = self.subscriptions, instant(self.subscriptions.now())
        request = exchange.request
        query = f"?{request.url.query}" if request.url.query else ""
        url = f"{s.base}{request.url.path[request.url.path.index('/Subscription') :]}{query}"
        return exchange.respond(Answer(200, s.form.status_bundle(entries, url=url, at=at)))

    def _entry(self, member: Member) -> bytes:
        return self.subscriptions.form.status_entry(self.status(member))

    def status(self, member: Member) -> Notification:
        """How a Subscription stands, as the notification that says so."""
        s, state = self.subscriptions, member.state
        at = instant(s.now())
        resource = msgspec.json.decode(state.resource)
        wanted = s.form.parse_subscription(resource, now=instant(0), allow_http=True, legacy=state.style)
        code, text = (state.error_code, state.error) if state.error else (state.failing_code, state.failing)
        errors = [Failure(ErrorCode(code) if code else None, text)] if code or text else []
        if state.untold:
            errors.append(Failure(None, state.untold.words))
        if state.status is not SubscriptionStatus.OFF and (lost := s.admission.lost(wanted)):
            errors.append(Failure(None, lost))
        return Notification(
            id=notification_id(
                hub=self.hub,
                subscription=str(member.key),
                type=NotificationType.QUERY_STATUS,
                first=0,
                last=0,
                pinned=at,
            ),
            type=NotificationType.QUERY_STATUS,
            base=s.base,
            subscription_id=member.key.id,
            topic=wanted.topic,
            status=state.status,
            content=wanted.content,
            events_since_subscription_start=state.events,
            timestamp=at,
            errors=tuple(errors),
        )


def _named(parameter: Any, where: str) -> tuple[str, str]:
    """Name and value of a parameter; Refused when it has not exactly one value, as a string."""
    values = [value for name, value in parameter.items() if name.startswith("value")] if type(parameter) is dict else []
    if len(values) != 1 or not isinstance(values[0], str) or not isinstance(parameter.get("name"), str):
        text = "A parameter of $status has a name, and a valueId or a valueCode."
        raise Refused.because(400, IssueCode.STRUCTURE, text, where)
    return parameter["name"], values[0]
