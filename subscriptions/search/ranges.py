"""
Ordered values as ranges, and how they compare: https://hl7.org/fhir/R4/search.html#prefix.

"Searches are always performed on values that are implicitly or explicitly a range": each type reads its values as
ranges; what a comparator asks of a range is the same for all of them.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

from subscriptions.codes import Comparator, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Access, Reaching

_PREFIX = re.compile(rf"({'|'.join(Comparator)})(?=[\d+\-.])")


class Range(NamedTuple):
    """
    From `start` up to, not including, `end`. What stands there only has to be comparable with its like.

    group: Only ranges of the same group compare: the unit of a quantity; None where there is no such thing.
    """

    start: Any
    end: Any
    group: Hashable = None

    def contains(self, other: "Range") -> bool:
        return bool(self.start <= other.start and other.end <= self.end)


class Wanted(NamedTuple):
    """
    A comparator and the range that it compares with: for `ap` the wider one of what counts as approximately the same,
    for numbers with `gt`, `lt`, `ge`, `le`, `sa` and `eb` the exact one.
    """

    comparator: Comparator
    range: Range

    def holds(self, found: Range) -> bool:
        """
        The right column of the table of prefixes.

        `ge` and `le` have the value in what is above and below it ("the specified value and up", "up to the specified
        value"); `gt` and `lt` can't, or they would hold of what is equal.
        """
        wanted = self.range
        if found.group != wanted.group:
            return False
        match self.comparator:
            case Comparator.EQ:
                return wanted.contains(found)
            case Comparator.NE:
                return not wanted.contains(found)
            case Comparator.GT:
                return bool(found.end > wanted.end)
            case Comparator.LT:
                return bool(found.start < wanted.start)
            case Comparator.GE:
                return bool(found.end > wanted.start)
            case Comparator.LE:
                return bool(found.start < wanted.end)
            case Comparator.SA:
                return bool(found.start >= wanted.end)
            case Comparator.EB:
                return bool(found.end <= wanted.start)
            case Comparator.AP:
                return bool(found.start < wanted.end and wanted.start < found.end)

    @property
    def reaching(self) -> Reaching | None:
        """The one end that has to be reached; None for `ne`, which has none."""
        start, end, group = self.range
        match self.comparator:
            case Comparator.NE:
                return None
            case Comparator.GT | Comparator.SA:
                return Reaching(group, end)
            case Comparator.EQ | Comparator.GE | Comparator.AP:
                return Reaching(group, start)
            case Comparator.LT | Comparator.EB:
                return Reaching(group, start, down=True)
            case Comparator.LE:
                return Reaching(group, end, down=True)


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the ranges that were read stands to one of these as its comparator says."""

    wanted: frozenset[Wanted]

    @property
    def access(self) -> Access:
        """Of the limits in one group and direction the outermost, since reaching any of them will do."""
        outermost: dict[tuple[Hashable, bool], Reaching] = {}
        for each in self.wanted:
            reaching = each.reaching
            if reaching is None:
                return None
            place = (reaching.group, reaching.down)
            other = outermost.setdefault(place, reaching)
            if (reaching.limit > other.limit) if reaching.down else (reaching.limit < other.limit):
                outermost[place] = reaching
        return tuple(outermost.values())

    def passes(self, read: frozenset[Any]) -> bool:
        return any(wanted.holds(found) for wanted in self.wanted for found in read)


def compared(asked: Asked, value: str) -> tuple[Comparator, str]:
    """
    The comparator of a value, and the value without it. It stands in front of the value or apart; `eq` is understood.

    Raises:
        Rejected: It is given in both ways.
    """
    comparator, literal = prefixed(value)
    if comparator and asked.comparator:
        text = f"the comparator is given apart (`{asked.comparator}`): `{value}` must not begin with one"
        raise Rejected(Issue(IssueCode.VALUE, text))
    return comparator or asked.comparator or Comparator.EQ, literal


def prefixed(value: str) -> tuple[Comparator | None, str]:
    """The comparator in front of a value, if there is one, and the rest."""
    found = _PREFIX.match(value)
    return (Comparator(found[1]), value[2:]) if found else (None, value)
