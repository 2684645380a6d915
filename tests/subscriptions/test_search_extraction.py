"""What search parameters find: their official expressions, over all of HL7's examples and one by one."""

import copy
import json
from typing import Any

import pytest
from fhirpathpy.engine.nodes import ResourceNode

from subscriptions.codes import FhirVersion, SearchType
from subscriptions.errors import Rejected
from subscriptions.filters import search, searchable
from subscriptions.search.asking import Context
from subscriptions.search.compiling import is_evaluated
from subscriptions.search.composite import composition
from subscriptions.search.definition import defined
from subscriptions.search.escapes import escape
from subscriptions.search.extraction import Value, extraction, value_of
from subscriptions.search.parameters import parameters, resource_types
from subscriptions.topic import Definition
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.examples import FIXTURES, examples

R4 = FhirVersion.R4

Json = dict[str, Any]


def example(name: str) -> Json:
    loaded: Json = json.loads((FIXTURES / "r4" / f"{name}.json").read_bytes())
    return loaded


def found(resource: Json, code: str) -> list[Any]:
    return [value.data for value in extraction(R4, resource["resourceType"], code).values(resource, nothing_else())]


def as_filters(value: Value, kind: SearchType) -> list[str]:
    """Filter values that a value has to be equal to, if its data type can be compared."""
    match value.data:
        case {"value": number, **unit} if kind is SearchType.QUANTITY:
            names = [f"|{escape(str(unit[name]))}" for name in ("code", "unit") if name in unit]
            names += (
                [f"{escape(str(unit['system']))}|{escape(str(unit['code']))}"]
                if {"system", "code"} <= unit.keys()
                else []
            )
            return [] if "comparator" in unit else [str(number), *(f"{number}|{name}" for name in names)]
        case int(number) | float(number) if kind is SearchType.NUMBER:
            return [str(number)]
        case {"latitude": latitude, "longitude": longitude}:
            return [f"{latitude}|{longitude}|1|m"]
        case {"coding": codings}:
            return [text for coding in codings for text in as_filters(Value("Coding", coding, ""), kind)]
        case {"system": str(system), "code": str(code)}:
            return [escape(code), f"{escape(system)}|{escape(code)}", f"{escape(system)}|"]
        case {"system": str(system), "value": str(code)} if value.type == "Identifier":
            return [escape(code), f"{escape(system)}|{escape(code)}", f"{escape(system)}|"]
        case {"code": str(code)} | {"value": str(code)}:
            return [escape(code)]
        case {"reference": str(literal)} if not literal.startswith("#"):
            return [escape(literal)]
        case {"family": str(text)} | {"city": str(text)}:
            return [escape(text), escape(text.upper()[:3])]
        case bool(truth):
            return [str(truth).lower()]
        case str(text) if kind is SearchType.DATE and value.type == "string":
            return []
        case str(text) if kind in (SearchType.REFERENCE, SearchType.URI) and text.startswith("#"):
            return []  # what is contained is not asked for from outside
        case str(text) if value.type == "canonical":
            return ["|".join(map(escape, text.split("|")))]
        case str(text):
            return [escape(text)]
    return []


def test_there_are_all_official_parameters_and_types() -> None:
    """R4 has 146 concrete resource types, and 1376 parameters that are not marked as experimental; `_in` is R5's."""
    assert len(resource_types(R4)) == 146
    assert len({parameter.url for (_, code), parameter in parameters(R4).items() if code != "_in"}) == 1376
    assert {type_ for type_, _ in parameters(R4)} == resource_types(R4)


@pytest.mark.parametrize("code", ["_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"])
def test_parameters_of_resource_are_there_for_every_type(code: str) -> None:
    for type_ in resource_types(R4):
        assert code in {parameter.code for parameter in searchable(R4, type_)}


@pytest.mark.parametrize("code", ["_text", "_content", "_query", "_filter"])
def test_parameters_without_an_expression_are_not_searchable(code: str) -> None:
    for type_ in resource_types(R4):
        assert code not in {parameter.code for parameter in searchable(R4, type_)}


