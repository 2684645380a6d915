"""Whether a resource's JSON has the form that FHIR gives it: https://hl7.org/fhir/R4/json.html."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.ingest.shapes import UNKNOWN, Element, Kind, Shape, is_resource_type, shape
from hub.ingest.strict import kind
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_NAME = re.compile(r"_?[a-z][A-Za-z0-9]*", re.ASCII)
_UUID = re.compile(r"urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_BASE64 = re.compile(r"[0-9a-zA-Z+/=\s]+", re.ASCII)

_EMPTY_ARRAY = "is an empty array: it holds at least one item, or is left out"
_EMPTY_STRING = "is empty: a string holds at least one character, or is left out"


def problems(resource: Mapping[str, Any], path: str, version: FhirVersion) -> list[Issue]:
    """
    Everything that is not as the type's shape says: unknown names, wrong kinds, nulls, and what is empty.

    Args:
        path: The FHIRPath of the resource: its type, for one that stands alone.
    """
    found: list[Issue] = []
    _resource(resource, path, version, found)
    return found


def _resource(resource: Mapping[str, Any], path: str, version: FhirVersion, found: list[Issue]) -> None:
    type_ = resource.get("resourceType")
    if type_ is None:
        found.append(Issue(IssueCode.REQUIRED, "resourceType is missing.", f"{path}.resourceType"))
    elif not is_resource_type(type_, version):
        reason = f"{shown(type_)} is not a resource type of FHIR {version.upper()}."
        found.append(Issue(IssueCode.VALUE, reason, f"{path}.resourceType"))
    else:
        _members(resource, shape(type_, version), path, found)


def _members(value: Mapping[str, Any], known: Shape, path: str, found: list[Issue]) -> None:
    if not value:
        found.append(_wrong(path, "is empty: an object holds at least one element, or is left out"))
    elements = known.elements
    for name, member in value.items():
        element = elements.get(name)
        if element is None:
            _unknown(name, member, value, known, path, found)
        elif not element.many:
            if type(member) is list:
                found.append(_wrong(f"{path}.{element.path}", f"must be {element.kind.words}, not an array", name))
            else:
                _one(name, member, element, path, "", known.version, found)
        elif type(member) is not list:
            reason = f"must be an array, even with one item, not {kind(member)}"
            found.append(_wrong(f"{path}.{element.path}", reason, name))
        elif not member:
            found.append(_wrong(f"{path}.{element.path}", _EMPTY_ARRAY, name))
        else:
            beside = value.get(element.sibling) if element.sibling else None
            for index, item in enumerate(member):
                if item is not None or not _has(beside, index):
                    _one(name, item, element, path, f"[{index}]", known.version, found)


def _one(
    name: str, value: Any, element: Element, path: str, index: str, version: FhirVersion, found: list[Issue]
) -> None:
    """One value of an element: the only one, or an item of its array."""
    if type(value) not in element.kind.types:
        reason = f"must be {element.kind.words}, not {kind(value)}"
        found.append(_wrong(f"{path}.{element.path}{index}", reason, name))
    elif element.kind is Kind.OBJECT:
        _members(value, shape(element.type, version), f"{path}.{element.path}{index}", found)
    elif element.kind is Kind.STRING:
        reason = _TEXT[element.type](value) if element.type in _TEXT else "" if value else _EMPTY_STRING
        if reason:
            code = IssueCode.VALUE if value else IssueCode.STRUCTURE
            text = f"{name}: {shown(value)} {reason}" if value else f"{name} {_EMPTY_STRING}"
            found.append(Issue(code, f"{text}.", f"{path}.{element.path}{index}"))
    elif element.kind is Kind.RESOURCE:
        _resource(value, f"{path}.{element.path}{index}", version, found)


def _unknown(name: str, member: Any, value: Mapping[str, Any], known: Shape, path: str, found: list[Issue]) -> None:
    """An element that the shape doesn't have."""
    where = f"{path}.{name.removeprefix('_')}" if _NAME.fullmatch(name) else path
    if not known.open or where == path:
        reason = f"{shown(name)} is not an element that {path} has in {known.version.upper()}."
        found.append(Issue(IssueCode.STRUCTURE, reason, where))
    elif not isinstance(member, list):
        _anything(name, member, where, known.version, found)
    else:
        if not member:
            found.append(_wrong(where, _EMPTY_ARRAY, name))
        beside = value.get(name[1:] if name.startswith("_") else f"_{name}")
        for index, item in enumerate(member):
            if isinstance(item, list):
                reason = "is an array within an array, which FHIR does not have"
                found.append(_wrong(f"{where}[{index}]", reason, name))
            elif item is not None or not _has(beside, index):
                _anything(name, item, f"{where}[{index}]", known.version, found)


def _anything(name: str, value: Any, path: str, version: FhirVersion, found: list[Issue]) -> None:
    if value is None:
        found.append(_wrong(path, "is null: leave it out", name))
    elif value == "":
        found.append(_wrong(path, _EMPTY_STRING, name))
    elif isinstance(value, dict):
        if "resourceType" in value:
            _resource(value, path, version, found)
        else:
            _members(value, shape(UNKNOWN, version), path, found)


def _blanks(value: str) -> str:
    return "" if len(value.split()) == 1 else "holds blanks, which a URI does not"


def _id(value: str) -> str:
    return "" if ID.fullmatch(value) else "is not an id: 1 to 64 letters, digits, `-` and `.`"


def _uuid(value: str) -> str:
    return "" if _UUID.fullmatch(value) else "is not a uuid, such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520"


def _base64(value: str) -> str:
    sound = _BASE64.fullmatch(value) and len("".join(value.split())) % 4 == 0
    return "" if sound else "is not base64"


#: What is asked of a string of these types that the models don't ask: the reason, when it isn't so.
_TEXT = {
    "id": _id,
    "uuid": _uuid,
    "base64Binary": _base64,
    **dict.fromkeys(("uri", "url", "canonical", "oid"), _blanks),
}


def _has(beside: object, index: int) -> bool:
    """Whether a null has its extension, or an extension its value, at the same place of the sibling's array."""
    return isinstance(beside, list) and index < len(beside) and beside[index] is not None


def _wrong(path: str, text: str, name: str = "") -> Issue:
    return Issue(IssueCode.STRUCTURE, f"{name or path} {text}.", path)


def shown(value: object) -> str:
    """What the client wrote, cut where it gets long."""
    if not isinstance(value, str):
        return str(value) if isinstance(value, (int, Decimal)) else kind(value)
    return f'"{value[:60]}…"' if len(value) > 60 else f'"{value}"'
