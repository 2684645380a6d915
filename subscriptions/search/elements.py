"""
The elements of a complex value, as FHIR's JSON has them: https://hl7.org/fhir/R4/json.html.

What is absent is no error. What has another form is one: if it were passed over, `:not` would hold of it. A value that
is no JSON object raises an AttributeError.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def text(data: Mapping[str, Any], name: str) -> str | None:
    """
    Raises:
        ValueError: It is no string.
    """
    return None if (found := data.get(name)) is None else string(found)


def part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An element that doesn't repeat; empty if it is absent."""
    found: Mapping[str, Any] | None = data.get(name)
    return {} if found is None else found


def parts(data: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """
    An element that repeats.

    Raises:
        ValueError: It is no array.
    """
    found = data.get(name, [])
    if not isinstance(found, list):
        raise ValueError(f"`{name}` is no array")
    return found


def string(data: Any) -> str:
    """
    Raises:
        ValueError: It is something else.
    """
    if not isinstance(data, str):
        raise ValueError(f"a string is expected, not {type(data).__name__}")
    return data
