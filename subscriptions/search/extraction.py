"""What a search parameter finds in a resource: https://hl7.org/fhir/R4/searchparameter-definitions.html#expression."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from fhirpathpy.engine.nodes import ResourceNode

from subscriptions.change import Resource
from subscriptions.codes import FhirVersion, SearchType
from subscriptions.search.fhirpath import Compiled, choices, compiled, operands
from subscriptions.search.held import Held
from subscriptions.search.members import finding
from subscriptions.search.parameters import SearchParameter, parameters, resource_types

_RESOLVES = re.compile(r"\.where\(resolve\(\) is (\w+)\)$")
_CAST = re.compile(r"\(([\w.]+) as (\w+)\)|\b([\w.]+)\.(?:as|ofType)\((\w+)\)")
_LITERAL_REFERENCE = re.compile(r"(?:^|/)([A-Z]\w+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?$")


#: What can stand beside the value of a primitive, or instead of it.
_BESIDE = frozenset({"id", "extension"})

#: The data type of what an expression computes, by the type of the parameter that it is compared as.
_COMPUTED = {
    SearchType.NUMBER: "decimal",
    SearchType.DATE: "dateTime",
    SearchType.STRING: "string",
    SearchType.TOKEN: "code",
    SearchType.URI: "uri",
}
_UNTYPED = "the data type of what is found is not known, since it was put together with what is computed"


@dataclass(frozen=True, slots=True)
class Value:
    """
    One value in a resource.

    type: Its data type (`CodeableConcept`, `dateTime`), or its resource type if it is one.
    data: Its JSON.
    path: Where it stands (`Patient.name[0].given[1]`); empty when it was computed.
    """

    type: str
    data: Any
    path: str


class Extraction(Protocol):
    """
    How the values of a parameter are found. Equal ones find the same.

    resource_type: The type in which the values stand in the end; `parameter` is one of that type.
    name: `Immunization.patient`, as it is shown.
    targets: The types that a reference found here can point to; empty for any.
    """

    @property
    def version(self) -> FhirVersion: ...
    @property
    def resource_type(self) -> str: ...
    @property
    def parameter(self) -> SearchParameter: ...
    @property
    def name(self) -> str: ...
    @property
    def targets(self) -> frozenset[str]: ...

    def values(self, resource: Resource, held: Held) -> Iterator[Value]:
        """All values in a resource, or behind its references. The engine raises whatever its operators meet."""

    def __hash__(self) -> int: ...


class Expression:
    """
    One parameter's expression for one resource type, compiled. Get it from `extraction`: there is one object of each.

    The engine can't `resolve()`, and refuses to cast more than one value. So `where(resolve() is Patient)` is taken
    off and becomes a restriction on what the reference says of its target, and `value as Quantity` becomes
    `valueQuantity`, the name of the property in JSON.
    """

    def __init__(
        self,
        version: FhirVersion,
        resource_type: str,
        parameter: SearchParameter,
        compiled: Callable[[str, FhirVersion], Compiled] = compiled,
    ) -> None:
        """`compiled`: How the expression is, if it is not one of FHIR's own."""
        self.version = version
        self.resource_type = resource_type
        self.parameter = parameter
        self._branches = [
            (finding(without_casts(path, version), version, compiled), target)
            for path, target in _branches(parameter.expression, resource_type)
        ]
        restricted = frozenset(target for _, target in self._branches if target)
        self._targets = restricted if all(target for _, target in self._branches) else parameter.targets

    @property
    def finds_something(self) -> bool:
        """Whether a part of the expression is for this resource type."""
        return bool(self._branches)

    @property
    def name(self) -> str:
        return f"{self.resource_type}.{self.parameter.code}"

    @property
    def targets(self) -> frozenset[str]:
        """The types that a reference found here can point to; empty for any."""
        return self._targets

    def values(self, resource: Resource, held: Held) -> Iterator[Value]:
        """All values in a resource, in its order."""
        return (value for value, _ in self.nodes(resource, held))

    def nodes(self, resource: Resource, held: Held) -> Iterator[tuple[Value, Any]]:
        """The values, each with the engine's node of it, from which further expressions can go on."""
        variables = {"interaction": [held.interaction.value] if held.interaction else []}
        for find, target in self._branches:
            for node in find(resource, variables):
                value = value_of(node, self.parameter.type)
                if value and self._is_wanted(value.data, target, resource):
                    yield value, node

    def _is_wanted(self, data: Any, target: str | None, resource: Resource) -> bool:
        """Whether what was found is of the right type, if it is a reference or a resource (a Bundle's first entry)."""
        if isinstance(data, dict) and "resourceType" in data:
            return not self.parameter.targets or data["resourceType"] in self.parameter.targets
        return target is None or self._points_to(data, target, resource)

    def _points_to(self, reference: Mapping[str, Any], target: str, resource: Resource) -> bool:
        """Whether a Reference says that its target is of this type: by its URL, its contained resource or `type`."""
        literal = reference.get("reference", "")
        if literal == "#":
            return self.resource_type == target
        if literal.startswith("#"):
            contained = resource.get("contained", [])
            return any(inner["resourceType"] == target and f"#{inner.get('id')}" == literal for inner in contained)
        named = _LITERAL_REFERENCE.search(literal)
        if named and named[1] in resource_types(self.version):
            return named[1] == target
        return str(reference.get("type", "")).rpartition("/")[2] == target


