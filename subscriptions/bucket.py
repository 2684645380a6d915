"""
A bucket: the subscriptions on one topic, for the changes of one resource type. Where does each one stand?

1. Under one of its criteria that have an `Access`: the one by which changes would find it least often.
2. How often that is, is measured: the share of the last changes that would have found it (`Frequencies`). Before
   anything is seen, it is taken to be the share of the bucket's subscriptions that ask for it; where nothing tells two
   apart, their kind does: a patient is rarer than a status.
3. An entry that was found where it stands, and then failed another of its criteria, was found in vain. `PRICE` such
   finds pay for looking at one of these entries again: it moves if elsewhere it would be found half as often at most.
   So the work of moving is in proportion to the work that it saves, and at most `MOST` are looked at for one change.
4. Without any access it is scanned: each change of the topic and type is held against it. Without any criterion every
   change concerns it anyway.

Wherever an entry stands, all its criteria decide: moving changes cost, never results.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from subscriptions.codes import SearchType
from subscriptions.errors import EvaluationError
from subscriptions.findings import Facts
from subscriptions.frequency import Frequencies
from subscriptions.postings import Keys, places, postings
from subscriptions.search.comparison import Access, Criterion, Equal, Meets, Source
from subscriptions.search.extraction import Extraction

K = TypeVar("K", bound=Hashable)

PRICE, MOST = 16, 8

#: Where an entry stands that has no access: it is scanned, or has no criteria.
_NOWHERE = -1


@dataclass(slots=True, eq=False)
class Simple(Generic[K]):
    """A subscription with one key: found under it, it is met. Most are of this kind, so that it is kept small."""

    key: K
    shelf: "_Shelf[K]"
    place: Hashable

    def verdict(self, facts: Facts) -> bool | EvaluationError:
        read = facts.read(self.shelf.source)
        return read if isinstance(read, EvaluationError) else True

    @property
    def bucket(self) -> "Bucket[K]":
        return self.shelf.bucket


@dataclass(slots=True, eq=False)
class Compound(Generic[K]):
    """Any other subscription. `at` is the number of the criterion that it stands under."""

    key: K
    bucket: "Bucket[K]"
    criteria: tuple[Criterion, ...]
    at: int = _NOWHERE

    @property
    def access(self) -> Access:
        """Of the criterion that it stands under."""
        return None if self.at == _NOWHERE else self.criteria[self.at].test.access

    def verdict(self, facts: Facts) -> bool | EvaluationError:
        return facts.all(self.criteria)


Entry: TypeAlias = Simple[K] | Compound[K]


@dataclass(slots=True, eq=False)
class _Shelf(Generic[K]):
    """The entries that are found by the same source and in the same way."""

    bucket: "Bucket[K]"
    source: Source
    postings: Keys[Entry[K]]

    def discard(self, places: Sequence[Any] | frozenset[Any], entry: Entry[K]) -> None:
        for place in places:
            self.postings.discard(place, entry)
        if not len(self.postings):
            del self.bucket.shelves[self.source, type(self.postings)]


@dataclass(slots=True, eq=False)
class Bucket(Generic[K]):
    """
    resource_type: Of the changes.
    frequencies: Of what changes of this type have, shared with the buckets of other topics.
    size: How many subscriptions are here.
    everyone: Those without criteria.
    scanned: Those that each change is held against.
    """

    resource_type: str
    frequencies: Frequencies
    size: int = 0
    everyone: set[Compound[K]] = field(default_factory=set)
    scanned: set[Compound[K]] = field(default_factory=set)
    shelves: dict[tuple[Source, type], _Shelf[K]] = field(default_factory=dict)
    # By how many compounds that stand elsewhere a place is asked for.
    _asked: Counter[tuple[Source, Hashable]] = field(default_factory=Counter)
    _in_vain: int = 0
    _turn: int = 0

    def put(self, key: K, met: tuple[Criterion, ...]) -> Entry[K]:
        self.size += 1
        if len(met) == 1 and isinstance(met[0].test, Meets) and len(met[0].test.keys) == 1:
            (place,) = met[0].test.keys
            shelf = self._shelf(met[0].source, Equal(met[0].test.keys))
            simple = Simple(key, shelf, place)
            shelf.postings.put(place, simple)
            return simple
        entry = Compound(key, self, met)
        for criterion in met:
            self._asked.update(_asked(criterion))
        self._stand(entry, self._best(entry))
        return entry

    def remove(self, entry: Entry[K]) -> None:
        self.size -= 1
        if isinstance(entry, Simple):
            entry.shelf.discard((entry.place,), entry)
            return
        self._leave(entry)
        for criterion in entry.criteria:
            self._forget(criterion)

    def candidates(self, facts: Facts) -> set[Entry[K]]:
        """Whoever may be met, those apart that are without criteria. Where a source fails, it may be all there."""
        found: set[Entry[K]] = set(self.scanned)
        for shelf in self.shelves.values():
            read = facts.read(shelf.source)
            found |= shelf.postings.all() if isinstance(read, EvaluationError) else shelf.postings.reached(read)
        return found

    def reconsider(self, in_vain: Sequence[Compound[K]]) -> int:
        """
        Look again at where some entries should stand, of those that a change has found in vain: in turn. Returns how
        many have moved.
        """
        self._in_vain = min(self._in_vain + len(in_vain), PRICE * MOST)
        count = min(self._in_vain // PRICE, len(in_vain))
        self._in_vain -= count * PRICE
        moved = 0
        for i in range(count):
            entry = in_vain[(self._turn + i) % len(in_vain)]
            best = self._best(entry)
            if best != entry.at and self._frequency(entry, best) * 2 <= self._frequency(entry, entry.at):
                self._leave(entry)
                self._stand(entry, best)
                moved += 1
        self._turn += count
        return moved

    def _best(self, entry: Compound[K]) -> int:
        having = [i for i, criterion in enumerate(entry.criteria) if criterion.test.access is not None]
        if len(having) < 2:
            return having[0] if having else _NOWHERE
        return min(having, key=lambda i: (self._frequency(entry, i), _kind(entry.criteria[i].source.extraction)))

    def _frequency(self, entry: Compound[K], at: int) -> float:
        """The share of changes that would find an entry there; all, where nothing but a scan finds it."""
        criterion = entry.criteria[at]
        access = criterion.test.access
        if access is None:
            return 1.0
        shelf = self.shelves.get((criterion.source, type(postings(access))))
        asked = sum(
            self._asked[criterion.source, place] + (shelf.postings.count(place) if shelf else 0)
            for place in places(access)
        )
        return self.frequencies.of(criterion.source, access, min(asked / self.size, 1.0))

    def _stand(self, entry: Compound[K], at: int) -> None:
        entry.at = at
        access = entry.access
        if access is None:
            (self.scanned if entry.criteria else self.everyone).add(entry)
            return
        criterion = entry.criteria[at]
        self._forget(criterion)
        shelf = self._shelf(criterion.source, access)
        for place in places(access):
            shelf.postings.put(place, entry)

    def _leave(self, entry: Compound[K]) -> None:
        access = entry.access
        if access is None:
            (self.scanned if entry.criteria else self.everyone).remove(entry)
            return
        criterion = entry.criteria[entry.at]
        self._asked.update(_asked(criterion))
        self.shelves[criterion.source, type(postings(access))].discard(tuple(places(access)), entry)

    def _shelf(self, source: Source, access: Any) -> _Shelf[K]:
        empty = postings(access)
        return self.shelves.setdefault((source, type(empty)), _Shelf(self, source, empty))

    def _forget(self, criterion: Criterion) -> None:
        for asked in _asked(criterion):
            self._asked[asked] -= 1
            if not self._asked[asked]:
                del self._asked[asked]


def is_scanned(met: tuple[Criterion, ...]) -> bool:
    """Whether a subscription with these criteria is one that each change has to be held against."""
    return bool(met) and all(criterion.test.access is None for criterion in met)


def _asked(criterion: Criterion) -> Iterator[tuple[Source, Hashable]]:
    return ((criterion.source, place) for place in places(criterion.test.access))


def _kind(extraction: Extraction) -> int:
    """How selective a parameter usually is, the most selective first."""
    parameter = extraction.parameter
    if parameter.code in ("_id", "patient", "subject"):
        return 0
    if parameter.code == "identifier":
        return 1
    if parameter.type is SearchType.REFERENCE:
        return 2
    enumerated = parameter.held(extraction.resource_type).keys() <= {"code", "boolean"}
    return 4 if enumerated else 3
