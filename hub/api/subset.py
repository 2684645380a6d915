"""
How much of a resource the client wants: `_summary` and `_elements`. https://hl7.org/fhir/R4/search.html#summary

A subset is marked as SUBSETTED, and holds whatever is mandatory or may change the meaning of the rest, each with its
very bytes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import msgspec

from hub.errors import Refused
from hub.ingest.shapes import Element, Kind, Shape, is_resource_type, shape
from subscriptions.codes import FhirVersion, IssueCode

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_MARK = msgspec.Raw(b'{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}')

#: What every subset holds of a resource: what says which one it is, and how the rest is to be understood.
_ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules", "_implicitRules", "modifierExtension"})

Parameters = Iterable[tuple[str, str]]
T = TypeVar("T")


class Summary(StrEnum):
    """http://hl7.org/fhir/ValueSet/summary."""

    TRUE = "true"
    TEXT = "text"
    DATA = "data"
    COUNT = "count"
    FALSE = "false"


@dataclass(frozen=True, slots=True)
class Subset:
    """
    Which elements of resources of one type are answered.

    elements: Names of elements at the root, as in FHIRPath; None for no `_elements`.
    """

    version: FhirVersion
    summary: Summary = Summary.FALSE
    elements: frozenset[str] | None = None

    @property
    def only_total(self) -> bool:
        """Whether nothing of any resource is wanted but how many there are."""
        return self.summary is Summary.COUNT

    @property
    def whole(self) -> bool:
        return self.summary is Summary.FALSE and self.elements is None

    def of(self, body: bytes) -> bytes:
        """A resource's JSON, reduced to this."""
        if self.whole or not body:
            return body
        members = _OBJECT.decode(body)
        known = shape(_TEXT.decode(members["resourceType"]), self.version)
        if self.summary is Summary.TRUE:
            kept = _summary(members, known)
        else:
            kept = {name: member for name, member in members.items() if self._holds(name, known)}
        return msgspec.json.encode(_marked(kept))

    def _holds(self, name: str, known: Shape) -> bool:
        if self.summary is Summary.DATA:
            return name != "text"
        if name in _ALWAYS:
            return True
        element = known.elements.get(name)
        if element is None:  # of an `open` shape
            return True
        return element.required or element.path in ({"text"} if self.elements is None else self.elements)


def whole(version: FhirVersion) -> Subset:
    """Everything of a resource."""
    return Subset(version)


def subset(
    parameters: Parameters, type_: str, version: FhirVersion, *, counts: bool = False
) -> tuple[Subset, list[tuple[str, str]]]:
    """
    Take `_summary` and `_elements` out of a query: what is wanted, and the other parameters.

    Args:
        type_: Of the resources; empty for any.
        counts: Whether `_summary=count` has a meaning.

    Raises:
        Refused: 400, for what is malformed, unknown or not supported.
    """
    rest = [(name, value) for name, value in parameters if name not in ("_summary", "_elements")]
    summary = one(parameters, "_summary", _read_summary) or Summary.FALSE
    elements = one(parameters, "_elements", lambda value: _read_elements(value, type_, version))
    if summary is Summary.COUNT and not counts:
        text = "`_summary=count` counts what a search finds; there is nothing to count here."
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, "_summary")
    if elements is not None and summary is not Summary.FALSE:
        text = "`_elements` and `_summary` both say what is to be left out: send one of them."
        raise Refused.because(400, IssueCode.INVALID, text, "_elements")
    if summary in (Summary.TRUE, Summary.TEXT):
        _check(type_, version, "_summary")
    return Subset(version, summary, elements), rest


def one(parameters: Parameters, name: str, read: Callable[[str], T]) -> T | None:
    """What a parameter that comes once says; None without it. Refused, 400, when it is repeated."""
    values = [value for each, value in parameters if each == name]
    if len(values) > 1:
        raise Refused.because(400, IssueCode.INVALID, f"There is one `{name}` at most.", name)
    return read(values[0]) if values else None


def _read_summary(value: str) -> Summary:
    try:
        return Summary(value)
    except ValueError:
        text = f"`_summary` is one of {', '.join(Summary)}, not {value[:60]}."
        raise Refused.because(400, IssueCode.VALUE, text, "_summary") from None


def _read_elements(value: str, type_: str, version: FhirVersion) -> frozenset[str]:
    """The names of elements at the root, each perhaps behind the type: `name`, `Patient.name`."""
    if not is_resource_type(type_, version):
        text = "`_elements` is about resources of one type: ask for the history of a type, or of a resource."
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, "_elements")
    _check(type_, version, "_elements")
    known = {element.path for name, element in shape(type_, version).elements.items() if not name.startswith("_")}
    found = frozenset(part.strip().removeprefix(f"{type_}.").removesuffix("[x]") for part in value.split(","))
    if unknown := sorted(found - known):
        named = ", ".join(unknown)[:100]
        text = f"{type_} has no element `{named}` at its root, which is where `_elements` chooses."
        raise Refused.because(400, IssueCode.VALUE, text, "_elements")
    return found


def _check(type_: str, version: FhirVersion, parameter: str) -> None:
    """Refuse what can't be done with a type of which the hub doesn't know what is mandatory."""
    if type_ and is_resource_type(type_, version) and shape(type_, version).open:
        text = f"`{parameter}` is not supported for {type_}, of which the hub does not know what is mandatory."
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, parameter)


def _summary(members: Mapping[str, msgspec.Raw], known: Shape) -> dict[str, msgspec.Raw]:
    """The members that belong to the summary, and what is mandatory, at all levels."""
    kept: dict[str, msgspec.Raw] = {}
    for name, member in members.items():
        element = known.elements.get(name)
        if name in _ALWAYS or element is None:
            kept[name] = member
        elif element.summary or element.required:
            kept[name] = member if name.startswith("_") else _inner(member, element, known.version)
    return kept


def _inner(member: msgspec.Raw, element: Element, version: FhirVersion) -> msgspec.Raw:
    """A value or an array of values; primitives as they are."""
    if element.kind not in (Kind.OBJECT, Kind.RESOURCE):
        return member
    if element.many:
        items = [_object(item, element, version) for item in _LIST.decode(member)]
        return msgspec.Raw(msgspec.json.encode(items))
    return _object(member, element, version)


def _object(member: msgspec.Raw, element: Element, version: FhirVersion) -> msgspec.Raw:
    members = _OBJECT.decode(member)
    type_ = _TEXT.decode(members["resourceType"]) if element.kind is Kind.RESOURCE else element.type
    # What would be left with nothing has but extensions: they say why, and an empty object is none.
    kept = _summary(members, shape(type_, version))
    return msgspec.Raw(msgspec.json.encode(kept)) if kept else member


def _marked(members: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The same with the tag that says that something may be missing."""
    meta = _OBJECT.decode(members.get("meta", b"{}"))
    tags = _LIST.decode(meta.get("tag", b"[]"))
    meta["tag"] = msgspec.Raw(msgspec.json.encode([*tags, _MARK]))
    written = msgspec.Raw(msgspec.json.encode(meta))
    if "meta" in members:
        return members | {"meta": written}
    head = {name: members[name] for name in ("resourceType", "id") if name in members}
    return head | {"meta": written} | members
