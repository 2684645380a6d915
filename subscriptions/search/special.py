"""
Parameters with a logic of their own: https://hl7.org/fhir/R4/search.html#special. Of these `near` of a Location
(https://hl7.org/fhir/R4/location.html#search) can be decided from the resource alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Any, NamedTuple

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Access, Criterion, source
from subscriptions.search.escapes import split, unescape
from subscriptions.search.extraction import Value

#: The expressions of the parameters that are evaluated.
EVALUATED = frozenset({"Location.position"})

#: Metres, by UCUM's codes.
_UNITS = {"m": 1.0, "km": 1000.0, "[mi_i]": 1609.344, "[mi_us]": 1609.347219, "[nmi_i]": 1852.0, "[ft_i]": 0.3048}
#: The mean radius in metres. The earth taken for a sphere, distances are wrong by half a percent at most.
_EARTH = 6_371_008.8
_NUMBER = re.compile(r"[+\- ]?\d{1,10}(?:\.\d{1,20})?", re.ASCII)


class Place(NamedTuple):
    """Degrees, north and east positive."""

    latitude: float
    longitude: float


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values has no coordinates or no distance.
    """
    asked.plain()
    circles = frozenset(_circle([unescape(part) for part in split(value, "|")]) for value in asked.values)
    return Criterion(source(asked.found, Reading()), Near(circles))


@dataclass(frozen=True, slots=True)
class Circle:
    """distance: Metres."""

    centre: Place
    distance: float

    def holds(self, place: Place) -> bool:
        here, there = (tuple(map(radians, each)) for each in (self.centre, place))
        half = sin((there[0] - here[0]) / 2) ** 2
        half += cos(here[0]) * cos(there[0]) * sin((there[1] - here[1]) / 2) ** 2
        return 2 * _EARTH * asin(min(1.0, sqrt(half))) <= self.distance


def _circle(parts: list[str]) -> Circle:
    """
    "If the units are omitted, then kms should be assumed." What is near where no distance is given would be at the
    discretion of the server; this one leaves it to the subscriber.
    """
    latitude, longitude, distance, unit = (*parts, "", "", "", "")[:4] if len(parts) <= 4 else ("",) * 4
    if not all(map(_NUMBER.fullmatch, (latitude, longitude, distance))) or (unit or "km") not in _UNITS:
        units = ", ".join(f"`{unit}`" for unit in _UNITS)
        text = (
            "a place is written `latitude|longitude|distance` or `latitude|longitude|distance|unit`, the unit one of "
        )
        raise Rejected(Issue(IssueCode.VALUE, text + units))
    try:
        return Circle(_place(latitude.strip(), longitude.strip()), float(distance.strip()) * _UNITS[unit or "km"])
    except ValueError as error:
        raise Rejected(Issue(IssueCode.VALUE, str(error))) from None


def _place(latitude: Any, longitude: Any) -> Place:
    place = Place(float(latitude), float(longitude))
    if not (abs(place.latitude) <= 90 and abs(place.longitude) <= 180):
        raise ValueError(f"{latitude}, {longitude} is no place: degrees go to 90 and 180")
    return place


@dataclass(frozen=True, slots=True)
class Reading:
    """The coordinates of a position. Its altitude and datum don't count."""

    def __call__(self, value: Value) -> Iterator[Place]:
        yield _place(value.data["latitude"], value.data["longitude"])


@dataclass(frozen=True, slots=True)
class Near:
    """One of the places that were read lies within one of these circles."""

    circles: frozenset[Circle]

    @property
    def access(self) -> Access:
        return None

    def passes(self, read: frozenset[Any]) -> bool:
        return any(circle.holds(place) for circle in self.circles for place in read)
