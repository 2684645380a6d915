"""
`$events` and `$resend`: what a subscriber missed or wants to see again, in the answer or over its channel.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/OperationDefinition-backport-subscription-events.html;
`$resend` is of the guide's version 1.2.0-ballot.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.documentation import subscriptions as documentation
from hub.api.exchange import Answer, Exchange
from hub.api.given import Given, Takes
from hub.api.operations import Operations
from hub.api.outcome import outcome
from hub.api.permits import demand_each
from hub.api.routes import Route
from hub.disclosure import Disclosure
from hub.errors import Refused
from hub.instants import instant
from hub.membership import Member
from hub.outbox import Outboxes
from hub.rendering import faded
from hub.resending import Resending, TooMany
from hub.sight import Sight
from hub.telling import Telling
from subscriptions.audit import Kind
from subscriptions.codes import Content, IssueCode, NotificationType, SubscriptionStatus
from subscriptions.errors import Issue
from subscriptions.notification import Event, Failure, notification_id
from subscriptions.ranges import Range, missing, words
from subscriptions.scopes import ALL, Permission
from subscriptions.versions.instant import read

#: Events that are read at once.
CHUNK = 50

EVENTS = Takes("$events", (), ("eventsSinceNumber", "eventsUntilNumber", "content"))
RESEND = Takes("$resend", (), ("eventsSinceNumber", "eventsUntilNumber", "eventsSinceInstant", "eventsUntilInstant"))

_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Recovering:
    """What subscribers recover with, at one FHIR base."""

    operations: Operations
    disclosure: Disclosure
    telling: Telling
    outboxes: Outboxes
    resending: Resending

    def routes(self) -> Iterator[Route]:
        path = "/Subscription/{id}/$events"
        yield Route("GET", path, self.events, documentation.EVENTS)
        yield Route("POST", path, self.events, documentation.EVENTS_BY_POST)
        yield Route("POST", "/Subscription/{id}/$resend", self.resend, documentation.RESEND)

    async def events(self, request: Request) -> Response:
        """Events by their numbers, as far as they are kept, on a page that begins with the first one asked for."""
        exchange, s = Exchange(request), self.operations.subscriptions
        given = await EVENTS.read(exchange, max_body=s.max_body, max_nesting=s.max_nesting)
        most = _content(given)
        member = await s.member(exchange.caller, request.path_params["id"])
        wanted = _asked(given, member)
        await s.admission.topics.refresh()
        status = self.operations.status(member)
        allowed = status.content.within(exchange.caller.rights.content)
        content = allowed if most is None else most.within(allowed)
        await self.telling.current()
        found, covered = await self._page(member, wanted, content, self._sight(exchange.caller, member))
        if not found:
            raise _gone(wanted)
        _readable(found, exchange.caller)
        id_ = notification_id(
            hub=self.operations.hub,
            subscription=str(member.key),
            type=NotificationType.QUERY_EVENT,
            first=found[0].number,
            last=found[-1].number,
            pinned=instant(s.now()),
        )
        answer = replace(
            status,
            id=id_,
            type=NotificationType.QUERY_EVENT,
            content=content,
            events=found,
            errors=(*status.errors, *_lost(found, covered, content)),
        )
        return exchange.respond(Answer(200, s.form.notification_bundle(answer)))

    async def resend(self, request: Request) -> Response:
        """Events by their numbers or times, over the channel once more. The answer doesn't wait for that."""
        exchange, s = Exchange(request), self.operations.subscriptions
        given = await RESEND.read(exchange, max_body=s.max_body, max_nesting=s.max_nesting)
        since, until = _instant(given, "eventsSinceInstant"), _instant(given, "eventsUntilInstant")
        member = await s.member(exchange.caller, request.path_params["id"])
        wanted = _asked(given, member)
        sent = await again(self.resending, member, wanted, since, until, now=s.now(), agent=exchange.client)
        issue = Issue(IssueCode.INFORMATIONAL, str(sent))
        return exchange.respond(Answer(200, outcome(issue, severity="information")))

    def _sight(self, caller: Caller, member: Member) -> Sight | None:
        """What a caller may be told of events by its clearance; of what its scopes lack it is told (`_readable`)."""
        if self.telling.unlimited(member.key.tenant, member.key.version):
            return None
        rights, owner = replace(caller.rights, scopes=ALL), member.state.owner
        return Sight(self.disclosure.store, self.telling, lambda judgement: judgement.on(rights, owner))

    async def _page(
        self, member: Member, wanted: Range, content: Content, sight: Sight | None
    ) -> tuple[tuple[Event, ...], Range]:
        """The events on a page, and the numbers that it covers: all of those asked for, unless it is full."""
        s, found, size, first = self.operations.subscriptions, list[Event](), 0, wanted.first
        while first <= wanted.last and len(found) < s.max_page:
            most = min(CHUNK, s.max_page - len(found))
            owed = await self.outboxes.events(member.key, first, wanted.last, most=most)
            for event in await self.disclosure.of(member.key, owed, content, sight):
                if size > s.max_body:
                    return tuple(found), Range(wanted.first, found[-1].number)
                found.append(event)
                size += event.size
            if len(owed) < most:
                return tuple(found), wanted
            first = owed[-1].number + 1
        return tuple(found), Range(wanted.first, first - 1)


