"""
What points to something within a resource, found and replaced: https://hl7.org/fhir/R4/http.html#trules.

These are references, URIs and the links of narratives, but no canonicals. All bytes but their own stay.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum, auto
from typing import Any, TypeAlias, TypeVar

import msgspec

from hub.ingest import Draft, narrative
from hub.ingest.shapes import UNKNOWN, Element, Kind, Shape, shape
from subscriptions.codes import FhirVersion

#: Names and indexes from the resource to a value in it.
Path: TypeAlias = tuple[str | int, ...]

_URIS = frozenset({"uri", "url", "oid", "uuid"})
_OF_URIS = re.compile(r"url|uri|value(Uri|Url|Oid|Uuid)")
_Value = TypeVar("_Value")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder(float_hook=Decimal)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


class Holder(Enum):
    """What holds a link: the `reference` of a Reference, another element, or an attribute in a narrative."""

    REFERENCE = auto()
    URI = auto()
    NARRATIVE = auto()


@dataclass(frozen=True, slots=True)
class Link:
    """
    What points to something.

    path: Of the string that it is, or of the narrative that it stands in.
    """

    path: Path
    target: str
    holder: Holder

    def expression(self, resource: str) -> str:
        """Its FHIRPath, below the path of its resource."""
        return resource + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)


def links(draft: Draft) -> Iterator[Link]:
    """
    Everything in a resource that points to something.

    The entries of a Bundle within are left out: what they refer to is to be found in that Bundle.
    """
    yield from _in_object(draft.resource, shape(draft.type, draft.version), (), "")


def replaced(draft: Draft, targets: Mapping[Link, str]) -> Draft:
    """The draft with other targets of some links."""
    if not targets:
        return draft
    changes: dict[Path, dict[Link, str]] = {}
    for link, target in targets.items():
        changes.setdefault(link.path, {})[link] = target
    members, resource = dict(draft.members), dict(draft.resource)
    for name, inner in _by_first(changes).items():
        member = members[str(name)] = _replaced(bytes(members[str(name)]), inner)
        resource[str(name)] = _VALUE.decode(member)
    return replace(draft, members=members, resource=resource)


def _in_object(value: Mapping[str, Any], known: Shape, path: Path, type_: str) -> Iterator[Link]:
    for name, member in value.items():
        element = known.elements.get(name)
        if type(member) is list:
            for index, item in enumerate(member):
                yield from _in_value(name, item, element, (*path, name, index), type_, known.version)
        else:
            yield from _in_value(name, member, element, (*path, name), type_, known.version)


def _in_value(
    name: str, value: Any, element: Element | None, path: Path, within: str, version: FhirVersion
) -> Iterator[Link]:
    """The links in one value of an element, or of one that isn't known, of an object of the type `within`."""
    if type(value) is str:
        if element is not None and element.type == "xhtml":
            yield from (Link(path, url, Holder.NARRATIVE) for url in dict.fromkeys(narrative.urls(value)))
        elif found := _holder(name, element, within):
            yield Link(path, value, found)
    elif type(value) is dict:
        if element is None or element.kind is Kind.RESOURCE:
            type_ = value.get("resourceType", UNKNOWN)
            yield from _in_object(value, shape(type_, version), path, type_)
        elif element.type != "BundleEntry":
            yield from _in_object(value, shape(element.type, version), path, element.type)


def _holder(name: str, element: Element | None, type_: str) -> Holder | None:
    """What holds a string, an element of an object of this type; None when it points to nothing."""
    if name == "reference" and type_ in ("Reference", UNKNOWN):
        return Holder.REFERENCE
    of_uris = _OF_URIS.fullmatch(name) if element is None else element.type in _URIS
    return Holder.URI if of_uris else None


def _by_first(values: Mapping[Path, _Value]) -> dict[str | int, dict[Path, _Value]]:
    found: dict[str | int, dict[Path, _Value]] = {}
    for (first, *rest), value in values.items():
        found.setdefault(first, {})[tuple(rest)] = value
    return found


def _replaced(raw: bytes, changes: Mapping[Path, Mapping[Link, str]]) -> bytes:
    """A JSON value with other targets of the links in the strings at some paths below it."""
    if () in changes:
        return _redirected(raw, changes[()])
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


def _redirected(raw: bytes, targets: Mapping[Link, str]) -> bytes:
    """A JSON string with other targets of its links."""
    if all(link.holder is Holder.NARRATIVE for link in targets):
        return narrative.redirected(raw, {link.target: target for link, target in targets.items()})
    (target,) = targets.values()
    return msgspec.json.encode(target)
