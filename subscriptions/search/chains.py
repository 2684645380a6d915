"""
Values that other resources decide: behind a reference, in whatever refers to it, in the rosters that it is a member of.

https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has, and R5's `_in`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from subscriptions.change import Resource
from subscriptions.codes import FhirVersion
from subscriptions.search.extraction import Extraction, Value
from subscriptions.search.held import Held
from subscriptions.search.parameters import SearchParameter, parameters
from subscriptions.search.target import followed, local, own


@dataclass(frozen=True, slots=True)
class Chain:
    """
    What a parameter finds in whatever a reference points to: `patient.identifier`.

    An `identifier` behind it is also the one that the reference itself gives in place of a URL.

    ends: What is asked of each type that the reference may point to. They agree in the type of their values.
    bases: The hub's own base URLs.
    """

    reference: Extraction
    ends: tuple[tuple[str, Extraction], ...]
    bases: frozenset[str]

    @property
    def version(self) -> FhirVersion:
        return self.reference.version

    @property
    def resource_type(self) -> str:
        return self.ends[0][1].resource_type

    @property
    def parameter(self) -> SearchParameter:
        return self.ends[0][1].parameter

    @property
    def name(self) -> str:
        return f"{self.reference.name}.{self.ends[0][1].name.partition('.')[2]}"

    @property
    def targets(self) -> frozenset[str]:
        each = [end.targets for _, end in self.ends]
        return frozenset().union(*each) if all(each) else frozenset()

    def values(self, resource: Resource, held: Held) -> Iterator[Value]:
        ends = dict(self.ends)
        for found in self.reference.values(resource, held):
            if isinstance(found.data, Mapping):
                yield from self._logical(found, ends)
                target = followed(found.data, resource, held, ends, self.bases)
                if target is not None:
                    yield from ends[target["resourceType"]].values(target, held)

    @staticmethod
    def _logical(found: Value, ends: Mapping[str, Extraction]) -> Iterator[Value]:
        """The identifier that a reference gives itself, if that is what is asked of its target."""
        said = str(found.data.get("type", "")).rpartition("/")[2]
        asked = [end for type_, end in ends.items() if said in ("", type_)]
        identifier = found.data.get("identifier")
        if found.type == "Reference" and isinstance(identifier, Mapping) and any(map(_is_identifier, asked)):
            yield Value("Identifier", identifier, f"{found.path}.identifier")


@dataclass(frozen=True, slots=True)
class Reverse:
    """
    What a parameter finds in the resources that refer to this one: `_has:Observation:patient:code`.

    start: The type of this one.
    reference: Finds the references in those.
    bases: The hub's own base URLs.
    """

    start: str
    reference: Extraction
    end: Extraction
    bases: frozenset[str]

    @property
    def version(self) -> FhirVersion:
        return self.reference.version

    @property
    def resource_type(self) -> str:
        return self.end.resource_type

    @property
    def parameter(self) -> SearchParameter:
        return self.end.parameter

    @property
    def name(self) -> str:
        type_, _, code = self.reference.name.partition(".")
        return f"{self.start}._has:{type_}:{code}:{self.end.name.partition('.')[2]}"

    @property
    def targets(self) -> frozenset[str]:
        return self.end.targets

    def values(self, resource: Resource, held: Held) -> Iterator[Value]:
        name = own(resource)
        for referrer in held.referring(self.reference.resource_type, name) if name else ():
            if self._refers(referrer, name, held):
                yield from self.end.values(referrer, held)

    def _refers(self, referrer: Resource, name: str | None, held: Held) -> bool:
        """Whether it is by the element in question that it refers to it."""
        found = (value.data for value in self.reference.values(referrer, held))
        return any(isinstance(data, Mapping) and local(data.get("reference"), self.bases) == name for data in found)


@dataclass(frozen=True, slots=True)
class Rosters:
    """
    The rosters (Group, List, CareTeam) of which a resource is a member: `_in`; or what it refers to: `patient._in`.

    They are known without looking at any other resource.

    resource_type: Of the members; one of them if there are several.
    reference: Finds references to members; None if it is about the resource itself.
    types: Of the members.
    bases: The hub's own base URLs.
    """

    version: FhirVersion
    resource_type: str
    reference: Extraction | None
    types: frozenset[str]
    bases: frozenset[str]

    @property
    def parameter(self) -> SearchParameter:
        return parameters(self.version)[self.resource_type, "_in"]

    @property
    def name(self) -> str:
        return f"{self.reference.name if self.reference else self.resource_type}._in"

    @property
    def targets(self) -> frozenset[str]:
        return self.parameter.targets

    def values(self, resource: Resource, held: Held) -> Iterator[Value]:
        for member in self._members(resource, held):
            for roster in held.rosters_of(member):
                yield Value("Reference", {"reference": roster}, "")

    def _members(self, resource: Resource, held: Held) -> Iterator[str]:
        if self.reference is None:
            if name := own(resource):
                yield name
            return
        for found in self.reference.values(resource, held):
            if isinstance(found.data, Mapping):
                name = (
                    own(found.data) if "resourceType" in found.data else local(found.data.get("reference"), self.bases)
                )
                if name and name.partition("/")[0] in self.types:
                    yield name


def _is_identifier(end: Extraction) -> bool:
    """Whether it is the parameter `identifier` of the target itself."""
    return end.name == f"{end.resource_type}.identifier"
