"""HL7's examples, and what is in them: looked for by the elements' names alone, without the search that is tested."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from subscriptions.codes import FhirVersion
from subscriptions.search.parameters import SearchParameter, resource_types

FIXTURES = Path(__file__).parents[2] / "fixtures"

Json = dict[str, Any]

_WHERE = re.compile(r"\.where\((?:[^()]|\([^()]*(?:\([^()]*\)[^()]*)*\))*\)")
_CAST = re.compile(r"\(?([\w.]+)(?: as |\.(?:as|ofType)\()(\w+)\)+")
_LEFT = re.compile(r"\.(?:exists|first)\(\)|\[0\]| and .*|[()\s]")


@cache
def examples(version: FhirVersion) -> Mapping[str, list[Json]]:
    """All of them by resource type."""
    found: dict[str, list[Json]] = {type_: [] for type_ in resource_types(version)}
    for folder in (FIXTURES / version.value, FIXTURES / "rare" / version.value):
        for path in sorted(folder.glob("*.json")):
            found[path.name.partition("-")[0]].append(json.loads(path.read_bytes()))
    return found


def has_element(resource: Json, parameter: SearchParameter) -> bool:
    """Whether a resource has an element that a parameter is about; of a composite, all its parts in one place."""
    parts = [_names(path) for _, path in parameter.components]
    for type_, *steps in _names(parameter.expression):
        if type_ in (resource["resourceType"], "Resource"):
            for place in _members([resource], steps):
                if all(any(_stands(name, place, resource) for name in part) for part in parts):
                    return True
    return False


def _names(expression: str) -> list[list[str]]:
    """The steps of each branch of a union by their names: of `(A.b.where(c = 1).d as Quantity)` A, b, dQuantity."""
    path = _WHERE.sub("", expression)
    path = _CAST.sub(lambda cast: f"{cast[1]}{cast[2][0].upper()}{cast[2][1:]}", path)
    return [branch.split(".") for branch in _LEFT.sub("", path).split("|")]


def _stands(steps: list[str], place: Any, resource: Json) -> bool:
    from_top = steps[0] == "%resource"
    return any(True for _ in _members([resource if from_top else place], steps[from_top:]))


def _members(places: list[Any], steps: list[str]) -> Iterator[Any]:
    """What stands there, as a choice of types too: `valueQuantity` for `value`."""
    for place in places:
        if isinstance(place, list):
            yield from _members(place, steps)
        elif not steps:
            yield place
        elif isinstance(place, dict):
            named = re.compile(rf"{steps[0]}(?:[A-Z]\w*)?")
            yield from _members([place[name] for name in place if named.fullmatch(name)], steps[1:])
