"""`/admin/subscriptions/…/events`: what became events of a Subscription, and one event's whole trace."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.admin.asked import Query
from hub.api.admin.named import Named
from hub.api.admin.shown import attempt, iso, json, reasons
from hub.api.documentation import seen as documentation
from hub.api.exchange import Exchange
from hub.api.explaining import standing
from hub.api.routes import Route
from hub.attempts import Attempt, Attempts
from hub.disclosure import Disclosure
from hub.errors import Refused
from hub.keys import ResourceId
from hub.membership import Member
from hub.outbox import Outboxes
from hub.store import Store
from hub.stream import Changes
from hub.survey import Row, Survey
from hub.turn import OwedEvent
from subscriptions.codes import Content, Interaction, IssueCode, SubscriptionStatus
from subscriptions.errors import Rejected
from subscriptions.rights import EVERYTHING

#: Numbers on a page when nobody says how many.
COUNT = 50


@dataclass(frozen=True, slots=True)
class Events:
    """
    The events of one tenant's Subscriptions.

    url: What its administration is below.
    max_page: Numbers on a page.
    """

    url: str
    named: Named
    survey: Survey
    attempts: Attempts
    outboxes: Outboxes
    store: Store
    changes: Changes
    disclosure: Disclosure
    max_page: int

    def routes(self) -> Iterator[Route]:
        path = "/admin/subscriptions/{version}/{id}/events"
        yield Route("GET", path, self.all, documentation.EVENTS)
        yield Route("GET", f"{path}/{{event}}", self.one, documentation.TRACE)

    async def all(self, request: Request) -> Response:
        """The newest numbers, or those before one; each with the event, as far as it is kept."""
        query = Query(Exchange(request), "before", "count")
        member = await self.named.member(request)
        of = await self._row(member)
        last = min(query.number("before", of.events + 1, most=of.events + 1), of.events + 1) - 1
        first = max(last - query.number("count", min(COUNT, self.max_page), most=self.max_page) + 1, 1)
        owed = await self.outboxes.events(member.key, first, last) if last else []
        told = await self._told(of, owed)
        shown = [told.get(number) or _lost(of, number) for number in range(last, first - 1, -1)]
        following = None
        if first > 1 and await self.outboxes.events(member.key, 1, first - 1, most=1):
            path = f"{self.url}/admin/subscriptions/{member.key.version}/{member.key.id}/events"
            following = f"{path}?before={first}&count={last - first + 1}"
        return json({"events": shown, "next": following})

    async def one(self, request: Request) -> Response:
        """From the change, by which clause it matched, to its attempts and how it stands."""
        exchange = Exchange(request)
        member = await self.named.member(request)
        of, number = await self._row(member), _number(request.path_params["event"])
        if number > of.events:
            text = f"There is no event {number}: {of.events} have been numbered."
            raise Refused.because(404, IssueCode.NOT_FOUND, text)
        owed = await self.outboxes.events(member.key, number, number)
        shown = (await self._told(of, owed)).get(number) or _lost(of, number)
        known = owed[0] if owed and shown["type"] else None
        tried = [attempt(each) for each in await self.attempts.last(member.key) if _carried(each, number)]
        return json(
            {
                "event": shown,
                "change": await self._change(member, known) if known else None,
                "matched": await self._matched(exchange.caller, member, known) if known else None,
                "attempts": tried,
                "outcome": _outcome(member, number, shown["state"], tried),
            }
        )

    async def _row(self, member: Member) -> Row:
        found = await self.survey.one(member.key)
        if found is None:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"Subscription/{member.key.id} was deleted in this moment.")
        return found

    async def _told(self, of: Row, owed: list[OwedEvent]) -> dict[int, dict[str, Any]]:
        """Events as they are shown, by their numbers: of other tenants' resources only what is still granted."""
        told = await self.disclosure.of(of.key, owed, Content.EMPTY)
        return {
            event.number: _shown(of, event, None if to.withheld else event)
            for event, to in zip(owed, told, strict=True)
        }

    async def _change(self, member: Member, event: OwedEvent) -> dict[str, Any]:
        """The change that became an event. The publisher is known as long as the change is in its stream."""
        resource = _resource(member, event)
        made = await self.store.read(resource, event.version)
        entry = await self.changes.made(resource, event.version, event.at)
        kept = made is not None and (made.body is not None or made.interaction is Interaction.DELETE)
        return {
            "version": member.key.version.value,
            "type": event.type,
            "id": event.id,
            "versionId": event.version,
            "interaction": event.interaction.value,
            "at": iso(event.at),
            "publisher": entry.publisher or None if entry else None,
            "stillKept": kept,
        }

    async def _matched(self, caller: Caller, member: Member, event: OwedEvent) -> dict[str, Any]:
        """Why it matches, by what is in force now. What is found in a resource is for those alone who may read it."""
        explaining = self.named.base(member).explaining
        resource, reads = _resource(member, event), True
        reference = f"{resource.type}/{resource.id}/_history/{event.version}"
        if event.tenant:
            reference = f"{self.disclosure.tenancy.base(event.tenant, member.key.version)}/{reference}"
        try:
            try:
                found = await explaining.of_happened(caller, member.key.id, reference, known=event)
            except Refused:
                reads, everybody = False, replace(caller, rights=EVERYTHING)
                found = await explaining.of_happened(everybody, member.key.id, reference, known=event)
        except (Refused, Rejected) as error:
            return {"matched": None, "text": str(error), "remarks": [], "trigger": [], "filters": []}
        told = reasons(found.why, found=reads) if found.why else {"matched": None, "trigger": [], "filters": []}
        text = found.error or "By what is in force now, as far as it is still kept."
        return {**told, "text": text, "remarks": list(found.fact.remarks(expected=found.expected).values())}


