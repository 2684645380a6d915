"""References and canonicals with their modifiers, by https://hl7.org/fhir/R4/search.html#reference."""

from typing import Any

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from subscriptions.filters import search
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Beginning, Equal
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.searching import Json, Row, table

HUB = "https://hub.example/fhir/r4"
OTHER = "https://other.example/fhir"
URN = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
NHI = "https://standards.digital.health.nz/ns/nhi-id"


def context(version: FhirVersion = FhirVersion.R4) -> Context:
    return Context(version, frozenset({HUB}))


def matches(resource: Json, query: str) -> bool:
    """A `·` is a blank."""
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


def about(subject: Any) -> Json:
    """An Observation on a literal reference, or on a whole Reference, or on nothing."""
    reference = {"reference": subject} if isinstance(subject, str) else subject
    return {"resourceType": "Observation", **({} if subject is None else {"subject": reference})}


FORMS: list[Row] = [
    # "[parameter]=[id] the logical [id] of a resource using a local reference"
    (
        "Patient/1",
        f"=1 =Patient/1 ={HUB}/Patient/1 =2,1 =Group/1,Patient/1 :Patient=1 :Patient=2,1 :missing=false"
        " :missing=true,false",
        f"=2 =Patient/2 =Group/1 =Patient/1/_history/1 ={OTHER}/Patient/1 ={HUB}/Patient/2 :Group=1 :Patient=2"
        " :missing=true =01 =Patient/11",
    ),
    ("Group/1", "=1 =Group/1 :Group=1", "=Patient/1 :Patient=1 :Group=2"),
    (f"{HUB}/Patient/1", f"=1 =Patient/1 ={HUB}/Patient/1 :Patient=1", f"={OTHER}/Patient/1 :Group=1 =2"),
    # "an absolute URL - a reference to a resource by its absolute location"
    (f"{OTHER}/Patient/1", f"={OTHER}/Patient/1", f"=1 =Patient/1 ={HUB}/Patient/1 :Patient=1 ={OTHER}/Patient/2"),
    # Versions: what is asked for without one is found in any.
    (
        "Patient/1/_history/3",
        f"=1 =Patient/1 =Patient/1/_history/3 ={HUB}/Patient/1/_history/3 ={HUB}/Patient/1 :Patient=1",
        "=Patient/1/_history/2 =3 =Patient/3",
    ),
    (
        f"{OTHER}/Patient/1/_history/3",
        f"={OTHER}/Patient/1 ={OTHER}/Patient/1/_history/3",
        f"=1 =Patient/1 ={OTHER}/Patient/1/_history/2 =Patient/1/_history/3",
    ),
    (URN, f"={URN} :missing=false", "=c757873d-ec9a-4326-a141-556f43239520 :Patient=1 =Patient/1"),
    ("urn:oid:1.2.3", "=urn:oid:1.2.3", "=1.2.3 =urn:oid:1.2"),
    # What is contained can't be asked for from outside, but it is there.
    ("#p", ":missing=false", "=p :Patient=p =Patient/p :missing=true"),
    # A logical reference has no literal one.
    (
        {"identifier": {"system": NHI, "value": "ZZZ0016"}, "display": "Hēmi Māori-Smith"},
        f":identifier={NHI}|ZZZ0016 :identifier=ZZZ0016 :identifier={NHI}| :identifier=x,ZZZ0016 :missing=false"
        " :text=hemi :text=HĒMI :text=Hemi·M :text=x,hemi :text=hemi·maorismith",
        f"=ZZZ0016 =Patient/ZZZ0016 :identifier=|ZZZ0016 :identifier=zzz0016 :identifier={NHI}|ZZZ :missing=true"
        f" :identifier=urn:x|ZZZ0016 :identifier={NHI}|x :text=smith :text=maori",
    ),
    ({"identifier": {"value": "7"}}, ":identifier=7 :identifier=|7", f"=7 :identifier={NHI}|7 :identifier={NHI}|"),
    ({"identifier": {"system": NHI}}, f":identifier={NHI}|", f":identifier=7 :identifier={NHI}|7"),
    (
        {"reference": "Patient/1", "identifier": {"system": "a|b", "value": "c,d"}},
        r"=1 :identifier=a\|b|c\,d :identifier=c\,d",
        r":identifier=c,d :identifier=1 :text=Patient",
    ),
    ({"display": "somebody"}, ":missing=false :text=some", "=somebody :text=body :identifier=somebody"),
    ({"type": "Patient", "display": "x"}, ":text=x", "=x :Patient=x"),
    (None, ":missing=true :missing=false,true", "=1 =Patient/1 :missing=false :identifier=7 :text=x :Patient=1"),
]


