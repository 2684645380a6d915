"""A criterion: values of one parameter in a resource, and a test of them. One file per value type makes them."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from subscriptions.change import Resource
from subscriptions.errors import EvaluationError
from subscriptions.search.extraction import Extraction, Value


class Reading(Protocol):
    """How the values of a type are read so that they can be compared. Equal readings read alike."""

    def __call__(self, value: Value) -> Iterator[Hashable]:
        """What one value counts as: nothing if its data type can't be compared. Raises anything if it is malformed."""

    def __hash__(self) -> int: ...


class Test(Protocol):
    """What is asked of everything that was read from a resource."""

    @property
    def keys(self) -> frozenset[Hashable]:
        """What an index can look it up by: it passes just when one of them was read. Empty: it has to be run."""

    def passes(self, read: frozenset[Any]) -> bool: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Meets:
    """Equality of what is compared by keys: one of these was read."""

    keys: frozenset[Hashable]

    def passes(self, read: frozenset[Any]) -> bool:
        return not self.keys.isdisjoint(read)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What a criterion looks at: the values of a parameter, read in one way. `source` keeps one object of each."""

    extraction: Extraction
    reading: Reading

    def read(self, resource: Resource) -> frozenset[Hashable]:
        """
        Everything that the values in a resource count as.

        Raises:
            EvaluationError: They could not be found or read.
        """
        try:
            return frozenset(read for value in self.extraction.values(resource) for read in self.reading(value))
        except Exception as error:  # whatever the engine or a malformed value gives rise to
            reason = f"{self.extraction.name} could not be read: {type(error).__name__}: {error}"
            raise EvaluationError(reason) from error


@cache
def source(extraction: Extraction, reading: Reading) -> Source:
    return Source(extraction, reading)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A filter that can be evaluated on resources of one type. Filters that mean the same are equal criteria."""

    source: Source
    test: Test

    def matches(self, resource: Resource) -> bool:
        """
        Raises:
            EvaluationError: The resource can't be judged. That is no match.
        """
        return self.test.passes(self.source.read(resource))
