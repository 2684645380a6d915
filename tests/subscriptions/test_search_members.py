"""
Paths that are walked directly find what the FHIRPath engine finds, whatever the resource looks like.

Apart from elements that are called `resourceType`: what has one is a resource for the engine.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriptions.codes import FhirVersion
from subscriptions.search.compiling import is_evaluated
from subscriptions.search.extraction import extraction, without_casts
from subscriptions.search.fhirpath import Compiled, compiled, model
from subscriptions.search.members import finding
from subscriptions.search.parameters import parameters
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.examples import examples

Json = dict[str, Any]


class Path(NamedTuple):
    version: FhirVersion
    type: str
    expression: str


@cache
def paths() -> tuple[Path, ...]:
    """Of all parameters, those that name members only; casts are names too."""
    found = set[Path]()
    for version in FhirVersion:
        for (type_, _), parameter in parameters(version).items():
            for branch in parameter.expression.split("|"):
                path = re.sub(r"\.where\(resolve\(\) is \w+\)$", "", without_casts(branch.strip(), version))
                path = re.sub("^Resource\\.", f"{type_}.", path)
                if re.fullmatch(rf"\(?{type_}(\.\w+)*\)?", path):
                    found.add(Path(version, type_, path))
    return tuple(sorted(found))


@cache
def both(version: FhirVersion, path: str) -> tuple[Compiled, Compiled]:
    return finding(path, version), compiled(path, version)


def seen(found: list[Any]) -> list[tuple[str, str | None, str | None]]:
    """All that is looked at in nodes. `True` is not `1`."""
    return [(repr(node.data), node.path, node.propName) for node in found]


#: Elements with a child that is called `resourceType`.
NAMED = re.compile(r"\(?(Consent\.provision|Subscription\.filterBy|ExampleScenario\.instance)\b")


def untyped(found: list[tuple[str, str | None, str | None]]) -> list[tuple[str, str | None]]:
    return [(data, place) for data, _, place in found]


def test_nearly_all_paths_are_walked() -> None:
    walked = [finding(path.expression, path.version).__module__ for path in paths()]
    assert walked.count("subscriptions.search.members") > len(paths()) * 0.99 > 3_000


@pytest.mark.parametrize("version", FhirVersion)
def test_all_examples_have_the_same_nodes(version: FhirVersion) -> None:
    compared = 0
    for path in paths():
        if path.version is version:
            walk, engine = both(version, path.expression)
            for resource in examples(version)[path.type]:
                expected = seen(engine(resource, None))
                found = seen(walk(resource, None))
                if NAMED.match(path.expression):  # the engine has lost the type, and nothing else
                    assert untyped(found) == untyped(expected), path
                else:
                    assert found == expected, path
                compared += len(expected)
    assert compared > 7_000


def parts(version: FhirVersion) -> Iterator[tuple[str, str, str]]:
    """Of all composites: the type, the code, and the path of a component."""
    for (type_, code), parameter in parameters(version).items():
        if parameter.components and is_evaluated(parameter):
            for _, path in parameter.components:
                yield from ((type_, code, without_casts(branch.strip(), version)) for branch in path.split("|"))


@pytest.mark.parametrize("version", FhirVersion)
def test_the_components_of_composites_have_the_same_nodes(version: FhirVersion) -> None:
    compared = 0
    for type_, code, path in parts(version):
        walk, engine = both(version, path)
        for resource in examples(version)[type_]:
            for _, node in extraction(version, type_, code).nodes(resource, nothing_else()):
                expected = seen(engine(node, {"resource": resource}))
                assert seen(walk(node, {"resource": resource})) == expected, (type_, code, path)
                compared += len(expected)
    assert compared > 500


PRIMITIVE = st.sampled_from([None, True, 1, 1.0, "", "a", [], {}, [None], {"extension": [{"url": "u"}]}])


@st.composite
def odd(draw: st.DrawFn) -> tuple[Path, Json]:
    """A path, and a resource in which its names stand anywhere, with anything in them."""
    path = draw(st.sampled_from(paths()))
    _, *names = path.expression.strip("()").split(".")
    types = ["", *sorted({type_ for choice in model(path.version)["choiceTypePaths"].values() for type_ in choice})]
    choices = [f"{name}{draw(st.sampled_from(types))}" for name in names]
    properties = [f"{beside}{name}" for beside in ("", "_") for name in (*names, *choices)]
    keys = st.sampled_from([*properties, "extension", "id"])
    tree: st.SearchStrategy[Any] = st.recursive(
        PRIMITIVE,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=20,
    )
    for name in reversed(names):  # so that something is found in most
        beside = draw(st.dictionaries(keys, tree, max_size=2))
        tree = st.just({name: draw(tree | st.lists(tree, max_size=3)), **beside})
    return path, {**draw(tree), "resourceType": path.type} if names else {"resourceType": path.type}


@pytest.mark.timeout(300)
@settings(max_examples=400)
@given(odd())
def test_odd_resources_have_the_same_nodes(case: tuple[Path, Json]) -> None:
    path, resource = case
    walk, engine = both(path.version, path.expression)
    assert seen(walk(resource, None)) == seen(engine(resource, None))


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("Patient.birthDate", {"_birthDate": {"extension": [{"url": "u"}]}}),
        ("Patient.birthDate", {"birthDate": "2020", "_birthDate": {"id": "x", "extension": []}}),
        ("Patient.name.given", {"name": [{"given": [None, "A"], "_given": [{"id": "x"}, None]}, {}, None]}),
        ("Patient.name.given", {"name": {"given": "A"}}),
        ("Patient.name.given", {"name": [[{"given": ["A"]}]]}),
        ("Patient.deceased", {"deceasedBoolean": False}),
        ("Patient.deceased", {"_deceasedDateTime": {"extension": [{"url": "u"}]}, "deceasedBoolean": True}),
        ("Patient.extension.value", {"extension": [{"url": "u", "valueString": "a"}]}),
        ("Patient.contained.name", {"contained": [{"resourceType": "Patient", "name": [{"family": "A"}]}]}),
        ("Patient", {"active": True}),
        ("Observation.status", {"status": "final"}),
        ("status", {"status": "final"}),
        ("Patient.managingOrganization.identifier.assigner.identifier.value", {"managingOrganization": {}}),
        ("(Patient.link.other)", {"link": [{"other": {"reference": "Patient/1"}}, {"other": {"display": "A"}}]}),
    ],
)
def test_each_odd_shape_has_the_same_nodes(path: str, resource: Json) -> None:
    walk, engine = both(FhirVersion.R4, path)
    whole = {"resourceType": "Patient", **resource}
    assert walk.__module__ == "subscriptions.search.members"
    assert seen(walk(whole, None)) == seen(engine(whole, None))


@pytest.mark.parametrize(
    "path", ["Encounter.length", "Patient.telecom.where(system='phone')", "Bundle.entry[0].resource", "%resource.id"]
)
def test_the_rest_is_left_to_the_engine(path: str) -> None:
    assert finding(path, FhirVersion.R4).__module__ != "subscriptions.search.members"


@pytest.mark.parametrize(
    ("version", "path", "resource", "found"),
    [
        pytest.param(
            FhirVersion.R5,
            "Subscription.filterBy.value",
            {"filterBy": [{"resourceType": "Observation", "value": "a"}]},
            ("'a'", "string", "Subscription.filterBy[0].value"),
            id="the-name-of-a-type-with-a-choice-of-values",
        ),
        pytest.param(
            FhirVersion.R5,
            "Consent.provision.purpose",
            {"provision": [{"resourceType": [{"code": "Observation"}], "purpose": [{"code": "TREAT"}]}]},
            ("{'code': 'TREAT'}", "Coding", "Consent.provision[0].purpose[0]"),
            id="codings",
        ),
        pytest.param(
            FhirVersion.R4,
            "ExampleScenario.instance.name",
            {"instance": [{"resourceType": "Patient", "name": "a"}]},
            ("'a'", "string", "ExampleScenario.instance[0].name"),
            id="a-code",
        ),
    ],
)
def test_an_element_that_is_called_resource_type_makes_no_resource(
    version: FhirVersion, path: str, resource: Json, found: tuple[str, str, str]
) -> None:
    whole = {"resourceType": path.partition(".")[0], **resource}
    assert seen(finding(path, version)(whole, None)) == [found]
