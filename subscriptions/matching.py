"""
Which subscriptions does a change concern? An index over their criteria answers.

1. A subscription matches when its topic fires, its filters allow the change's type, and all its criteria for that type
   are met. Criteria are evaluated on the new version of the resource, for a delete on the one before.
2. There is a bucket for each topic and type; in it a subscription stands in one place, under its most selective
   criterion (see `bucket`). So subscriptions that a change doesn't concern cost nothing, however many there are.
3. For one change a parameter is extracted once and a criterion evaluated once, however many topics and subscriptions
   have it; those that nobody asks for are not extracted. A topic's triggers are asked only if somebody may match.
4. On a topic for all types, filters that name none are compiled for a type when its first change comes.
5. A criterion that fails is no match. Unless another one says no, the failure is reported for each subscription.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from subscriptions.bucket import Bucket, Compound, Entry
from subscriptions.change import Change
from subscriptions.errors import EvaluationError
from subscriptions.filters import ask_vocabulary, criteria
from subscriptions.findings import Findings, every
from subscriptions.frequency import Frequencies
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion
from subscriptions.search.held import Held
from subscriptions.search.parameters import resource_types
from subscriptions.subscription import Filter
from subscriptions.topic import ANY, Topic
from subscriptions.triggers import Triggers

K = TypeVar("K", bound=Hashable)

#: Equal criteria, and equal filters of one topic, are made into the same objects as far as so many are remembered.
REMEMBERED = 4096

#: Seconds, since whenever.
Clock: TypeAlias = Callable[[], float]

_Criteria: TypeAlias = Mapping[str, tuple[Criterion, ...]]


class Failure(NamedTuple, Generic[K]):
    """A subscription of which nobody can say whether the change concerns it."""

    key: K
    error: EvaluationError


class Matches(NamedTuple, Generic[K]):
    """
    The subscriptions that a change concerns, and those that can't be decided, both in the order of `str(key)`.

    costs: By a clock that was given, what deciding each one took that was looked at. What several of them ask of a
        change is found once, at the expense of the first.
    """

    keys: list[K]
    failures: list[Failure[K]]
    costs: list[tuple[K, float]]


class Index(Generic[K]):
    """
    Subscriptions of one tenant and one FHIR version, each under a key of the caller's own.

    context: What the filters of those are understood in that are put from now on.
    evaluated: How many criteria were evaluated since the index was made; lookups by key don't count.
    moved: How often a subscription was put under a more selective one of its criteria.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.evaluated = 0
        self.moved = 0
        self._topics: dict[str, list[_Subscribed[K]]] = {}
        self._by_type: dict[str, dict[_Subscribed[K], Bucket[K]]] = {}
        self._places: dict[K, Entry[K] | _Several[K]] = {}
        self._owners: dict[Bucket[K], _Subscribed[K]] = {}
        self._asking: set[K] = set()
        self._frequencies = Frequencies()
        self._criteria: dict[Criterion, Criterion] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: K) -> bool:
        return key in self._places

    @property
    def scanned(self) -> Mapping[tuple[str, str], int]:
        """How many subscriptions each change of a topic (its URL) and a type is held against one by one."""
        return {
            (subscribed.topic.url, type_): len(bucket.scanned)
            for type_, buckets in self._by_type.items()
            for subscribed, bucket in buckets.items()
            if bucket.scanned
        }

    def put(self, key: K, topic: Topic, filters: tuple[Filter, ...]) -> None:
        """
        Add a subscription, or put it in the place of the one with the same key.

        Raises:
            Rejected: One of its filters or the topic's triggers can't be evaluated. The index is as it was.
        """
        asking = ask_vocabulary(filters)
        subscribed = self._subscribed(topic, asking=asking) or _Subscribed[K](topic, Triggers(topic, self.context))
        wanted = subscribed.criteria(filters)
        self.remove(key)
        if asking or subscribed.triggers.ask_vocabulary:
            self._asking.add(key)
        same_url = self._topics.setdefault(topic.url, [])
        if subscribed not in same_url:
            same_url.append(subscribed)
        if ANY in topic.resource_types and not any(each.resource_type for each in filters):
            several = self._places[key] = _Several(subscribed, filters)
            subscribed.everywhere[key] = several
            several.entries += (self._put(key, subscribed, type_, wanted[type_]) for type_ in subscribed.reached)
        else:
            entries = [self._put(key, subscribed, type_, met) for type_, met in wanted.items()]
            self._places[key] = entries[0] if len(entries) == 1 else _Several(subscribed, filters, entries)

    def remove(self, key: K) -> None:
        """Take a subscription out; nothing happens if it isn't there."""
        place = self._places.pop(key, None)
        if place is None:
            return
        self._asking.discard(key)
        entries = place.entries if isinstance(place, _Several) else [place]
        subscribed = place.subscribed if isinstance(place, _Several) else self._owners[place.bucket]
        subscribed.everywhere.pop(key, None)
        if not subscribed.everywhere:
            subscribed.reached.clear()
        for entry in entries:
            bucket = entry.bucket
            bucket.remove(entry)
            if not bucket.size:
                type_ = bucket.resource_type
                del subscribed.buckets[type_], self._by_type[type_][subscribed], self._owners[bucket]
        if not subscribed.buckets and not subscribed.everywhere:
            self._topics[subscribed.topic.url].remove(subscribed)

    def understand(self, context: Context) -> list[K]:
        """
        Understand filters in another context, which differs in its vocabulary.

        Returns whoever has to be put again, since the vocabulary counts for them; until then they have the earlier one.
        """
        self.context = context
        return list(self._asking)

    def match(self, change: Change, held: Held, clock: Clock | None = None) -> Matches[K]:
        """
        All subscriptions that the change concerns, if nothing is `wanted` of what the hub holds.

        One of another FHIR version concerns nobody.
        """
        matches = Matches[K]([], [], [])
        if change.version is not self.context.version:
            return matches
        findings, in_vain = Findings(change, held), list[tuple[Bucket[K], list[Compound[K]]]]()
        self._reach(change.type)
        for subscribed, bucket in self._by_type.get(change.type, {}).items():
            if subscribed.triggers.wants(change):
                in_vain.append((bucket, _held_against(findings, subscribed.triggers, bucket, matches, clock)))
        self.evaluated += findings.evaluated
        if not held.wanted:
            for source, read in findings.subject.readings:
                self._frequencies.note(source, read)
            for bucket, entries in in_vain:
                self.moved += bucket.reconsider(entries)
        matches.keys.sort(key=str)
        matches.failures.sort(key=lambda failure: str(failure.key))
        return matches

    def _subscribed(self, topic: Topic, *, asking: bool) -> "_Subscribed[K] | None":
        """
        What there is of a topic. One that was changed is another one for as long as somebody has the old one; so is one
        with an earlier vocabulary, for those whom it concerns.
        """
        for each in self._topics.get(topic.url, ()):
            current = each.triggers.context is self.context or not (asking or each.triggers.ask_vocabulary)
            if each.topic == topic and current:
                return each
        return None

    def _reach(self, type_: str) -> None:
        """Compile for a type what is for all of them, if this is the first change of it."""
        if type_ not in resource_types(self.context.version):
            return
        for subscribed in self._everywhere():
            if type_ not in subscribed.reached:
                subscribed.reached.add(type_)
                for key, several in subscribed.everywhere.items():
                    met = subscribed.criteria(several.filters)[type_]
                    several.entries.append(self._put(key, subscribed, type_, met))

    def _everywhere(self) -> Iterator["_Subscribed[K]"]:
        return (each for same_url in self._topics.values() for each in same_url if each.everywhere)

    def _put(self, key: K, subscribed: "_Subscribed[K]", type_: str, met: tuple[Criterion, ...]) -> Entry[K]:
        bucket = subscribed.buckets.get(type_)
        if bucket is None:
            bucket = subscribed.buckets[type_] = Bucket(type_, self._frequencies)
            self._owners[bucket] = subscribed
            self._by_type.setdefault(type_, {})[subscribed] = bucket
        return bucket.put(key, met if len(met) < 2 else tuple(map(self._same, met)))

    def _same(self, criterion: Criterion) -> Criterion:
        if len(self._criteria) >= REMEMBERED:
            self._criteria.clear()
        return self._criteria.setdefault(criterion, criterion)


