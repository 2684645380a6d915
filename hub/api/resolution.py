"""
What the references of a transaction's entries become: https://hl7.org/fhir/R4/http.html#trules.

Those to other entries are resolved first, then those that are searches: they find what the transaction itself writes.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hub.api.entries import Entry, told_at
from hub.api.interactions import Interactions, conditions
from hub.errors import Refused
from hub.ingest import Draft
from hub.ingest.references import Link, Path, links, replaced
from hub.keys import ResourceId
from hub.search import Upcoming
from hub.store import Lock, Version, instant
from subscriptions.codes import Interaction, IssueCode
from subscriptions.errors import Rejected

_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)
_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_REST = re.compile(r"(.*/)[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """
    What a transaction does for one entry that writes.

    found: What the condition of its create has found: nothing is written then.
    lock: Of its conditional create.
    """

    entry: Entry
    resource: ResourceId
    found: Version | None = None
    lock: Lock | None = None


class Resolution:
    """
    The references of one transaction.

    at: When it is stored, in ms since 1970.
    """

    def __init__(self, interactions: Interactions, steps: Sequence[Step], at: int) -> None:
        self._interactions = interactions
        self._steps = steps
        self._at = at
        self._known = {
            step.entry.full_url: f"{step.resource.type}/{step.resource.id}"
            for step in steps
            if step.entry.full_url and step.entry.method != "DELETE"
        }
        self._written = frozenset(step.resource for step in steps if not step.found)
        self._linked: dict[int, Draft] = {}
        self._upcoming: dict[str, list[Upcoming]] = {}
        self._found: dict[str, str] = {}

    async def drafts(self) -> dict[int, Draft]:
        """
        The entries' resources, by index, with their references resolved.

        Raises:
            Refused: A reference leads nowhere, or a search does not find exactly one resource.
        """
        searches = [search for step in self._steps for search in self._link(step.entry)]
        found = dict(self._linked)
        for entry, link in searches:
            with _telling(entry, link):
                target = await self._match(link.target)
            found[entry.index] = replaced(found[entry.index], {link.path: target})
        return found

    def _link(self, entry: Entry) -> list[tuple[Entry, Link]]:
        """Have what points to other entries point to what these become; the searches that are left."""
        if entry.draft is None:
            return []
        changes: dict[Path, str] = {}
        searches = []
        for link in links(entry.draft):
            with _telling(entry, link):
                target = _within_bundle(link, entry, self._known)
            if target:
                changes[link.path] = target
            elif link.literal and _CONDITIONAL.fullmatch(link.target):
                searches.append((entry, link))
        self._linked[entry.index] = replaced(entry.draft, changes)
        return searches

    async def _match(self, search: str) -> str:
        """What a conditional reference finds: `Patient?identifier=x|1` must find one resource."""
        if search not in self._found:
            type_, _, query = search.partition("?")
            match = await self._interactions.one_match(
                self._interactions.known(type_),
                conditions(query, type_),
                without=self._written,
                upcoming=self._of_type(type_),
            )
            if match is None:
                raise Refused.because(412, IssueCode.CONFLICT, f"{search} finds nothing.")
            self._found[search] = f"{match[0].type}/{match[0].id}"
        return self._found[search]

    def _of_type(self, type_: str) -> list[Upcoming]:
        """What the transaction stores of a type, with what is resolved in it by now: references to other entries."""
        if type_ not in self._upcoming:
            self._upcoming[type_] = [
                self._soon(step.resource, self._linked[step.entry.index])
                for step in self._steps
                if step.entry.draft and not step.found and step.resource.type == type_
            ]
        return self._upcoming[type_]

    def _soon(self, resource: ResourceId, draft: Draft) -> Upcoming:
        head, tail = draft.numbered(resource.id, self._at)
        version = Version(0, Interaction.UPDATE, instant(self._at), head + b"0" + tail)
        return Upcoming.of(resource, version, draft.identifiers)


def _within_bundle(link: Link, entry: Entry, known: dict[str, str]) -> str | None:
    """What an entry becomes that a link points to by its `fullUrl`, whole or relative to the link's own entry's."""
    if link.target in known:
        return known[link.target]
    if link.literal and link.target.startswith(("urn:uuid:", "urn:oid:")):
        raise Refused.because(400, IssueCode.NOT_FOUND, f"{link.target} is not the fullUrl of an entry that is stored.")
    root = _REST.fullmatch(entry.full_url)
    if link.literal and root and _RELATIVE.fullmatch(link.target):
        return known.get(root[1] + link.target)
    return None


@contextmanager
def _telling(entry: Entry, link: Link) -> Iterator[None]:
    """Errors name the link."""
    try:
        yield
    except (Refused, Rejected) as error:
        raise told_at(link.expression(f"{entry.expression}.resource"), error) from None
