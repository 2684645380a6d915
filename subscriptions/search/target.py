"""What a reference points to, as far as it is here: https://hl7.org/fhir/R4/references.html."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from subscriptions.change import Resource
from subscriptions.errors import EvaluationError
from subscriptions.search.held import Held

_LOCAL = re.compile(r"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")


def local(literal: object, bases: Collection[str]) -> str | None:
    """
    The `Type/id` of what a literal reference points to on this hub; None if it points elsewhere, or is no reference.

    A version in it is left out: what is in force is looked at.

    Args:
        bases: The hub's own base URLs.
    """
    if not isinstance(literal, str):
        return None
    for base in bases:
        literal = literal.removeprefix(f"{base.rstrip('/')}/")
    found = _LOCAL.fullmatch(literal)
    return found[1] if found else None


def followed(
    reference: Mapping[str, Any], resource: Resource, held: Held, types: Collection[str], bases: Collection[str]
) -> Resource | None:
    """
    What a reference in a resource points to, if it is of one of these types; None if it isn't, or can't be had.

    What a parameter finds may be a resource itself: a Bundle's first entry.

    Raises:
        EvaluationError: It points to what contains the resource.
    """
    literal = reference.get("reference")
    if "resourceType" in reference:
        return reference if reference["resourceType"] in types else None
    if isinstance(literal, str) and literal.startswith("#"):
        return _contained(literal[1:], resource, types)
    name = local(literal, bases)
    return held.resource(name) if name and name.partition("/")[0] in types else None


def own(resource: Resource) -> str | None:
    """The `Type/id` under which others refer to a resource; None for a contained one."""
    id_ = resource.get("id")
    return None if not isinstance(id_, str) or id_.startswith("#") else f"{resource['resourceType']}/{id_}"


def literals(resource: Resource) -> Iterator[str]:
    """Every literal reference anywhere in a resource, in no order."""
    left: list[Any] = list(resource.values())
    while left:  # without recursion, and over JSON's own types: every write goes through this
        value = left.pop()
        if isinstance(value, dict):
            literal = value.get("reference")
            if isinstance(literal, str):
                yield literal
            left += value.values()
        elif isinstance(value, list):
            left += value


def _contained(id_: str, resource: Resource, types: Collection[str]) -> Resource | None:
    """
    A contained resource, along with the others that it can refer to.

    Nobody outside can refer to it: that its `id` then begins with `#` says so.
    """
    if not id_:
        raise EvaluationError("it refers by `#` to the resource that contains it, which is not followed")
    contained = resource.get("contained", [])
    for inner in contained:
        if inner.get("id") == id_ and inner["resourceType"] in types:
            return {**inner, "id": f"#{id_}", "contained": contained}
    return None