@table(FORMS)
def test_references_in_every_form(value: Any, query: str, expected: bool) -> None:
    assert matches(about(value), f"subject{query}") is expected


@table(
    [
        # `patient` is the subject "where(resolve() is Patient)"
        ("Patient/1", "=1 =Patient/1 :Patient=1 :missing=false", "=2 :missing=true"),
        ("Group/1", ":missing=true", "=1 =Patient/1 :missing=false"),
        ({"type": "Patient", "identifier": {"value": "7"}}, ":identifier=7 :missing=false", "=7"),
        ({"identifier": {"value": "7"}}, ":missing=true", ":identifier=7"),
    ]
)
def test_a_parameter_for_one_type_of_target(value: Any, query: str, expected: bool) -> None:
    assert matches(about(value), f"patient{query}") is expected


@table(
    [
        (["Practitioner/1", "Patient/2"], "=1 =2 =Practitioner/1 :Patient=2 =3,2", "=3 :Patient=1 =Patient/1"),
        (["#a", URN], f"={URN} :missing=false", "=a"),
        ([], ":missing=true", "=1 :missing=false"),
    ]
)
def test_an_array_of_references(value: Any, query: str, expected: bool) -> None:
    performers = [{"reference": each} for each in value]
    resource = {"resourceType": "Observation", **({"performer": performers} if value else {})}
    assert matches(resource, f"performer{query}") is expected


PLAN = "http://a.example/fhir/Plan"
CANONICALS: list[Row] = [
    (
        f"{PLAN}|2.1.3",
        f"={PLAN} ={PLAN}|2.1.3 =x,{PLAN} :below={PLAN} :below={PLAN}|2 :below={PLAN}|2.1 :below={PLAN}|2.1.3"
        f" :below=http://a.example/fhir :below=http://a.example/fhir/ :below=http://a.example :above={PLAN}|2.1.3"
        f" :above={PLAN}|2.1.3.4 :above={PLAN} :above={PLAN}/more :missing=false",
        f"={PLAN}|2 ={PLAN}|2.1"
        f" ={PLAN}|2.1.30 ={PLAN}s =Plan :below={PLAN}|2.1.30 :below={PLAN}|1 :below={PLAN}|2.1.3.4"
        f" :below={PLAN}/more :below=http://a.example/fh :above={PLAN}|2.1 :above={PLAN}|2.1.30"
        " :above=http://a.example/fhir :below=https://a.example/fhir :missing=true",
    ),
    (
        PLAN,
        f"={PLAN} :below={PLAN} :below=http://a.example/fhir :above={PLAN} :above={PLAN}/x/y",
        f"={PLAN}|2 :below={PLAN}|2 :above={PLAN}|2 :above={PLAN}2",
    ),
    (f"{PLAN}|20", f":below={PLAN}|20 ={PLAN}|20", f":below={PLAN}|2 :above={PLAN}|2 ={PLAN}|2"),
    # What is contained can't be asked for from outside, but it is there.
    ("#q", ":missing=false", f"={PLAN} :below={PLAN} :below=http://a.example =q :missing=true"),
    (None, ":missing=true", f"={PLAN} :below={PLAN} :above={PLAN} :missing=false"),
]


@table(CANONICALS)
def test_canonicals(value: Any, query: str, expected: bool) -> None:
    plan = {"resourceType": "CarePlan", **({"instantiatesCanonical": [value]} if value else {})}
    assert matches(plan, f"instantiates-canonical{query}") is expected


