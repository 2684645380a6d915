"""
What happened in this process, counted. Counting is an addition and no more: once a second somebody takes what came
together to Redis, where the whole hub's is (see metering.py).
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from time import time_ns
from typing import Final, TypeAlias

import msgspec

from hub.families import Family, bucket

#: A family's name, the values of its labels, and of a time its bucket, or SUM of the microseconds.
Field: TypeAlias = tuple[str | int, ...]

SUM: Final = "sum"
#: Steps that are told of between two flushes, and subscriptions whose criteria cost the most.
TOLD, COSTLY = 200, 200
#: One change in so many has the evaluation of its criteria timed, and stands for all of them.
TIMED = 16


@dataclass(frozen=True, slots=True)
class Taken:
    """
    What was counted in a while.

    counts: By field, its parts joined by `|`, what is to be added.
    costs: By subscription, the microseconds that its criteria took.
    steps: JSON of each step that was told of.
    """

    counts: dict[str, int]
    costs: dict[str, int]
    steps: list[bytes]


@dataclass
class Meter:
    """
    A process' counts since they were last taken.

    watched: Somebody wants to know of each step.
    """

    watched: bool = False
    _counts: defaultdict[Field, int] = field(default_factory=lambda: defaultdict(int))
    _costs: defaultdict[Hashable, float] = field(default_factory=lambda: defaultdict(float))
    _steps: list[dict[str, object]] = field(default_factory=list)
    _untold: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _changes: int = 0

    def count(self, family: Family, *labels: str, by: int = 1) -> None:
        """Something happened so often."""
        self._counts[(family.name, *labels)] += by

    def time(self, family: Family, seconds: float, *labels: str) -> None:
        """Something took so long; less than no time, by clocks that differ, is none."""
        took = max(seconds, 0.0)
        self._counts[(family.name, *labels, bucket(took))] += 1
        self._counts[(family.name, *labels, SUM)] += round(took * 1_000_000)

    def timing(self) -> bool:
        """Whether the criteria of the next change are to be timed: one in TIMED, the first of all too."""
        self._changes += 1
        return self._changes % TIMED == 1

    def spend(self, subscription: Hashable, seconds: float) -> None:
        """A subscription's criteria took so long. `subscription`: Its text is its name."""
        self._costs[subscription] += seconds

    def tell(self, step: str, tenant: str, ids: Mapping[str, object]) -> None:
        """Tell whoever watches of a step, by the ids of the trip: never of a content."""
        if not self.watched:
            return
        if len(self._steps) < TOLD:
            self._steps.append({"at": time_ns() // 1_000_000, "step": step, "tenant": tenant, **ids})
        else:
            self._untold[tenant] += 1

    def take(self) -> Taken:
        """What was counted, and begin anew."""
        counts, self._counts = self._counts, defaultdict(int)
        costs, self._costs = self._costs, defaultdict(float)
        steps = list(self._told())
        self._steps, self._untold = [], defaultdict(int)
        return Taken(
            {"|".join(map(str, parts)): by for parts, by in counts.items() if by},
            {str(name): round(costs[name] * 1_000_000) for name in nlargest(COSTLY, costs, key=costs.__getitem__)},
            steps,
        )

    def _told(self) -> Iterator[bytes]:
        yield from map(msgspec.json.encode, self._steps)
        at = time_ns() // 1_000_000
        for tenant, steps in self._untold.items():
            yield msgspec.json.encode({"at": at, "step": "left-out", "tenant": tenant, "steps": steps})
