"""
A resource's JSON that is opened only where it is looked into: all that a patch does not touch keeps its bytes.

https://hl7.org/fhir/R4/json.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from hub.errors import Refused
from subscriptions.codes import IssueCode

#: A JSON value: an object or array that is open, or the bytes of anything.
Value: TypeAlias = "dict[str, Value] | list[Value] | msgspec.Raw"
#: Something that is open.
Container: TypeAlias = "dict[str, Value] | list[Value]"

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_PLAIN = msgspec.json.Decoder(float_hook=Decimal)

#: What holds nothing.
NULL = msgspec.Raw(b"null")


class Budget:
    """How many bytes a patch may copy and compare, so that a small one can't grow without end."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def spend(self, size: int) -> None:
        """Raises Refused, 413, when nothing is left."""
        self._left -= size
        if self._left < 0:
            text = f"The patch copies or compares more than {self._most} bytes in all."
            raise Refused.because(413, IssueCode.TOO_COSTLY, text)


def raw(value: object) -> msgspec.Raw:
    """A value of Python's as one of the tree."""
    return msgspec.Raw(msgspec.json.encode(value))


def encoded(value: Value) -> bytes:
    """The JSON. RecursionError when it is absurdly deep."""
    return bytes(value) if isinstance(value, msgspec.Raw) else msgspec.json.encode(value)


def plain(value: Value) -> Any:
    """The value as Python has it, numbers with a point as Decimal."""
    return _PLAIN.decode(encoded(value))


def root(body: bytes) -> dict[str, Value]:
    """A resource, open."""
    return dict(_MEMBERS.decode(body))


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in something open that holds a value: a name in an object, an index in an array."""

    container: Container
    key: str | int

    @property
    def value(self) -> Value:
        """An object or array is open from then on."""
        match self.container, self.key:
            case dict(members), str(name):
                value = members[name] = opened(members[name])
            case list(items), int(index):
                value = items[index] = opened(items[index])
            case _:
                raise TypeError(self.key)
        return value

    def put(self, value: Value) -> None:
        """Have another value there."""
        match self.container, self.key:
            case dict(members), str(name):
                members[name] = value
            case list(items), int(index):
                items[index] = value

    def insert(self, value: Value) -> None:
        """Have a value before the one that stands there, in an array."""
        if isinstance(self.container, list) and isinstance(self.key, int):
            self.container.insert(self.key, value)

    def take(self) -> Value:
        """Take the value away; an array's later items move up."""
        value = self.value
        match self.container, self.key:
            case dict(members), str(name):
                del members[name]
            case list(items), int(index):
                del items[index]
        return value


def opened(value: Value) -> Value:
    """The value, open if it is an object or an array."""
    if not isinstance(value, msgspec.Raw):
        return value
    match bytes(value)[:1]:
        case b"{":
            return dict(_MEMBERS.decode(value))
        case b"[":
            return list(_ITEMS.decode(value))
        case _:
            return value


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal as JSON has it: true is not 1, 1.0 is."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
