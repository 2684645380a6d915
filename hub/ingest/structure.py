"""Whether a resource's JSON has the form that FHIR gives it: https://hl7.org/fhir/R4/json.html."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.ingest.shapes import COMPARATOR, REFERENCE, UNKNOWN, Element, Kind, Shape, is_resource_type, shape
from hub.ingest.strict import kind
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_NAME = re.compile(r"_?[a-z][A-Za-z0-9]*", re.ASCII)
_UUID = re.compile(r"urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_BASE64 = re.compile(r"[0-9a-zA-Z+/=\s]+", re.ASCII)

#: `Patient/1`, with a version or a place in it behind, or the search of a conditional reference.
_RELATIVE = re.compile(
    r"([A-Z][A-Za-z]+)(?:/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?(?:#\S*)?|\?\S+)", re.ASCII
)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+", re.ASCII)
_REFERENCES = "`Patient/1`, an absolute URL, or `#id` of what is contained"

_EMPTY_ARRAY = "is an empty array: it holds at least one item, or is left out"
_EMPTY_STRING = "is empty: a string holds at least one character, or is left out"


def problems(resource: Mapping[str, Any], path: str, version: FhirVersion) -> list[Issue]:
    """
    Everything that is not as the type's shape says: unknown names, wrong kinds, nulls, what is empty, and references
    that can point to nothing.

    Args:
        path: The FHIRPath of the resource: its type, for one that stands alone.
    """
    looking = _Looking(version)
    looking.at_resource(resource, path)
    return looking.issues


class _Looking:
    """
    A look at a resource.

    issues: What is wrong.
    contained: The ids that references such as `#a` may name: of what is contained in the resource that is looked at.
    """

    def __init__(self, version: FhirVersion) -> None:
        self.version = version
        self.issues: list[Issue] = []
        self.contained: frozenset[str] = frozenset()

    def at_resource(self, resource: Mapping[str, Any], path: str) -> None:
        """One that others are contained in, and not contained itself."""
        around, self.contained = self.contained, _ids(resource.get("contained"))
        self._resource(resource, path)
        self.contained = around

    def _resource(self, resource: Mapping[str, Any], path: str) -> None:
        type_ = resource.get("resourceType")
        if type_ is None:
            self.issues.append(Issue(IssueCode.REQUIRED, "resourceType is missing.", f"{path}.resourceType"))
        elif not is_resource_type(type_, self.version):
            reason = f"{shown(type_)} is not a resource type of FHIR {self.version.upper()}."
            self.issues.append(Issue(IssueCode.VALUE, reason, f"{path}.resourceType"))
        else:
            self._members(resource, shape(type_, self.version), path)

    def _members(self, value: Mapping[str, Any], known: Shape, path: str) -> None:
        if not value:
            self._wrong(path, "is empty: an object holds at least one element, or is left out")
        elements = known.elements
        for name, member in value.items():
            element = elements.get(name)
            if element is None:
                self._unknown(name, member, value, known, path)
            elif not element.many:
                if type(member) is list:
                    self._wrong(f"{path}.{element.path}", f"must be {element.kind.words}, not an array", name)
                else:
                    self._one(name, member, element, path, "")
            elif type(member) is not list:
                reason = f"must be an array, even with one item, not {kind(member)}"
                self._wrong(f"{path}.{element.path}", reason, name)
            elif not member:
                self._wrong(f"{path}.{element.path}", _EMPTY_ARRAY, name)
            else:
                beside = value.get(element.sibling) if element.sibling else None
                for index, item in enumerate(member):
                    if item is not None or not _has(beside, index):
                        self._one(name, item, element, path, f"[{index}]")

    def _one(self, name: str, value: Any, element: Element, path: str, index: str) -> None:
        """One value of an element: the only one, or an item of its array."""
        if type(value) not in element.kind.types:
            self._wrong(f"{path}.{element.path}{index}", f"must be {element.kind.words}, not {kind(value)}", name)
        elif element.kind is Kind.OBJECT:
            self._members(value, shape(element.type, self.version), f"{path}.{element.path}{index}")
        elif element.kind is Kind.STRING:
            reason = self._wrong_text(element.type, value)
            if reason:
                code = IssueCode.VALUE if value else IssueCode.STRUCTURE
                text = f"{name}: {shown(value)} {reason}" if value else f"{name} {_EMPTY_STRING}"
                self.issues.append(Issue(code, f"{text}.", f"{path}.{element.path}{index}"))
        elif element.kind is Kind.RESOURCE:
            look = self._resource if name == "contained" else self.at_resource
            look(value, f"{path}.{element.path}{index}")

    def _wrong_text(self, type_: str, value: str) -> str:
        """Why a string is none of a type; empty if it is."""
        if type_ == REFERENCE:
            return self._wrong_reference(value)
        if type_ in _TEXT:
            return _TEXT[type_](value)
        return "" if value else _EMPTY_STRING

    def _wrong_reference(self, value: str) -> str:
        """Of a reference as it is written: https://hl7.org/fhir/R4/references.html#literal."""
        if value.startswith("#"):
            return "" if value[1:] in self.contained or value == "#" else "names nothing that is contained here"
        found = _RELATIVE.fullmatch(value)
        if found and is_resource_type(found[1], self.version):
            return ""
        if found:
            return f"is to a type that FHIR {self.version.upper()} does not have"
        return "" if _ABSOLUTE.fullmatch(value) else f"is not a reference: {_REFERENCES}"

    def _unknown(self, name: str, member: Any, value: Mapping[str, Any], known: Shape, path: str) -> None:
        """An element that the shape doesn't have."""
        where = f"{path}.{name.removeprefix('_')}" if _NAME.fullmatch(name) else path
        if not known.open or where == path:
            reason = f"{shown(name)} is not an element that {path} has in {self.version.upper()}."
            self.issues.append(Issue(IssueCode.STRUCTURE, reason, where))
        elif not isinstance(member, list):
            self._anything(name, member, where)
        else:
            if not member:
                self._wrong(where, _EMPTY_ARRAY, name)
            beside = value.get(name[1:] if name.startswith("_") else f"_{name}")
            for index, item in enumerate(member):
                if isinstance(item, list):
                    reason = "is an array within an array, which FHIR does not have"
                    self._wrong(f"{where}[{index}]", reason, name)
                elif item is not None or not _has(beside, index):
                    self._anything(name, item, f"{where}[{index}]")

    def _anything(self, name: str, value: Any, path: str) -> None:
        if value is None:
            self._wrong(path, "is null: leave it out", name)
        elif value == "":
            self._wrong(path, _EMPTY_STRING, name)
        elif isinstance(value, dict):
            if "resourceType" in value:
                self._resource(value, path)
            else:
                self._members(value, shape(UNKNOWN, self.version), path)

    def _wrong(self, path: str, text: str, name: str = "") -> None:
        self.issues.append(Issue(IssueCode.STRUCTURE, f"{name or path} {text}.", path))