@pytest.mark.parametrize("version", FhirVersion)
def test_what_every_parameter_finds_in_all_examples_is_of_its_data_types(version: FhirVersion) -> None:
    """It fails on no example, changes none, and finds values of the data types that HL7 defines."""
    before = copy.deepcopy(examples(version))
    for (type_, code), parameter in parameters(version).items():
        if is_evaluated(parameter):
            compiled = (composition if parameter.components else extraction)(version, type_, code)
            found = [
                each for resource in examples(version)[type_] for each in compiled.values(resource, nothing_else())
            ]
            held = parameter.held(type_)
            assert not held or {value.type for value in found} <= held.keys(), (type_, code)
            if parameter.type in (SearchType.DATE, SearchType.NUMBER, SearchType.QUANTITY):
                assert not any("." in value.type for value in found), f"{type_}.{code} has no data type, but a path"
    assert examples(version) == before


#: HL7's own mistakes: references to types that the element can't refer to.
WRONG_TARGETS = {
    FhirVersion.R4: {
        ("DeviceMetric", "parent", "DeviceDefinition/dc102"),
        ("MedicationRequest", "intended-dispenser", "Practitioner/f001"),
        ("Observation", "performer", "Encounter/example"),
    },
    FhirVersion.R4B: {
        ("DeviceMetric", "parent", "DeviceDefinition/dc102"),
        ("Observation", "performer", "Encounter/example"),
    },
    FhirVersion.R5: {
        ("BiologicallyDerivedProduct", "request", "BiologicallyDerivedProduct/HCTcollection-servicerequest"),
        ("DocumentReference", "context", "DocumentReference/documentreference-example-xray-encounter"),
        ("Encounter", "careteam", "Encounter/example"),
    },
}


@pytest.mark.parametrize("version", FhirVersion)
def test_every_value_in_the_examples_is_equal_to_itself(version: FhirVersion) -> None:
    """A filter made of a value that stands in a resource matches that resource."""
    made = 0
    wrong = set()
    for type_, resources in examples(version).items():
        for parameter in searchable(version, type_):
            for resource in resources if not parameter.components else ():
                for value in extraction(version, type_, parameter.code).values(resource, nothing_else()):
                    for text in as_filters(value, parameter.type):
                        try:
                            (criterion,) = search([(parameter.code, text)], type_, Context(version, frozenset()))
                        except Rejected:
                            wrong.add((type_, parameter.code, text))
                        else:
                            assert criterion.matches(resource, nothing_else()), (type_, parameter.code, text)
                            made += 1
    assert wrong == WRONG_TARGETS[version]
    assert made > 10_000


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("Patient-example", "_id", ["example"]),
        ("Patient-example", "family", ["Chalmers", "Windsor"]),
        ("Patient-example", "given", ["Peter", "James", "Jim", "Peter", "James"]),
        ("Patient-example", "gender", ["male"]),
        ("Patient-example", "birthdate", ["1974-12-25"]),
        ("Patient-example", "active", [True]),
        ("Patient-example", "email", []),
        ("Patient-example", "link", []),
        ("Patient-example", "address-city", ["PleasantVille"]),
        ("Patient-example", "organization", [{"reference": "Organization/1"}]),
        ("Immunization-example", "patient", [{"reference": "Patient/example"}]),
        ("Immunization-example", "date", ["2013-01-10"]),
        ("Immunization-example", "status", ["completed"]),
        ("Immunization-example", "lot-number", ["AAJN11K"]),
        ("Immunization-example", "performer", [{"reference": "Practitioner/example"}] * 2),
        ("Immunization-historical", "date", ["January 2012"]),
        ("Observation-example", "encounter", [{"reference": "Encounter/example"}]),
        ("Observation-example", "date", ["2016-03-28"]),
        ("Observation-example", "value-concept", []),
        ("Observation-eye-color", "value-string", ["blue"]),
        ("Condition-example", "onset-date", ["2012-05-24"]),
        ("Condition-f201", "onset-date", ["2013-04-02"]),
        ("Encounter-f201", "date", []),
        ("MedicationRequest-medrx0301", "medication", [{"reference": "#med0310"}]),
        ("MedicationRequest-medrx0301", "code", []),
        ("Appointment-example", "date", ["2013-12-10T09:00:00Z"]),
        ("Bundle-bundle-example", "_lastUpdated", ["2014-08-18T01:43:30Z"]),
        ("Bundle-father", "type", ["document"]),
        ("Bundle-father", "message", []),
        ("InsurancePlan-example", "name", ["foo"]),
        ("Composition-example", "related-ref", [{"reference": "Composition/old-example"}]),
        (
            "Composition-example",
            "related-id",
            [{"system": "http://example.org/fhir/NamingSystem/document-ids", "value": "ABC123"}],
        ),
        ("Group-101", "value", [{"text": "mixed"}, {"text": "John Smith"}]),
        ("Goal-example", "start-date", ["2015-04-05"]),
        ("Goal-example", "target-date", ["2016-04-05"]),
        ("Procedure-example", "date", ["2013-04-05"]),
        ("Provenance-example", "target", [{"reference": "Procedure/example/_history/1"}]),
        ("Provenance-example", "recorded", ["2015-06-27T08:39:24+10:00"]),
        ("AuditEvent-example", "patient", []),
        ("Questionnaire-3141", "url", ["http://hl7.org/fhir/Questionnaire/3141"]),
        ("CarePlan-example", "date", [{"end": "2017-06-01"}]),
        ("DocumentReference-example", "contenttype", ["application/hl7-v3+xml"]),
        ("MeasureReport-measurereport-cms146-cat1-example", "measure", ["Measure/CMS146"]),
        ("Slot-example", "start", ["2013-12-25T09:15:00Z"]),
        ("StructureMap-example", "url", ["http://hl7.org/fhir/StructureMap/example"]),
        (
            "ImagingStudy-example",
            "modality",
            [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}],
        ),
    ],
)
def test_a_parameter_finds_exactly_what_stands_in_an_example(name: str, code: str, expected: list[Any]) -> None:
    assert found(example(name), code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("actor", ["Patient/example", "Practitioner/example", "Location/1"]),
        ("patient", ["Patient/example"]),
        ("practitioner", ["Practitioner/example"]),
        ("location", ["Location/1"]),
    ],
)
def test_a_parameter_for_one_target_type_finds_references_of_that_type(code: str, expected: list[str]) -> None:
    """Where HL7's expression says `where(resolve() is Patient)`."""
    assert [value["reference"] for value in found(example("Appointment-example"), code)] == expected


