"""Tokens and their modifiers, by https://hl7.org/fhir/R4/search.html#token; its words are quoted."""

from typing import Any

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from subscriptions.filters import search
from subscriptions.search.asking import Context
from subscriptions.search.comparison import MOST_KEYS, Equal
from subscriptions.search.vocabulary import Vocabulary
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.searching import Json, Row, table

HUB = "https://hub.example/fhir/r4"
SCT = "http://snomed.info/sct"
CVX = "http://hl7.org/fhir/sid/cvx"
GENDER = "http://hl7.org/fhir/administrative-gender"
KINDS = "http://example.org/kinds"


def value_set(name: str, *include: Json) -> Json:
    url = f"http://example.org/{name}"
    return {"resourceType": "ValueSet", "id": name, "url": url, "compose": {"include": list(include)}}


def listed(system: str, *codes: str) -> Json:
    return {"system": system, "concept": [{"code": code} for code in codes]}


#: any > virus > (flu > h5n1, measles)
KINDS_SYSTEM = {
    "resourceType": "CodeSystem",
    "url": KINDS,
    "content": "complete",
    "concept": [
        {
            "code": "any",
            "concept": [
                {"code": "virus", "concept": [{"code": "flu", "concept": [{"code": "h5n1"}]}, {"code": "measles"}]}
            ],
        }
    ],
}
VOCABULARY = Vocabulary(
    [
        KINDS_SYSTEM,
        {
            "resourceType": "CodeSystem",
            "url": GENDER,
            "content": "complete",
            "concept": [{"code": "known", "concept": [{"code": "male"}, {"code": "female"}]}],
        },
        value_set("flu-vaccines", listed(CVX, "140", "150"), listed(SCT, "46233009")),
        value_set("viruses", {"system": KINDS, "filter": [{"property": "concept", "op": "is-a", "value": "virus"}]}),
        value_set("of-a-system-that-is-not-here", {"system": "urn:elsewhere"}),
        value_set("men", listed(GENDER, "male")),
        value_set("many", listed("urn:many", *map(str, range(MOST_KEYS + 1)))),
    ]
)


def context(version: FhirVersion = FhirVersion.R4) -> Context:
    return Context(version, frozenset({HUB}), vocabulary=VOCABULARY)


def matches(resource: Json, query: str) -> bool:
    """A `·` is a blank: blanks stand between the queries of a row."""
    name, _, value = query.replace("·", " ").partition("=")
    (criterion,) = search([(name, value)], resource["resourceType"], context())
    return criterion.matches(resource, nothing_else())


def rejection(type_: str, query: str) -> str:
    name, _, value = query.partition("=")
    with pytest.raises(Rejected) as caught:
        search([(name, value)], type_, context())
    (issue,) = caught.value.issues
    assert issue.expression == name
    return issue.text


def concept(*codings: str, text: str = "", display: str = "") -> Json:
    """Codings as `system|code`; an empty part is left out."""
    found = []
    for coding in codings:
        system, _, code = coding.rpartition("|")
        parts = {"system": system, "code": code, "display": display}
        found.append({name: value for name, value in parts.items() if value})
    return {**({"coding": found} if found else {}), **({"text": text} if text else {})}


def vaccinated(value: Any) -> Json:
    return {"resourceType": "Immunization", **({} if value is None else {"vaccineCode": value})}


def coded(*values: Json) -> Json:
    """Several CodeableConcepts: an array."""
    return {"resourceType": "Encounter", **({"reasonCode": list(values)} if values else {})}


FLU, MMR, LOCAL = concept(f"{CVX}|140"), concept(f"{CVX}|03"), concept("207")
BOTH = concept(f"{CVX}|03", f"{SCT}|46233009")
NOTHING = concept(text="a shot")

