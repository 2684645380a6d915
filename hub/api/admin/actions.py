"""What operators do with a Subscription. Each answer says what happened, and the audit who did it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hub.api.admin.named import Named
from hub.api.admin.shown import json
from hub.api.documentation import steered as documentation
from hub.api.entrusting import PRIVATE
from hub.api.exchange import Exchange
from hub.api.members import members
from hub.api.recovering import again, ms, within
from hub.api.routes import Route
from hub.errors import Refused
from hub.membership import Member
from hub.outbox import Subscribed
from hub.resending import Resending
from subscriptions.audit import Kind
from subscriptions.codes import IssueCode, SubscriptionStatus


@dataclass(frozen=True, slots=True)
class Actions:
    """
    On the Subscriptions of one tenant.

    now: ms since 1970.
    max_body, max_nesting: Bytes and levels of JSON.
    """

    named: Named
    resending: Resending
    now: Callable[[], int]
    max_body: int
    max_nesting: int

    def routes(self) -> Iterator[Route]:
        path = "/admin/subscriptions/{version}/{id}"
        yield Route("POST", f"{path}/redeliver", self.redeliver, documentation.REDELIVER)
        yield Route("POST", f"{path}/test", self.test, documentation.TEST)
        yield Route("POST", f"{path}/resume", self.resume, documentation.RESUME)
        yield Route("POST", f"{path}/off", self.off, documentation.OFF)
        yield Route("POST", f"{path}/rotate-secret", self.rotate, documentation.ROTATE)

    async def redeliver(self, request: Request) -> Response:
        """Send events once more, from a number or an instant to another, both included; each may be left out."""
        exchange = Exchange(request)
        given = await self._given(exchange, frozenset({"from", "to"}))
        (first, since), (last, until) = (_number_or_instant(given, name) for name in ("from", "to"))
        member = await self.named.member(request)
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
        return json(told, 202)

    async def test(self, request: Request) -> Response:
        """Send a notification without events now, behind what is on its way."""
        exchange, member = await self._asked(request)
        await self.named.base(member).operations.queue_test(member, agent=exchange.client)
        return json(
            {"text": "A test notification is queued, and goes out next: its attempt says what came of it."}, 202
        )

    async def resume(self, request: Request) -> Response:
        """Ask the endpoint anew, as if the client had sent its Subscription again."""
        exchange, member = await self._asked(request)
        status = member.state.status
        if status not in (SubscriptionStatus.ERROR, SubscriptionStatus.OFF):
            raise _as_it_is(f"It is `{status}`: only what is in `error` or `off` can be resumed.")
        _done(await self.named.base(member).resuming.resume(exchange.caller, member), member)
        missed = member.state.undelivered
        kept = f" The {missed} events that wait are kept, not sent: send them once more when it is." if missed else ""
        return json({"text": f"It is `requested`: the handshake goes out now, and then it is active.{kept}"}, 202)

    async def off(self, request: Request) -> Response:
        """Turn it off: nothing more is numbered nor sent, and its owner is told."""
        exchange, member = await self._asked(request)
        if member.state.status is SubscriptionStatus.OFF:
            raise _as_it_is("It is off already.")
        membership = self.named.membership
        outcome = await membership.switch_off(member, now=self.now(), agent=exchange.client, why=_OFF)
        _done(outcome, member)
        return json({"text": "It is off: changes are not numbered any more, and nothing is sent."})

    async def rotate(self, request: Request) -> Response:
        """Make a new secret to sign with, which is shown this once."""
        exchange, member = await self._asked(request)
        told = await self.named.base(member).entrusting.rotated(member, agent=exchange.client)
        still = f" The one before signs beside it until {told['previousUntil']}." if "previousUntil" in told else ""
        answer = json({"text": f"There is a new secret, which is shown this once.{still}", **told})
        answer.headers.update(PRIVATE)
        return answer

    async def _given(self, exchange: Exchange, taken: frozenset[str]) -> dict[str, Any]:
        return await members(exchange, taken, max_body=self.max_body, max_nesting=self.max_nesting)

    async def _asked(self, request: Request) -> tuple[Exchange, Member]:
        """A request that takes nothing, and the Subscription that it names."""
        exchange = Exchange(request)
        exchange.without_parameters()
        if exchange.has_body:
            await self._given(exchange, frozenset())
        return exchange, await self.named.member(request)


_OFF = "it was turned off by the hub's operator"


def _done(outcome: Subscribed, member: Member) -> None:
    """Raise Refused unless it was."""
    if outcome is not Subscribed.CHANGED:
        raise Refused.because(409, IssueCode.CONFLICT, f"Subscription/{member.key.id} was changed in this moment.")


def _as_it_is(text: str) -> Refused:
    return Refused.because(409, IssueCode.BUSINESS_RULE, text, "Subscription.status")


def _number_or_instant(body: Any, name: str) -> tuple[int | None, int | None]:
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
