"""
Search over what the hub holds: https://hl7.org/fhir/R4/search.html.

The hub has no index over contents, apart from ids, identifiers and times of update. Any other parameter is evaluated on
the resources of its type, newest first, up to a limit for each page: who asks for more is told so and gets the rest.
What the caller may not see is neither found nor looked at for whoever refers to it, counted, or named in a link.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any, Self

import msgspec

from hub.holdings import Holdings
from hub.instants import instant, now_ms
from hub.keys import ResourceId
from hub.query import Query, compiled
from hub.store import Store, Version
from hub.terminology import Contexts
from hub.visibility import Visibility
from subscriptions.change import Resource
from subscriptions.codes import FhirVersion
from subscriptions.errors import EvaluationError
from subscriptions.search.held import Held

#: Resources that are evaluated between two looks at what else there is to do.
CHUNK = 100

#: A place in a search's order: ms of the last update, id. What follows is lower.
Cursor = tuple[int, str]

_RESOURCE = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


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


class Search:
    """Searches in one tenant's resources of one FHIR version."""

    def __init__(
        self,
        store: Store,
        tenant: str,
        version: FhirVersion,
        contexts: Contexts,
        most_looked_at: int,
        visibility: Visibility,
    ):
        self._store = store
        self._holdings = Holdings(store, tenant, version, visibility)
        self._visibility = visibility
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
        hidden: int | None = None  # the time of what was looked at last, if all of it was hidden
        looked_at = unreadable = 0
        async for at, resource, version in self._candidates(query, after):
            if resource in without:
                continue
            if looked_at >= self._most_looked_at and at != hidden:
                return Page(found, last if hidden is None else (hidden, ""), True, unreadable)
            looked_at += 1
            if not self._visibility.shows(version.body):
                # No link names it: the next page looks at it again, unless there is nothing else on this one.
                hidden = at if last == after else None
                continue
            hidden = None
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
        if self.is_counted(query):
            return await self._store.indexes.count(self._tenant, self._version, query.type)
        page = await self.page(query, most=self._most_looked_at)
        return None if page.following or page.unreadable else len(page.found)

    def is_counted(self, query: Query) -> bool:
        """Whether it is known without a look how many match."""
        return query.everything and self._visibility.full

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
        async for row in self._store.indexes.newest(self._tenant, self._version, query.type, after=after, chunk=CHUNK):
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
        if not query.covers(_ms(version)):
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
            bearers.update(await self._store.indexes.bearers(self._tenant, self._version, query.type, identifier))
        return frozenset(bearers) if query.ids is None else frozenset(bearers) & query.ids


def _ms(version: Version) -> int:
    return round(version.at.timestamp() * 1000)