@dataclass(slots=True, eq=False)
class _Subscribed(Generic[K]):
    """
    A topic that somebody has subscribed to.

    everywhere: Those who are told of all types, on a topic for all of them.
    reached: The types in whose buckets these are so far.
    """

    topic: Topic
    triggers: Triggers
    buckets: dict[str, Bucket[K]] = field(default_factory=dict)
    everywhere: "dict[K, _Several[K]]" = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    _criteria: dict[tuple[Filter, ...], _Criteria] = field(default_factory=dict)

    def criteria(self, filters: tuple[Filter, ...]) -> _Criteria:
        """Raises Rejected."""
        found = self._criteria.get(filters)
        if found is None:
            found = criteria(filters, self.topic, self.triggers.context)
            if len(self._criteria) >= REMEMBERED:
                self._criteria.clear()
            self._criteria[filters] = found
        return found


@dataclass(slots=True, eq=False)
class _Several(Generic[K]):
    """A subscription that isn't in exactly one bucket."""

    subscribed: _Subscribed[K]
    filters: tuple[Filter, ...]
    entries: list[Entry[K]] = field(default_factory=list)


def _held_against(
    findings: Findings, triggers: Triggers, bucket: Bucket[K], matches: Matches[K], clock: Clock | None
) -> list[Compound[K]]:
    """Add to the matches of a change; returns who was found in vain, and might be found less often elsewhere."""
    candidates = bucket.candidates(findings.subject)
    fired = triggers.fires(findings) if candidates or bucket.everyone else False
    in_vain: list[Compound[K]] = []
    if fired is False:
        return in_vain
    for entry in chain(candidates, bucket.everyone):
        began = clock() if clock else 0.0
        verdict = every((fired, entry.verdict(findings.subject)))
        if clock:
            matches.costs.append((entry.key, clock() - began))
        if verdict is True:
            matches.keys.append(entry.key)
        elif verdict is not False:
            matches.failures.append(Failure(entry.key, verdict))
        elif isinstance(entry, Compound) and len(entry.criteria) > 1:
            in_vain.append(entry)
    return in_vain
