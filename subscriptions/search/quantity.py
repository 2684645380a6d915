"""
Quantity search: https://hl7.org/fhir/R4/search.html#quantity. The number compares as in number search.

Units are compared by system and code, UCUM's too, and never converted: `5.4|http://unitsofmeasure.org|mg` does not find
0.0054 g. What is searched for without a unit is found in any.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Criterion, source
from subscriptions.search.escapes import split, unescape
from subscriptions.search.extraction import Value
from subscriptions.search.number import ABOVE_ALL, BELOW_ALL, Cut, between, exact, point, wanted
from subscriptions.search.ranges import Compared, Range, Wanted, compared

#: System and code; without a system it is a code or the unit as it is written. None is any unit.
Unit: TypeAlias = tuple[str | None, str] | None

_QUANTITIES = frozenset(
    {"Quantity", "SimpleQuantity", "MoneyQuantity", "Money", "Age", "Count", "Distance", "Duration"}
)
_CURRENCIES = "urn:iso:std:iso:4217"


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values is no quantity, or there is a modifier.
    """
    asked.unmodified()
    values = frozenset(_wanted(asked, value) for value in asked.values)
    return Criterion(source(asked.found, Reading()), Compared(values))


def _wanted(asked: Asked, value: str) -> Wanted:
    number, *unit = (unescape(part) for part in split(value, "|"))
    comparator, literal = compared(asked, number)
    match unit:
        case []:
            return wanted(comparator, literal)
        case [system, code] if code:
            return wanted(comparator, literal, (system or None, code))
    text = "a quantity is written `5.4`, `5.4|http://unitsofmeasure.org|mg` or `5.4||mg`"
    raise Rejected(Issue(IssueCode.VALUE, text))


@dataclass(frozen=True, slots=True)
class Reading:
    """
    The number of a quantity under each name of its unit.

    What has a comparator of its own (`<5`) is everything on that side. A Range is what lies between its limits, which
    belong to it, and has the units that both have. SampledData does not compare.
    """

    def __call__(self, value: Value) -> Iterator[Range]:
        if value.type in _QUANTITIES or value.type == "Range":
            if not isinstance(value.data, Mapping):
                raise ValueError(f"it is not a {value.type}")
            yield from _between(value.data) if value.type == "Range" else _alone(value.data)


def _between(data: Mapping[str, Any]) -> Iterator[Range]:
    limits = [data[end] for end in ("low", "high") if "value" in data.get(end, {})]
    if limits:
        cuts = between(*(data.get(end, {}).get("value") for end in ("low", "high")))
        shared = frozenset.intersection(*map(_units, limits))
        yield from (Range(*cuts, unit) for unit in shared)


def _alone(data: Mapping[str, Any]) -> Iterator[Range]:
    if "value" in data and (held := _held(data)):
        yield from (Range(*held, unit) for unit in _units(data))


def _held(quantity: Mapping[str, Any]) -> tuple[Cut, Cut] | None:
    """What a quantity can be; None for `ad`, which says what it is sufficient for and not how much it is."""
    before, after = point(exact(quantity["value"]))
    match quantity.get("comparator"):
        case None:
            return before, after
        case "<":
            return BELOW_ALL, before
        case "<=":
            return BELOW_ALL, after
        case ">=":
            return before, ABOVE_ALL
        case ">":
            return after, ABOVE_ALL
        case "ad":
            return None
        case other:
            raise ValueError(f"`{other}` is not a comparator of a quantity")


def _units(quantity: Mapping[str, Any]) -> frozenset[Unit]:
    """Every way to name a quantity's unit; Money has a currency instead."""
    code = quantity.get("code") or quantity.get("currency")
    system = quantity.get("system") or (_CURRENCIES if "currency" in quantity else None)
    found: set[Unit] = {None}
    found.update((None, name) for name in (code, quantity.get("unit")) if name)
    if system and code:
        found.add((system, code))
    return frozenset(found)
