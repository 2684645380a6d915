"""
Regular expressions of somebody else: matched in time that grows with text and pattern, whatever they say.

A backtracking engine takes longer than anybody waits for `(a+)+$` on thirty letters. Here all ways are followed at
once, state by state. Capturing is not needed, and what would need backtracking is refused: lookaround and back
references.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

#: States of one pattern: `(x{1000}){1000}` would have a million.
MOST_STATES = 2_000
MOST_NESTING = 50

#: Without what later versions of Python may read as operations on sets.
_CLASS = re.compile(r"\[\^?(?!\[)\]?(?:(?!--|&&|~~|\|\|)[^\]\\]|\\.)*\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[^0-9A-Za-z]|[bBdDfnrsStvwW])", re.DOTALL)
_GROUP = re.compile(r"\((?:\?:|\?P?<[A-Za-z]\w*>|(?!\?))")
_TIMES = re.compile(r"(?:[*+?]|\{(\d+)(?:(,)(\d*))?\})\??")
_PLACES = frozenset({"^", "$", r"\b", r"\B"})


class Unsupported(ValueError):
    """It is not a regular expression, or one of a kind that is not supported."""


@dataclass(slots=True)
class _State:
    """
    One place in a pattern.

    test: What the next character, or for a `place` what is around, has to match; None for neither.
    then: The states behind it. The last state has none.
    """

    test: re.Pattern[str] | None = None
    place: bool = False
    then: list[int] = field(default_factory=list)


class Pattern:
    """A compiled regular expression. Get it from `pattern`: there is one object of each."""

    def __init__(self, text: str) -> None:
        """
        Raises:
            Unsupported: It can't be used.
        """
        self._text = text
        self._at = 0
        self._states: list[_State] = []
        self._depth = 0
        self._start, end = self._alternatives()
        if self._at < len(text):
            raise self._unsupported("a bracket is closed that was not opened")
        self._end = end

    @property
    def size(self) -> int:
        return len(self._states)

    def found_in(self, text: str) -> bool:
        """Whether it matches anywhere in a text; a dot matches line breaks too."""
        current = self._reached((self._start,), text, 0)
        for i, character in enumerate(text):
            if self._end in current:
                return True
            states = (self._states[each] for each in current)
            following = [then for each in states if each.test and each.test.match(character) for then in each.then]
            current = self._reached((*following, self._start), text, i + 1)
        return self._end in current

    def _reached(self, states: Iterable[int], text: str, at: int) -> set[int]:
        """All states that can be come to from some without a character; those that need one, and the last."""
        seen, waiting, found = set[int](), list(states), set[int]()
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            state = self._states[number]
            if number == self._end or (state.test and not state.place):
                found.add(number)
            elif state.test is None or state.test.match(text, at):
                waiting += state.then
        return found

    def _alternatives(self) -> tuple[int, int]:
        """Each part is read into its first and its last state."""
        self._depth += 1
        if self._depth > MOST_NESTING:
            raise self._unsupported(f"it is nested more than {MOST_NESTING} levels deep")
        first, last = self._new(), self._new()
        while True:
            begin, end = self._sequence()
            self._states[first].then.append(begin)
            self._states[end].then.append(last)
            if not self._text.startswith("|", self._at):
                break
            self._at += 1
        self._depth -= 1
        return first, last

    def _sequence(self) -> tuple[int, int]:
        first = last = self._new()
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            start = self._at
            begin, end = self._atom()
            stop = self._at
            if times := _TIMES.match(self._text, self._at):
                begin, end = self._repeated(start, stop, begin, end, times)
                self._at = times.end()
            self._states[last].then.append(begin)
            last = end
        return first, last

    def _repeated(self, start: int, stop: int, begin: int, end: int, times: re.Match[str]) -> tuple[int, int]:
        """What has just been read, so and so often; each time is read anew."""
        least, most = _bounds(times)
        if most is not None and most < least:
            raise self._unsupported(f"there is no number from {least} to {most}")
        first = last = self._new()
        for _ in range(max(least, 1 if most is None else most)):
            if begin < 0:
                self._at = start
                begin, end = self._atom()
            self._states[last].then.append(begin)
            if least <= 0:
                self._states[last].then.append(skipped := self._new())
                self._states[end].then.append(skipped)
                end = skipped
            least -= 1
            last, again, begin = end, begin, -1
        if most is None:
            self._states[last].then.append(out := self._new())
            self._states[last].then.append(again)
            last = out
        self._at = stop
        return first, last

    def _atom(self) -> tuple[int, int]:
        text, at = self._text, self._at
        if text[at] == "(":
            group = _GROUP.match(text, at)
            if group is None:
                raise self._unsupported("of groups that begin with `(?` only `(?:` and named ones are supported")
            self._at = group.end()
            found = self._alternatives()
            if not text.startswith(")", self._at):
                raise self._unsupported("a bracket is not closed")
            self._at += 1
            return found
        if text[at] in "*+?{":
            raise self._unsupported("there is nothing to repeat")
        known = {"[": _CLASS, "\\": _ESCAPE}.get(text[at])
        match = known.match(text, at) if known else None
        if known and match is None:
            raise self._unsupported("what begins there is not supported")
        written = match[0] if match else text[at]
        self._at += len(written)
        plain = match or written in _PLACES or written == "."
        try:
            test = re.compile(written if plain else re.escape(written), re.DOTALL)
        except re.error as error:
            raise self._unsupported(str(error)) from None
        number, last = self._new(), self._new()
        self._states[number] = _State(test, written in _PLACES, [last])
        return number, last

    def _new(self) -> int:
        if len(self._states) >= MOST_STATES:
            raise self._unsupported(f"written out it has more than {MOST_STATES} places")
        self._states.append(_State())
        return len(self._states) - 1

    def _unsupported(self, reason: str) -> Unsupported:
        return Unsupported(f"the pattern `{self._text[:80]}` can't be used: {reason} (at {self._at})")


def _bounds(times: re.Match[str]) -> tuple[int, int | None]:
    match times[0][0]:
        case "*":
            return 0, None
        case "+":
            return 1, None
        case "?":
            return 0, 1
    least = int(times[1])
    if not times[2]:
        return least, least
    return least, int(times[3]) if times[3] else None


@lru_cache(maxsize=1024)
def pattern(text: str) -> Pattern:
    """
    Raises:
        Unsupported: As `Pattern` does.
    """
    return Pattern(text)