@pytest.mark.parametrize(
    ("reference", "is_patient"),
    [
        pytest.param({"reference": "Patient/1"}, True, id="relative"),
        pytest.param({"reference": "Patient/1/_history/4"}, True, id="versioned"),
        pytest.param({"reference": "https://elsewhere.example/fhir/Patient/1"}, True, id="absolute"),
        pytest.param({"reference": "https://elsewhere.example/Patient/1/Group/2"}, False, id="the-last-type-counts"),
        pytest.param({"reference": "Group/1", "type": "Patient"}, False, id="the-url-outweighs-the-type"),
        pytest.param({"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}, False, id="unknown-type"),
        pytest.param({"reference": "urn:oid:1.2.3", "type": "Patient"}, True, id="by-type"),
        pytest.param({"identifier": {"value": "7"}, "type": "Patient"}, True, id="by-identifier-and-type"),
        pytest.param({"type": "http://hl7.org/fhir/StructureDefinition/Patient"}, True, id="by-type-url"),
        pytest.param({"display": "Somebody"}, False, id="display-only"),
        pytest.param({"reference": "#p"}, True, id="contained"),
        pytest.param({"reference": "#g"}, False, id="contained-of-another-type"),
        pytest.param({"reference": "#missing"}, False, id="contained-nowhere"),
        pytest.param({"reference": "#"}, False, id="the-resource-itself"),
    ],
)
def test_the_target_type_of_a_reference_is_read_from_what_it_says(reference: Json, is_patient: bool) -> None:
    contained = [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Group", "id": "g"}]
    flag = {"resourceType": "Flag", "contained": contained, "subject": reference}
    assert found(flag, "patient") == [reference] * is_patient


def test_a_bundles_first_entry_counts_for_the_parameter_of_its_type_only() -> None:
    document, message = example("Bundle-father"), example("Bundle-10bb101f-a121-4264-a920-67be9cb82c74")
    assert [value["resourceType"] for value in found(document, "composition")] == ["Composition"]
    assert found(message, "composition") == []
    assert [value["resourceType"] for value in found(message, "message")] == ["MessageHeader"]


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize(("type_", "missing"), [("Composition", "false"), ("Patient", "true")])
def test_a_bundle_has_a_composition_only_if_its_first_entry_is_one(
    version: FhirVersion, type_: str, missing: str
) -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": type_, "id": "1"}}]}
    (criterion,) = search([("composition:missing", missing)], "Bundle", Context(version, frozenset()))
    assert criterion.matches(bundle, nothing_else())


@pytest.mark.parametrize(
    ("deceased", "expected"),
    [
        pytest.param({}, [False], id="nothing-said"),
        pytest.param({"deceasedBoolean": False}, [False], id="alive"),
        pytest.param({"deceasedBoolean": True}, [True], id="dead"),
        pytest.param({"deceasedDateTime": "2015-02-14"}, [True], id="dead-since"),
    ],
)
def test_deceased_is_computed(deceased: Json, expected: list[bool]) -> None:
    assert found({"resourceType": "Patient", **deceased}, "deceased") == expected


BOTH: Json = {"start": "2026-11-21T09:00:00Z", "requestedPeriod": [{"start": "2026-12-01"}]}


@pytest.mark.parametrize(
    ("elements", "query", "expected"),
    [
        pytest.param(BOTH, "date=2026-11-21", True, id="start"),
        pytest.param(BOTH, "date=2026-12-01", False, id="start-before-requested-period"),
        pytest.param({"requestedPeriod": BOTH["requestedPeriod"]}, "date=2026-12-01", True, id="requested-period"),
        pytest.param({}, "date:missing=true", True, id="neither"),
    ],
)
def test_the_date_of_an_appointment_in_r5_is_the_first_of_two_elements(
    elements: Json, query: str, expected: bool
) -> None:
    """`(start | requestedPeriod.start).first()` in HL7's expression: the union in parentheses is one branch."""
    name, _, value = query.partition("=")
    (criterion,) = search([(name, value)], "Appointment", Context(FhirVersion.R5, frozenset()))
    assert criterion.matches({"resourceType": "Appointment", **elements}, nothing_else()) is expected


NAMED: Json = {
    "resourceType": "Patient",
    "name": [{"given": ["Anna"], "family": "Ngata"}],
    "contact": [{"name": {"family": "Rata"}}],
    "gender": "female",
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Patient.name.family | Patient.contact.name.family", ["Ngata", "Rata"]),
        ("(Patient.name.family | Patient.contact.name.family)", ["Ngata", "Rata"]),
        ("((Patient.name.given | Patient.name.family) | Patient.gender)", ["Anna", "Ngata", "female"]),
        ("(Patient.name.family) | (Patient.gender)", ["Ngata", "female"]),
        ("(Patient.name.given | Patient.name.family).first()", ["Anna"]),
        ("Patient.name.where(family = 'a|b' or (given | family).exists()).given", ["Anna"]),
    ],
)
def test_a_union_is_taken_apart_where_it_is_one(expression: str, expected: list[str]) -> None:
    definition = Definition("d", "d", SearchType.STRING, frozenset({"Patient"}), expression)
    assert [value.data for value in defined(definition, "Patient", R4).values(NAMED, nothing_else())] == expected


@pytest.mark.parametrize(("data", "path"), [({"coding": []}, None), ("final", "_.status"), ({"text": "x"}, "_.type")])
def test_a_value_whose_data_type_is_lost_is_an_error(data: Any, path: str | None) -> None:
    """Passed over, it would count as absent, and `:not` would hold of it."""
    node = ResourceNode(data, path)  # type: ignore[no-untyped-call]  # fhirpathpy has no types
    with pytest.raises(ValueError, match="the data type of what is found is not known"):
        value_of(node, SearchType.TOKEN)


def test_casts_find_values_in_repeated_elements() -> None:
    """FHIRPath's `as` takes one value; HL7's expressions put it on elements that repeat."""
    components = [{"valueQuantity": {"value": 1}}, {"valueCodeableConcept": {"text": "a"}}]
    components.append({"valueCodeableConcept": {"text": "b"}})
    observation = {"resourceType": "Observation", "component": components}
    assert found(observation, "component-value-concept") == [{"text": "a"}, {"text": "b"}]


def test_primitives_that_only_have_extensions_are_no_values() -> None:
    patient = {
        "resourceType": "Patient",
        "_birthDate": {"extension": [{"url": "http://example.org/reason", "valueCode": "unknown"}]},
        "_gender": {"id": "g", "extension": [{"url": "http://example.org/reason", "valueCode": "unknown"}]},
        "name": [{"given": [None, "Anna"], "_given": [{"id": "first"}, None]}],
    }
    assert [found(patient, code) for code in ("birthdate", "gender", "given")] == [[], [], ["Anna"]]


def test_a_value_names_its_place() -> None:
    paths = [
        value.path for value in extraction(R4, "Patient", "family").values(example("Patient-example"), nothing_else())
    ]
    assert paths == ["Patient.name[0].family", "Patient.name[2].family"]


CLINICAL_USE = {
    "resourceType": "ClinicalUseDefinition",
    "contraindication": {
        "diseaseSymptomProcedure": {
            "concept": {"coding": [{"system": "urn:x", "code": "a"}], "text": "Pox"},
            "reference": {"reference": "ObservationDefinition/1"},
        }
    },
}


@pytest.mark.parametrize("version", [FhirVersion.R4B, FhirVersion.R5])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("contraindication=a", True),
        ("contraindication=urn:x|a", True),
        ("contraindication=b", False),
        ("contraindication:not=a", False),
        ("contraindication:text=pox", True),
        ("contraindication-reference=ObservationDefinition/1", True),
        ("contraindication-reference=ObservationDefinition/2", False),
        ("contraindication:missing=false", True),
        ("effect:missing=true", True),
    ],
)
def test_a_codeable_reference_is_a_concept_for_a_token_and_a_reference_for_a_reference(
    version: FhirVersion, query: str, expected: bool
) -> None:
    name, _, value = query.partition("=")
    (criterion,) = search([(name, value)], "ClinicalUseDefinition", Context(version, frozenset()))
    assert criterion.matches(CLINICAL_USE, nothing_else()) is expected


