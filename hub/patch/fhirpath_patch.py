"""FHIRPath Patch: https://hl7.org/fhir/R4/fhirpatch.html."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, assert_never

import msgspec

from hub.errors import Refused
from hub.ingest import Draft
from hub.ingest.shapes import Element, Kind, Shape, shape
from hub.patch.element import Found, Impossible, Item, Member, member_of, names
from hub.patch.path import StepKind, Steps, Walk, steps
from hub.patch.tree import Value, encoded, root
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected

#: Operations of one patch, characters of their paths, and of all different ones with a criterion: these take longer.
MOST, LONGEST, LONGEST_WHERE = 500, 10_000, 3_000


class _Counted(msgspec.Struct):
    """What of a patch is counted."""

    parameter: list[msgspec.Raw] = []


_COUNTED = msgspec.json.Decoder(_Counted)
_PARTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class Type(StrEnum):
    """http://hl7.org/fhir/fhirpatch.html#concept."""

    ADD = "add"
    INSERT = "insert"
    DELETE = "delete"
    REPLACE = "replace"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Given:
    """
    A value that is given.

    suffix: Of its element in JSON where that may have several types: `Quantity` of `valueQuantity`.
    parts: Of what is not one value: its elements, by name.
    """

    suffix: str = ""
    value: bytes = b"null"
    beside: bytes = b"null"
    parts: tuple[tuple[str, "Given"], ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One operation.

    place: Where in the Parameters it stands.
    index, source, destination: Of items, the first being 0.
    """

    type: Type
    path: str
    steps: Steps
    place: str
    name: str = ""
    value: Given = field(default_factory=Given)
    index: int = 0
    source: int = 0
    destination: int = 0


#: What each type of operation takes beside `type` and `path`.
_TAKES = {
    Type.ADD: {"name", "value"},
    Type.INSERT: {"index", "value"},
    Type.DELETE: set[str](),
    Type.REPLACE: {"value"},
    Type.MOVE: {"source", "destination"},
}
_TEXTS = {"type": ("valueCode", "valueString"), "path": ("valueString",), "name": ("valueString",)}
_NUMBERS = {"index", "source", "destination"}


@dataclass(frozen=True, slots=True)
class FhirPathPatch:
    """A patch, understood."""

    operations: tuple[Operation, ...]
    version: FhirVersion

    @classmethod
    def permit(cls, body: bytes) -> None:
        """
        Raise Rejected when there are more operations in some JSON than are read: before they are validated, which is
        slow. Of what is no patch nothing is said.
        """
        with suppress(msgspec.DecodeError, RecursionError):
            if (count := len(_COUNTED.decode(body).parameter)) > MOST:
                raise _too_many(count)

    @classmethod
    def read(cls, draft: Draft) -> "FhirPathPatch":
        """A patch from a Parameters resource that is valid. Raises Rejected when it is no patch."""
        given = draft.resource.get("parameter", [])
        kept = _PARTS.decode(draft.members.get("parameter", b"[]"))
        if len(given) > MOST:
            raise _too_many(len(given))
        operations, long, criteria = [], 0, set[str]()
        for index, (parameter, raw) in enumerate(zip(given, kept, strict=True)):
            reading = _Reading(f"Parameters.parameter[{index}]", parameter, raw)
            long += len(reading.path)
            if long > LONGEST:
                raise reading.rejected(f"paths of more than {LONGEST} characters", IssueCode.TOO_COSTLY)
            if "where" in reading.path:
                criteria.add(reading.path)
            if sum(map(len, criteria)) > LONGEST_WHERE:
                text = f"different paths with criteria of more than {LONGEST_WHERE} characters"
                raise reading.rejected(text, IssueCode.TOO_COSTLY)
            operations.append(reading.operation())
        return cls(tuple(operations), draft.version)

    def applied(self, body: bytes) -> bytes:
        """
        A resource's JSON with all operations done, in their order.

        Raises:
            Refused: 422 when a path leads nowhere, or to several elements, or an operation can't be done there.
        """
        members = root(body)
        walk = Walk(Found.resource(members, self.version))
        for operation in self.operations:
            try:
                _do(operation, walk)
            except Impossible as error:
                told = f"{operation.type} at `{operation.path[:200]}`: {error}."
                raise Refused.because(422, IssueCode.BUSINESS_RULE, told, operation.place) from None
        return encoded(members)


class _Reading:
    """One parameter of a patch, read."""

    def __init__(self, place: str, given: Mapping[str, Any], raw: Mapping[str, msgspec.Raw]) -> None:
        self._place = place
        parts = zip(given.get("part", ()), _PARTS.decode(raw.get("part", b"[]")), strict=True)
        self._parts: dict[str, tuple[Mapping[str, Any], Mapping[str, msgspec.Raw]]] = {}
        if given["name"] != "operation":
            raise self.rejected("each parameter of a patch is an `operation`")
        for part, kept in parts:
            if part["name"] in self._parts:
                raise self.rejected(f"`{part['name'][:60]}` is given twice")
            self._parts[part["name"]] = part, kept
        try:
            self._type = Type(self._text("type"))
        except ValueError:
            raise self.rejected(f"`type` must be one of {', '.join(Type)}", IssueCode.VALUE) from None
        self.path = self._text("path")
        takes = _TAKES[self._type]
        if odd := sorted(self._parts.keys() - takes - {"type", "path"}):
            raise self.rejected(f"`{odd[0][:60]}` is nothing that `{self._type}` takes")
        if missing := sorted(takes - self._parts.keys()):
            raise self.rejected(f"`{self._type}` needs `{missing[0]}`", IssueCode.REQUIRED)

    def operation(self) -> Operation:
        found = steps(self.path, self._place)
        if self._type in (Type.INSERT, Type.MOVE) and found[-1].kind is not StepKind.NAME:
            raise self.rejected(f"the path of `{self._type}` ends with the name of a list")
        numbers = {name: self._number(name) for name in _TAKES[self._type] & _NUMBERS}
        name = self._text("name") if "name" in self._parts else ""
        value = self._given(*self._parts["value"]) if "value" in self._parts else Given()
        return Operation(self._type, self.path, found, self._place, name, value, **numbers)

    def rejected(self, text: str, code: IssueCode = IssueCode.INVALID) -> Rejected:
        return Rejected(Issue(code, f"{text[0].upper()}{text[1:]}.", self._place))

    def _text(self, name: str) -> str:
        part, _ = self._parts.get(name, ({}, {}))
        for key in _TEXTS[name]:
            if isinstance(part.get(key), str):
                return str(part[key])
        raise self.rejected(f"`{name}` is needed, as {_TEXTS[name][0]}", IssueCode.REQUIRED)

    def _number(self, name: str) -> int:
        part, _ = self._parts[name]
        number = next(
            (part[key] for key in ("valueInteger", "valueUnsignedInt", "valuePositiveInt") if key in part), -1
        )
        if number < 0:
            raise self.rejected(f"`{name}` is a valueInteger, 0 or more", IssueCode.VALUE)
        return int(number)

    def _given(self, part: Mapping[str, Any], raw: Mapping[str, msgspec.Raw]) -> Given:
        values = [name for name in raw if name.startswith("value")]
        besides = [name for name in raw if name.startswith("_value")]
        if "part" in raw:
            rows = zip(part["part"], _PARTS.decode(raw["part"]), strict=True)
            return Given(parts=tuple((each["name"], self._given(each, kept)) for each, kept in rows))
        if "resource" in raw:
            return Given(value=bytes(raw["resource"]))
        if not values and not besides:
            raise self.rejected("a `value` has a value[x], a resource or parts", IssueCode.REQUIRED)
        suffix = values[0].removeprefix("value") if values else besides[0].removeprefix("_value")
        value, beside = raw.get(f"value{suffix}", b"null"), raw.get(f"_value{suffix}", b"null")
        return Given(suffix, bytes(value), bytes(beside))


def _do(operation: Operation, walk: Walk) -> None:
    match operation.type:
        case Type.ADD:
            target = _one(walk.found(operation.steps))
            walk.spend(_add(target.grown(), target.shape, target.path, operation.name, operation.value))
        case Type.DELETE:
            if found := walk.found(operation.steps):
                _one(found).remove()
        case Type.REPLACE:
            _replace(_one(walk.found(operation.steps)), operation.value)
        case Type.INSERT:
            member, element, known = _list(operation, walk)
            items = member.items
            walk.spend(len(items))
            if operation.index > len(items):
                raise Impossible(f"index {operation.index} is behind the end of {len(items)} items")
            items.insert(operation.index, _item(operation.value, element, known))
            member.write(items)
        case Type.MOVE:
            member, _, _ = _list(operation, walk)
            items = member.items
            walk.spend(len(items))
            if max(operation.source, operation.destination) >= len(items):
                raise Impossible(f"there are {len(items)} items")
            items.insert(operation.destination, items.pop(operation.source))
            member.write(items)
        case other:
            assert_never(other)


def _one(found: list[Found]) -> Found:
    if len(found) != 1:
        raise Impossible(f"the path leads to {len(found)} elements" if found else "the path leads to nothing")
    return found[0]


def _add(members: dict[str, Value], known: Shape, path_: str, name: str, given: Given) -> int:
    """Add an element, or an item of it, to an object of a shape; returns how many items there are now."""
    possible = names(known, path_, name)
    own = _own(possible, name, given)
    if any(other != own and (other in members or f"_{other}" in members) for other in possible):
        raise Impossible(f"`{name}` is there already, with another type")
    element = known.elements.get(own)
    member = member_of(members, own, element)
    items = member.items
    if items and not member.many:
        raise Impossible(f"`{name}` is there already: replace it")
    items.append(_item(given, element, known))
    member.write(items)
    return len(items)


def _own(possible: list[str], name: str, given: Given) -> str:
    """The name in JSON that an element gets by the type of its value."""
    if name in possible:
        return name
    if f"{name}{given.suffix}" in possible:
        return f"{name}{given.suffix}"
    types = ", ".join(each.removeprefix(name) for each in possible)
    raise Impossible(f"`{name}` can't be a {given.suffix or 'value of parts'}: it may be {types}")


def _item(given: Given, element: Element | None, known: Shape) -> Item:
    if not given.parts:
        return Item(msgspec.Raw(given.value), msgspec.Raw(given.beside))
    if element is None or element.kind is not Kind.OBJECT:
        raise Impossible("a value of parts is only for what has elements of its own")
    made: dict[str, Value] = {}
    within = shape(element.type, known.version)
    for name, part in given.parts:
        _add(made, within, element.type, name, part)
    return Item(made)


def _replace(found: Found, given: Given) -> None:
    if found.parent is None:
        raise Impossible("the resource as a whole can't be replaced: PUT it")
    known, member = found.parent.shape, found.member
    name = known.elements[member.name].path if member.name in known.elements else member.name
    own = _own(names(known, found.parent.path, name), name, given)
    element = known.elements.get(own)
    found.put(_item(given, element, known), own, element.sibling if element else f"_{own}")


def _list(operation: Operation, walk: Walk) -> tuple[Member, Element | None, Shape]:
    """The list that a path ends with, which may be empty; and whose element it is."""
    parent, name = _one(walk.found(operation.steps[:-1])), operation.steps[-1].text
    own = _own(names(parent.shape, parent.path, name), name, operation.value)
    element = parent.shape.elements.get(own)
    if element is not None and not element.many:
        raise Impossible(f"`{name}` is no list")
    beside = element.sibling if element else f"_{own}"
    return Member(parent.grown(), own, many=True, beside=beside), element, parent.shape


def _too_many(count: int) -> Rejected:
    return Rejected(Issue(IssueCode.TOO_COSTLY, f"{count} operations: a patch has {MOST} at most."))
