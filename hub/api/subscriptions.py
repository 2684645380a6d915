"""
Subscription: create, read, vread, update, delete. It makes no change of its own and keeps no history.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/components.html#subscriptions
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.admission import Admission, Admitted
from hub.api.documentation import subscriptions as documentation
from hub.api.exchange import Answer, Exchange
from hub.api.patching import persistently
from hub.api.resources import version_number
from hub.api.routes import Route
from hub.binding import Binding
from hub.errors import Overtaken, Refused, Unavailable
from hub.holdings import Holdings
from hub.ingest import is_id
from hub.ingest.strict import parse
from hub.ingest.validation import issues
from hub.instants import instant
from hub.membership import Member, Membership, Written
from hub.outbox import Subscribed
from hub.pressure import Pressure
from hub.registry import TopicChanged
from hub.standing import Standings
from hub.starts import Starts
from hub.write import NOTHING
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.rights import NO_RIGHTS, Rights
from subscriptions.subscription import Subscription
from subscriptions.versions.form import Form
from subscriptions.versions.forms import FORMS
from subscriptions.withheld import Withheld


@dataclass(frozen=True)
class Subscriptions:
    """
    The Subscriptions at one FHIR base.

    base: The FHIR base, without a slash at its end.
    now: ms since 1970.
    max_body, max_nesting: Bytes and levels of JSON.
    max_page: Entries on a page.
    holdings: What searches may look at beside the Subscriptions.
    pressure: Asked before one is created; changes and deletes may free what others wait for.
    starts: Which starts are possible.
    binding: Which endpoints are.
    standings: What the owners may whom operators act for.
    """

    version: FhirVersion
    tenant: str
    base: str
    membership: Membership
    admission: Admission
    now: Callable[[], int]
    max_body: int
    max_nesting: int
    max_page: int
    holdings: Holdings
    pressure: Pressure
    starts: Starts
    binding: Binding
    standings: Standings

    @property
    def form(self) -> Form:
        """How this FHIR version writes what the hub says."""
        return FORMS[self.version]

    def routes(self) -> Iterator[Route]:
        yield Route("POST", "/Subscription", self.create, documentation.SUBSCRIBE)
        yield Route("GET", "/Subscription/{id}", self.read, documentation.READ_SUBSCRIPTION)
        yield Route("GET", "/Subscription/{id}/_history/{number}", self.vread, documentation.VREAD_SUBSCRIPTION)
        yield Route("PUT", "/Subscription/{id}", self.update, documentation.CHANGE_SUBSCRIPTION)
        yield Route("DELETE", "/Subscription/{id}", self.delete, documentation.END_SUBSCRIPTION)

    async def create(self, request: Request) -> Response:
        """Register a Subscription. It is `requested` until its endpoint has accepted the handshake."""
        exchange = Exchange(request)
        exchange.refuse(b"if-none-exist", b"idempotency-key", of="Subscription")
        wanted, resource = await self._wanted(exchange)
        await self.check(exchange.caller, wanted.subscription, resource, None)
        id_ = str(uuid4())
        await self._created(exchange, id_, wanted, resource)
        return await self.respond(exchange, id_, 201, resource)

    async def read(self, request: Request) -> Response:
        """A Subscription as its client sent it, its headers redacted, with the status in force."""
        exchange = Exchange(request)
        wanted = exchange.subset("Subscription")
        member = await self.member(exchange.caller, request.path_params["id"])
        return exchange.respond_to_read(self._answer(member, 200), wanted)

    async def vread(self, request: Request) -> Response:
        """The version in force, if it is the one of this number: earlier ones are not kept."""
        exchange = Exchange(request)
        wanted = exchange.subset("Subscription")
        number = version_number(request.path_params["number"])
        member = await self.member(exchange.caller, request.path_params["id"])
        if number != member.state.revision:
            text = f"Only the current version of a Subscription is kept, which is version {member.state.revision}."
            raise Refused.because(404, IssueCode.NOT_FOUND, text)
        return exchange.respond_to_read(self._answer(member, 200), wanted)

    async def update(self, request: Request) -> Response:
        """Change a Subscription, or create it under this id. Its endpoint is asked again by a handshake."""
        exchange, id_ = Exchange(request), request.path_params["id"]
        if not is_id(id_):
            raise Refused.because(400, IssueCode.VALUE, f"{id_[:80]} is not an id", "Subscription.id")
        wanted, resource = await self._wanted(exchange, id_)
        expected = exchange.if_match

        async def once() -> Subscribed:
            member = await self.found(exchange.caller, id_)
            if expected == NOTHING and member:
                raise _conflict(id_, member.state.revision)
            if expected not in ("", NOTHING) and not member:
                raise _conflict(id_, 0)
            return await self.put(exchange, id_, wanted, resource, member, expected=expected or "*")

        outcome = await persistently(once, again=not expected)
        return await self.respond(exchange, id_, 201 if outcome is Subscribed.CREATED else 200, resource)

    async def put(
        self, exchange: Exchange, id_: str, wanted: Admitted, resource: bytes, member: Member | None, *, expected: str
    ) -> Subscribed:
        """
        Change a Subscription, or create it under this id.

        Args:
            resource: JSON as the client sent it.
            member: What stands under the id, of all that the caller sees; None for nothing.
            expected: The revision that it must be at; `*` for any, or for this one if it keeps something of it.

        Raises:
            Overtaken: It is at another one.
            Refused: 404, when it is another client's.
        """
        await self.check(exchange.caller, wanted.subscription, resource, member)
        if member is None:
            written = await self._created(exchange, id_, wanted, resource)
        else:
            filled = self.binding.filled(resource, wanted.subscription, member)
            if expected == "*" and filled is not resource:
                expected = str(member.state.revision)
            with topic_changed(self.form.topic_element):
                written = await self.membership.update(
                    member,
                    wanted.subscription,
                    filled,
                    expected=expected,
                    now=self.now(),
                    on=wanted.on,
                    agent=exchange.client,
                )
        if written.outcome is Subscribed.CONFLICT:
            if member is None:
                await self.member(exchange.caller, id_)
            raise _conflict(id_, written.revision)
        if written.outcome is Subscribed.MISSING:
            raise Unavailable(f"Subscription/{id_} was deleted in this moment")
        return written.outcome

    async def _created(self, exchange: Exchange, id_: str, wanted: Admitted, resource: bytes) -> Written:
        await self.pressure.check()
        with topic_changed(self.form.topic_element):
            return await self.membership.create(
                self.tenant,
                self.version,
                id_,
                wanted.subscription,
                resource,
                now=self.now(),
                on=wanted.on,
                owner=exchange.client,
            )

    async def delete(self, request: Request) -> Response:
        """End a Subscription. At most the request that is on its way already arrives afterwards."""
        exchange, id_ = Exchange(request), request.path_params["id"]
        exchange.without_parameters()
        member = await self.found(exchange.caller, id_)
        if member is None:
            if exchange.if_match:
                raise _conflict(id_, 0)
            return Response(status_code=204)
        written = await self.membership.delete(member, expected=exchange.if_match or "*", agent=exchange.client)
        if written.outcome is Subscribed.CONFLICT:
            raise _conflict(id_, written.revision)
        return Response(status_code=204, headers={"ETag": f'W/"{written.revision}"'})

    async def found(self, caller: Caller, id_: str) -> Member | None:
        """The Subscription of an id; None when there is none, or another client's."""
        return await self.membership.find(self.tenant, self.version, id_, by=caller) if is_id(id_) else None

    async def member(self, caller: Caller, id_: str) -> Member:
        """The same; Refused with 404 when there is none."""
        member = await self.found(caller, id_)
        if member is None:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"There is no Subscription/{id_[:80]}.")
        return member

    def rendered(self, member: Member, sent: bytes = b"") -> bytes:
        """
        A Subscription's JSON, its headers redacted. Raises Unopened.

        Args:
            sent: What the client has just written: of headers that are the ones in it, it is shown what it gave.
        """
        state = member.state
        kept = self.membership.seal.sent(self.version, state.resource, state.headers)
        return self.form.to_json(
            self.form.redact(kept, sent),
            id=member.key.id,
            version_id=state.revision,
            last_updated=instant(state.updated),
            status=state.status,
            # Why it is in `error` or `off`, or what goes wrong while attempts go on.
            error=state.error or state.failing or None,
        )

    async def _wanted(self, exchange: Exchange, id_: str = "") -> tuple[Admitted, bytes]:
        """What the client asks for, and the JSON in which it did."""
        exchange.without_parameters()
        resource, body = await self.sent(exchange)
        return await self.admitted(resource, id_), body

    async def admitted(self, resource: dict[str, Any], id_: str = "") -> Admitted:
        """
        A Subscription that may be.

        Args:
            id_: The one that it must have; empty for any.

        Raises:
            Refused, Rejected: It may not.
        """
        if id_ and resource.get("id") != id_:
            text = f"The id must be {id_}, as in the URL."
            raise Refused.because(400, IssueCode.INVALID, text, "Subscription.id")
        wanted = await self.admission.admit(self.version, resource, now=instant(self.now()))
        if found := issues(resource, self.version):
            raise Rejected(*found)
        return wanted

    async def check(self, caller: Caller, wanted: Subscription, sent: bytes, held: Member | None) -> None:
        """Raise Refused or Rejected unless a caller may have a Subscription, in the place of the one that is held."""
        if forbidden := self.admission.forbidden(wanted, self.rights(caller, held)):
            raise forbidden
        if found := await self.against(wanted, sent, held):
            raise Rejected(*found)

    def rights(self, caller: Caller, held: Member | None) -> Rights:
        """Those that count for a Subscription that a caller writes: its owner's, and no more than the call's own."""
        if held is None or held.state.owner == caller.name:
            return caller.rights
        standing = self.standings.of(self.tenant, held.state.owner)
        return NO_RIGHTS if isinstance(standing, Withheld) else standing

    async def against(self, wanted: Subscription, sent: bytes, held: Member | None) -> list[Issue]:
        """What is against a Subscription, given its JSON, and the one that is there already."""
        found = await self.starts.against(wanted, held, now=instant(self.now()))
        return [*found, *await self.binding.against(wanted, sent, held)]

    async def sent(self, exchange: Exchange) -> tuple[dict[str, Any], bytes]:
        """The Subscription in a request, and its JSON. Raises Refused for anything else."""
        body = await exchange.body(self.max_body)
        return self.parsed(body), body

    def parsed(self, body: bytes) -> dict[str, Any]:
        """The Subscription in some JSON. Raises Refused, Rejected for anything else."""
        resource = parse(body, max_nesting=self.max_nesting)
        if resource.get("resourceType") != "Subscription":
            raise Refused.because(400, IssueCode.INVALID, "A Subscription is expected.", "Subscription.resourceType")
        return resource

    async def respond(self, exchange: Exchange, id_: str, status: int, sent: bytes) -> Response:
        """The answer to a write. `sent`: What the client wrote."""
        member = await self.member(exchange.caller, id_)
        return exchange.respond(self._answer(member, status, sent), base=self.base, prefer=exchange.prefer)

    def _answer(self, member: Member, status: int, sent: bytes = b"") -> Answer:
        revision = member.state.revision
        location = f"Subscription/{member.key.id}/_history/{revision}"
        return Answer(status, self.rendered(member, sent), location, revision, member.state.updated)


@contextmanager
def topic_changed(element: str) -> Iterator[None]:
    """A topic that changed while a Subscription was written is the client's to look at."""
    try:
        yield
    except TopicChanged:
        text = "The topic was changed or deleted in this moment. Look at it, and try again."
        raise Refused.because(409, IssueCode.CONFLICT, text, element) from None


def _conflict(id_: str, revision: int) -> Overtaken:
    now = f"version {revision} is in force" if revision else "there is none"
    text = f"Subscription/{id_} is not at the version that was expected: {now}. Read it, and try again."
    return Overtaken(412, Issue(IssueCode.CONFLICT, text))
