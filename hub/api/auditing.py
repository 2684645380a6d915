"""
AuditEvent: read and search. It is the hub's own, and append-only: nothing here writes one, changes one or removes one.

At each FHIR base it is the whole audit of the tenant, in the form of that FHIR version.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.documentation import administration as documentation
from hub.api.exchange import Answer, Exchange
from hub.api.pages import Parameters, bad_cursor
from hub.api.permits import demand_beyond
from hub.api.results import results
from hub.api.routes import Route
from hub.api.search import cut, left_out, posted, searchset, uncounted
from hub.audit import Audit, is_entry
from hub.errors import Refused
from hub.holdings import Holdings
from hub.instants import instant
from hub.query import Query, compiled
from subscriptions.audit import Entry
from subscriptions.change import Resource
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import EvaluationError
from subscriptions.search.asking import Context
from subscriptions.search.held import Held
from subscriptions.versions.audit_event import audit_event


@dataclass(frozen=True, slots=True)
class Page:
    """
    What a search found: ids and AuditEvents, newest first.

    following: The entry behind which the next page begins; None at the end.
    cut: It ended because of how many entries it had looked at.
    unreadable: How many of them could not be evaluated, and so are not found.
    """

    found: list[tuple[str, Resource]]
    following: str | None = None
    cut: bool = False
    unreadable: int = 0


@dataclass(frozen=True)
class Auditing:
    """
    The audit at one FHIR base.

    bases: The tenant's FHIR bases, without a slash at their ends.
    now: ms since 1970.
    max_body: Bytes.
    max_page, max_scan: Entries on a page, and entries that one page looks at.
    holdings: What searches may look at beside the audit.
    """

    version: FhirVersion
    tenant: str
    bases: Mapping[FhirVersion, str]
    audit: Audit
    now: Callable[[], int]
    max_body: int
    max_page: int
    max_scan: int
    holdings: Holdings

    @property
    def base(self) -> str:
        return self.bases[self.version]

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/AuditEvent", self.find, documentation.SEARCH_AUDIT)
        yield Route("POST", "/AuditEvent/_search", self.find_posted, documentation.SEARCH_AUDIT_BY_FORM)
        yield Route("GET", "/AuditEvent/{id}", self.read, documentation.READ_AUDIT)

    async def read(self, request: Request) -> Response:
        """An entry of the audit."""
        exchange, id_ = Exchange(request), request.path_params["id"]
        wanted = exchange.subset("AuditEvent")
        entry = await self.audit.read(self.tenant, id_)
        if entry is None:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"There is no AuditEvent/{id_[:80]}.")
        body = msgspec.json.encode(self._written(entry))
        return exchange.respond_to_read(Answer(200, body, version=1, at=entry.at), wanted)

    async def find(self, request: Request) -> Response:
        """Search by any parameter that FHIR defines on AuditEvent: `date`, `agent`, `entity`, `type`, `outcome`, …"""
        exchange = Exchange(request)
        return exchange.respond(await self._answer(exchange.asked, exchange.caller))

    async def find_posted(self, request: Request) -> Response:
        """The same search, with its parameters as a form."""
        exchange = Exchange(request)
        return exchange.respond(await self._answer(await posted(exchange, self.max_body), exchange.caller))

    async def _answer(self, asked: Parameters, by: Caller) -> Answer:
        wanted, rest = results(asked, "AuditEvent", self.version, most=self.max_page, order="-date")
        if wanted.cursor is not None and not is_entry(wanted.cursor):
            raise bad_cursor()
        context = Context(self.version, frozenset({self.base}))
        with wanted.refusing():
            query = compiled(map(_by_name, rest), "AuditEvent", context)
        demand_beyond(by, query)
        # An entry's date is when it was recorded, by which the audit is read.
        dates = [("_lastUpdated", value) for name, value in rest if name in ("date", "_lastUpdated")]
        times = compiled(dates, "AuditEvent", context)
        url, total = f"{self.base}/AuditEvent", None
        if wanted.count == 0:
            total = await self._count(query, times)
            return searchset(url, asked, (), total=total, remarks=uncounted(total, "AuditEvent"))
        page = await self._page(query, times, most=wanted.count, behind=wanted.cursor or "")
        if query.everything:
            total = await self.audit.count(self.tenant)
        elif wanted.cursor is None and page.following is None and not page.unreadable:
            total = len(page.found)
        return searchset(
            url,
            asked,
            ((id_, wanted.subset.of(msgspec.json.encode(written))) for id_, written in page.found),
            following=page.following,
            total=wanted.known(total),
            remarks=[
                *(cut("AuditEvent", "`_id` and `date`") if page.cut else ()),
                *left_out(page.unreadable, "AuditEvent"),
            ],
        )

    async def _count(self, query: Query, times: Query) -> int | None:
        """How many match; None when there are too many entries to look at."""
        if query.everything:
            return await self.audit.count(self.tenant)
        page = await self._page(query, times, most=self.max_scan)
        return None if page.following or page.unreadable else len(page.found)

    async def _page(self, query: Query, times: Query, *, most: int, behind: str = "") -> Page:
        """Up to `most` matches behind an entry, or the newest of all. `times`: When they can have been recorded."""
        found: list[tuple[str, Resource]] = []
        last, looked_at, unreadable = behind, 0, 0
        async for entry in self._candidates(query, times, behind):
            if looked_at == self.max_scan:
                return Page(found, last, cut=True, unreadable=unreadable)
            looked_at += 1
            written = self._written(entry)
            try:
                matches = times.covers(entry.at) and await self._matches(query, written)
            except EvaluationError:
                matches = False
                unreadable += 1
            if matches:
                if len(found) == most:
                    return Page(found, last, unreadable=unreadable)
                found.append((entry.id, written))
            last = entry.id
        return Page(found, unreadable=unreadable)

    async def _candidates(self, query: Query, times: Query, behind: str) -> AsyncIterator[Entry]:
        """What may match, newest first."""
        if query.ids is not None:
            for id_ in sorted(filter(is_entry, query.ids), key=_place, reverse=True):
                if (not behind or _place(id_) < _place(behind)) and (entry := await self.audit.read(self.tenant, id_)):
                    yield entry
            return
        latest = min((max(window.end for window in windows) for windows in times.updated), default=float("inf"))
        earliest = max((0.0, *(min(window.start for window in windows) for windows in times.updated)))
        if latest <= earliest:
            return
        if latest < float("inf") and (not behind or (ceil(latest), 0) < _place(behind)):
            behind = f"{ceil(latest)}-0"
        async for entries in self.audit.newest(self.tenant, since=int(earliest), before=behind):
            for entry in entries:
                yield entry

    async def _matches(self, query: Query, written: Resource) -> bool:
        """Raises EvaluationError."""
        if not query.criteria:
            return True
        held = Held(instant(self.now()))
        return await self.holdings.settled(
            held, lambda: all(criterion.matches(written, held) for criterion in query.criteria)
        )

    def _written(self, entry: Entry) -> Resource:
        return audit_event(entry, self.version, self.bases)


def _by_name(asked: tuple[str, str]) -> tuple[str, str]:
    """Who did it, by name alone: agents are no resources, so that a name is an identifier's value."""
    name, value = asked
    return ("agent:identifier", value) if name == "agent" and "/" not in value else asked


def _place(id_: str) -> tuple[int, int]:
    ms, _, number = id_.partition("-")
    return int(ms), int(number)
