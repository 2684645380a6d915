"""FHIRPath Patch, operation by operation: https://hl7.org/fhir/R4/fhirpatch.html."""

from typing import Any

import msgspec
import pytest

from hub.errors import Refused
from hub.ingest import draft
from hub.patch import applied
from hub.patch.fhirpath_patch import FhirPathPatch
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from tests.hub.api.patches import fhirpath, operation

NAME = {"given": ["a", "b", "c"], "_given": [None, {"id": "g"}]}


def done(before: dict[str, Any], *operations: dict[str, Any], type_: str = "Patient") -> dict[str, Any]:
    """What operations make of a resource, apart from its type."""
    patch = FhirPathPatch.read(draft(msgspec.json.encode(fhirpath(*operations)), FhirVersion.R4, max_nesting=30))
    made = applied(patch, msgspec.json.encode({"resourceType": type_} | before), most=1_000_000)
    draft(made, FhirVersion.R4, max_nesting=30)
    found: dict[str, Any] = msgspec.json.decode(made)
    del found["resourceType"]
    return found


@pytest.mark.parametrize(
    ("before", "operation_", "after"),
    [
        pytest.param(
            {"birthDate": "1920-01-01", "_birthDate": {"id": "x"}},
            operation("replace", "Patient.birthDate", valueDate="1930-01-01"),
            {"birthDate": "1930-01-01"},
            id="replace-a-primitive-with-what-stands-beside-it",
        ),
        pytest.param(
            {"active": True, "birthDate": "1920-01-01"},
            operation("delete", "birthDate"),
            {"active": True},
            id="delete-a-primitive",
        ),
        pytest.param({"active": True}, operation("delete", "Patient.birthDate"), {"active": True}, id="delete-nothing"),
        pytest.param(
            {"active": True, "contact": [{"gender": "male", "name": {"text": "n"}}]},
            operation("delete", "Patient.contact[0].name.text"),
            {"active": True, "contact": [{"gender": "male"}]},
            id="what-is-left-empty-goes-too",
        ),
        pytest.param(
            {"contact": [{"name": {"text": "n"}}]},
            operation("add", "Patient.contact[0]", name="gender", valueCode="male"),
            {"contact": [{"name": {"text": "n"}, "gender": "male"}]},
            id="add-nested",
        ),
        pytest.param(
            {"identifier": [{"value": "1"}]},
            operation("add", "Patient", name="identifier", valueIdentifier={"value": "2"}),
            {"identifier": [{"value": "1"}, {"value": "2"}]},
            id="add-to-a-list",
        ),
        pytest.param(
            {},
            operation(
                "add",
                "Patient",
                name="contact",
                part=[
                    {"name": "name", "valueHumanName": {"text": "n"}},
                    {"name": "telecom", "valueContactPoint": {"value": "1"}},
                    {"name": "telecom", "valueContactPoint": {"value": "2"}},
                ],
            ),
            {"contact": [{"name": {"text": "n"}, "telecom": [{"value": "1"}, {"value": "2"}]}]},
            id="add-of-parts",
        ),
        pytest.param(
            {"birthDate": "1920"},
            operation(
                "add",
                "Patient.birthDate",
                name="extension",
                part=[{"name": "url", "valueUri": "http://example.org/e"}, {"name": "value", "valueString": "x"}],
            ),
            {"birthDate": "1920", "_birthDate": {"extension": [{"url": "http://example.org/e", "valueString": "x"}]}},
            id="add-an-extension-to-a-primitive",
        ),
        pytest.param(
            {"birthDate": "1920", "_birthDate": {"extension": [{"url": "http://example.org/e", "valueString": "x"}]}},
            operation("delete", "Patient.birthDate.extension('http://example.org/e')"),
            {"birthDate": "1920"},
            id="delete-the-extension-of-a-primitive",
        ),
        pytest.param(
            {"deceasedBoolean": True},
            operation("replace", "Patient.deceased", valueDateTime="2020"),
            {"deceasedDateTime": "2020"},
            id="replace-by-another-type",
        ),
        pytest.param(
            {},
            operation("add", "Patient", name="deceased", valueBoolean=False),
            {"deceasedBoolean": False},
            id="add-one-of-a-choice",
        ),
        pytest.param(
            {"name": [NAME]},
            operation("insert", "Patient.name[0].given", index=1, valueString="n"),
            {"name": [{"given": ["a", "n", "b", "c"], "_given": [None, None, {"id": "g"}, None]}]},
            id="insert-a-primitive",
        ),
        pytest.param(
            {"name": [NAME]},
            operation("move", "Patient.name.given", source=1, destination=0),
            {"name": [{"given": ["b", "a", "c"], "_given": [{"id": "g"}, None, None]}]},
            id="move-with-what-stands-beside-it",
        ),
        pytest.param(
            {"name": [NAME]},
            operation("delete", "Patient.name.first().given[1]"),
            {"name": [{"given": ["a", "c"]}]},
            id="delete-an-item-with-what-stands-beside-it",
        ),
        pytest.param(
            {"identifier": [{"value": "1"}, {"value": "2"}, {"value": "3"}]},
            operation("move", "Patient.identifier", source=0, destination=2),
            {"identifier": [{"value": "2"}, {"value": "3"}, {"value": "1"}]},
            id="move-to-the-end",
        ),
        pytest.param(
            {},
            operation("insert", "Patient.identifier", index=0, valueIdentifier={"value": "1"}),
            {"identifier": [{"value": "1"}]},
            id="insert-into-nothing",
        ),
        pytest.param(
            {"identifier": [{"system": "u:a(", "value": "1"}, {"system": "u:b", "value": "2"}]},
            operation("replace", "Patient.identifier.where(system = 'u:a(' and value.exists()).value", valueString="3"),
            {"identifier": [{"system": "u:a(", "value": "3"}, {"system": "u:b", "value": "2"}]},
            id="where",
        ),
        pytest.param(
            {"contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}], "link": [
                {"other": {"reference": "#b"}, "type": "seealso"}
            ]},
            operation("replace", "Patient.contained.where(id = 'b').code.text", valueString="y"),
            {"contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "y"}}], "link": [
                {"other": {"reference": "#b"}, "type": "seealso"}
            ]},
            id="within-a-contained-resource",
        ),
    ],
)  # fmt: skip
def test_an_operation_does_what_the_specification_says(
    before: dict[str, Any], operation_: dict[str, Any], after: dict[str, Any]
) -> None:
    assert done(before, operation_) == after


