"""The official search parameters of each FHIR version: https://hl7.org/fhir/R4/searchparameter-registry.html."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from subscriptions.codes import FhirVersion, SearchType

#: R5's `_in`, for all versions; it has no expression, since rosters say it and not the resource.
_IN = "http://hl7.org/fhir/SearchParameter/Resource-in"

#: What the parameters with these bases are given to: every resource type.
_EVERY_TYPE = frozenset({"Resource", "DomainResource"})


@dataclass(frozen=True, slots=True, eq=False)
class SearchParameter:
    """
    One SearchParameter, reduced. There is one object of each, compared by identity.

    base: The resource types it is for; `Resource` stands for all.
    expression: FHIRPath, for all bases at once (`Patient.name | Person.name`); empty where HL7 gives none (`_text`).
    components: Of a composite: canonical of a parameter, and FHIRPath from the composite's value to that one's.
    targets: The types that a reference may point to; empty for any.
    holds: Of a token, reference or uri, for each base: the data types of its values, and with a type the code system
        that its codes have by definition of the element, or None.
    """

    url: str
    code: str
    base: tuple[str, ...]
    type: SearchType
    expression: str
    components: tuple[tuple[str, str], ...]
    targets: frozenset[str]
    holds: Mapping[str, Mapping[str, str | None]]

    def held(self, resource_type: str) -> Mapping[str, str | None]:
        """`holds` for one resource type; empty where it isn't known."""
        return self.holds.get(resource_type) or self.holds.get("Resource", {})


@cache
def parameters(version: FhirVersion) -> Mapping[tuple[str, str], SearchParameter]:
    """Every parameter of a version by (resource type, code); the ones of `Resource` stand under each type."""
    found: dict[tuple[str, str], SearchParameter] = {}
    for entry in _data(version.value):
        parameter = _parameter(entry)
        bases = resource_types(version) if _EVERY_TYPE & set(parameter.base) else parameter.base
        found.update({(base, parameter.code): parameter for base in bases})
    return found | {(type_, "_in"): _in() for type_ in resource_types(version)}


@cache
def resource_types(version: FhirVersion) -> frozenset[str]:
    """The names of a version's resource types, without the abstract ones."""
    return frozenset(_data(f"{version.value}-types"))


@cache
def of_patients(version: FhirVersion) -> Mapping[str, tuple[SearchParameter, ...]]:
    """
    By resource type, the parameters that put it in a patient's compartment, but for a patient himself.

    https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    known = parameters(version)
    return {
        type_: tuple(
            _parameter(
                {"url": f"#{type_}-{code}", "code": code, "base": [type_], "type": "reference", "expression": own}
            )
            if own
            else known[type_, code]
            for code, own in named.items()
        )
        for type_, named in _data(f"{version.value}-compartment")
    }


@cache
def _in() -> SearchParameter:
    rosters = frozenset({"CareTeam", "Group", "List"})
    holds = {"Resource": {"Reference": None}}
    return SearchParameter(_IN, "_in", ("Resource",), SearchType.REFERENCE, "", (), rosters, holds)


def _parameter(entry: Mapping[str, Any]) -> SearchParameter:
    return SearchParameter(
        url=entry["url"],
        code=entry["code"],
        base=tuple(entry["base"]),
        type=SearchType(entry["type"]),
        expression=entry.get("expression", ""),
        components=tuple((definition, expression) for definition, expression in entry.get("components", [])),
        targets=frozenset(entry.get("targets", [])),
        holds=entry.get("holds", {}),
    )


def _data(name: str) -> list[Any]:
    """A file that `fixtures/refresh.py` wrote."""
    loaded: list[Any] = json.loads((files(__package__) / "data" / f"{name}.json").read_text("utf-8"))
    return loaded