@table(CANONICALS)
def test_profiles(value: Any, query: str, expected: bool) -> None:
    meta = {"profile": [value, "urn:x"]} if value else {}
    assert matches({"resourceType": "Patient", "meta": meta}, f"_profile{query}") is expected


@pytest.mark.parametrize(
    ("type_", "query", "reason"),
    [
        pytest.param(
            "Observation",
            "subject:exact=1",
            "`:exact` of `subject` is not supported; supported: `:[type]`, `:identifier`, `:text`, `:missing`",
            id="not-of-references",
        ),
        pytest.param("Observation", "subject:Klingon=1", "`:Klingon` of `subject` is not supported", id="no-type"),
        pytest.param("Observation", "subject:Practitioner=1", "not to Practitioner", id="a-type-that-cannot-be"),
        pytest.param("Observation", "subject:Patient=Patient/1", "the id alone", id="type-twice"),
        pytest.param("Observation", f"subject:Patient={HUB}/Patient/1", "the id alone", id="type-and-url"),
        pytest.param("Observation", f"subject:Patient={URN}", "the id alone", id="type-and-urn"),
        pytest.param(
            "Observation", "subject:below=Group/1", "depend on the resources that are referred to", id="below"
        ),
        pytest.param("Observation", "subject:above=Group/1", "supported: `:[type]`", id="above"),
        pytest.param("Observation", "subject:code-text=x", "`:code-text` of `subject`", id="r5-only"),
        pytest.param("Observation", "subject:identifier=|", "a token is written", id="identifier-of-nothing"),
        pytest.param("Observation", "subject:identifier=a|b|c", "a token is written", id="identifier-with-three-parts"),
        pytest.param("Observation", "subject:text=-", "a string needs", id="text-of-nothing"),
        pytest.param("Observation", "subject:not=1", "`:not` of `subject`", id="not"),
        pytest.param("Observation", "subject=a|b", "has no `|`", id="a-token"),
        pytest.param("Observation", "subject=#p", "a reference is written", id="contained"),
        pytest.param("CarePlan", "instantiates-canonical=#q", "canonical is written", id="contained-canonical"),
        pytest.param("CarePlan", "instantiates-canonical:Patient=1", "supported: `:above`, `:below`", id="no-target"),
        pytest.param("CarePlan", "instantiates-canonical:below=urn:oid:1.2", "compare URLs", id="urn"),
        pytest.param("CarePlan", "instantiates-canonical:identifier=7", "`:above`, `:below`, `:missing`", id="logical"),
        pytest.param("CarePlan", f"instantiates-canonical:below={PLAN}|1|2", "canonical is written", id="two-versions"),
        pytest.param("Patient", "_in:identifier=7", "supported: `:[type]`, `:missing`", id="roster-by-identifier"),
        pytest.param("Patient", "_in:Patient=7", "not to Patient", id="roster-of-another-type"),
    ],
)
def test_what_cannot_be_decided_is_rejected_with_the_reason(type_: str, query: str, reason: str) -> None:
    assert reason in rejection(type_, query)


def test_the_text_of_a_code_is_new_in_r5() -> None:
    (criterion,) = search([("subject:code-text", "hemi")], "Observation", context(FhirVersion.R5))
    assert criterion.matches(about({"display": "Hēmi"}), nothing_else())


@pytest.mark.parametrize(
    ("query", "access"),
    [
        ("subject=Patient/1", Equal(frozenset({"Patient/1"}))),
        ("subject:Patient=1,2", Equal(frozenset({"Patient/1", "Patient/2"}))),
        ("subject:identifier=a|b", Equal(frozenset({("a", "b")}))),
        ("subject:text=Hē", Beginning(frozenset({"he"}))),
        ("subject:missing=true", None),
    ],
)
def test_what_an_index_can_find_it_by(query: str, access: Any) -> None:
    (criterion,) = search([(query.partition("=")[0], query.partition("=")[2])], "Observation", context())
    assert criterion.test.access == access
