"""
What the references of a transaction's entries become: https://hl7.org/fhir/R4/http.html#trules.

Those to other entries are resolved first, then those that are searches: they find what the transaction itself writes.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hub.access import Caller
from hub.api.conditions import conditions
from hub.api.entries import Entry, told_at
from hub.api.interactions import Interactions
from hub.errors import Refused
from hub.ingest import Draft
from hub.ingest.references import Holder, Link, links, replaced
from hub.instants import instant
from hub.keys import ResourceId
from hub.search import Upcoming
from hub.store import Version
from hub.write import Lock
from subscriptions.codes import Interaction, IssueCode
from subscriptions.errors import Rejected

_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)
_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_VERSIONED = re.compile(r"(.+)/_history/[A-Za-z0-9\-.]{1,64}", re.DOTALL)
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

    base: The FHIR base, without a slash at its end.
    at: When it is stored, in ms since 1970.
    by: Whose it is: it may search for what its references are to be.
    """

    def __init__(self, interactions: Interactions, steps: Sequence[Step], base: str, at: int, by: Caller) -> None:
        self._interactions = interactions
        self._steps = steps
        self._base = base
        self._at = at
        self._by = by
        self._known = {
            step.entry.full_url: step for step in steps if step.entry.full_url and step.entry.method != "DELETE"
        }
        self._written = frozenset(step.resource for step in steps if not step.found)
        self._linked: dict[int, Draft] = {}
        self._upcoming: dict[str, list[Upcoming]] = {}
        self._found: dict[str, str] = {}
        #: By index, the versions that entries must make: references name them.
        self.promised: dict[int, int] = {}

    async def drafts(self) -> dict[int, Draft]:
        """
        The entries' resources, by index, with their references resolved.

        Raises:
            Refused: A reference leads nowhere, or a search does not find exactly one resource.
        """
        searches = [search for step in self._steps for search in await self._link(step.entry)]
        found = dict(self._linked)
        for entry, link in searches:
            with _telling(entry, link):
                target = await self._match(link.target)
            found[entry.index] = replaced(found[entry.index], {link: target})
        return found

    async def _link(self, entry: Entry) -> list[tuple[Entry, Link]]:
        """Have what points to other entries point to what these become; the searches that are left."""
        if entry.draft is None:
            return []
        changes: dict[Link, str] = {}
        searches = []
        for link in links(entry.draft):
            with _telling(entry, link):
                target = await self._within(link, entry)
            if target:
                changes[link] = target
            elif link.holder is Holder.REFERENCE and _CONDITIONAL.fullmatch(link.target):
                searches.append((entry, link))
        self._linked[entry.index] = replaced(entry.draft, changes)
        return searches

    async def _within(self, link: Link, entry: Entry) -> str | None:
        """What a link to another entry becomes; None for any other link."""
        step, versioned = self._pointed_at(link.target, entry), None
        if step is None and (versioned := _VERSIONED.fullmatch(link.target)):
            step = self._pointed_at(versioned[1], entry)
        if step is None:
            # What a PATCH is done on may hold one that leads nowhere since long before.
            urn = link.holder is Holder.REFERENCE and link.target.startswith(("urn:uuid:", "urn:oid:"))
            if urn and entry.patch is None:
                text = f"{link.target} is not the fullUrl of an entry that is stored."
                raise Refused.because(400, IssueCode.NOT_FOUND, text)
            return None
        name = f"{step.resource.type}/{step.resource.id}"
        if versioned:
            name += f"/_history/{await self._version(step)}"
        # A narrative is shown where nothing says what its links are relative to.
        return f"{self._base}/{name}" if link.holder is Holder.NARRATIVE else name

    def _pointed_at(self, url: str, entry: Entry) -> Step | None:
        """Whose `fullUrl` a URL in an entry is, whole or relative to that entry's own."""
        if url in self._known:
            return self._known[url]
        root = _REST.fullmatch(entry.full_url)
        return self._known.get(root[1] + url) if root and _RELATIVE.fullmatch(url) else None

    async def _version(self, step: Step) -> int:
        """The number of the version that an entry makes, or has found. It is promised to whoever refers to it."""
        index = step.entry.index
        if step.found:
            return step.found.number
        if index not in self.promised:
            created = step.entry.method == "POST"
            self.promised[index] = 1 if created else await self._interactions.next_version(step.resource)
        return self.promised[index]

    async def _match(self, search: str) -> str:
        """What a conditional reference finds: `Patient?identifier=x|1` must find one resource."""
        if search not in self._found:
            type_, _, query = search.partition("?")
            match = await self._interactions.one_match(
                self._interactions.known(type_),
                conditions(query, type_),
                by=self._by,
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


@contextmanager
def _telling(entry: Entry, link: Link) -> Iterator[None]:
    """Errors name the link."""
    try:
        yield
    except (Refused, Rejected) as error:
        raise told_at(link.expression(f"{entry.expression}.resource"), error) from None