@cache
def extraction(version: FhirVersion, resource_type: str, code: str) -> Expression:
    """The extraction of a parameter that exists (else KeyError) and has an expression."""
    return Expression(version, resource_type, parameters(version)[resource_type, code])


def _branches(expression: str, resource_type: str) -> Iterator[tuple[str, str | None]]:
    """The branches of a union that concern a type, as the engine takes them, each with the target type it wants."""
    for path in operands(expression) if expression else ():
        path = re.sub(r"^(\(?)(?:Domain)?Resource\.", rf"\1{resource_type}.", path)
        if re.match(r"[a-z]", path):  # HL7 wrote one without its type: InsurancePlan's `name | alias`
            path = f"{resource_type}.{path}"
        if re.match(rf"\(?{resource_type}(?:\.|$)", path):
            resolves = _RESOLVES.search(path)
            yield _RESOLVES.sub("", path), resolves[1] if resolves else None


def value_of(node: Any, type_: SearchType) -> Value | None:
    """
    What the engine found; None for a primitive that has only extensions.

    Raises:
        ValueError: It is from a union with something computed, of which the engine doesn't keep the data type.
    """
    if not isinstance(node, ResourceNode):  # what an expression computes: `Patient.deceased != false`
        return _computed(node, type_)
    if node.path is None:
        return _computed(node.data, type_)
    if node.path.startswith("_."):
        raise ValueError(_UNTYPED)
    held = "id" if node.path == "System.String" else str(node.path)
    if node.data is None or (held[0].islower() and isinstance(node.data, dict) and node.data.keys() <= _BESIDE):
        return None
    value = Value(held, node.data, node.propName or "")
    return _part(value, type_) if held == "CodeableReference" else value


def _computed(data: Any, type_: SearchType) -> Value:
    if isinstance(data, Mapping):
        raise ValueError(_UNTYPED)
    return Value("boolean" if isinstance(data, bool) else _COMPUTED.get(type_, "string"), data, "")


def _part(value: Value, type_: SearchType) -> Value | None:
    """What a CodeableReference is for a parameter of this type; None if it hasn't got it."""
    part, held = ("reference", "Reference") if type_ is SearchType.REFERENCE else ("concept", "CodeableConcept")
    return Value(held, value.data[part], f"{value.path}.{part}") if part in value.data else None


def without_casts(path: str, version: FhirVersion) -> str:
    """
    `value.as(Quantity)` as `valueQuantity`, since the engine refuses to cast more than one value. What has no choice of
    data types is left to it: `Bundle.entry.resource.ofType(Claim)`.
    """

    def without(cast: re.Match[str]) -> str:
        element, type_ = cast[1] or cast[3], cast[2] or cast[4]
        if element.rpartition(".")[2] in choices(version):
            return f"{element}{type_[0].upper()}{type_[1:]}"
        return f"{element}.ofType({type_})"

    return _CAST.sub(without, path)
