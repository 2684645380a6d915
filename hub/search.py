"""
Search over what the hub holds: https://hl7.org/fhir/R4/search.html.

The hub has no index over contents, apart from ids, identifiers and times of update. Any other parameter is evaluated on
the resources of its type, newest first, up to a limit for each page: who asks for more is told so and gets the rest.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any, Self

import msgspec

from hub.holdings import Holdings
from hub.keys import ResourceId
from hub.store import Store, Version, instant, now_ms
from hub.terminology import Contexts
from subscriptions.change import Resource
from subscriptions.codes import Comparator, FhirVersion, IssueCode
from subscriptions.errors import EvaluationError, Issue, Rejected
from subscriptions.filters import search, searchable
from subscriptions.search import date, token
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion
from subscriptions.search.escapes import split, unescape
from subscriptions.search.held import Held
from subscriptions.search.ranges import prefixed

#: Resources that are evaluated between two looks at what else there is to do.
CHUNK = 100

#: 1970 in nanoseconds since the year 1, as date ranges count.
_EPOCH = 719_163 * 86_400 * 10**9

#: A place in a search's order: ms of the last update, id. What follows is lower.
Cursor = tuple[int, str]

_RESOURCE = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, not including, `end`, in ms since 1970."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Query:
    """
    A search, compiled. All parts must hold.

    ids: The only ids that can match; None for any.
    identifiers: One of these, `system|value`, is borne by whatever matches; None for any.
    updated: For each `_lastUpdated` the times that match.
    """

    type: str
    ids: frozenset[str] | None
    identifiers: frozenset[str] | None
    updated: tuple[tuple[Window, ...], ...]
    criteria: tuple[Criterion, ...]

    @property
    def everything(self) -> bool:
        return self.ids is None and not self.updated and not self.criteria


@dataclass(frozen=True, slots=True)
class Page:
    """
    What a search found.

    found: Newest first.
    following: Where to go on; None at the end.
    cut: It ended because of how many resources it had looked at.
    unreadable: How many of them could not be evaluated, and so are not found.
    """

    found: list[tuple[ResourceId, Version]]
    following: Cursor | None
    cut: bool
    unreadable: int


@dataclass(frozen=True, slots=True)
class Upcoming:
    """
    A resource that is about to be stored.

    version: As it will be, but for its number.
    identifiers: `system|value` of each of its identifiers.
    content: The version's body, read.
    """

    resource: ResourceId
    version: Version
    identifiers: frozenset[str]
    content: Resource

    @classmethod
    def of(cls, resource: ResourceId, version: Version, identifiers: Iterable[str]) -> Self:
        return cls(resource, version, frozenset(identifiers), _RESOURCE.decode(version.body or b"{}"))


def compiled(parameters: Iterable[tuple[str, str]], type_: str, context: Context) -> Query:
    """
    Compile a search's parameters, but those of its paging.

    Raises:
        Rejected: For each parameter that is unknown, malformed or not supported; `expression` is its name.
    """
    ids: frozenset[str] | None = None
    identifiers: frozenset[str] | None = None
    updated: list[tuple[Window, ...]] = []
    rest: list[tuple[str, str]] = []
    issues: list[Issue] = []
    known = {parameter.code for parameter in searchable(context.version, type_)}
    for name, value in parameters:
        if name in ("_id", "_lastUpdated"):
            try:
                if name == "_id":
                    named = _ids(value, type_)
                    ids = named if ids is None else ids & named
                else:
                    updated.append(tuple(window for part in split(value, ",") for window in _windows(part)))
            except Rejected as rejected:
                issues += [Issue(issue.code, f"`{name}={value}`: {issue.text}", name) for issue in rejected.issues]
        elif name.startswith("_") and name.partition(":")[0] not in known | {"_has"}:
            issues.append(Issue(IssueCode.NOT_SUPPORTED, f"The parameter `{name}` is not supported.", name))
        else:
            rest.append((name, value))
            if name == "identifier" and (borne := _borne(value)):
                identifiers = borne
    criteria: tuple[Criterion, ...] = ()
    try:
        criteria = search(rest, type_, context)
    except Rejected as rejected:
        issues += rejected.issues
    if issues:
        raise Rejected(*issues)
    return Query(type_, ids, identifiers, tuple(updated), criteria)


def _ids(value: str, type_: str) -> frozenset[str]:
    """The ids that a value of `_id` names."""
    named = frozenset(part.removeprefix(f"{type_}/") for part in split(value, ","))
    for id_ in named:
        token.parse(id_, {"id": None})
    return named


def _borne(value: str) -> frozenset[str] | None:
    """The identifiers that a value asks for, where it says the system of each; else None."""
    try:
        parts = [[unescape(part) for part in split(one, "|")] for one in split(value, ",")]
    except Rejected:
        return None
    if any(len(part) != 2 or not part[1] for part in parts):
        return None
    return frozenset("|".join(part) for part in parts)


def _windows(text: str) -> tuple[Window, ...]:
    """The times that a value of `_lastUpdated` matches. A version's time is a point, so most comparators are alike."""
    prefix, literal = prefixed(text)
    found = date.parse(literal)
    near = date.approximate(found)
    forever = float("inf")
    match prefix or Comparator.EQ:
        case Comparator.EQ:
            return (_window(found.start, found.end),)
        case Comparator.NE:
            return _window(-forever, found.start), _window(found.end, forever)
        case Comparator.GT | Comparator.SA:
            return (_window(found.end, forever),)
        case Comparator.GE:
            return (_window(found.start, forever),)
        case Comparator.LT | Comparator.EB:
            return (_window(-forever, found.start),)
        case Comparator.LE:
            return (_window(-forever, found.end),)
        case Comparator.AP:
            return (_window(near.start, near.end),)


