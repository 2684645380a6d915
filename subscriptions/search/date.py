"""
Date search: https://hl7.org/fhir/R4/search.html#date.

Every date is the range that its precision gives it. What is written without a time zone is taken as UTC.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from subscriptions.codes import Comparator, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Access, Criterion, source
from subscriptions.search.escapes import unescape
from subscriptions.search.extraction import Value

_FORM = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9})\d*)?)?"
    # A query string's decoder leaves a blank where the client did not encode the plus.
    r"(?P<zone>Z|(?P<sign>[+\- ])(?P<zone_hour>0\d|1[0-4]):(?P<zone_minute>[0-5]\d))?)?)?)?",
    re.ASCII,
)
_PREFIX = re.compile(rf"({'|'.join(Comparator)})(?=\d)")

_SECOND = 10**9
_DAY = 86_400 * _SECOND
_NEVER = float("inf")


class Range(NamedTuple):
    """From `start` up to, not including, `end`, in nanoseconds since the year 1; infinite where it is open."""

    start: float
    end: float

    def contains(self, other: "Range") -> bool:
        return self.start <= other.start and other.end <= self.end


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values is no date.
    """
    asked.plain()
    return Criterion(source(asked.found, Reading()), Within(frozenset(parse(value) for value in asked.values)))


def parse(text: str) -> Range:
    """
    Read a date, with or without a time, as its range.

    Raises:
        Rejected: It is no date, or has a comparator before it other than `eq`.
    """
    literal = unescape(text)
    prefix = _PREFIX.match(literal)
    if prefix and prefix[1] != Comparator.EQ:
        reason = (
            f"the comparator `{prefix[1]}` is not supported: only equality is, with `eq` or nothing before the date"
        )
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, reason))
    try:
        return _range(literal.removeprefix(Comparator.EQ))
    except ValueError:
        reason = "a date is written `2024`, `2024-02`, `2024-02-29` or `2024-02-29T12:00:00Z`"
        raise Rejected(Issue(IssueCode.VALUE, reason)) from None


def _range(literal: str) -> Range:
    """The range of a date, dateTime or instant. ValueError if it is none."""
    found = _FORM.fullmatch(literal)
    if not found:
        raise ValueError(f"`{literal}` is not a date")
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    start = date(year, month, day).toordinal() * _DAY
    if not found["month"]:
        return Range(start, _first(year + 1, 1))
    if not found["day"]:
        return Range(start, _first(year, month + 1))
    if not found["hour"]:
        return Range(start, start + _DAY)
    start, width = start + _since_midnight(found), _width(found)
    return Range(start, start + width)


def _first(year: int, month: int) -> float:
    """The first moment of a month; the thirteenth is the next year's first."""
    year, month = (year + 1, 1) if month == 13 else (year, month)
    return date(year, month, 1).toordinal() * _DAY if year < 10_000 else _NEVER


def _since_midnight(found: re.Match[str]) -> int:
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"`{found[0]}` is not a time")
    offset = 0
    if found["sign"]:
        offset = int(found["zone_hour"]) * 60 + int(found["zone_minute"])
        offset = -offset if found["sign"] == "-" else offset
    seconds = (hour * 60 + minute - offset) * 60 + second
    return seconds * _SECOND + int((found["fraction"] or "").ljust(9, "0"))


def _width(found: re.Match[str]) -> int:
    if not found["second"]:
        return 60 * _SECOND
    return int(10 ** (9 - len(found["fraction"] or "")))


@dataclass(frozen=True, slots=True)
class Reading:
    """The range of a date, an instant, a Period, or a Timing, of which only the outer limits count."""

    def __call__(self, value: Value) -> Iterator[Range]:
        match value.type:
            case "date" | "dateTime" | "instant":
                yield _range(value.data)
            case "Period":
                yield from _outer([value.data])
            case "Timing":
                events = [{"start": event, "end": event} for event in value.data.get("event", []) if event]
                yield from _outer([*events, value.data.get("repeat", {}).get("boundsPeriod", {})])


def _outer(periods: list[Any]) -> Iterator[Range]:
    """What lies within the limits of all periods, if there is any; a missing limit is open."""
    known = [period for period in periods if "start" in period or "end" in period]
    if known:
        starts = [_range(period["start"]).start if "start" in period else -_NEVER for period in known]
        ends = [_range(period["end"]).end if "end" in period else _NEVER for period in known]
        yield Range(min(starts), max(ends))


@dataclass(frozen=True, slots=True)
class Within:
    """One of the ranges that were read lies within one of these."""

    ranges: frozenset[Range]

    @property
    def access(self) -> Access:
        return None

    def passes(self, read: frozenset[Any]) -> bool:
        return any(wanted.contains(found) for wanted in self.ranges for found in read)
