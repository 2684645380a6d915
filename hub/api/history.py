"""
Histories of a resource, a type and a base: https://hl7.org/fhir/R4/http.html#history.

That of a resource is read from its versions. Those of a type and of a base are read from the streams of changes, which
have an order in time: they reach back as far as changes are kept. A page ends after so many changes, whether these are
of the type or not; then there is a link to the next one. What the caller may not see is left out.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.api.exchange import Answer, Exchange
from hub.api.interactions import Interactions
from hub.api.pages import Parameters, bad_cursor, bundle, links, paging
from hub.api.subset import Subset, one, subset
from hub.errors import Refused
from hub.instants import instant, ms
from hub.keys import ResourceId
from hub.store import Store, Version
from hub.stream import Changes, Entry, Spot
from hub.visibility import Visibility
from subscriptions.codes import Interaction, IssueCode
from subscriptions.versions.instant import read, write

_METHOD = {Interaction.CREATE: "POST", Interaction.UPDATE: "PUT", Interaction.DELETE: "DELETE"}
_STATUS = {Interaction.CREATE: "201 Created", Interaction.UPDATE: "200 OK", Interaction.DELETE: "204 No Content"}
_SPOT = re.compile(r"([0-9]{1,15})-([0-9]{1,15})\.([0-9]{1,6})", re.ASCII)

#: The order of every history, as `_sort` has it.
_ORDER = "-_lastUpdated"

#: Changes of a partition that are read at once.
_CHUNK = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What is asked of a history.

    count: Entries on a page.
    cursor: Where it begins; None for the first one.
    since: From before no version is listed; None for all.
    """

    count: int
    cursor: str | None
    since: datetime | None
    subset: Subset