EQUALITY: list[Row] = [
    # "[parameter]=[code]": "irrespective of the value of the system property"
    (FLU, f"140 {CVX}|140 {CVX}| 03,140 {CVX}|03,{CVX}|140", f"14 1400 |140 {SCT}|140 {SCT}| 03 03,04 {CVX}|14"),
    # "[parameter]=|[code]": "and the Coding/Identifier has no system property"
    (LOCAL, "207 |207 1,207 1,|207", f"{CVX}|207 {CVX}| |20 20"),
    # "[parameter]=[system]|": "any element where the value of [system] matches"
    (concept(f"{CVX}|"), f"{CVX}|", f"140 {CVX}|140 |140"),
    (BOTH, f"03 46233009 {SCT}|46233009 {SCT}| {CVX}|", f"{SCT}|03 {CVX}|46233009 |03"),
    (NOTHING, "", f"a {CVX}| 140 shot"),
    (None, "", f"140 {CVX}| |140"),
    (concept(f"{CVX}|a,b"), rf"a\,b {CVX}|a\,b", "a,b a b"),
    ({"coding": [{"system": CVX, "code": "a|b"}]}, rf"a\|b {CVX}|a\|b", f"b {CVX}|b"),
    ({"coding": [{"system": CVX, "code": "a$b"}]}, r"a\$b a$b", "a b"),
    ({"coding": [{"system": CVX, "code": r"a\b"}]}, r"a\\b", "a b"),
    ({"coding": [{"system": "urn:oid:1.2", "code": "x"}]}, "urn:oid:1.2|x urn:oid:1.2| x", "urn:oid:1.2.3|x 1.2|x"),
    ({"coding": [{}]}, "", f"140 {CVX}|"),
    ({"coding": []}, "", "140"),
]


@table(EQUALITY)
def test_a_codeable_concept(value: Any, query: str, expected: bool) -> None:
    assert matches(vaccinated(value), f"vaccine-code={query}") is expected


@table(EQUALITY)
def test_not_is_the_opposite_also_of_what_is_missing(value: Any, query: str, expected: bool) -> None:
    """It "includes resources that have no value"."""
    assert matches(vaccinated(value), f"vaccine-code:not={query}") is not expected


@table(
    [
        ([], ":not=1 :not=a :missing=true", ":missing=false =a"),
        ([concept("urn:x|a")], "=a :not=b :missing=false", ":not=a :not=b,a :missing=true =b"),
        # One that matches is enough for the parameter, and so against `:not`.
        ([concept("urn:x|a"), concept("urn:x|b")], "=a =b =b,c :not=c", ":not=a :not=b :not=a,b :not=c,b"),
        ([NOTHING, concept("urn:x|b")], "=b :not=a :missing=false", ":not=b"),
        ([NOTHING], ":not=a :missing=false", "=a :missing=true"),
    ]
)
def test_an_array(value: Any, query: str, expected: bool) -> None:
    assert matches(coded(*value), f"reason-code{query}") is expected


FLU_SET = "http://example.org/flu-vaccines"
VIRUSES = "http://example.org/viruses"
IN: list[Row] = [
    (FLU, f"{FLU_SET} ValueSet/flu-vaccines {HUB}/ValueSet/flu-vaccines {VIRUSES},{FLU_SET}", VIRUSES),
    (MMR, "", FLU_SET),
    (BOTH, FLU_SET, VIRUSES),
    # "whether the coding is in the specified value set": the code alone, or another system's, is not.
    (concept("140"), "", FLU_SET),
    (concept(f"{SCT}|140"), "", FLU_SET),
    (concept(f"{CVX}|46233009"), "", FLU_SET),
    (concept(f"{CVX}|"), "", FLU_SET),
    (NOTHING, "", FLU_SET),
    (None, "", f"{FLU_SET} {VIRUSES}"),
    (concept(f"{KINDS}|h5n1"), f"{VIRUSES} ValueSet/viruses {FLU_SET},{VIRUSES}", FLU_SET),
    (concept(f"{KINDS}|virus"), VIRUSES, ""),
    (concept(f"{KINDS}|any"), "", VIRUSES),
    (concept(f"{KINDS}|fish"), "", VIRUSES),
    (concept("urn:many|400"), "http://example.org/many", FLU_SET),
    (concept("urn:many|501"), "", "http://example.org/many"),
]


@table(IN)
def test_in_a_value_set(value: Any, query: str, expected: bool) -> None:
    assert matches(vaccinated(value), f"vaccine-code:in={query}") is expected


@table(IN)
def test_not_in_is_the_opposite_also_of_what_is_missing(value: Any, query: str, expected: bool) -> None:
    assert matches(vaccinated(value), f"vaccine-code:not-in={query}") is not expected


@table(
    [
        # "this includes the coding itself", at any depth
        ("flu", ":below=virus :below=flu :below=any :above=h5n1 :above=flu", ":below=h5n1 :above=virus :above=any"),
        ("h5n1", ":below=flu :below=virus :above=h5n1 :below=measles,flu", ":below=measles :above=flu"),
        ("measles", ":below=virus :above=measles :below=measles", ":below=flu :above=flu :above=h5n1"),
        ("any", ":below=any :above=h5n1 :above=measles :above=virus", ":below=virus :below=flu"),
        ("unheard-of", "", ":below=any :above=any :below=flu"),
    ]
)
def test_above_and_below_by_the_hierarchy(value: Any, query: str, expected: bool) -> None:
    modifier, _, codes = query.partition("=")
    asked = ",".join(f"{KINDS}|{code}" for code in codes.split(","))
    assert matches(vaccinated(concept(f"{KINDS}|{value}")), f"vaccine-code{modifier}={asked}") is expected
    assert not matches(vaccinated(concept(f"{SCT}|{value}")), f"vaccine-code{modifier}={asked}")
    assert not matches(vaccinated(None), f"vaccine-code{modifier}={asked}")


