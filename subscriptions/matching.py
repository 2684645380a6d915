"""
Which subscriptions does a change concern? An index over their criteria answers.

1. A subscription matches when its topic fires, its filters allow the change's type, and all its criteria for that type
   are met. Criteria are evaluated on the new version of the resource, for a delete on the one before.
2. For each type a subscription stands in one place: under the keys of its most selective criterion, or, if none of its
   criteria has keys, in a list that every change of its topic and type goes through (`scanned`). So subscriptions that
   a change doesn't concern cost nothing, however many there are.
3. For one change a parameter is extracted once and a criterion evaluated once, however many subscriptions have it.
4. A criterion that fails is no match. Unless another one says no, the failure is reported for each subscription.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from subscriptions.change import Change
from subscriptions.codes import SearchType
from subscriptions.errors import EvaluationError
from subscriptions.filters import criteria
from subscriptions.findings import Findings, every
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion, Equal, Source
from subscriptions.search.extraction import Extraction
from subscriptions.search.held import Held
from subscriptions.subscription import Subscription
from subscriptions.topic import Topic
from subscriptions.triggers import Triggers

K = TypeVar("K", bound=Hashable)


class Failure(NamedTuple, Generic[K]):
    """A subscription of which nobody can say whether the change concerns it."""

    key: K
    error: EvaluationError


class Matches(NamedTuple, Generic[K]):
    """The subscriptions that a change concerns, and those that can't be decided, both in the order of `str(key)`."""

    keys: list[K]
    failures: list[Failure[K]]


class Index(Generic[K]):
    """
    Subscriptions of one tenant and one FHIR version, each under a key of the caller's own.

    context: What their filters are understood in.
    evaluated: How many criteria were evaluated since the index was made; lookups by key don't count.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.evaluated = 0
        self._buckets: dict[str, dict[Topic, _Bucket[K]]] = {}
        self._places: dict[K, list[_Bucket[K]]] = {}
        self._triggers: dict[Topic, Triggers] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: K) -> bool:
        return key in self._places

    @property
    def scanned(self) -> Mapping[tuple[str, str], int]:
        """How many subscriptions each change of a topic (its URL) and a type is held against one by one."""
        counts = {
            (topic.url, type_): sum(bool(entry.criteria) for entry in bucket.unkeyed)
            for type_, buckets in self._buckets.items()
            for topic, bucket in buckets.items()
        }
        return {place: count for place, count in counts.items() if count}

    def put(self, key: K, topic: Topic, subscription: Subscription) -> None:
        """
        Add a subscription, or put it in the place of the one with the same key.

        Raises:
            Rejected: One of its filters or the topic's triggers can't be evaluated. The index is as it was.
        """
        wanted = criteria(subscription.filters, topic, self.context)
        if topic not in self._triggers:
            self._triggers[topic] = Triggers(topic, self.context)
        self.remove(key)
        self._places[key] = []
        for type_, met in wanted.items():
            bucket = self._buckets.setdefault(type_, {}).setdefault(topic, _Bucket())
            bucket.put(key, met)
            self._places[key].append(bucket)

    def remove(self, key: K) -> None:
        """Take a subscription out; nothing happens if it isn't there."""
        for bucket in self._places.pop(key, ()):
            bucket.remove(key)

    def match(self, change: Change, held: Held) -> Matches[K]:
        """
        All subscriptions that the change concerns, if nothing is `wanted` of what the hub holds.

        One of another FHIR version concerns nobody.
        """
        findings = Findings(change, held)
        matched: list[K] = []
        failures: list[Failure[K]] = []
        for topic, bucket in (
            self._buckets.get(change.type, {}).items() if change.version is self.context.version else ()
        ):
            candidates = bucket.candidates(findings)
            fired = self._triggers[topic].fires(findings) if candidates else False
            for entry in candidates if fired is not False else ():
                verdict = every((fired, findings.subject.all(entry.criteria)))
                if verdict is True:
                    matched.append(entry.key)
                elif verdict is not False:
                    failures.append(Failure(entry.key, verdict))
        self.evaluated += findings.evaluated
        return Matches(sorted(matched, key=str), sorted(failures, key=lambda failure: str(failure.key)))


@dataclass(slots=True, eq=False)
class _Entry(Generic[K]):
    """A subscription in one bucket. `access` is the criterion whose keys it stands under, None if none has any."""

    key: K
    criteria: tuple[Criterion, ...]
    access: Criterion | None


@dataclass(slots=True, eq=False)
class _Bucket(Generic[K]):
    """
    The subscriptions on one topic, for changes of one type.

    popularity: How many subscriptions ask for a key, whether they stand under it or not.
    """

    entries: dict[K, _Entry[K]] = field(default_factory=dict)
    postings: dict[Source, dict[Hashable, set[_Entry[K]]]] = field(default_factory=dict)
    unkeyed: set[_Entry[K]] = field(default_factory=set)
    popularity: Counter[tuple[Source, Hashable]] = field(default_factory=Counter)

    def put(self, key: K, met: tuple[Criterion, ...]) -> None:
        access = min((criterion for criterion in met if _keys(criterion)), key=self._cost, default=None)
        entry = self.entries[key] = _Entry(key, met, access)
        self.popularity.update(_asked(met))
        if access is None:
            self.unkeyed.add(entry)
            return
        postings = self.postings.setdefault(access.source, {})
        for wanted in _keys(access):
            postings.setdefault(wanted, set()).add(entry)

    def remove(self, key: K) -> None:
        entry = self.entries.pop(key)
        for asked in _asked(entry.criteria):
            self.popularity[asked] -= 1
            if not self.popularity[asked]:
                del self.popularity[asked]
        if entry.access is None:
            self.unkeyed.discard(entry)
            return
        postings = self.postings[entry.access.source]
        for wanted in _keys(entry.access):
            postings[wanted].discard(entry)
            if not postings[wanted]:
                del postings[wanted]
        if not postings:
            del self.postings[entry.access.source]

    def candidates(self, findings: Findings) -> set[_Entry[K]]:
        """Those without keys, those with a key that the resource has, and those whose keys could not be read."""
        found = set(self.unkeyed)
        for source, postings in self.postings.items():
            read = findings.subject.read(source)
            keys = postings if isinstance(read, EvaluationError) else read & postings.keys()
            found.update(*(postings[key] for key in keys))
        return found

    def _cost(self, criterion: Criterion) -> tuple[int, int]:
        """The fewer subscriptions ask for the same, the more selective it is; while none do, its kind tells."""
        return sum(self.popularity[asked] for asked in _asked([criterion])), _kind(criterion.source.extraction)


def _asked(criteria: Iterable[Criterion]) -> Iterator[tuple[Source, Hashable]]:
    return ((criterion.source, key) for criterion in criteria for key in _keys(criterion))


def _keys(criterion: Criterion) -> frozenset[Hashable]:
    access = criterion.test.access
    return access.keys if isinstance(access, Equal) else frozenset()


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
