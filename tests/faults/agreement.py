"""What is shown, held against what must be: member by member, so that a figure that nobody expects is a difference."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Between:
    """A number that is neither below the one nor above the other."""

    low: float
    high: float

    def holds(self, shown: object) -> bool:
        return isinstance(shown, int | float) and not isinstance(shown, bool) and self.low <= shown <= self.high


@dataclass(frozen=True, slots=True)
class At:
    """An instant within these, in ms since 1970."""

    low: float
    high: float

    def holds(self, shown: object) -> bool:
        return isinstance(shown, str) and self.low <= ms(shown) <= self.high


@dataclass(frozen=True, slots=True)
class Says:
    """A text in which this regular expression is found."""

    pattern: str

    def holds(self, shown: object) -> bool:
        return isinstance(shown, str) and re.search(self.pattern, shown) is not None


@dataclass(frozen=True, slots=True)
class Fits:
    """Whatever the function likes. `why`: In words."""

    why: str
    holds: Callable[[Any], bool]


#: For what is no figure, or moves too fast for whoever looks while it does.
ANYTHING = Fits("anything", lambda _: True)

Expected = Any


def ms(instant: str) -> int:
    """ms since 1970."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def differences(shown: Any, expected: Expected, where: str = "") -> Iterator[str]:
    """
    What is not as expected, each in one line.

    An object must have these members and no others, a list these values in this order.
    """
    match expected:
        case Between() | At() | Says() | Fits():
            if not expected.holds(shown):
                yield f"{where}: {shown!r}, which must be {expected}"
        case dict() if isinstance(shown, dict):
            for name in {**shown, **expected}:
                if name not in expected:
                    yield f"{where}.{name}: is shown, and held against nothing"
                elif name not in shown:
                    yield f"{where}.{name}: is not shown"
                else:
                    yield from differences(shown[name], expected[name], f"{where}.{name}")
        case list() if isinstance(shown, list):
            if len(shown) != len(expected):
                yield f"{where}: has {len(shown)}, and must have {len(expected)}"
            for place, (one, other) in enumerate(zip(shown, expected, strict=False)):
                yield from differences(one, other, f"{where}[{place}]")
        case _:
            if shown != expected or isinstance(shown, bool) is not isinstance(expected, bool):
                yield f"{where}: {shown!r}, which must be {expected!r}"