@table(
    [
        (
            "male",
            f"=male ={GENDER}|male =|male ={GENDER}| :in=ValueSet/men :below=known :below={GENDER}|known :above=male"
            " :not=female :not=other,female :not=Male",
            f"=Male =mal :not-in=ValueSet/men :above=known :below=female :not=male :not={GENDER}|male =female,other",
        ),
        ("female", ":not-in=ValueSet/men :below=known :missing=false", ":in=ValueSet/men :missing=true"),
        (None, ":not=male :not-in=ValueSet/men :missing=true", "=male :in=ValueSet/men :below=known :missing=false"),
    ]
)
def test_a_code_of_the_system_of_its_definition(value: Any, query: str, expected: bool) -> None:
    patient = {"resourceType": "Patient", **({"gender": value} if value else {})}
    assert matches(patient, f"gender{query}") is expected


@table(
    [
        # "begins with or is, case-insensitive": as a string, so without accents and macrons too
        (concept(text="Māori health"), "māori maori MAORI Māori maori·health MĀORI·H", "health aori maorihealth"),
        (concept(text="Ma\u0304ori"), "māori maori", "moari"),
        (concept("urn:x|1", display="Head ache"), "head HEAD", "ache 1 urn"),
        (concept("urn:x|1", text="one", display="two"), "one two o,x x,two", "x three"),
        (concept("urn:x|1"), "", "1 urn"),
        (concept(text="a, b"), r"a\, a", "b"),
        (None, "", "a"),
    ]
)
def test_text_begins_the_text_or_a_display(value: Any, query: str, expected: bool) -> None:
    assert matches(vaccinated(value), f"vaccine-code:text={query}") is expected


NHI = "https://standards.digital.health.nz/ns/nhi-id"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
NUMBERED = [
    {"system": NHI, "value": "ZZZ0016", "type": concept(f"{TYPES}|NI", "urn:y|n", text="NHI number")},
    {"value": "7"},
    {"system": "urn:z"},
    {"type": concept(f"{TYPES}|MR", "bare"), "value": "12345"},
]


@table(
    [
        (
            NUMBERED,
            f"=ZZZ0016 ={NHI}|ZZZ0016 ={NHI}| =7 =|7 =urn:z| =|12345 =8,7 :missing=false :not=8 :text=nhi"
            f" :of-type={TYPES}|NI|ZZZ0016 :of-type=urn:y|n|ZZZ0016 :of-type={TYPES}|MR|12345"
            f" :of-type={TYPES}|MR|0,{TYPES}|MR|12345",
            f"=zzz0016 =|ZZZ0016 =ZZZ001 ={NHI}|7 =urn:z|7 =NI :not=7 :not=8,7 :text=number :text=ZZZ :missing=true"
            f" :of-type={TYPES}|MR|ZZZ0016 :of-type={TYPES}|NI|7 :of-type={TYPES}|NI|12345 :of-type=urn:w|NI|ZZZ0016",
        ),
        (
            [],
            f":missing=true :not=7 :not={NHI}|",
            f"=7 ={NHI}| :missing=false :of-type={TYPES}|NI|7 :text=nhi",
        ),
    ]
)
def test_identifiers(value: Any, query: str, expected: bool) -> None:
    patient = {"resourceType": "Patient", **({"identifier": value} if value else {})}
    assert matches(patient, f"identifier{query}") is expected


