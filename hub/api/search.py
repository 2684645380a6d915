"""`GET /{Type}` and `POST /{Type}/_search`: https://hl7.org/fhir/R4/http.html#search."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.exchange import Answer, Exchange
from hub.api.interactions import Interactions
from hub.api.outcome import outcome
from hub.api.pages import Parameters, bad_cursor, bundle, links
from hub.api.parameters import parameters
from hub.api.permits import demand_beyond
from hub.api.results import Total, results
from hub.search import Cursor, Page, Search
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue

_FORM = frozenset({"application/x-www-form-urlencoded"})
#: With no id it is in front of all of that time.
_CURSOR = re.compile(r"([0-9]{1,15})\.([A-Za-z0-9\-.]{0,64})", re.ASCII)


class Searches:
    """
    Searches at one FHIR base.

    base: Without a slash at its end.
    most_bytes, most_entries: Of a body, and on a page.
    """

    def __init__(
        self, interactions: Interactions, search: Search, base: str, *, most_bytes: int, most_entries: int
    ) -> None:
        self._interactions = interactions
        self._search = search
        self._base = base
        self._most_bytes = most_bytes
        self._most_entries = most_entries

    async def get(self, request: Request) -> Response:
        exchange = Exchange(request)
        return exchange.respond(await self.answer(request.path_params["type"], exchange.asked, exchange.caller))

    async def post(self, request: Request) -> Response:
        exchange = Exchange(request)
        self._interactions.known(request.path_params["type"])
        asked = await posted(exchange, self._most_bytes)
        return exchange.respond(await self.answer(request.path_params["type"], asked, exchange.caller))

    async def answer(self, type_: str, asked: Parameters, by: Caller) -> Answer:
        """
        A page of what a search finds, newest first.

        Raises:
            Refused: An unknown type, a malformed cursor or count; 403, when it looks at types that `by` may not search.
            Rejected: A parameter that is unknown or not supported: none is ignored.
        """
        self._interactions.known(type_)
        version = self._interactions.version
        wanted, rest = results(asked, type_, version, most=self._most_entries, order="-_lastUpdated")
        with wanted.refusing():
            query = await self._search.compiled(rest, type_)
        demand_beyond(by, query)
        url = f"{self._base}/{type_}"
        if wanted.count == 0:
            total = await self._search.count(query)
            return searchset(url, asked, (), total=total, remarks=uncounted(total, type_))
        page = await self._search.page(query, most=wanted.count, after=_read(wanted.cursor))
        total, remarks = None, _remarks(page, type_)
        if wanted.cursor is None and page.following is None and not page.unreadable:
            total = len(page.found)
        elif self._search.is_counted(query) or wanted.total in (Total.ACCURATE, Total.ESTIMATE):
            total = await self._search.count(query)
            remarks += uncounted(total, type_)
        following = f"{page.following[0]}.{page.following[1]}" if page.following else None
        found = ((resource.id, wanted.subset.of(version.body or b"")) for resource, version in page.found)
        return searchset(url, asked, found, following=following, total=wanted.known(total), remarks=remarks)


async def posted(exchange: Exchange, most: int) -> Parameters:
    """
    The parameters of a search by POST: those of its query, and those of its form of at most so many bytes. Whoever
    searches like this wants none of it to stand in URLs.
    """
    form = (await exchange.body(most, _FORM)).decode("latin-1")
    asked = [*exchange.query, *parameters(form)]
    exchange.heed(form)
    return exchange.veiled(asked)


def searchset(
    url: str,
    asked: Parameters,
    found: Iterable[tuple[str, bytes]],
    *,
    following: str | None = None,
    total: int | None = None,
    remarks: Iterable[dict[str, Any]] = (),
) -> Answer:
    """
    A page of what a search found.

    Args:
        url: Of the type.
        found: Ids, and the JSON of the resources.
        following: Where the next page begins.
    """
    entries = [
        {"fullUrl": f"{url}/{id_}", "resource": msgspec.Raw(body), "search": {"mode": "match"}} for id_, body in found
    ]
    return Answer(200, bundle("searchset", [*entries, *remarks], links(url, asked, following), total))


def left_out(number: int, type_: str) -> list[dict[str, Any]]:
    """The remark that so many resources could not be evaluated; none for 0."""
    return [_remark(f"{number} {type_} could not be evaluated and are left out.", "warning")] if number else []


def _read(cursor: str | None) -> Cursor | None:
    if cursor is None:
        return None
    found = _CURSOR.fullmatch(cursor)
    if not found:
        raise bad_cursor()
    return int(found[1]), found[2]


def _remarks(page: Page, type_: str) -> list[dict[str, Any]]:
    """What the client has to know about a page."""
    found = cut(type_, "`_id`, `identifier` and `_lastUpdated`") if page.cut else []
    return found + left_out(page.unreadable, type_)


def cut(type_: str, cheap: str) -> list[dict[str, Any]]:
    """The remark that a page ended early. `cheap`: The parameters by which fewer are looked at."""
    text = (
        f"This page ends here because so many {type_} were looked at, not because there is nothing more to find:"
        f" follow the next link. Searches by {cheap} are the cheap ones."
    )
    return [_remark(text)]


def uncounted(total: int | None, type_: str) -> list[dict[str, Any]]:
    """The remark that a total which was asked for is not known; none if it is."""
    return [] if total is not None else [_remark(f"Too many {type_} to count what matches.")]


def _remark(text: str, severity: str = "information") -> dict[str, Any]:
    issue = Issue(IssueCode.TOO_COSTLY if severity == "information" else IssueCode.EXCEPTION, text)
    return {"resource": msgspec.Raw(outcome(issue, severity=severity)), "search": {"mode": "outcome"}}
