"""
References within a resource, found and replaced: https://hl7.org/fhir/R4/http.html#trules.

What is replaced is the JSON string itself, wherever its type makes it a reference or a URI; all other bytes stay.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import msgspec

from hub.ingest import Draft
from hub.ingest.shapes import UNKNOWN, Element, Kind, Shape, shape

#: Names and indexes from the resource to a value in it.
Path: TypeAlias = tuple[str | int, ...]

_URIS = frozenset({"uri", "url", "canonical", "oid", "uuid"})
_OF_URIS = re.compile(r"url|uri|value(Uri|Url|Canonical|Oid|Uuid)")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Link:
    """
    A string that points to something.

    literal: Whether it is the `reference` of a Reference; else any URI.
    """

    path: Path
    target: str
    literal: bool

    def expression(self, resource: str) -> str:
        """Its FHIRPath, below the path of its resource."""
        return resource + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)


def links(draft: Draft) -> Iterator[Link]:
    """
    Everything in a resource that points to something.

    The entries of a Bundle within are left out: what they refer to is to be found in that Bundle.
    """
    yield from _in_object(draft.resource, shape(draft.type), (), "")


def replaced(draft: Draft, targets: Mapping[Path, str]) -> Draft:
    """The draft with other targets at some paths."""
    if not targets:
        return draft
    members = dict(draft.members)
    for name, changes in _by_first(targets).items():
        members[str(name)] = _replaced(bytes(members[str(name)]), changes)
    return replace(draft, members=members)


def _in_object(value: Mapping[str, Any], known: Shape, path: Path, type_: str) -> Iterator[Link]:
    for name, member in value.items():
        element = known.elements.get(name)
        if type(member) is list:
            for index, item in enumerate(member):
                yield from _in_value(name, item, element, (*path, name, index), type_)
        else:
            yield from _in_value(name, member, element, (*path, name), type_)


def _in_value(name: str, value: Any, element: Element | None, path: Path, holder: str) -> Iterator[Link]:
    """The links in one value of an element, or of one that isn't known, of an object of the type `holder`."""
    if type(value) is str:
        literal = _points(name, element, holder)
        if literal is not None:
            yield Link(path, value, literal)
    elif type(value) is dict:
        if element is None or element.kind is Kind.RESOURCE:
            type_ = value.get("resourceType", UNKNOWN)
            yield from _in_object(value, shape(type_), path, type_)
        elif element.type != "BundleEntry":
            yield from _in_object(value, shape(element.type), path, element.type)


def _points(name: str, element: Element | None, type_: str) -> bool | None:
    """Whether a string is the `reference` of a Reference; None when it points to nothing."""
    if name == "reference" and type_ in ("Reference", UNKNOWN):
        return True
    of_uris = _OF_URIS.fullmatch(name) if element is None else element.type in _URIS
    return False if of_uris else None


def _by_first(targets: Mapping[Path, str]) -> dict[str | int, dict[Path, str]]:
    found: dict[str | int, dict[Path, str]] = {}
    for (first, *rest), target in targets.items():
        found.setdefault(first, {})[tuple(rest)] = target
    return found


def _replaced(raw: bytes, changes: Mapping[Path, str]) -> bytes:
    """A JSON value with other strings at some paths below it."""
    if () in changes:
        return msgspec.json.encode(changes[()])
    deeper = _by_first(changes)
    if isinstance(next(iter(deeper)), int):
        items = list(_ITEMS.decode(raw))
        for index, inner in deeper.items():
            items[int(index)] = msgspec.Raw(_replaced(bytes(items[int(index)]), inner))
        return msgspec.json.encode(items)
    members = _MEMBERS.decode(raw)
    for name, inner in deeper.items():
        members[str(name)] = msgspec.Raw(_replaced(bytes(members[str(name)]), inner))
    return msgspec.json.encode(members)