@table(
    [
        ({"active": True}, "active=true active:not=false active:missing=false active=false,true", "active=false"),
        ({"active": False}, "active=false active:not=true active:missing=false", "active=true active:not=false"),
        ({}, "active:missing=true active:not=true active:not=false", "active=true active=false active:missing=false"),
        ({"_active": {"extension": []}}, "active:missing=true active:not=true", "active=true active:missing=false"),
        ({"deceasedBoolean": False}, "deceased=false", "deceased=true"),
        ({"deceasedBoolean": True}, "deceased=true", "deceased=false"),
        ({"deceasedDateTime": "2020"}, "deceased=true deceased:not=false", "deceased=false"),
        ({"telecom": [{"system": "phone", "value": "+64 1"}]}, "phone=+64·1 phone=1,+64·1", "email=+64·1 phone=+6"),
        ({"telecom": [{"system": "email", "value": "a@b"}, {"system": "phone"}]}, "email=a@b telecom=a@b", "phone=a@b"),
        (
            {"telecom": [{"system": "email", "value": "a@b"}]},
            "phone:missing=true email:missing=false",
            "email:missing=true",
        ),
        ({"language": "mi"}, "_id:missing=true", "_id:missing=false"),
        ({"id": "a-1.B"}, "_id=a-1.B _id=x,a-1.B _id=Patient/a-1.B _id:not=x _id:missing=false", "_id=a-1.b _id=a"),
        (
            {"meta": {"tag": [{"system": "urn:t", "code": "a"}, {"code": "b"}], "security": [{"code": "R"}]}},
            "_tag=a _tag=urn:t|a _tag=urn:t| _tag=|b _tag:not=c _security=R _security=|R _security:not=N"
            " _tag:missing=false",
            "_tag=c _tag=|a _tag=urn:t|b _tag:not=b _security=N _tag:missing=true _security=r",
        ),
        ({"meta": {}}, "_tag:missing=true _tag:not=a _security:missing=true", "_tag=a _security=R"),
        ({}, "_tag:missing=true _security:not=R", "_tag=a"),
    ]
)
def test_tokens_of_other_data_types(value: Any, query: str, expected: bool) -> None:
    assert matches({"resourceType": "Patient", **value}, query) is expected


@pytest.mark.parametrize(
    ("type_", "query", "reason"),
    [
        pytest.param(
            "Immunization",
            "vaccine-code:exact=1",
            "`:exact` of `vaccine-code` is not supported; supported: `:not`, `:text`, `:in`, `:not-in`, `:above`,"
            " `:below`, `:missing`",
            id="not-of-tokens",
        ),
        pytest.param(
            "Patient", "identifier:in=x", "supported: `:not`, `:text`, `:of-type`, `:missing`", id="identifier"
        ),
        pytest.param("Patient", "phone:in=x", "`phone` is not supported; supported: `:not`, `:missing`", id="phone"),
        pytest.param("Patient", "active:text=x", "supported: `:not`, `:missing`", id="boolean"),
        pytest.param("Patient", "active:missing=yes", "`true` or `false`", id="missing-what"),
        pytest.param("Patient", "active:missing=true,no", "`true` or `false`", id="missing-one-of-two"),
        pytest.param("Task", "intent:in=ValueSet/men", "`:in` of `intent` is not supported", id="codes-of-no-system"),
        pytest.param("Immunization", "vaccine-code:code-text=x", "`:code-text` of", id="r5-only"),
        pytest.param("Immunization", "vaccine-code:text-advanced=x", "resource alone", id="text-advanced"),
        pytest.param("Immunization", "vaccine-code:text=-", "a string needs", id="no-text"),
        pytest.param("Patient", "identifier:of-type=a|b", "All 3 parts must be present", id="two-parts"),
        pytest.param("Patient", "identifier:of-type=a||c", "All 3 parts must be present", id="an-empty-part"),
        pytest.param("Patient", "identifier:of-type=a|b|c|d", "`system|code|value`", id="four-parts"),
        pytest.param("Immunization", "vaccine-code:in=urn:no", "not given the ValueSet `urn:no`", id="unknown-set"),
        pytest.param(
            "Immunization",
            "vaccine-code:not-in=ValueSet/of-a-system-that-is-not-here",
            "can't be enumerated: the hub was not given the CodeSystem `urn:elsewhere`",
            id="set-without-its-system",
        ),
        pytest.param("Immunization", f"vaccine-code:in={FLU_SET}|2", f"ValueSet `{FLU_SET}|2`", id="no-such-version"),
        pytest.param("Immunization", "vaccine-code:below=flu", "written `system|code`", id="concept-without-system"),
        pytest.param("Immunization", f"vaccine-code:below={KINDS}|", "written `system|code`", id="system-alone"),
        pytest.param("Immunization", f"vaccine-code:below={KINDS}|fish", "no code `fish`", id="unknown-concept"),
        pytest.param("Immunization", f"vaccine-code:above={SCT}|1", f"CodeSystem `{SCT}`", id="unknown-system"),
        pytest.param("Patient", "gender:below=other", "no code `other`", id="unknown-code"),
        pytest.param("Immunization", "vaccine-code:not=a|b|c", "a token is written", id="not-of-nothing"),
    ],
)
def test_what_cannot_be_decided_is_rejected_with_the_reason(type_: str, query: str, reason: str) -> None:
    assert reason in rejection(type_, query)


