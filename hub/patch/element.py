"""
The elements of a resource's tree, as FHIR's JSON has them: https://hl7.org/fhir/R4/json.html.

One element may be two members: `given`, and `_given` with the ids and extensions of its items.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hub.ingest.shapes import UNKNOWN, Element, Kind, Shape, shape
from hub.patch.tree import NULL, Slot, Value, opened, plain
from subscriptions.codes import FhirVersion
from subscriptions.search.fhirpath import model


class Impossible(Exception):
    """An operation can't be done, because of what the resource holds."""


class Item(NamedTuple):
    """A value and what stands beside it: ids and extensions of a primitive. NULL for none."""

    value: Value = NULL
    beside: Value = NULL


@dataclass(frozen=True, slots=True)
class Member:
    """
    An element of an object, under the name that it has in JSON.

    many: Whether it is an array.
    beside: The name of what stands beside it; empty for none.
    """

    members: dict[str, Value]
    name: str
    many: bool
    beside: str

    @property
    def items(self) -> list[Item]:
        """All that it holds."""
        values, besides = self._list(self.name), self._list(self.beside)
        most = max(len(values), len(besides))
        values += [NULL] * (most - len(values))
        besides += [NULL] * (most - len(besides))
        return [Item(value, beside) for value, beside in zip(values, besides, strict=True)]

    def write(self, items: list[Item]) -> None:
        """Have it hold these; nothing at all for none."""
        for name, values in ((self.name, [i.value for i in items]), (self.beside, [i.beside for i in items])):
            if not name:
                continue
            if all(value == NULL for value in values):
                self.members.pop(name, None)
            else:
                self.members[name] = values if self.many else values[0]

    def _list(self, name: str) -> list[Value]:
        if name not in self.members:
            return []
        value = Slot(self.members, name).value
        return list(value) if self.many and isinstance(value, list) else [value]


@dataclass(frozen=True, slots=True)
class Found:
    """
    One element, or the resource itself.

    index: In the array that it is an item of, else 0.
    type: Its FHIR type.
    path: Its type or path, as the FHIRPath engine calls it.
    primitive: Whether its own elements are those beside it: an id and extensions.
    parent: None for the resource itself.
    """

    member: Member
    index: int
    type: str
    path: str
    version: FhirVersion
    primitive: bool = False
    parent: "Found | None" = None

    @classmethod
    def resource(cls, members: dict[str, Value], version: FhirVersion) -> "Found":
        """A resource as the element that paths begin at."""
        type_ = str(plain(members["resourceType"]))
        return cls(Member({"": members}, "", many=False, beside=""), 0, type_, type_, version)

    @property
    def value(self) -> Value:
        """An object or array is open; NULL where there are extensions alone."""
        return self._at(self.member.name)

    @property
    def shape(self) -> Shape:
        return shape("Element" if self.primitive else self.type, self.version)

    @property
    def members(self) -> dict[str, Value]:
        """Those of its own elements; empty, and not its own, where a primitive has none."""
        held = self._at(self.member.beside) if self.primitive else self.value
        return held if isinstance(held, dict) else {}

    def grown(self) -> dict[str, Value]:
        """The same, its own in any case."""
        if not self.primitive or isinstance(self._at(self.member.beside), dict):
            return self.members
        if not self.member.beside:
            raise Impossible(f"{self.path} can't have elements")
        items, made = self.member.items, dict[str, Value]()
        items[self.index] = Item(items[self.index].value, made)
        self.member.write(items)
        return made

    def put(self, item: Item, name: str, beside: str) -> None:
        """Have another value there, under the name that its type gives it."""
        if name == self.member.name:
            items = self.member.items
            items[self.index] = item
            self.member.write(items)
        else:
            self.member.write([])
            Member(self.member.members, name, many=False, beside=beside).write([item])

    def remove(self) -> None:
        """Take it away, and what holds nothing any more."""
        if self.parent is None:
            raise Impossible("the resource as a whole can't be removed")
        items = self.member.items
        del items[self.index]
        self.member.write(items)
        if not self.member.members:
            self.parent.emptied()

    def emptied(self) -> None:
        """Go, since the last of its own elements has gone; a primitive stays for its value."""
        if self.primitive and self.value != NULL:
            items = self.member.items
            items[self.index] = Item(items[self.index].value)
            self.member.write(items)
        else:
            self.remove()

    def _at(self, name: str) -> Value:
        members = self.member.members
        if name not in members:
            return NULL
        value = Slot(members, name).value
        if not (self.member.many and isinstance(value, list)):
            return value
        return Slot(value, self.index).value if self.index < len(value) else NULL


def children(found: Found, name: str) -> Iterator[Found]:
    """The elements of this name within one. Raises Impossible when its type has none."""
    members = found.members
    for own in names(found.shape, found.path, name):
        element = found.shape.elements.get(own)
        member = member_of(members, own, element)
        for index, item in enumerate(member.items):
            type_ = _type(element, item.value)
            path = type_ if element and element.kind is Kind.RESOURCE else _path(found, name, own)
            primitive = element is not None and element.kind not in (Kind.OBJECT, Kind.RESOURCE)
            yield Found(member, index, type_, path, found.version, primitive, found)


def names(known: Shape, path: str, name: str) -> list[str]:
    """
    The names that an element may have in JSON: `valueQuantity`, `valueString`, … for `value`.

    Args:
        path: Of whose element it is, for the error.

    Raises:
        Impossible: There is none.
    """
    own = [each for each, element in known.elements.items() if element.path == name and not each.startswith("_")]
    if not own and not known.open:
        raise Impossible(f"{path} has no element `{name[:60]}`")
    return own or [name]


def member_of(members: dict[str, Value], name: str, element: Element | None) -> Member:
    """An element of an object; of one that isn't known, what the object says."""
    if element is not None:
        return Member(members, name, element.many, element.sibling)
    held = Slot(members, name).value if name in members else NULL
    return Member(members, name, isinstance(held, list), f"_{name}")


def _type(element: Element | None, value: Value) -> str:
    if element is None:
        return UNKNOWN
    if element.kind is Kind.RESOURCE and isinstance(resource := opened(value), dict):
        return str(plain(resource["resourceType"]))
    return element.type


def _path(parent: Found, name: str, own: str) -> str:
    """As the engine finds it in its model."""
    tables = model(parent.version)
    path = tables["pathsDefinedElsewhere"].get(f"{parent.path}.{name}", f"{parent.path}.{name}")
    path += own.removeprefix(name)
    return str(tables["path2Type"].get(path, path))