@dataclass(frozen=True, slots=True)
class Again:
    """
    What is sent once more.

    found: None when all of it is still to be sent anyway.
    """

    wanted: Range
    found: Range | None
    lost: Range | None

    def __str__(self) -> str:
        text = f"Sent once more: {words([self.found])}." if self.found else f"Still to be sent: {words([self.wanted])}."
        return text + (f" Not kept any more: {words([self.lost])}." if self.lost else "")


async def again(
    resending: Resending,
    member: Member,
    wanted: Range,
    since: int | None,
    until: int | None,
    *,
    now: int,
    agent: str,
    kind: Kind = Kind.RESENT,
) -> Again:
    """
    Have the events of a range that are between two instants (ms) sent once more.

    Args:
        agent, kind: Whose act it is, and how the audit calls it.

    Raises:
        Refused: 404, when there are none; 410, when none is kept any more; 409, when nothing can be sent now.
    """
    key, state = member.key, member.state
    if since is not None or until is not None:
        then = await resending.between(key, state.events, since, until)
        first, last = (max(wanted.first, then.first), min(wanted.last, then.last)) if then else (1, 0)
        if first > last:
            raise Refused.because(404, IssueCode.NOT_FOUND, "No event of then is kept.", "eventsSinceInstant")
        wanted = Range(first, last)
    kept = await resending.outboxes.events(key, wanted.first, wanted.last, most=1)
    if not kept:
        raise _gone(wanted)
    try:
        found = await resending.ask(key, state, Range(kept[0].number, wanted.last), now=now, agent=agent, kind=kind)
    except TooMany:
        text = "Many ranges of events are waiting to be sent once more: try again when they have been."
        raise Refused.because(409, IssueCode.CONFLICT, text) from None
    if isinstance(found, SubscriptionStatus):
        text = f"The Subscription is in `{found}`, and nothing is sent to it: have it `requested` first."
        raise Refused.because(409, IssueCode.BUSINESS_RULE, text)
    lost = Range(wanted.first, kept[0].number - 1) if kept[0].number > wanted.first else None
    return Again(wanted, found, lost)


def within(first: int | None, last: int | None, member: Member) -> Range:
    """
    The numbers from one to another, both included, of events that there have been.

    Raises:
        Refused: 400, for what is no range; 404, when there has been none of it.
    """
    events = member.state.events
    if first is not None and last is not None and first > last:
        text = f"The first event, {first}, is behind the last, {last}."
        raise Refused.because(400, IssueCode.VALUE, text, "eventsUntilNumber")
    first, last = max(first or 1, 1), events if last is None else min(last, events)
    if first > last:
        text = f"There is no such event: {events} have been numbered." if events else "There has been no event yet."
        raise Refused.because(404, IssueCode.NOT_FOUND, text, "eventsSinceNumber")
    return Range(first, last)


def ms(name: str, text: str) -> int:
    """An instant in ms. Raises Refused for what is none."""
    try:
        return (read(text) - instant(0)) // timedelta(milliseconds=1)
    except ValueError:
        text = f"`{name}` must be an instant, as 2026-11-21T09:59:59.123Z."
        raise Refused.because(400, IssueCode.VALUE, text, name) from None


def _asked(given: Given, member: Member) -> Range:
    """The numbers that are asked for. Raises Refused."""
    return within(_number(given, "eventsSinceNumber"), _number(given, "eventsUntilNumber"), member)


def _gone(wanted: Range) -> Refused:
    return Refused.because(410, IssueCode.DELETED, f"Not kept any more: {words([wanted])}.", "eventsSinceNumber")


def _readable(events: Sequence[Event], caller: Caller) -> None:
    """Raise Refused, 403, unless a caller may read what is told, whoever's Subscription it is."""
    types = {event.type for event in events if not event.withheld}
    types |= {each.type for event in events for each in event.additional_context}
    demand_each(caller, types, Permission.READ)


def _number(given: Given, name: str) -> int | None:
    text = given.texts.get(name)
    if text is not None and not _NUMBER.fullmatch(text):
        raise Refused.because(400, IssueCode.VALUE, f"`{name}` must be a whole number from 0.", name)
    return None if text is None else int(text)


def _instant(given: Given, name: str) -> int | None:
    return ms(name, given.texts[name]) if name in given.texts else None


def _content(given: Given) -> Content | None:
    text = given.texts.get("content")
    if text is not None and text not in list(Content):
        raise Refused.because(400, IssueCode.VALUE, f"`content` must be one of {', '.join(Content)}.", "content")
    return None if text is None else Content(text)


def _lost(found: tuple[Event, ...], covered: Range, content: Content) -> Iterator[Failure]:
    """What can't be told any more."""
    if gone := list(missing(covered, (event.number for event in found))):
        yield Failure(None, f"not kept any more: {words(gone)}")
    yield from faded(found, content)
