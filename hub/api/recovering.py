"""
`$events`: what a subscriber missed, or wants to see again.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/OperationDefinition-backport-subscription-events.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from hub.api import documentation
from hub.api.exchange import Answer, Exchange
from hub.api.given import Given, Takes
from hub.api.operations import Operations
from hub.api.routes import Route
from hub.errors import Refused
from hub.membership import Member
from hub.outbox import Outboxes
from hub.rendering import told
from hub.store import Store, instant
from subscriptions.codes import Content, IssueCode, NotificationType
from subscriptions.notification import Event, Failure, bodiless, notification_id
from subscriptions.ranges import Range, missing, of, words
from subscriptions.versions.forms import FORMS

#: Events that are read at once.
CHUNK = 50

EVENTS = Takes("$events", (), ("eventsSinceNumber", "eventsUntilNumber", "content"))

_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Recovering:
    """What subscribers recover with, at one FHIR base."""

    operations: Operations
    store: Store
    outboxes: Outboxes

    def routes(self) -> Iterator[Route]:
        path = "/Subscription/{id}/$events"
        yield Route("GET", path, self.events, documentation.EVENTS)
        yield Route("POST", path, self.events, documentation.EVENTS_BY_POST)

    async def events(self, request: Request) -> Response:
        """Events by their numbers, as far as they are kept, on a page that begins with the first one asked for."""
        exchange, s = Exchange(request), self.operations.subscriptions
        given = await EVENTS.read(exchange, max_body=s.max_body, max_nesting=s.max_nesting)
        most = _content(given)
        member = await s.member(request.path_params["id"])
        wanted = asked(given, member)
        await s.admission.topics.refresh()
        status = self.operations.status(member)
        content = status.content if most is None else most.within(status.content)
        found, covered = await self._page(member, wanted, content)
        if not found:
            text = f"None of {words([wanted])} is kept any more."
            raise Refused.because(410, IssueCode.DELETED, text, "eventsSinceNumber")
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
        return exchange.respond(Answer(200, FORMS[s.version].notification_bundle(answer)))

    async def _page(self, member: Member, wanted: Range, content: Content) -> tuple[tuple[Event, ...], Range]:
        """The events on a page, and the numbers that it covers: all of those asked for, unless it is full."""
        s, found, size, first = self.operations.subscriptions, list[Event](), 0, wanted.first
        while first <= wanted.last and len(found) < s.max_page:
            most = min(CHUNK, s.max_page - len(found))
            owed = await self.outboxes.events(member.key, first, wanted.last, most=most)
            for event in await told(self.store, member.key, owed, content):
                if size > s.max_body:
                    return tuple(found), Range(wanted.first, found[-1].number)
                found.append(event)
                size += event.size
            if len(owed) < most:
                return tuple(found), wanted
            first = owed[-1].number + 1
        return tuple(found), Range(wanted.first, first - 1)


def asked(given: Given, member: Member) -> Range:
    """
    The numbers that are asked for, of events that there have been.

    Raises:
        Refused: 400, for what is no range; 404, when there has been none of it.
    """
    since, until = _number(given, "eventsSinceNumber"), _number(given, "eventsUntilNumber")
    events = member.state.events
    if since is not None and until is not None and since > until:
        text = f"The first event, {since}, is behind the last, {until}."
        raise Refused.because(400, IssueCode.VALUE, text, "eventsUntilNumber")
    first, last = max(since or 1, 1), events if until is None else min(until, events)
    if first > last:
        text = f"There is no such event: {events} have been numbered." if events else "There has been no event yet."
        raise Refused.because(404, IssueCode.NOT_FOUND, text, "eventsSinceNumber")
    return Range(first, last)


def _number(given: Given, name: str) -> int | None:
    text = given.texts.get(name)
    if text is not None and not _NUMBER.fullmatch(text):
        raise Refused.because(400, IssueCode.VALUE, f"`{name}` must be a whole number from 0.", name)
    return None if text is None else int(text)


def _content(given: Given) -> Content | None:
    text = given.texts.get("content")
    if text is not None and text not in list(Content):
        raise Refused.because(400, IssueCode.VALUE, f"`content` must be one of {', '.join(Content)}.", "content")
    return None if text is None else Content(text)


def _lost(found: tuple[Event, ...], covered: Range, content: Content) -> Iterator[Failure]:
    """What can't be told any more."""
    if gone := list(missing(covered, (event.number for event in found))):
        yield Failure(None, f"{words(gone)}: not kept any more")
    if content is Content.FULL_RESOURCE and (bare := list(of(bodiless(found)))):
        yield Failure(None, f"{words(bare)}: not all resources are kept any more as they were")
