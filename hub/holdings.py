"""
What the hub holds beside the resource that is looked at, fetched for whoever evaluates.

It is what is in force when it is fetched, never older: a Group that was confirmed before a change was accepted is seen
when that change is matched.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from hub.indexes import LookUp
from hub.instants import instant
from hub.keys import Index, ResourceId
from hub.store import Store, Version
from hub.visibility import Cleared, Visibility
from subscriptions.change import Resource
from subscriptions.clearance import FULL, Clearance
from subscriptions.codes import FhirVersion
from subscriptions.errors import EvaluationError
from subscriptions.search.held import Held, Membership, WantedReferrers, WantedResource, WantedRosters

#: More resources that refer to one are not looked at: whoever asks for them can't be judged.
MOST_REFERRERS = 1_000
#: More Patients that are one are a mistake in the data.
MOST_MERGED = 100

_decode = msgspec.json.Decoder(dict[str, object], float_hook=Decimal).decode
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Holdings:
    """
    The resources of one tenant and FHIR version, and who is found by what.

    visibility: Knows what is there for whoever asks: the rest is as if it were not held. None where nobody does.
    """

    store: Store
    tenant: str
    version: FhirVersion
    visibility: Visibility | Cleared | None = None

    def cleared(self, clearance: Clearance) -> "Holdings":
        """The same, as they are there for whoever is cleared for this."""
        return replace(self, visibility=Cleared(clearance))

    async def settled(self, held: Held, evaluate: Callable[[], _T]) -> _T:
        """
        The result of an evaluation over `held`, once it has all that it wants.

        Raises:
            EvaluationError: The evaluation does.
            Unavailable: Redis does not answer.
        """
        while True:
            held.wanted.clear()
            try:
                result = evaluate()
            except EvaluationError:
                if not held.wanted:
                    raise
            else:
                if not held.wanted:
                    return result
            await self.fetch(held)

    async def fetch(self, held: Held) -> None:
        """Add all that is wanted of what is held. Raises Unavailable."""
        wanted, held.wanted = held.wanted, set()
        await asyncio.gather(
            self._resources(held, [each.reference for each in wanted if isinstance(each, WantedResource)]),
            self._rosters(held, [each.reference for each in wanted if isinstance(each, WantedRosters)]),
            self._referrers(held, [each for each in wanted if isinstance(each, WantedReferrers)]),
        )

    async def _resources(self, held: Held, references: list[str]) -> None:
        if references:
            versions = await self.store.read_many([self._id(reference) for reference in references])
            for reference, version in zip(references, versions, strict=True):
                try:
                    held.resources[reference] = self._resource(version)
                except ValueError:
                    held.failed[WantedResource(reference)] = f"{reference} can't be read"

    async def _rosters(self, held: Held, references: list[str]) -> None:
        """Those of all Patients that are one with it, through any number of merges."""
        one = {reference: {reference} for reference in references}
        ask = set(references)
        memberships: dict[str, list[Membership]] = {}
        merged: dict[str, list[str]] = {}
        while ask:
            asked = sorted(ask)
            patients = [reference for reference in asked if reference.startswith("Patient/")]
            rows = await self.store.indexes.look_up(
                [self._look_up(Index.MEMBERS, reference) for reference in asked]
                + [self._look_up(Index.MERGED, reference) for reference in patients]
            )
            of_members, of_merged = rows[: len(asked)], rows[len(asked) :]
            named = {_roster(row) for found in of_members for row in found}
            hidden = await self._hidden(named | {f"Patient/{id_}" for found in of_merged for _, id_ in found})
            for reference, found in zip(asked, of_members, strict=True):
                memberships[reference] = [_membership(row) for row in found if _roster(row) not in hidden]
            for reference, found in zip(patients, of_merged, strict=True):
                merged[reference] = [other for other, id_ in found if f"Patient/{id_}" not in hidden]
            ask = set()
            for reference, same in one.items():
                _close(same, merged)
                if len(same) > MOST_MERGED:
                    held.failed[WantedRosters(reference)] = f"more than {MOST_MERGED} Patients are one with {reference}"
                else:
                    ask |= same - memberships.keys()
        for reference, same in one.items():
            if WantedRosters(reference) not in held.failed:
                held.rosters[reference] = tuple(each for name in sorted(same) for each in memberships[name])

    async def _referrers(self, held: Held, wanted: list[WantedReferrers]) -> None:
        if not wanted:
            return
        look_ups = [self._look_up(Index.REFERENCES, each.reference, each.type) for each in wanted]
        rows = await self.store.indexes.look_up(look_ups, most=MOST_REFERRERS + 1)
        few: list[tuple[WantedReferrers, list[ResourceId]]] = []
        for each, found in zip(wanted, rows, strict=True):
            if len(found) > MOST_REFERRERS:
                held.failed[each] = f"more than {MOST_REFERRERS} {each.type} refer to {each.reference}"
            else:
                few.append((each, [self._id(f"{each.type}/{id_}") for id_ in sorted(id_ for (id_,) in found)]))
        versions = await self.store.read_many([id_ for _, ids in few for id_ in ids])
        for each, ids in few:
            of_this, versions = versions[: len(ids)], versions[len(ids) :]
            try:
                now = [self._resource(version) for version in of_this]
            except ValueError:
                held.failed[each] = f"one of the {each.type} that refer to {each.reference} can't be read"
            else:
                held.referrers[each.type, each.reference] = tuple(one for one in now if one is not None)

    def _resource(self, version: Version | None) -> Resource | None:
        """What is in force; None if nothing is. ValueError if it can't be read."""
        if version is None or version.body is None or not self._shows(version.body):
            return None
        return _decode(version.body)

    def _shows(self, body: bytes | None) -> bool:
        return self.visibility is None or self.visibility.shows(body)

    async def _hidden(self, references: Iterable[str]) -> set[str]:
        """Those that are not there for whoever asks."""
        if self.visibility is None or self.visibility.full:
            return set()
        asked = sorted(references)
        versions = await self.store.read_many([self._id(reference) for reference in asked])
        found = zip(asked, versions, strict=True)
        return {reference for reference, version in found if version and not self._shows(version.body)}

    def _id(self, reference: str) -> ResourceId:
        type_, _, id_ = reference.partition("/")
        return ResourceId(self.tenant, self.version, type_, id_)

    def _look_up(self, index: Index, key: str, type_: str = "") -> LookUp:
        return LookUp(index, self.tenant, self.version, type_, key)


