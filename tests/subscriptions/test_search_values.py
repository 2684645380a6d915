"""How filter values compare with what stands in a resource, by https://hl7.org/fhir/R4/search.html."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from subscriptions.codes import FhirVersion
from subscriptions.errors import EvaluationError, Rejected
from subscriptions.filters import search
from subscriptions.search import string
from subscriptions.search.asking import Context
from subscriptions.search.escapes import escape, split, unescape
from tests.subscriptions.alone import nothing_else

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "r4"
HUB = "https://hub.example/fhir/r4"

Json = dict[str, Any]


def matches(resource: Json, name: str, value: str) -> bool:
    (criterion,) = search([(name, value)], resource["resourceType"], Context(FhirVersion.R4, frozenset({HUB})))
    return criterion.matches(resource, nothing_else())


def rejection(type_: str, name: str, value: str) -> str:
    with pytest.raises(Rejected) as caught:
        search([(name, value)], type_, Context(FhirVersion.R4, frozenset({HUB})))
    (issue,) = caught.value.issues
    assert issue.expression == name
    assert f"`{name}={value}`" in issue.text
    return issue.text


CVX = "http://hl7.org/fhir/sid/cvx"
VACCINE = {
    "resourceType": "Immunization",
    "vaccineCode": {"coding": [{"system": CVX, "code": "207"}, {"code": "local"}, {"system": "urn:oid:1.2"}]},
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("207", True),
        (f"{CVX}|207", True),
        (f"{CVX}|", True),
        ("local", True),
        ("|local", True),
        ("urn:oid:1.2|", True),
        ("208", False),
        ("20", False),
        (f"{CVX}|208", False),
        (f"{CVX}|local", False),
        ("|207", False),
        ("http://snomed.info/sct|207", False),
        ("http://snomed.info/sct|", False),
        ("LOCAL", False),
        (f"208,{CVX}|207", True),
        ("208,209", False),
        (r"207\|", False),
    ],
)
def test_a_codeable_concept_equals_by_any_of_its_codings(value: str, expected: bool) -> None:
    assert matches(VACCINE, "vaccine-code", value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("urn:oid:1.2|A", True), ("A", True), ("a", False), ("|A", False), ("B", True), ("|B", True), ("x|B", False)],
)
def test_an_identifier_equals_by_system_and_value(value: str, expected: bool) -> None:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:1.2", "value": "A"}, {"value": "B"}]}
    assert matches(patient, "identifier", value) is expected


GENDER = "http://hl7.org/fhir/administrative-gender"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("male", True),
        (f"{GENDER}|male", True),
        ("|male", True),
        (f"{GENDER}|", True),
        ("female", False),
        ("Male", False),
        (f"{GENDER}|female", False),
    ],
)
def test_a_plain_code_has_the_system_of_its_definition(value: str, expected: bool) -> None:
    assert matches({"resourceType": "Patient", "gender": "male"}, "gender", value) is expected


@pytest.mark.parametrize(
    ("resource", "name", "value", "expected"),
    [
        pytest.param({"resourceType": "Patient", "active": True}, "active", "true", True, id="true"),
        pytest.param({"resourceType": "Patient", "active": False}, "active", "true", False, id="false"),
        pytest.param(
            {"resourceType": "Patient", "telecom": [{"system": "email", "value": "a@b.example"}]},
            "email",
            "a@b.example",
            True,
            id="contact-point",
        ),
        pytest.param(
            {"resourceType": "Immunization", "lotNumber": "AbC"}, "lot-number", "AB", True, id="a-string-parameter"
        ),
        pytest.param({"resourceType": "ValueSet", "version": "R2"}, "version", "r2", True, id="string-without-case"),
        pytest.param({"resourceType": "ValueSet", "version": "R2"}, "version", "r", False, id="string-as-a-whole"),
        pytest.param({"resourceType": "Patient", "id": "Abc"}, "_id", "Abc", True, id="id"),
        pytest.param({"resourceType": "Patient", "id": "Abc"}, "_id", "abc", False, id="id-has-case"),
        pytest.param({"resourceType": "Patient", "id": "Abc"}, "_id", "Patient/Abc", True, id="id-with-its-type"),
        pytest.param(
            {
                "resourceType": "Group",
                "characteristic": [{"valueBoolean": True}, {"valueCodeableConcept": {"coding": [{"code": "x"}]}}],
            },
            "value",
            "x,false",
            True,
            id="several-data-types",
        ),
    ],
)
def test_tokens_of_other_data_types(resource: Json, name: str, value: str, expected: bool) -> None:
    assert matches(resource, name, value) is expected


@pytest.mark.parametrize(
    ("type_", "name", "value", "reason"),
    [
        pytest.param("Immunization", "vaccine-code", "|", "a token is written", id="a-lone-bar"),
        pytest.param("Immunization", "vaccine-code", "a|b|c", "a token is written", id="too-many-bars"),
        pytest.param("Immunization", "vaccine-code", "a\\b", "a backslash stands before", id="a-lone-backslash"),
        pytest.param("Patient", "gender", "http://x.example|male", GENDER, id="another-system"),
        pytest.param("Patient", "active", "yes", "`true` or `false`", id="no-boolean"),
        pytest.param("Patient", "active", "|true", "no system", id="boolean-with-system"),
        pytest.param("Patient", "phone", "phone|555", "no system", id="contact-point-with-system"),
        pytest.param("Task", "intent", "http://x.example|order", "no system", id="code-of-several-systems"),
        pytest.param("Patient", "_id", "Group/1", "an id is", id="id-of-another-type"),
        pytest.param("Patient", "_id", "a b", "an id is", id="no-id"),
    ],
)
def test_a_token_that_nothing_can_equal_is_rejected(type_: str, name: str, value: str, reason: str) -> None:
    assert reason in rejection(type_, name, value)


@pytest.mark.parametrize(
    ("reference", "equal", "different"),
    [
        pytest.param(
            "Patient/1",
            ["Patient/1", "1", f"{HUB}/Patient/1", "Patient/2,Patient/1"],
            ["Patient/2", "2", "Patient/1/_history/1", "https://elsewhere.example/Patient/1", "Group/1"],
            id="relative",
        ),
        pytest.param(
            f"{HUB}/Patient/1",
            ["Patient/1", "1", f"{HUB}/Patient/1"],
            ["https://hub.example/fhir/Patient/1", f"{HUB}/Patient/1/_history/1"],
            id="absolute-here",
        ),
        pytest.param(
            "https://elsewhere.example/Patient/1",
            ["https://elsewhere.example/Patient/1"],
            ["Patient/1", "1", f"{HUB}/Patient/1", "https://elsewhere.example/patient/1"],
            id="absolute-elsewhere",
        ),
        pytest.param(
            "Patient/1/_history/2",
            ["Patient/1", "1", "Patient/1/_history/2", f"{HUB}/Patient/1/_history/2"],
            ["Patient/1/_history/1", "2"],
            id="versioned",
        ),
        pytest.param(
            "https://elsewhere.example/Patient/1/_history/2",
            ["https://elsewhere.example/Patient/1", "https://elsewhere.example/Patient/1/_history/2"],
            ["https://elsewhere.example/Patient/1/_history/1"],
            id="versioned-elsewhere",
        ),
        pytest.param(
            "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
            ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
            ["c757873d-ec9a-4326-a141-556f43239520"],
            id="urn",
        ),
        pytest.param("#p", [], ["p", "Patient/p"], id="contained"),
    ],
)
def test_a_reference_equals_by_what_it_points_to(reference: str, equal: list[str], different: list[str]) -> None:
    resource = {"resourceType": "Condition", "subject": {"reference": reference}}
    assert [value for value in equal if not matches(resource, "subject", value)] == []
    assert [value for value in different if matches(resource, "subject", value)] == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://a.example/Plan|2", True),
        ("http://a.example/Plan", True),
        ("http://a.example/Plan|1", False),
        ("http://a.example/plan", False),
        ("Plan", False),
    ],
)
def test_a_canonical_without_version_equals_any_version(value: str, expected: bool) -> None:
    plan = {"resourceType": "CarePlan", "instantiatesCanonical": ["http://a.example/Plan|2"]}
    assert matches(plan, "instantiates-canonical", value) is expected
    profiled = {"resourceType": "CarePlan", "meta": {"profile": ["http://a.example/Plan|2"]}}
    assert matches(profiled, "_profile", value) is expected


@pytest.mark.parametrize(
    "value", ["Composition/180f219f-97a8-486d-99d9-ed631fe4fc57", "180f219f-97a8-486d-99d9-ed631fe4fc57"]
)
def test_a_resource_inside_equals_by_its_id(value: str) -> None:
    assert matches(json.loads((EXAMPLES / "Bundle-father.json").read_bytes()), "composition", value)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        pytest.param("patient", "Practitioner/1", "can point to Patient, not to Practitioner", id="another-type"),
        pytest.param(
            "patient", f"{HUB}/Practitioner/1", "can point to Patient, not to Practitioner", id="another-type-here"
        ),
        pytest.param(
            "patient", "Group/1", "can point to Patient, not to Group", id="a-type-that-the-parameter-leaves-out"
        ),
        pytest.param("subject", "Klingon/1", "not to Klingon", id="no-type"),
        pytest.param("subject", "#p", "a reference is written", id="contained"),
        pytest.param("subject", "Patient/", "a reference is written", id="no-id"),
        pytest.param("subject", "a b", "a reference is written", id="no-reference"),
        pytest.param("subject", "urn:oid:1.2|7", "has no `|`", id="an-identifier"),
        pytest.param("instantiates-canonical", "|2", "a canonical is written", id="version-only"),
    ],
)
def test_a_reference_that_nothing_can_equal_is_rejected(name: str, value: str, reason: str) -> None:
    assert reason in rejection("CarePlan", name, value)


NAME = {"family": "Carreño Quiñones", "given": ["Eve-Marie", None, "Zoë"], "prefix": ["Dr."], "text": "Dr. E. Carreño"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("given", "eve", True),
        ("given", "EVEMARIE", True),
        ("given", "zoe", True),
        ("given", "ZOË", True),
        ("given", "marie", False),
        ("family", "carreno", True),
        ("family", "quinones", True),
        ("family", "Carreño  Quiñ", True),
        ("family", "arreno", False),
        ("name", "quinones", True),
        ("name", "dr", True),
        ("name", "Dr E", True),
        ("name", "smith,zoe", True),
        ("name", r"smith\,zoe", False),
        ("address", "lützowstraße", True),
        ("address", "LUTZOWSTRASSE 7", True),
        ("address", "7", False),
        ("address", "10785", True),
        ("address", "work", False),
        ("address-city", "berlin", True),
        ("address-city", "lützow", False),
    ],
)
def test_a_string_equals_by_its_beginning_whatever_the_case_accents_and_punctuation(
    name: str, value: str, expected: bool
) -> None:
    address = {"use": "work", "line": ["Lützowstraße 7"], "city": "Berlin", "postalCode": "10785"}
    assert matches({"resourceType": "Patient", "name": [NAME], "address": [address]}, name, value) is expected


def test_a_string_of_which_nothing_is_left_is_rejected() -> None:
    """It would be the beginning of everything."""
    assert "a string needs" in rejection("Patient", "name", "-'.")


@given(st.text())
@example("İ")
@example("ﬃ℡")
def test_folding_twice_is_folding_once(text: str) -> None:
    assert string.fold(string.fold(text)) == string.fold(text)


@given(st.text())
def test_folding_leaves_no_case(text: str) -> None:
    assert string.fold(text.upper()) == string.fold(text.upper().lower().upper())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://a.example/b", True),
        ("http://a.example/B", False),
        ("http://a.example/", False),
        ("http://a.example/b/c", False),
        (r"http://x.example/a\,b,http://a.example/b", True),
    ],
)
def test_a_uri_equals_literally(value: str, expected: bool) -> None:
    assert matches({"resourceType": "ValueSet", "url": "http://a.example/b"}, "url", value) is expected


def test_a_uri_with_a_version_is_rejected_where_there_is_none() -> None:
    assert "without a version" in rejection("ValueSet", "url", "http://a.example/b|2")


@pytest.mark.parametrize(
    ("resource", "name", "value"),
    [
        pytest.param({"resourceType": "Observation", "effectiveDateTime": "soon"}, "date", "2013", id="no-date"),
        pytest.param({"resourceType": "Observation", "effectiveDateTime": 2013}, "date", "2013", id="a-number"),
        pytest.param({"resourceType": "Patient", "identifier": ["7"]}, "identifier", "7", id="no-identifier"),
    ],
)
def test_a_malformed_resource_is_an_error_and_no_match(resource: Json, name: str, value: str) -> None:
    with pytest.raises(EvaluationError, match=rf"{resource['resourceType']}\.{name} could not be read"):
        matches(resource, name, value)


@pytest.mark.parametrize("form", ["{}=a", "{}:not=a", "{}:not=b", "{}:text=a"])
@pytest.mark.parametrize(
    "concept",
    [
        pytest.param("a", id="a-string"),
        pytest.param({"coding": {"code": "a"}}, id="one-coding-without-an-array"),
        pytest.param({"coding": "a"}, id="codings-as-a-string"),
        pytest.param({"coding": ["a"]}, id="a-coding-as-a-string"),
        pytest.param({"coding": [None]}, id="no-coding"),
        pytest.param({"coding": [{"code": 1, "display": 1}]}, id="a-code-as-a-number"),
        pytest.param({"coding": [{"code": ["a"], "display": ["a"]}]}, id="several-codes"),
    ],
)
def test_a_malformed_concept_is_an_error_and_no_match_of_the_opposite_either(form: str, concept: Any) -> None:
    name, _, value = form.format("vaccine-code").partition("=")
    with pytest.raises(EvaluationError, match=r"Immunization\.vaccine-code could not be read"):
        matches({"resourceType": "Immunization", "vaccineCode": concept}, name, value)


@pytest.mark.parametrize(
    ("elements", "name", "value"),
    [
        pytest.param({"gender": 1}, "gender:not", "male", id="a-code-as-a-number"),
        pytest.param({"gender": {"code": "male"}}, "gender:not", "male", id="a-code-as-an-object"),
        pytest.param({"active": "true"}, "active:not", "false", id="a-boolean-as-a-string"),
        pytest.param({"active": 1}, "active:not", "true", id="a-boolean-as-a-number"),
        pytest.param({"id": 5}, "_id:not", "5", id="an-id-as-a-number"),
        pytest.param({"telecom": [{"system": "phone", "value": 5}]}, "phone:not", "5", id="a-phone-as-a-number"),
        pytest.param({"identifier": [{"value": 5}]}, "identifier:not", "5", id="an-identifier-as-a-number"),
        pytest.param({"identifier": [{"system": {}, "value": "5"}]}, "identifier:not", "5", id="a-system-as-an-object"),
        pytest.param(
            {"identifier": [{"type": [], "value": "5"}]}, "identifier:of-type", "a|b|5", id="a-type-as-an-array"
        ),
        pytest.param({"meta": {"tag": ["a"]}}, "_tag:not", "a", id="a-tag-as-a-string"),
        pytest.param({"meta": {"source": 5}}, "_source:below", "http://a.example", id="a-uri-as-a-number"),
        pytest.param({"meta": {"profile": [5]}}, "_profile", "http://a.example", id="a-profile-as-a-number"),
        pytest.param({"name": [{"family": 5}]}, "name", "x", id="a-name-as-a-number"),
        pytest.param({"name": [{"family": {"x": 1}}]}, "name", "x", id="a-name-as-an-object"),
        pytest.param({"name": [{"given": ["a", 5]}]}, "name:exact", "a", id="a-name-among-others"),
        pytest.param({"managingOrganization": {"reference": 5}}, "organization", "5", id="a-reference-as-a-number"),
        pytest.param({"managingOrganization": "Organization/1"}, "organization", "1", id="a-reference-as-a-string"),
        pytest.param(
            {"managingOrganization": {"identifier": [{"value": "5"}]}},
            "organization:identifier",
            "5",
            id="several-identifiers",
        ),
        pytest.param({"managingOrganization": {"display": 5}}, "organization:text", "5", id="a-display-as-a-number"),
    ],
)
def test_a_malformed_value_is_an_error_whatever_is_asked_of_it(elements: Json, name: str, value: str) -> None:
    code = name.partition(":")[0]
    with pytest.raises(EvaluationError, match=rf"Patient\.{code} could not be read"):
        matches({"resourceType": "Patient", **elements}, name, value)


@given(st.lists(st.text(), min_size=1), st.sampled_from([",", "|", "$"]))
def test_what_was_escaped_and_joined_is_split_and_read_back(texts: list[str], separator: str) -> None:
    assert [unescape(part) for part in split(separator.join(map(escape, texts)), separator)] == texts