def _window(start: float, end: float) -> Window:
    return Window((start - _EPOCH) / 10**6, (end - _EPOCH) / 10**6)


class Search:
    """Searches in one tenant's resources of one FHIR version."""

    def __init__(self, store: Store, tenant: str, version: FhirVersion, contexts: Contexts, most_looked_at: int):
        self._store = store
        self._holdings = Holdings(store, tenant, version)
        self._tenant = tenant
        self._version = version
        self._contexts = contexts
        self._most_looked_at = most_looked_at

    async def compiled(self, parameters: Sequence[tuple[str, str]], type_: str) -> Query:
        """See `compiled`."""
        if any(":" in name for name, _ in parameters):  # perhaps a modifier that the terminology counts for
            await self._contexts.refresh()
        return compiled(parameters, type_, self._contexts[self._version])

    async def page(
        self, query: Query, *, most: int, after: Cursor | None = None, without: Set[ResourceId] = frozenset()
    ) -> Page:
        """
        Up to `most` matches (from 1) behind a cursor, newest first.

        Args:
            without: What is not there for this search.
        """
        found: list[tuple[ResourceId, Version]] = []
        last = after
        looked_at = unreadable = 0
        async for at, resource, version in self._candidates(query, after):
            if resource in without:
                continue
            if looked_at == self._most_looked_at:
                return Page(found, last, True, unreadable)
            looked_at += 1
            try:
                matches = await self._matches(query, version)
            except EvaluationError:
                matches = False
                unreadable += 1
            if matches:
                if len(found) == most:
                    return Page(found, last, False, unreadable)
                found.append((resource, version))
            last = (at, resource.id)
        return Page(found, None, False, unreadable)

    async def among(self, query: Query, upcoming: Sequence[Upcoming]) -> Page:
        """What would be found among what is about to be stored, if that were all there is."""
        found: list[tuple[ResourceId, Version]] = []
        looked_at = unreadable = 0
        for one in upcoming:
            if query.identifiers is not None and query.identifiers.isdisjoint(one.identifiers):
                continue
            if query.ids is not None and one.resource.id not in query.ids:
                continue
            looked_at += 1
            if looked_at % CHUNK == 0:
                await asyncio.sleep(0)
            try:
                if await self._matches(query, one.version, one.content):
                    found.append((one.resource, one.version))
            except EvaluationError:
                unreadable += 1
        return Page(found, None, False, unreadable)

    async def count(self, query: Query) -> int | None:
        """How many match; None when there are too many resources to look at."""
        if query.everything:
            return await self._store.count(self._tenant, self._version, query.type)
        page = await self.page(query, most=self._most_looked_at)
        return None if page.following or page.unreadable else len(page.found)

    async def _candidates(self, query: Query, after: Cursor | None) -> AsyncIterator[tuple[int, ResourceId, Version]]:
        """What may match, newest first, with the time that it is listed under."""
        async for rows in self._listed(query, after):
            resources = [ResourceId(self._tenant, self._version, query.type, id_) for _, id_ in rows]
            versions = await self._store.read_many(resources)
            for (at, _), resource, version in zip(rows, resources, versions, strict=True):
                if version is not None and version.body is not None:
                    yield at, resource, version

    async def _listed(self, query: Query, after: Cursor | None) -> AsyncIterator[list[Cursor]]:
        if (ids := await self._ids(query)) is not None:
            resources = [ResourceId(self._tenant, self._version, query.type, id_) for id_ in sorted(ids)]
            versions = zip(resources, await self._store.read_many(resources), strict=True)
            rows = sorted(((_ms(version), r.id) for r, version in versions if version), reverse=True)
            yield [row for row in rows if after is None or row < after]
            return
        latest = min((max(window.end for window in windows) for windows in query.updated), default=float("inf"))
        earliest = max((min(window.start for window in windows) for windows in query.updated), default=-float("inf"))
        if latest < float("inf") and (after is None or (ceil(latest), "") < after):
            after = (ceil(latest), "")
        rows = []
        async for row in self._store.newest(self._tenant, self._version, query.type, after=after, chunk=CHUNK):
            if row[0] < earliest:
                break
            rows.append(row)
            if len(rows) == CHUNK:
                yield rows
                rows = []
        if rows:
            yield rows

    async def _matches(self, query: Query, version: Version, content: Resource | None = None) -> bool:
        """`content`: The version's body, where it was read before. Raises EvaluationError."""
        at = _ms(version)
        if not all(any(window.start <= at < window.end for window in windows) for windows in query.updated):
            return False
        if not query.criteria or version.body is None:
            return True
        resource, held = content or _RESOURCE.decode(version.body), Held(instant(now_ms()))
        return await self._holdings.settled(
            held, lambda: all(criterion.matches(resource, held) for criterion in query.criteria)
        )

    async def _ids(self, query: Query) -> frozenset[str] | None:
        """The ids to look at, where something says so."""
        if query.identifiers is None:
            return query.ids
        bearers: set[str] = set()
        for identifier in query.identifiers:
            bearers.update(await self._store.bearers(self._tenant, self._version, query.type, identifier))
        return frozenset(bearers) if query.ids is None else frozenset(bearers) & query.ids


def _ms(version: Version) -> int:
    return round(version.at.timestamp() * 1000)