def _ids(contained: object) -> frozenset[str]:
    """The ids of contained resources, as far as they are some."""
    found = contained if isinstance(contained, list) else []
    return frozenset(str(each.get("id")) for each in found if isinstance(each, dict))


def _blanks(value: str) -> str:
    return "" if len(value.split()) == 1 else "holds blanks, which a URI does not"


def _id(value: str) -> str:
    return "" if ID.fullmatch(value) else "is not an id: 1 to 64 letters, digits, `-` and `.`"


def _uuid(value: str) -> str:
    return "" if _UUID.fullmatch(value) else "is not a uuid, such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520"


def _comparator(value: str) -> str:
    return "" if value in ("<", "<=", ">=", ">", "ad") else "is none of the comparators <, <=, >=, > and, in R5, ad"


def _base64(value: str) -> str:
    sound = _BASE64.fullmatch(value) and len("".join(value.split())) % 4 == 0
    return "" if sound else "is not base64"


#: What is asked of a string of these types that the models don't ask: the reason, when it isn't so.
_TEXT = {
    "id": _id,
    "uuid": _uuid,
    "base64Binary": _base64,
    COMPARATOR: _comparator,
    **dict.fromkeys(("uri", "url", "canonical", "oid"), _blanks),
}


def _has(beside: object, index: int) -> bool:
    """Whether a null has its extension, or an extension its value, at the same place of the sibling's array."""
    return isinstance(beside, list) and index < len(beside) and beside[index] is not None


def shown(value: object) -> str:
    """What the client wrote, cut where it gets long."""
    if not isinstance(value, str):
        return str(value) if isinstance(value, (int, Decimal)) else kind(value)
    return f'"{value[:60]}…"' if len(value) > 60 else f'"{value}"'