def _resource(member: Member, event: OwedEvent) -> ResourceId:
    key = member.key
    return ResourceId(event.tenant or key.tenant, key.version, event.type, event.id)


def _shown(of: Row, event: OwedEvent, told: OwedEvent | None) -> dict[str, Any]:
    """`told`: None for an event of which nothing may be told any more but that it was."""
    if event.number <= of.delivered:
        state = "skipped" if any(event.number in each for each in of.missed) else "delivered"
    else:
        state = "waiting" if of.status is SubscriptionStatus.ACTIVE else "kept"
    return {
        "number": event.number,
        "type": told and told.type,
        "id": told and told.id,
        "versionId": told and told.version,
        "interaction": told and told.interaction.value,
        "at": iso(event.at),
        "tenant": (told and told.tenant) or None,
        "state": state,
    }


def _lost(of: Row, number: int) -> dict[str, Any]:
    """A number whose event isn't kept."""
    dropped = number > of.delivered or (of.dropped_last is not None and number in of.dropped_last)
    nothing = dict.fromkeys(("type", "id", "versionId", "interaction", "at", "tenant"))
    return {"number": number, **nothing, "state": "dropped" if dropped else "gone"}


def _carried(tried: Attempt, number: int) -> bool:
    sending = tried.sending
    return not sending.eventless and sending.first <= number <= sending.last


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text)):
        raise Refused.because(404, IssueCode.NOT_FOUND, f"{text[:80]} is not the number of an event.")
    return int(text)


def _outcome(member: Member, number: int, state: str, tried: list[dict[str, Any]]) -> str:
    """How it stands, in one sentence."""
    match state:
        case "dropped":
            return f"Event {number} was dropped before it could be sent, and can't be had any more."
        case "gone":
            return f"Event {number} is not kept any more: it was delivered, or passed by, before that."
        case "skipped":
            return f"Event {number} was skipped when the Subscription became active again: it can be sent once more."
        case "delivered":
            return f"Event {number} was delivered."
    last = f" The last attempt: {tried[0]['said']}." if tried else ""
    return f"Event {number}: {standing(member.state, number)}.{last}"