class Histories:
    """
    Histories at one FHIR base.

    base: Without a slash at its end.
    most_entries: On a page.
    most_looked_at: Changes for one page of a type's history, or the base's.
    """

    def __init__(
        self,
        interactions: Interactions,
        store: Store,
        changes: Changes,
        visibility: Visibility,
        base: str,
        *,
        most_entries: int,
        most_looked_at: int,
    ) -> None:
        self._interactions = interactions
        self._store = store
        self._changes = changes
        self._visibility = visibility
        self._base = base
        self._most_entries = most_entries
        self._most_looked_at = most_looked_at

    async def get(self, request: Request) -> Response:
        exchange = Exchange(request)
        type_, id_ = request.path_params["type"], request.path_params["id"]
        return exchange.respond(await self.answer(type_, id_, exchange.query))

    async def get_all(self, request: Request) -> Response:
        exchange = Exchange(request)
        return exchange.respond(await self.of_all(request.path_params.get("type", ""), exchange.query))

    async def answer(self, type_: str, id_: str, parameters: Parameters) -> Answer:
        """
        A page of a resource's versions, newest first.

        Raises:
            Refused: There never was such a resource, or a parameter is malformed or not supported.
        """
        resource = self._interactions.resource(type_, id_)
        asked = self._asked(type_, parameters)
        cursor = asked.cursor
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 16):
            raise bad_cursor()
        before = int(cursor) if cursor is not None else None
        newest, versions = await self._store.history(resource, before=before, count=asked.count + 1)
        if newest == 0 or not await self._is_there(resource, newest):
            raise Refused.because(404, IssueCode.NOT_FOUND, f"{type_}/{id_} is not known here.")
        wanted = [version for version in versions if asked.since is None or version.at >= asked.since]
        page = wanted[: asked.count]
        # One more than asked for was read: whether there is a next page, or this is all.
        more = asked.count > 0 and len(wanted) > asked.count
        total = len(wanted) if before is None and not more and asked.count > 0 else None
        url = f"{self._base}/{type_}/{id_}/_history"
        following = str(page[-1].number) if more else None
        shown = await self._visible([(resource, version) for version in page])
        if total is not None:
            total = len(shown)
        entries = [self._entry(resource, version, asked.subset) for resource, version in shown]
        return Answer(200, bundle("history", entries, links(url, parameters, following), total))

    async def of_all(self, type_: str, parameters: Parameters) -> Answer:
        """
        A page of the changes of a type, or of all types, newest first.

        Args:
            type_: Empty for all.

        Raises:
            Refused: There is no such type, or a parameter is malformed or not supported.
        """
        if type_:
            self._interactions.known(type_)
        asked = self._asked(type_, parameters)
        page, following = await self._changed(type_, asked)
        entries = [self._entry(*each, asked.subset) for each in page]
        total = len(entries) if asked.cursor is None and following is None and asked.count > 0 else None
        url = "/".join(filter(None, (self._base, type_, "_history")))
        told = "{}-{}.{}".format(*following) if following else None
        return Answer(200, bundle("history", entries, links(url, parameters, told), total))

    async def _is_there(self, resource: ResourceId, newest: int) -> bool:
        """Whether the version in force is there for the caller."""
        if self._visibility.full:
            return True
        (version,) = await self._store.versions([(resource, newest)])
        return version is not None and all(await self._visibility.of([(resource, version)]))

    async def _visible(self, versions: list[tuple[ResourceId, Version]]) -> list[tuple[ResourceId, Version]]:
        """Those of them that are there for the caller."""
        seen = await self._visibility.of(versions)
        return [each for each, is_seen in zip(versions, seen, strict=True) if is_seen]

    async def _changed(self, type_: str, asked: Asked) -> tuple[list[tuple[ResourceId, Version]], Spot | None]:
        """
        The versions on a page, and behind which change the next page begins; None at the end.

        Where a page is full, that is the last one on it: no link tells of what isn't there for the caller.
        """
        found: list[tuple[Spot, ResourceId, Version]] = []
        if asked.count == 0:
            return [], None
        end = _spot(asked.cursor)
        # One more than fits says whether there is a next page.
        waiting, together = list[tuple[Spot, Entry]](), asked.count + 1
        looked_at, cut = 0, False
        since = ms(asked.since) if asked.since else 0
        async for spot, entry in self._changes.newest(after=end, since=since, chunk=_CHUNK):
            if looked_at == self._most_looked_at:
                cut = True
                break
            looked_at, end = looked_at + 1, spot
            if self._interactions.holds(entry.resource, type_) and not _before(entry, asked.since):
                waiting.append((spot, entry))
            if len(waiting) == together:
                found += await self._there(waiting)
                if len(found) > asked.count:
                    break
                waiting, together = [], max(together, min(2 * together, _CHUNK))
        if len(found) <= asked.count:
            found += await self._there(waiting)
        page = [(resource, version) for _, resource, version in found[: asked.count]]
        if len(found) > asked.count:
            return page, found[asked.count - 1][0]
        return page, end if cut else None

    async def _there(self, changes: list[tuple[Spot, Entry]]) -> list[tuple[Spot, ResourceId, Version]]:
        """The versions that changes made, as far as they are there for the caller."""
        versions = await self._store.versions([(entry.resource, entry.number) for _, entry in changes])
        # What retention has taken in this moment is left out.
        kept = [
            (spot, entry.resource, version)
            for (spot, entry), version in zip(changes, versions, strict=True)
            if version and (version.body is not None or version.interaction is Interaction.DELETE)
        ]
        seen = await self._visibility.of([(resource, version) for _, resource, version in kept])
        return [each for each, is_seen in zip(kept, seen, strict=True) if is_seen]

    def _asked(self, type_: str, parameters: Parameters) -> Asked:
        """Refused: 400, for what is malformed, repeated or not supported."""
        count, cursor, rest = paging(parameters, self._most_entries)
        wanted, rest = subset(rest, type_, self._interactions.version)
        since, by = one(rest, "_since", _since), one(rest, "_sort", str)
        others = [name for name, _ in rest if name not in ("_since", "_sort")]
        if others or by not in (None, _ORDER):
            name = others[0][:60] if others else "_sort"
            text = f"`{name}`: a history takes `_count`, `_since`, `_summary`, `_elements` and `_sort={_ORDER}`."
            raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, name)
        return Asked(count, cursor, since, wanted)

    def _entry(self, resource: ResourceId, version: Version, wanted: Subset) -> dict[str, Any]:
        name = f"{resource.type}/{resource.id}"
        entry: dict[str, Any] = {"fullUrl": f"{self._base}/{name}"}
        if version.body is not None:
            entry["resource"] = msgspec.Raw(wanted.of(version.body))
        created = version.interaction is Interaction.CREATE
        entry["request"] = {"method": _METHOD[version.interaction], "url": resource.type if created else name}
        entry["response"] = {
            "status": _STATUS[version.interaction],
            "etag": f'W/"{version.number}"',
            "lastModified": write(version.at),
        }
        return entry


def _before(entry: Entry, since: datetime | None) -> bool:
    return since is not None and instant(entry.at) < since


def _spot(cursor: str | None) -> Spot | None:
    if cursor is None:
        return None
    found = _SPOT.fullmatch(cursor)
    if not found:
        raise bad_cursor()
    return int(found[1]), int(found[2]), int(found[3])


def _since(value: str) -> datetime:
    """The time that `_since` names."""
    try:
        # A query string's decoder leaves a blank where the client did not encode the plus.
        return read(value.replace(" ", "+"))
    except ValueError:
        text = "`_since` is an instant: 2026-11-21T10:00:00Z."
        raise Refused.because(400, IssueCode.VALUE, text, "_since") from None