OBSERVATION: dict[str, Any] = {
    "status": "final",
    "code": {"text": "c"},
    "component": [
        {"code": {"text": "k"}, "valueQuantity": {"value": 2, "unit": "x"}},
        {"code": {"text": "l"}, "valueInteger": 3},
    ],
}


@pytest.mark.parametrize(
    ("path", "index"),
    [
        ("Observation.component.where(code.text = 'k').value", 0),
        ("Observation.component.where(value.ofType(Quantity).value > 1).value", 0),
        ("Observation.component.where(value = 3).value", 1),
        ("Observation.component.value.ofType(integer)", 1),
        ("component[1].value", 1),
        ("Observation.component.last().value.single()", 1),
    ],
)
def test_the_elements_of_a_choice_are_found_by_their_name(path: str, index: int) -> None:
    made = done(OBSERVATION, operation("replace", path, valueString="y"), type_="Observation")
    assert made["component"][index] == {"code": OBSERVATION["component"][index]["code"], "valueString": "y"}
    assert made["component"][1 - index] == OBSERVATION["component"][1 - index]


def test_a_patch_can_be_done_twice() -> None:
    """Doing it changes nothing of what it gives."""
    extend = operation("add", "Patient", name="name", valueHumanName={"given": ["a"]})
    more = operation("insert", "Patient.name[0].given", index=1, valueString="b")
    patch = FhirPathPatch.read(draft(msgspec.json.encode(fhirpath(extend, more)), FhirVersion.R4, max_nesting=30))
    made = [applied(patch, b'{"resourceType":"Patient"}', most=1000) for _ in range(2)]
    assert made == [b'{"resourceType":"Patient","name":[{"given":["a","b"]}]}'] * 2


def test_a_criterion_has_a_limit_to_what_it_costs() -> None:
    many: dict[str, Any] = {"identifier": [{"value": str(number)} for number in range(600)]}
    look = operation("delete", "Patient.identifier.where(value = 'x')")
    with pytest.raises(Refused, match="look at more than 1000 elements"):
        done(many, look, look)
    costly = "iif(" * 5 + "true" + ", $this.descendants() = $this.descendants())" * 5
    with pytest.raises(Refused, match="more than 2000 steps"):
        done({"name": [{"given": ["x"] * 500}]}, operation("delete", f"Patient.name.where({costly})"))


def test_a_patch_has_a_limit_to_the_criteria_that_are_read() -> None:
    """A union of a thousand characters takes 0.4 s, and other requests wait for some of it."""
    several = [operation("delete", f"Patient.name.where(text = '{number}{'a' * 900}')") for number in range(4)]
    same, none = [several[0]] * 8, [operation("delete", f"Patient.name[{number}]") for number in range(100)]
    assert done({"active": True}, *several[:3]) == done({"active": True}, *same, *none) == {"active": True}
    with pytest.raises(Rejected, match="criteria of more than 3000 characters") as rejected:
        done({}, *several)
    assert [each.expression for each in rejected.value.issues] == ["Parameters.parameter[3]"]


@pytest.mark.parametrize(
    "operation_",
    [
        operation("move", "Patient.name.given", source=0, destination=5),
        operation("insert", "Patient.name.given", index=0, valueString="y"),
        operation("add", "Patient.name", name="given", valueString="y"),
        operation("replace", "Patient.name.given.last()", valueString="y"),
    ],
)
def test_a_patch_has_a_limit_to_what_it_looks_at(operation_: dict[str, Any]) -> None:
    many: dict[str, Any] = {"name": [{"given": ["x"] * 20_000}]}
    assert done(many, operation_)
    with pytest.raises(Refused, match="looks at more than 100000 elements"):
        done(many, *[operation_] * 6)