@dataclass(slots=True)
class Views:
    """
    Other resources, as whoever looks at them is cleared for.

    full: As whoever may see everything.
    batch: What all changes of a batch have in common; None for that itself.
    """

    full: Held
    batch: "Views | None" = None
    cleared: dict[Clearance, Held] = field(default_factory=dict)

    def at_time(self, at: datetime) -> "Views":
        """The same for a change of the batch, at its own time."""
        return Views(self.full.at_time(at), self)

    def of(self, clearance: Clearance) -> Held:
        held = self.cleared.get(clearance)
        if held is None:
            held = self.batch.of(clearance).at_time(self.full.at) if self.batch else Held(self.full.at)
            self.cleared[clearance] = held
        return held

    def all(self) -> Iterator[tuple[Clearance, Held]]:
        yield FULL, self.full
        yield from self.cleared.items()

    def forget_wanted(self) -> None:
        for _, held in self.all():
            held.wanted = set()

    def want(self) -> bool:
        """Whether something is wanted, which is noted for whoever fetches it for the batch."""
        found = False
        for clearance, held in self.all():
            if held.wanted and self.batch:
                common = self.batch.full if held is self.full else self.batch.of(clearance)
                common.wanted |= held.wanted
                found = True
        return found


def _close(same: set[str], merged: Mapping[str, Iterable[str]]) -> None:
    """Add all that are one with any of these, as far as it is known."""
    more = list(same)
    while more and len(same) <= MOST_MERGED:
        for other in merged.get(more.pop(), ()):
            if other not in same:
                same.add(other)
                more.append(other)


def _roster(row: list[str]) -> str:
    return f"{row[0]}/{row[-1]}"


def _membership(row: list[str]) -> Membership:
    _, start, end, _ = row
    return Membership(_roster(row), instant(int(start)) if start else None, instant(int(end)) if end else None)
