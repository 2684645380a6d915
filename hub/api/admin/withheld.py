"""`/admin/withheld`: what subscribers were not told, and why."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from hub.api.admin.asked import Query
from hub.api.admin.shown import iso, json
from hub.api.documentation import catalogued as documentation
from hub.api.exchange import Exchange
from hub.api.routes import Route
from hub.audit import Audit, is_entry
from hub.errors import Refused
from hub.survey import Row, Survey
from subscriptions.audit import Entry, Kind
from subscriptions.codes import IssueCode
from subscriptions.ranges import Range

#: Entries on a page when nobody says how many, and those of the audit that are looked through for one.
COUNT, LOOKED_AT = 50, 10_000

#: What was kept back when it was sent has a number.
_NUMBERED = re.compile(r"event ([0-9]{1,15}): (.*)")


@dataclass(frozen=True, slots=True)
class WithheldLog:
    """
    What was kept from subscribers of one tenant's resources, or from its Subscriptions.

    url: What its administration is below.
    max_page: Entries on a page.
    """

    url: str
    tenant: str
    audit: Audit
    survey: Survey
    max_page: int

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/admin/withheld", self.all, documentation.WITHHELD)

    async def all(self, request: Request) -> Response:
        """What the audit has of it, newest first; and whose events were dropped or skipped."""
        query = Query(Exchange(request), "count", "page")
        count, before = query.number("count", min(COUNT, self.max_page), most=self.max_page), query.text("page")
        if "page" in query.given and not is_entry(before):
            text = "`page` is not one that the hub gave: follow `next` as it is."
            raise Refused.because(400, IssueCode.VALUE, text, "page")
        found, last = await self._page(before, count)
        following = f"{self.url}/admin/withheld?{urlencode(query.given | {'page': last})}" if last else None
        lost = [each for row in await self.survey.of(self.tenant) for each in _lost(row)]
        return json({"entries": found, "next": following, "lost": lost})

    async def _page(self, before: str, count: int) -> tuple[list[dict[str, Any]], str]:
        """So many entries, as far as they are found soon; and behind which entry there may be more."""
        found, looked = list[dict[str, Any]](), 0
        async for entries in self.audit.newest(self.tenant, before=before):
            for entry in entries:
                looked += 1
                if entry.act.kind is Kind.SUPPRESSED:
                    found.append(_shown(entry))
                if len(found) == count or looked == LOOKED_AT:
                    return found, entry.id
        return found, ""


def _shown(of: Entry) -> dict[str, Any]:
    act, numbered = of.act, _NUMBERED.fullmatch(of.act.text)
    type_, _, id_ = act.entity.partition("/")
    own = type_ == "Subscription"
    return {
        "at": iso(of.at),
        "kind": "withheld" if numbered else "suppressed",
        "version": act.version and act.version.value,
        "id": id_ if own else None,
        "tenant": None if own else id_,
        "event": int(numbered[1]) if numbered else None,
        "resource": act.also[0] if act.also else None,
        "reason": numbered[2] if numbered else act.text,
    }


def _lost(of: Row) -> Iterator[dict[str, Any]]:
    missed = of.missed[-1] if of.missed else None
    kinds: tuple[tuple[str, int, Range | None], ...]
    kinds = (("dropped", of.dropped, of.dropped_last), ("skipped", of.skipped, missed))
    for kind, events, last in kinds:
        if events:
            yield {
                "version": of.key.version.value,
                "id": of.key.id,
                "kind": kind,
                "events": events,
                "first": last and last.first,
                "last": last and last.last,
            }
