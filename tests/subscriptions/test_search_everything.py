"""
Every official search parameter of every version: it compiles, and finds something in one of HL7's examples. Those that
don't are listed by name in `silent_parameters.toml`, with the reason; neither more nor less.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from subscriptions.codes import FhirVersion, SearchType
from subscriptions.errors import Rejected
from subscriptions.filters import search
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion
from subscriptions.search.compiling import is_evaluated
from subscriptions.search.composite import composition
from subscriptions.search.extraction import extraction
from subscriptions.search.parameters import SearchParameter, parameters, resource_types
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.examples import examples, has_element

SILENT = tomllib.loads((Path(__file__).parent / "silent_parameters.toml").read_text())
TYPES = "no example of the type"
ABSENT = ("no example has", "only an example of more than 100 kB", "a mistake of the standard")
OTHER_KIND = "examples have the element, but none of that kind"

#: Of each type a value that every parameter takes.
VALUES = {
    SearchType.DATE: "2026-11",
    SearchType.NUMBER: "1",
    SearchType.QUANTITY: "1.0|http://unitsofmeasure.org|mg",
    SearchType.SPECIAL: "-41.3|174.8|10|km",
    SearchType.STRING: "a",
    SearchType.TOKEN: "true",
    SearchType.URI: "urn:example",
}


class Name(NamedTuple):
    """A parameter; those that every type has are `Resource`'s."""

    type: str
    code: str


def named(type_: str, parameter: SearchParameter) -> Name:
    return Name("Resource" if {"Resource", "DomainResource"} & set(parameter.base) else type_, parameter.code)


def listed(version: FhirVersion, beginnings: str | tuple[str, ...] = "") -> set[Name]:
    """What stands in the list under the reasons that begin so."""
    return {
        Name(type_, code)
        for reason, by_versions in SILENT.items()
        if reason != TYPES and reason.startswith(beginnings)
        for versions, by_type in by_versions.items()
        if version.value in versions.split()
        for type_, codes in by_type.items()
        for code in codes.split()
    }


def kept(version: FhirVersion) -> Iterator[tuple[str, SearchParameter]]:
    """All that resources are searched by; `_in` looks at rosters."""
    for (type_, code), parameter in parameters(version).items():
        if is_evaluated(parameter) and code != "_in":
            yield type_, parameter


def value(parameter: SearchParameter, version: FhirVersion, type_: str) -> str:
    match parameter.type:
        case SearchType.COMPOSITE:
            parts = composition(version, type_, parameter.code).components
            return "$".join(value(part.parameter, version, type_) for part in parts)
        case SearchType.REFERENCE:
            targets = extraction(version, type_, parameter.code).targets if parameter.expression else parameter.targets
            return f"{min(targets, default='Patient')}/1"
        case _:
            return VALUES[parameter.type]


def compiled(version: FhirVersion, type_: str, name: str, text: str) -> Criterion:
    (criterion,) = search([(name, text)], type_, Context(version, frozenset()))
    return criterion


@pytest.mark.parametrize("version", FhirVersion)
def test_every_parameter_compiles(version: FhirVersion) -> None:
    for (type_, code), parameter in parameters(version).items():
        if is_evaluated(parameter):
            for name, text in ((code, value(parameter, version, type_)), (f"{code}:missing", "true")):
                assert compiled(version, type_, name, text).source.extraction.parameter is parameter, (type_, name)


@pytest.mark.parametrize("version", FhirVersion)
def test_what_does_not_compile_is_rejected_by_name(version: FhirVersion) -> None:
    unknown = {named(type_, each) for (type_, _), each in parameters(version).items() if not is_evaluated(each)}
    for type_, code in listed(version, "rejected"):
        types = sorted(resource_types(version)) if type_ == "Resource" else [type_]
        for each in types:
            with pytest.raises(Rejected, match=f"`{code}`"):
                compiled(version, each, code, "true")
    assert unknown <= listed(version, "rejected")


@pytest.mark.parametrize("version", FhirVersion)
def test_every_parameter_finds_something_or_is_listed(version: FhirVersion) -> None:
    finds, every = set[Name](), set[Name]()
    for type_, parameter in kept(version):
        every.add(named(type_, parameter))
        found = (composition if parameter.components else extraction)(version, type_, parameter.code)
        if any(True for resource in examples(version)[type_] for _ in found.values(resource, nothing_else())):
            finds.add(named(type_, parameter))
    of_types = {name for name in every if name.type in SILENT[TYPES][version.value].split()}
    silent = listed(version) - listed(version, "rejected")
    assert not silent & of_types
    assert every - finds == silent | of_types


@pytest.mark.parametrize("version", FhirVersion)
def test_the_reasons_are_true(version: FhirVersion) -> None:
    """The elements are looked for in all examples by their names, without the engine."""
    without = {type_ for type_, resources in examples(version).items() if not resources}
    assert without == set(SILENT[TYPES][version.value].split())
    absent, of_another_kind = listed(version, ABSENT), listed(version, OTHER_KIND)
    for type_, parameter in kept(version):
        has = any(has_element(resource, parameter) for resource in examples(version)[type_])
        name = named(type_, parameter)
        assert not (has and name in absent), name
        assert has or name not in of_another_kind, name
