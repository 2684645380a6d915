"""
Date search: https://hl7.org/fhir/R4/search.html#date.

Every date is the range that its precision gives it, in nanoseconds since the year 1, infinite where it is open. What is
written without a time zone is taken as UTC: "the servers local time zone should be assumed", and this is the hub's.

What `ap` allows is "at the discretion of the system"; the recommended tenth of the gap between now and the date would
make the answer depend on when it is given. Here it is as long as the value itself, on both sides: `ap2013-03-14` is a
day more before and after, `ap2013` 365 days.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from subscriptions.codes import Comparator, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Criterion, source
from subscriptions.search.escapes import unescape
from subscriptions.search.extraction import Value
from subscriptions.search.ranges import Compared, Range, Wanted, compared

_FORM = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9})\d*)?)?"
    # A query string's decoder leaves a blank where the client did not encode the plus.
    r"(?P<zone>Z|(?P<sign>[+\- ])(?P<zone_hour>0\d|1[0-4]):(?P<zone_minute>[0-5]\d))?)?)?)?",
    re.ASCII,
)

_SECOND = 10**9
_DAY = 86_400 * _SECOND
_NEVER = float("inf")


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values is no date, or there is a modifier.
    """
    asked.unmodified()
    wanted = frozenset(_wanted(asked, value) for value in asked.values)
    return Criterion(source(asked.found, Reading()), Compared(wanted))


def _wanted(asked: Asked, value: str) -> Wanted:
    comparator, literal = compared(asked, unescape(value))
    found = parse(literal)
    return Wanted(comparator, approximate(found) if comparator is Comparator.AP else found)


def parse(literal: str) -> Range:
    """
    Read a date, with or without a time, as its range.

    Raises:
        Rejected: It is no date.
    """
    try:
        return _range(literal)
    except ValueError:
        reason = "a date is written `2024`, `2024-02`, `2024-02-29` or `2024-02-29T12:00:00Z`"
        raise Rejected(Issue(IssueCode.VALUE, reason)) from None


def approximate(exactly: Range) -> Range:
    """What is approximately the same date: no further from it than it is long itself."""
    width = exactly.end - exactly.start
    return Range(exactly.start - width, exactly.end + width)


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


def _first(year: int, month: int) -> int:
    """The first moment of a month; the thirteenth is the next year's first."""
    year, month = (year + 1, 1) if month == 13 else (year, month)
    day = date(year, month, 1) if year < 10_000 else None
    return (day.toordinal() if day else date.max.toordinal() + 1) * _DAY


def _since_midnight(found: re.Match[str]) -> int:
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"`{found[0]}` is not a time")
    seconds = (hour * 60 + minute) * 60 + second
    return seconds * _SECOND + int((found["fraction"] or "").ljust(9, "0")) - _offset(found)


def _offset(found: re.Match[str]) -> int:
    """How far a time zone is ahead of UTC."""
    if not found["sign"]:
        return 0
    minutes = int(found["zone_hour"]) * 60 + int(found["zone_minute"])
    return (-minutes if found["sign"] == "-" else minutes) * 60 * _SECOND


def _width(found: re.Match[str]) -> int:
    if not found["second"]:
        return 60 * _SECOND
    return int(10 ** (9 - len(found["fraction"] or "")))


@dataclass(frozen=True, slots=True)
class Reading:
    """
    The range of a date, an instant, a Period, or a Timing, of which only the outer limits count.

    An instant has "an effective width of 0": here, of a nanosecond. What has no limit at all is no date.
    """

    def __call__(self, value: Value) -> Iterator[Range]:
        match value.type:
            case "date" | "dateTime":
                yield _range(value.data)
            case "instant":
                start = _range(value.data).start
                yield Range(start, start + 1)
            case "Period":
                yield from _outer([value.data])
            case "Timing":
                events = [{"start": event, "end": event} for event in value.data.get("event", []) if event]
                yield from _outer([*events, value.data.get("repeat", {}).get("boundsPeriod", {})])


def _outer(periods: list[Any]) -> Iterator[Range]:
    """What lies within the limits of all periods, if there is any; a missing limit is open."""
    known = [_period(period) for period in periods if "start" in period or "end" in period]
    if known:
        yield Range(min(each.start for each in known), max(each.end for each in known))


def _period(period: Mapping[str, str]) -> Range:
    start = _range(period["start"]).start if "start" in period else -_NEVER
    end = _range(period["end"]).end if "end" in period else _NEVER
    if end <= start:  # perhaps only since one limit has a time zone, and the other one, meant in the same, has none
        start, end = start - _lent(period, "start", "end"), end - _lent(period, "end", "start")
    if end <= start:
        raise ValueError("the period ends before it starts")
    return Range(start, end)


def _lent(period: Mapping[str, str], limit: str, other: str) -> int:
    """How far ahead of UTC a limit without a time zone is, if it is in the one of the other limit."""
    found, lender = _FORM.fullmatch(period[limit]), _FORM.fullmatch(period[other])
    return _offset(lender) if found and lender and not found["zone"] else 0
