"""`/admin/subscriptions`: how they stand, all of them and one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api.admin.asked import Query
from hub.api.admin.named import Named
from hub.api.admin.shown import iso, json, pinned, row
from hub.api.documentation import seen as documentation
from hub.api.exchange import Exchange
from hub.api.routes import Route
from hub.audit import Audit
from hub.errors import Refused
from hub.membership import Member
from hub.secrets import Unopened
from hub.survey import Row, Survey
from hub.turn import Sending
from subscriptions.audit import Kind
from subscriptions.codes import FhirVersion, IssueCode, SubscriptionStatus
from subscriptions.ranges import Range

#: Rows on a page when nobody says how many.
COUNT = 50

#: Entries in a timeline, and of the audit that are looked through for them.
TIMELINE, LOOKED_AT = 100, 10_000

#: In the order of lag whoever has nothing that waits comes last.
_NEVER = 2**53

#: What comes in a timeline: not what any number of changes and notifications bring about.
_TOLD = frozenset(kind for kind in Kind if not kind.bulk)

#: The orders, and where a Subscription has its place in each.
SORTS: Mapping[str, Callable[[Row], int]] = {
    "lag": lambda each: _NEVER if each.oldest_at is None else each.oldest_at,
    "updated": lambda each: -each.updated,
    "id": lambda _: 0,
}
_NAMES = ("status", "topic", "owner", "origin", "version", "q", "lagging", "missed", "sort", "count", "page")

#: In an order: the place, the FHIR version and the id.
_Spot = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Listing:
    """
    The Subscriptions of one tenant.

    url: What its administration is below.
    max_page: Rows on a page.
    """

    url: str
    named: Named
    survey: Survey
    audit: Audit
    max_page: int

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/admin/subscriptions", self.all, documentation.SUBSCRIPTIONS)
        yield Route("GET", "/admin/subscriptions/{version}/{id}", self.one, documentation.SUBSCRIPTION)

    async def all(self, request: Request) -> Response:
        """Those that are asked for, a page at a time."""
        query = Query(Exchange(request), *_NAMES)
        rows = _filtered(await self.survey.of(self.named.tenant), query)
        place = SORTS[query.one_of("sort", SORTS, "lag")]
        count = query.number("count", min(COUNT, self.max_page), most=self.max_page)

        def spot(of: Row) -> _Spot:
            return place(of), of.key.version.value, of.key.id

        after = _spot(query.text("page")) if "page" in query.given else None
        behind = sorted((each for each in rows if after is None or spot(each) > after), key=spot)
        page, following = behind[:count], None
        if len(behind) > count:
            at = ".".join(map(str, spot(page[-1])))
            following = f"{self.url}/admin/subscriptions?{urlencode(query.given | {'page': at})}"
        return json({"total": len(rows), "subscriptions": list(map(row, page)), "next": following})

    async def one(self, request: Request) -> Response:
        """One: all that is known of how it stands, and, unless it isn't wanted, what happened to it."""
        query = Query(Exchange(request), "timeline")
        member = await self.named.member(request)
        found = await self.survey.one(member.key)
        if found is None:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"Subscription/{member.key.id} was deleted in this moment.")
        sending = Sending.parse(found.sending) if found.sending.count(" ") > 2 else None
        return json(
            {
                **row(found),
                "resource": self._resource(member),
                "timeline": await self._timeline(found) if query.flag("timeline", default=True) else None,
                "sending": sending and pinned(sending) | {"at": iso(sending.at), "attempt": found.attempt + 1},
                "resend": _ranges(found.resend),
                "missed": _ranges(found.missed),
            }
        )

    def _resource(self, member: Member) -> msgspec.Raw | None:
        """As every reader sees it; None where its headers can't be opened."""
        try:
            return msgspec.Raw(self.named.base(member).subscriptions.rendered(member))
        except Unopened:
            return None

    async def _timeline(self, of: Row) -> list[dict[str, Any]]:
        """What was done to it and what became of it, newest first, as far as the audit says."""
        found = list[dict[str, Any]]()
        async for entry in self.audit.about(self.named.tenant, f"Subscription/{of.key.id}", most=LOOKED_AT):
            act = entry.act
            if act.version is of.key.version and act.kind in _TOLD:
                found.append({"at": iso(entry.at), "what": act.kind.value, "by": act.agent, "text": act.text})
                if len(found) == TIMELINE or act.kind is Kind.SUBSCRIPTION_CREATED:
                    break
        return found


def _ranges(of: Iterable[Range]) -> list[dict[str, int]]:
    return [{"first": each.first, "last": each.last} for each in of]


def _filtered(rows: list[Row], query: Query) -> list[Row]:
    statuses = set(filter(None, query.text("status").split(",")))
    if strange := statuses - set(SubscriptionStatus):
        text = f"{min(strange)[:80]} is not a status: those are {', '.join(SubscriptionStatus)}."
        raise Refused.because(400, IssueCode.VALUE, text, "status")
    version = query.one_of("version", list(FhirVersion))
    topic, owner, origin = query.text("topic").partition("|")[0], query.text("owner"), query.text("origin")
    lagging, missed, sought = query.flag("lagging"), query.flag("missed"), query.text("q").casefold()
    return [
        each
        for each in rows
        if (not statuses or each.status in statuses)
        and (not version or each.key.version == version)
        and (not topic or each.wanted.topic.partition("|")[0] == topic)
        and (not owner or each.owner == owner)
        and (not origin or each.wanted.origin == origin)
        and (not lagging or each.lags)
        and (not missed or each.missed)
        and (not sought or sought in _searched(each))
    ]


def _searched(of: Row) -> str:
    """Where a word is looked for."""
    return "\n".join((of.key.id, of.owner, of.wanted.topic, of.wanted.origin, of.error, of.outcome)).casefold()


def _spot(page: str) -> _Spot:
    place, _, rest = page.partition(".")
    version, _, id_ = rest.partition(".")
    if not (place.removeprefix("-").isascii() and place.removeprefix("-").isdecimal() and len(place) < 18 and id_):
        text = "`page` is not one that the hub gave: follow `next` as it is."
        raise Refused.because(400, IssueCode.VALUE, text, "page")
    return int(place), version, id_
