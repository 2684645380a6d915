"""A criterion: values of one parameter in a resource, and a test of them. One file per value type makes them."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeAlias

from subscriptions.change import Resource
from subscriptions.errors import EvaluationError
from subscriptions.search.extraction import Extraction, Value
from subscriptions.search.held import Held


class Reading(Protocol):
    """How the values of a type are read so that they can be compared. Equal readings read alike."""

    def __call__(self, value: Value) -> Iterator[Hashable]:
        """What one value counts as: nothing if its data type can't be compared. Raises anything if it is malformed."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Equal:
    """It passes just when one of these keys was read."""

    keys: frozenset[Hashable]


@dataclass(frozen=True, slots=True)
class Beginning:
    """It passes just when a text was read that starts with one of these."""

    texts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reaching:
    """
    A `Range` of this group was read that ends at the limit or after it; with `down`, that starts at the limit or before
    it. In one group limits, starts and ends compare with each other, all of them.
    """

    group: Hashable
    limit: Any
    down: bool = False


#: How an index can find the tests that may pass; None: each one has to be run. Of a tuple one has to be reached, or the
#: test does not pass; if one is, it may: there is one for each group and direction, since values are joined by OR.
Access: TypeAlias = Equal | Beginning | tuple[Reaching, ...] | None


class Test(Protocol):
    """What is asked of everything that was read from a resource."""

    @property
    def access(self) -> Access: ...

    def passes(self, read: frozenset[Any]) -> bool: ...

    def __hash__(self) -> int: ...


#: How many keys one test may stand under in an index: a large ValueSet would fill it. Measured: these take 26 kB if
#: nobody else asks for any of them.
MOST_KEYS = 500


@dataclass(frozen=True, slots=True)
class Meets:
    """Equality of what is compared by keys: one of these was read."""

    keys: frozenset[Hashable]

    @property
    def access(self) -> Access:
        return Equal(self.keys) if len(self.keys) <= MOST_KEYS else None

    def passes(self, read: frozenset[Any]) -> bool:
        return not self.keys.isdisjoint(read)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite, as `:not` has it: a resource without any value passes too."""

    test: Test

    @property
    def access(self) -> Access:
        return None

    def passes(self, read: frozenset[Any]) -> bool:
        return not self.test.passes(read)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What a criterion looks at: the values of a parameter, read in one way. `source` keeps one object of each."""

    extraction: Extraction
    reading: Reading

    def read(self, resource: Resource, held: Held) -> frozenset[Hashable]:
        """
        Everything that the values in a resource count as.

        Raises:
            EvaluationError: They could not be found or read.
        """
        try:
            return frozenset(read for value in self.extraction.values(resource, held) for read in self.reading(value))
        except Exception as error:  # whatever the engine or a malformed value gives rise to
            raise EvaluationError.within(f"{self.extraction.name} could not be read", error) from error


@cache
def source(extraction: Extraction, reading: Reading) -> Source:
    return Source(extraction, reading)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A filter that can be evaluated on resources of one type. Filters that mean the same are equal criteria."""

    source: Source
    test: Test

    def matches(self, resource: Resource, held: Held) -> bool:
        """
        Raises:
            EvaluationError: The resource can't be judged. That is no match.
        """
        return self.test.passes(self.source.read(resource, held))
