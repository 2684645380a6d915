"""
Postings: entries under whatever has to be read for them to be found. There is a kind for each `Access`.

A place is what an entry stands under: a key, a text or a `Reaching`; an entry with several stands under each.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar

from subscriptions.search.comparison import Access, Beginning, Equal, Reaching
from subscriptions.search.ranges import Range

E = TypeVar("E")

#: So many new limits are put into their order one by one; more are sorted at once.
_FEW = 16

_LIMIT = attrgetter("limit")

#: A group and a direction: what is in one order.
_Scale: TypeAlias = tuple[Hashable, bool]


class Keys(Generic[E]):
    """Entries that are found by what is equal to one of their places. Entries are no sets."""

    __slots__ = ("_under",)

    def __init__(self) -> None:
        # Most places have one entry, and there may be a million of them: only several make a set.
        self._under: dict[Any, E | set[E]] = {}

    def __len__(self) -> int:
        """How many places are in use."""
        return len(self._under)

    def put(self, place: Any, entry: E) -> None:
        there = self._under.get(place)
        if there is None:
            self._under[place] = entry
        elif isinstance(there, set):
            there.add(entry)
        else:
            self._under[place] = {there, entry}

    def discard(self, place: Any, entry: E) -> None:
        there = self._under[place]
        if not isinstance(there, set):
            del self._under[place]
            return
        there.discard(entry)
        if len(there) == 1:
            self._under[place] = there.pop()

    def count(self, place: Any) -> int:
        """How many entries stand there."""
        there = self._under.get(place)
        return 0 if there is None else len(there) if isinstance(there, set) else 1

    def all(self) -> set[E]:
        return self._at(self._under)

    def reached(self, read: Collection[Any]) -> set[E]:
        """The entries that have a place which was read."""
        return self._at(place for place in read if place in self._under)

    def _at(self, places: Iterable[Any]) -> set[E]:
        found: set[E] = set()
        for place in places:
            there = self._under[place]
            if isinstance(there, set):
                found |= there
            else:
                found.add(there)
        return found


class Beginnings(Keys[E]):
    """Entries that are found by a text that begins with one of their places: each of its beginnings is looked up."""

    __slots__ = ("_lengths",)

    def __init__(self) -> None:
        super().__init__()
        self._lengths: Counter[int] = Counter()

    def put(self, place: str, entry: E) -> None:
        self._lengths[len(place)] += 1
        super().put(place, entry)

    def discard(self, place: str, entry: E) -> None:
        self._lengths[len(place)] -= 1
        if not self._lengths[len(place)]:
            del self._lengths[len(place)]
        super().discard(place, entry)

    def reached(self, read: Collection[str]) -> set[E]:
        return super().reached({text[:length] for text in read for length in self._lengths if length <= len(text)})


class Limits(Keys[E]):
    """Entries whose places are `Reaching`: those of one group and direction are sorted, and found by bisection."""

    __slots__ = ("_new", "_sorted")

    def __init__(self) -> None:
        super().__init__()
        self._sorted: dict[_Scale, list[Reaching]] = {}
        self._new: dict[_Scale, list[Reaching]] = {}

    def put(self, place: Reaching, entry: E) -> None:
        if not self.count(place):
            self._new.setdefault((place.group, place.down), []).append(place)
        super().put(place, entry)

    def discard(self, place: Reaching, entry: E) -> None:
        super().discard(place, entry)
        if not self.count(place):
            scale = (place.group, place.down)
            limits = self._in_order(scale)
            del limits[bisect_left(limits, place.limit, key=_LIMIT)]
            if not limits:
                del self._sorted[scale]

    def reached(self, read: Collection[Range]) -> set[E]:
        found: set[E] = set()
        for group in {each.group for each in read}:
            ranges = [each for each in read if each.group == group]
            up, down = self._in_order((group, False)), self._in_order((group, True))
            if up:
                end = max(each.end for each in ranges)
                found |= self._at(up[: bisect_right(up, end, key=_LIMIT)])
            if down:
                start = min(each.start for each in ranges)
                found |= self._at(down[bisect_left(down, start, key=_LIMIT) :])
        return found

    def _in_order(self, scale: _Scale) -> list[Reaching]:
        """All limits of a scale. What was put since the last time comes to its place now: many sort faster at once."""
        new = self._new.pop(scale, None)
        if new is None:
            return self._sorted.get(scale, [])
        limits = self._sorted.setdefault(scale, [])
        if len(new) <= _FEW:
            for each in new:
                insort(limits, each, key=_LIMIT)
        else:
            limits += new
            limits.sort(key=_LIMIT)
        return limits


def postings(access: Equal | Beginning | tuple[Reaching, ...]) -> Keys[Any]:
    """Empty ones, for entries with this kind of access."""
    match access:
        case Equal():
            return Keys()
        case Beginning():
            return Beginnings()
        case _:
            return Limits()


def places(access: Access) -> Collection[Hashable]:
    """Where an entry with this access stands; nowhere if there is none."""
    match access:
        case None:
            return ()
        case Equal(keys):
            return keys
        case Beginning(texts):
            return texts
        case reachings:
            return reachings


def reaches(read: Collection[Any], access: Equal | Beginning | tuple[Reaching, ...]) -> bool:
    """Whether an entry with this access would be found."""
    match access:
        case Equal(keys):
            return not keys.isdisjoint(read)
        case Beginning(texts):
            beginnings = tuple(texts)
            return any(text.startswith(beginnings) for text in read)
        case reachings:
            return any(
                each.group == reaching.group
                and (each.start <= reaching.limit if reaching.down else reaching.limit <= each.end)
                for reaching in reachings
                for each in read
            )