@pytest.mark.parametrize(
    ("query", "size"),
    [
        (f"vaccine-code={CVX}|140", 1),
        ("vaccine-code=1,2,3", 3),
        (f"vaccine-code:in={FLU_SET}", 3),
        (f"vaccine-code:below={KINDS}|flu", 2),
        (f"vaccine-code:above={KINDS}|flu", 3),
        ("vaccine-code:not=1", None),
        (f"vaccine-code:not-in={FLU_SET}", None),
        ("vaccine-code:missing=true", None),
        ("vaccine-code:missing=false", None),
        ("vaccine-code:in=http://example.org/many", None),
    ],
)
def test_an_index_can_find_what_asks_for_not_too_many_keys(query: str, size: int | None) -> None:
    (criterion,) = search([(query.partition("=")[0], query.partition("=")[2])], "Immunization", context())
    access = criterion.test.access
    assert access is None if size is None else isinstance(access, Equal) and len(access.keys) == size


def test_filters_with_another_vocabulary_are_other_filters() -> None:
    """So that an index made with one is never asked with the other."""
    assert context() == context()
    assert context() != Context(FhirVersion.R4, frozenset({HUB}), vocabulary=Vocabulary())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # "the textual display value in a resource (e.g., CodeableConcept.text, Coding.display …)"
        ("maori", True),
        ("one", True),
        ("health", False),
        # "GET [base]/Patient?language:code-text=en would match … en-AU"
        ("mi", True),
        ("MI-N", True),
        ("nz", False),
        ("urn", False),
    ],
)
def test_the_text_of_a_code_is_new_in_r5(text: str, expected: bool) -> None:
    resource = vaccinated(concept("urn:x|mi-NZ", text="Māori health", display="One"))
    (criterion,) = search([("vaccine-code:code-text", text)], "Immunization", context(FhirVersion.R5))
    assert criterion.matches(resource, nothing_else()) is expected


@pytest.mark.parametrize(("text", "expected"), [("en", True), ("EN-A", True), ("au", False)])
def test_a_plain_code_has_a_text_too(text: str, expected: bool) -> None:
    (criterion,) = search([("_language:code-text", text)], "Patient", context(FhirVersion.R5))
    assert criterion.matches({"resourceType": "Patient", "language": "en-AU"}, nothing_else()) is expected


@pytest.mark.parametrize(
    ("version", "expected"), [(FhirVersion.R4, False), (FhirVersion.R4B, False), (FhirVersion.R5, True)]
)
def test_the_text_of_an_identifier_is_also_its_assigner_in_r5(version: FhirVersion, expected: bool) -> None:
    """ "CodeableConcept.text, Coding.display, Identifier.type.text, or Identifier.assigner.display" """
    patient = {"resourceType": "Patient", "identifier": [{"value": "7", "assigner": {"display": "Te Whatu Ora"}}]}
    (criterion,) = search([("identifier:text", "te whatu")], "Patient", context(version))
    assert criterion.matches(patient, nothing_else()) is expected


@table(
    [
        # "will miss documents with a mime type such as text/xml; charset=UTF-8"
        (
            "text/xml; charset=UTF-8",
            ":below=text/xml :below=TEXT/XML :below=urn:ietf:bcp:13|text/xml :below=text :below=image,text/xml"
            " =text/xml;·charset=UTF-8 :not=text/xml",
            "=text/xml :below=text/x :below=tex :below=xml :below=text/xml-dtd :below=image",
        ),
        ("text/xml", "=text/xml :below=text/xml :below=text", ":below=text/html :below=application"),
        ("Application/FHIR+JSON", ":below=application/fhir+json :below=application", ":below=application/fhir"),
        ("image/png", ":below=image :below=image/png", ":below=image/jpeg :below=png"),
        (None, ":missing=true", ":below=text/xml :below=image"),
    ]
)
def test_mime_types_below_one_of_them_need_no_code_system(value: Any, query: str, expected: bool) -> None:
    attachment = {"contentType": value} if value else {"title": "x"}
    document = {"resourceType": "DocumentReference", "content": [{"attachment": attachment}]}
    assert matches(document, f"contenttype{query}") is expected


@pytest.mark.parametrize("value", ["text/xml;·charset=UTF-8", "image/*", "/xml", "text/", "urn:x|text/xml", "a/b/c"])
def test_a_mime_type_that_is_asked_for_has_no_parameters(value: str) -> None:
    """ "servers are not required to sort between different parameters" """
    text = value.replace("·", " ")
    assert "`:below` takes a MIME type without parameters" in rejection(
        "DocumentReference", f"contenttype:below={text}"
    )
