"""
FHIRPath on whole collections, where the engine goes wrong: https://hl7.org/fhirpath/N1/#equals, #union-collections.

Its own `=` looks at the first values only; its `|` and `distinct()` take the types off what they are given, so that
`(a | b).value` finds nothing.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhirpathpy.engine.invocations.equality import equality
from fhirpathpy.engine.invocations.existence import distinct_fn
from fhirpathpy.engine.nodes import ResourceNode

# The engine has no types.
_equality: Callable[[Any, list[Any], list[Any]], bool | None] = equality
_distinct: Callable[[Any, list[Any]], list[Any]] = distinct_fn


def equal(context: Any, left: list[Any], right: list[Any]) -> bool | None:
    """`=`, of each value in its place. None where it can't be said, as of a year and one of its days."""
    if len(left) != len(right):
        return False
    found = [_equality(context, [one], [other]) for one, other in zip(left, right, strict=True)]
    return False if False in found else None if None in found else True


def unequal(context: Any, left: list[Any], right: list[Any]) -> bool | None:
    same = equal(context, left, right)
    return None if same is None else not same


def union(context: Any, left: list[Any], right: list[Any]) -> list[Any]:
    return distinct(context, [*left, *right])


def distinct(context: Any, values: list[Any]) -> list[Any]:
    """The first of those that are the same, with its type."""
    if not all(isinstance(each, ResourceNode) for each in values):
        return _distinct(context, values)  # what is computed has no other type than the engine gives it
    found: dict[str, Any] = {}
    for each in values:
        found.setdefault(json.dumps(each.data, sort_keys=True, default=_number), each)
    return list(found.values())


def _number(value: Any) -> Any:
    """A decimal as what it equals in JSON: 1.00 as 1, and 1.50 as 1.5, which is not the string."""
    if not isinstance(value, Decimal):
        return str(value)
    return int(value) if value == value.to_integral_value() else [str(value.normalize())]