def test_a_codeable_reference_without_a_concept_is_missing_for_a_token() -> None:
    reference = {"reference": {"reference": "ObservationDefinition/1"}}
    resource = {**CLINICAL_USE, "contraindication": {"diseaseSymptomProcedure": reference}}
    context = Context(FhirVersion.R4B, frozenset())
    missing, referred = search(
        [("contraindication:missing", "true"), ("contraindication-reference:missing", "false")],
        "ClinicalUseDefinition",
        context,
    )
    assert missing.matches(resource, nothing_else())
    assert referred.matches(resource, nothing_else())


@pytest.mark.parametrize(
    ("type_", "elements", "query", "expected"),
    [
        ("Ingredient", {"manufacturer": [{"manufacturer": {"reference": "Organization/1"}}]}, "manufacturer=1", True),
        ("Ingredient", {"manufacturer": [{"role": "actual"}]}, "manufacturer:missing=true", True),
        ("RegulatedAuthorization", {"status": {"coding": [{"code": "active"}]}}, "status=active", True),
        ("RegulatedAuthorization", {"status": {"coding": [{"code": "active"}]}}, "status:not=active", False),
        ("RegulatedAuthorization", {"identifier": [{"value": "7"}]}, "identifier=7", True),
        ("RegulatedAuthorization", {"holder": {"reference": "Organization/1"}}, "holder=Organization/1", True),
        ("Citation", {"effectivePeriod": {"start": "2020", "end": "2021"}}, "effective=2021-03", False),
        ("Citation", {"effectivePeriod": {"start": "2020", "end": "2021"}}, "effective=ge2021-03", True),
        (
            "MedicinalProductDefinition",
            {"characteristic": [{"valueCodeableConcept": {"coding": [{"code": "red"}]}}]},
            "characteristic=red",
            True,
        ),
    ],
)
def test_elements_that_are_new_in_r4b_have_their_data_types(
    type_: str, elements: Json, query: str, expected: bool
) -> None:
    name, _, value = query.partition("=")
    (criterion,) = search([(name, value)], type_, Context(FhirVersion.R4B, frozenset()))
    assert criterion.matches({"resourceType": type_, **elements}, nothing_else()) is expected
