"""What is about a patient, by HL7's CompartmentDefinition, and what mentions him beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.codes import FhirVersion
from subscriptions.compartment import Compartment, identities, linked
from subscriptions.errors import EvaluationError
from subscriptions.search.parameters import of_patients, resource_types

FIXTURES = Path(__file__).parents[2] / "fixtures"
BASE = "http://hub.example/fhir/r4"
NHI = "https://standards.digital.health.nz/ns/nhi-id"

Json = dict[str, Any]


def compartment(version: FhirVersion = FhirVersion.R4) -> Compartment:
    return Compartment(version, "1", frozenset({(NHI, "ZAA0001")}), frozenset({BASE}))


def observation(subject: Json, **more: Any) -> Json:
    return {"resourceType": "Observation", "id": "o", "subject": subject, **more}


def to(literal: str) -> Json:
    return {"reference": literal}


HIMSELF = {"resourceType": "Patient", "id": "p", "identifier": [{"system": NHI, "value": "ZAA0001"}]}


@pytest.mark.parametrize(
    ("resource", "held"),
    [
        pytest.param({"resourceType": "Patient", "id": "1"}, True, id="the patient himself"),
        pytest.param({"resourceType": "Patient", "id": "2"}, False, id="another patient"),
        pytest.param(observation(to("Patient/1")), True, id="by a relative reference"),
        pytest.param(observation(to(f"{BASE}/Patient/1")), True, id="by the hub's own URL"),
        pytest.param(observation(to("Patient/1/_history/3")), True, id="by a version"),
        pytest.param(observation(to("http://other.example/Patient/1")), False, id="a patient elsewhere"),
        pytest.param(observation(to("Patient/12")), False, id="an id that begins alike"),
        pytest.param(observation(to("Device/1")), False, id="something else with the same id"),
        pytest.param(
            observation({"identifier": {"system": NHI, "value": "ZAA0001"}}), True, id="by an identifier of his"
        ),
        pytest.param(observation({"identifier": {"value": "ZAA0001"}}), False, id="by an identifier without a system"),
        pytest.param(observation({"identifier": {"system": NHI, "value": "ZAA0002"}}), False, id="by another's"),
        pytest.param(observation(to("#p"), contained=[HIMSELF]), True, id="by a contained Patient that bears his"),
        pytest.param(
            observation(to("#p"), contained=[{"resourceType": "Patient", "id": "p"}]),
            False,
            id="by a contained Patient that bears none",
        ),
        pytest.param({"resourceType": "Immunization", "id": "i", "patient": to("Patient/1")}, True, id="by `patient`"),
        pytest.param(
            {"resourceType": "Encounter", "id": "e", "subject": {"identifier": {"system": NHI, "value": "ZAA0001"}}},
            True,
            id="where HL7's expression asks for the type, an identifier is enough",
        ),
        pytest.param(
            {"resourceType": "Patient", "id": "2", "link": [{"other": to("Patient/1"), "type": "seealso"}]},
            True,
            id="a Patient that is linked to him",
        ),
        pytest.param(
            {"resourceType": "Group", "id": "g", "member": [{"entity": to("Patient/1")}]},
            False,
            id="a Group is in nobody's",
        ),
        pytest.param(
            {"resourceType": "Observation", "id": "o", "focus": [to("Patient/1")]},
            False,
            id="an element that the definition doesn't name",
        ),
        pytest.param(
            {"resourceType": "Organization", "id": "o", "extension": [{"url": "u", "valueReference": to("Patient/1")}]},
            False,
            id="a type that the definition doesn't name",
        ),
    ],
)
def test_holds(resource: Json, held: bool) -> None:
    """What is in the compartment, and what isn't."""
    assert compartment().holds(resource) is held


@pytest.mark.parametrize(
    ("resource", "mentioned"),
    [
        pytest.param(
            {"resourceType": "Group", "id": "g", "member": [{"entity": to("Patient/1")}]}, True, id="as member"
        ),
        pytest.param({"resourceType": "List", "id": "l", "entry": [{"item": to("Patient/1")}]}, True, id="in a List"),
        pytest.param(
            {"resourceType": "Bundle", "id": "b", "entry": [{"fullUrl": f"{BASE}/Patient/1"}]}, True, id="in a Bundle"
        ),
        pytest.param(
            {"resourceType": "Bundle", "id": "b", "entry": [{"resource": {"resourceType": "Patient", "id": "1"}}]},
            True,
            id="in a Bundle, without its URL",
        ),
        pytest.param(observation(to("#p"), contained=[HIMSELF]), True, id="contained, with an identifier of his"),
        pytest.param(
            observation(to("#1"), contained=[{"resourceType": "Patient", "id": "1"}]),
            False,
            id="the id of what is contained says nothing",
        ),
        pytest.param({"resourceType": "Basic", "id": "b", "identifier": [HIMSELF["identifier"][0]]}, True, id="his"),
        pytest.param({"resourceType": "Patient", "id": "2"}, False, id="another patient"),
        pytest.param(observation(to("Patient/12")), False, id="an id that begins alike"),
    ],
)
def test_mentions(resource: Json, mentioned: bool) -> None:
    """What mentions him anywhere."""
    assert compartment().mentions(resource) is mentioned


@pytest.mark.parametrize("version", FhirVersion)
def test_definition(version: FhirVersion) -> None:
    """Each parameter of each type finds something, and the types are the version's."""
    by_type = of_patients(version)
    assert by_type.keys() <= resource_types(version)
    assert len(by_type) > 60
    assert all(parameter.expression for named in by_type.values() for parameter in named)


@pytest.mark.parametrize("version", FhirVersion)
def test_examples(version: FhirVersion) -> None:
    """HL7's examples: what is in a patient's compartment also mentions him, and each of them can be judged."""
    of = Compartment(version, "example", frozenset(), frozenset({BASE}))
    held = set()
    for file in sorted((FIXTURES / version.value).iterdir()):
        resource = json.loads(file.read_bytes())
        if of.holds(resource):
            held.add(resource["resourceType"])
            assert of.mentions(resource), file.name
    assert {"Patient", "Observation", "Condition", "Immunization", "Encounter"} <= held
    assert "Group" not in held


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5),
        lambda e: (
            st.lists(e)
            | st.dictionaries(
                st.sampled_from(["reference", "identifier", "contained", "entry", "resource", "system", "value", "x"]),
                e,
            )
        ),
    )
)
def test_mentions_takes_anything(value: Any) -> None:
    """Whatever a resource holds, it can be looked through."""
    assert compartment().mentions({"resourceType": "Basic", "id": "b", "extension": value}) in (True, False)


def test_what_cannot_be_judged() -> None:
    """A resource that the engine chokes on is neither in nor out."""
    with pytest.raises(EvaluationError):
        compartment().holds(observation(to("#p"), contained=[7]))


def test_identities_and_links() -> None:
    """All versions of the Patient count, those identifiers that say of which system they are, and all links."""
    one = {"resourceType": "Patient", "identifier": [{"system": NHI, "value": "A"}, {"value": "B"}, {"system": NHI}]}
    other = {
        "resourceType": "Patient",
        "identifier": [{"system": "s", "value": "C"}],
        "link": [{"other": to("Patient/9")}],
    }
    assert identities([one, other]) == {(NHI, "A"), ("s", "C")}
    assert linked([one, other], {BASE}) == {"Patient/9"}
