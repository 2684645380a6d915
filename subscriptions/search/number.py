"""
Number search: https://hl7.org/fhir/R4/search.html#number. Decimals are exact, never binary.

What is searched for has the range of its significant digits; what stands in a resource is exactly what it says: "100"
searches "for values in the range [99.5 ... 100.5)". With `gt`, `lt`, `ge`, `le`, `sa` and `eb` "the implicit precision
of the number is ignored". `ap` adds a tenth of the value on both sides, as is recommended.
"""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, NamedTuple

from subscriptions.codes import Comparator, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Criterion, source
from subscriptions.search.escapes import unescape
from subscriptions.search.extraction import Value
from subscriptions.search.ranges import Compared, Range, Wanted, compared

# A query string's decoder leaves a blank where the client did not encode the plus. More digits in the exponent than
# any quantity has would make exact sums of millions of digits.
_FORM = re.compile(r"(?P<digits>-?\d+(?:\.\d+)?)(?:[eE](?P<exponent>[+\- ]?\d{1,4}))?", re.ASCII)


class Cut(NamedTuple):
    """A place between numbers: immediately before one, or after it. So a range may have either end or not."""

    number: Decimal
    after: bool


BELOW_ALL = Cut(Decimal("-Infinity"), False)
ABOVE_ALL = Cut(Decimal("Infinity"), True)


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values is no number, or there is a modifier.
    """
    asked.unmodified()
    values = (compared(asked, unescape(value)) for value in asked.values)
    return Criterion(source(asked.found, Reading()), Compared(frozenset(wanted(*value) for value in values)))


def wanted(comparator: Comparator, literal: str, group: Hashable = None) -> Wanted:
    """
    What a comparator asks with a number: of ranges of a group.

    Raises:
        Rejected: It is no number.
    """
    number = _parse(literal)
    match comparator:
        case Comparator.EQ | Comparator.NE:
            return Wanted(comparator, Range(*_implied(number), group))
        case Comparator.AP:
            start, end = _implied(number)
            _, digits, exponent = number.as_tuple()
            tenth = Decimal((0, digits, int(exponent) - 1))
            near = min(start, Cut(_minus(number, tenth), False)), max(end, Cut(_plus(number, tenth), True))
            return Wanted(comparator, Range(*near, group))
        case _:
            return Wanted(comparator, Range(*point(number), group))


def _parse(literal: str) -> Decimal:
    found = _FORM.fullmatch(literal)
    if not found:
        raise Rejected(Issue(IssueCode.VALUE, "a number is written `100`, `-5.40` or `5.40e-3`"))
    return Decimal(f"{found['digits']}e{(found['exponent'] or '0').strip()}")


def _implied(number: Decimal) -> tuple[Cut, Cut]:
    """
    What rounds to a number: half a unit of its last digit on both sides, the lower end included.

    A single digit with a positive exponent counts as two: `1e2` is "[95 ... 105)" by the standard's example.
    """
    _, digits, exponent = number.as_tuple()
    last = int(exponent) - 1 if len(digits) == 1 and int(exponent) > 0 else int(exponent)
    half = Decimal((0, (5,), last - 1))
    return Cut(_minus(number, half), False), Cut(_plus(number, half), False)


def _plus(number: Decimal, other: Decimal) -> Decimal:
    return _exactly(number).add(number, other)


def _minus(number: Decimal, other: Decimal) -> Decimal:
    return _exactly(number).subtract(number, other)


def _exactly(number: Decimal) -> Context:
    """For sums with what has up to two digits more behind the last one."""
    return Context(prec=len(number.as_tuple().digits) + 4)


def point(number: Decimal) -> tuple[Cut, Cut]:
    """Nothing but the number."""
    return Cut(number, False), Cut(number, True)


def exact(data: Any) -> Decimal:
    """A number in JSON. Raises ValueError if it is none."""
    if isinstance(data, bool) or not isinstance(data, int | float | Decimal):
        raise ValueError(f"`{data}` is not a number")
    number = Decimal(repr(data)) if isinstance(data, float) else Decimal(data)
    if not number.is_finite():
        raise ValueError(f"`{data}` is not a number")
    return number


def between(low: Any, high: Any) -> tuple[Cut, Cut]:
    """From a number in JSON to another, both included; None where it is open."""
    start = BELOW_ALL if low is None else Cut(exact(low), False)
    end = ABOVE_ALL if high is None else Cut(exact(high), True)
    if end <= start:
        raise ValueError("the range ends before it starts")
    return start, end


@dataclass(frozen=True, slots=True)
class Reading:
    """The exact value of a number, or what lies between the limits of a Range, whatever its unit."""

    def __call__(self, value: Value) -> Iterator[Range]:
        match value.type, value.data:
            case "decimal" | "integer" | "positiveInt" | "unsignedInt", _:
                yield Range(*point(exact(value.data)))
            case "integer64", _:  # which is a string in JSON
                yield Range(*point(exact(int(value.data) if isinstance(value.data, str) else value.data)))
            case "Range", data:
                low, high = (data.get(end, {}).get("value") for end in ("low", "high"))
                if (low, high) != (None, None):
                    yield Range(*between(low, high))
