"""Ranges of event numbers, as they are kept and as they are told: `5-17`, "event 5", "events 5 to 17"."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: Ranges that one text names; what is beyond is summed up.
NAMED = 5


@dataclass(frozen=True, slots=True)
class Range:
    """The event numbers from `first` to `last`, both included; never empty."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    @classmethod
    def parse(cls, text: str) -> "Range":
        first, last = text.split("-")
        return cls(int(first), int(last))


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many events of a range that were dropped before they could be sent."""

    range: Range
    many: int

    def __str__(self) -> str:
        return f"{self.range}/{self.many}"

    @classmethod
    def parse(cls, text: str) -> "Dropped":
        of, many = text.split("/")
        return cls(Range.parse(of), int(many))

    def behind(self, delivered: int) -> int:
        """How many of them are behind this number. Of those up to it, all from the first one on were dropped."""
        if self.range.last <= delivered:
            return 0
        return self.many - max(0, delivered - self.range.first + 1)

    @property
    def words(self) -> str:
        """What a subscriber is told of it."""
        some = "" if self.many == len(self.range) else f"{self.many} of "
        was = "was" if self.many == 1 else "were"
        return f"{some}{words([self.range])} {was} dropped undelivered, and can't be had any more"


def of(numbers: Iterable[int]) -> Iterator[Range]:
    """The ranges that rising numbers make."""
    first = last = None
    for number in numbers:
        if first is not None and last is not None and number != last + 1:
            yield Range(first, last)
            first = None
        first, last = number if first is None else first, number
    if first is not None and last is not None:
        yield Range(first, last)


def missing(whole: Range, numbers: Iterable[int]) -> Iterator[Range]:
    """What rising numbers leave out of a range that they all lie in."""
    following = whole.first
    for number in numbers:
        if number > following:
            yield Range(following, number - 1)
        following = number + 1
    if following <= whole.last:
        yield Range(following, whole.last)


def words(ranges: Iterable[Range]) -> str:
    """`event 5`, `events 5 to 17, 20 and 3 more`."""
    every = list(ranges)
    named, rest = every[:NAMED], every[NAMED:]
    texts = [str(each.first) if len(each) == 1 else f"{each.first} to {each.last}" for each in named]
    text = ", ".join(texts) + (f" and {sum(map(len, rest))} more" if rest else "")
    return f"event{'' if sum(map(len, every)) == 1 else 's'} {text}"
