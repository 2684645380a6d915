"""Strings and URIs with their modifiers, by https://hl7.org/fhir/R4/search.html#string and #uri; their words quoted."""

from typing import Any

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from subscriptions.filters import parse, queries, search
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Beginning, Equal
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.searching import Json, Row, table

R4, R5 = (Context(version, frozenset()) for version in (FhirVersion.R4, FhirVersion.R5))


def matches(resource: Json, query: str, context: Context = R4) -> bool:
    """A `·` is a blank."""
    name, _, value = query.replace("·", " ").partition("=")
    (criterion,) = search([(name, value)], resource["resourceType"], context)
    return criterion.matches(resource, nothing_else())


def rejection(type_: str, query: str) -> str:
    name, _, value = query.partition("=")
    with pytest.raises(Rejected) as caught:
        search([(name, value)], type_, R4)
    (issue,) = caught.value.issues
    assert issue.expression == name
    return issue.text


def named(*names: Json) -> Json:
    return {"resourceType": "Patient", **({"name": list(names)} if names else {})}


EVE = {"family": "Carreño Quiñones", "given": ["Eve-Marie", "Zoë"], "prefix": ["Dr."], "text": "Dr. Eve Carreño"}
MAORI = {"family": "Te Māori", "given": ["Hēmi"]}
DECOMPOSED = {"family": "Te Ma\u0304ori"}

NAMES: list[Row] = [
    # "given=eve": "at the start … (case insensitive)"; ":contains": "Eve, Evelyn, and also Severine"; ":exact": "Eve
    # (note: not eve or EVE)"
    (
        [{"given": ["Eve"]}],
        "given=eve given=EVE given=Eve given=ev given:contains=eve given:contains=VE given:exact=Eve name=eve",
        "given=eves given:exact=eve given:exact=EVE given:exact=Ev given=ve given:contains=evel",
    ),
    ([{"given": ["Evelyn"]}], "given=eve given:contains=eve given:contains=LYN", "given:exact=Eve given=lyn"),
    ([{"given": ["Severine"]}], "given:contains=eve", "given=eve given:exact=Eve given:exact=eve"),
    (
        [EVE],
        "given=evemarie given=Eve-M given=zoe given=ZOË given:contains=marie given:contains=ve-m given:exact=Zoë"
        " given:exact=Eve-Marie name=dr name=quin name:contains=arreno name:exact=Dr. name:exact=Zoë"
        " name:exact=Carreño·Quiñones family=carreno·quin family:contains=no·qui family=quinones"
        " given:exact=x,Zoë given=x,z given:missing=false name:missing=false",
        "given=marie given:exact=Zoe given:exact=zoë given:exact=Eve-Mari given:exact=Eve family:exact=Quiñones"
        " family:exact=Carreno·Quinones family=arreno name:exact=Dr given:contains=carreno given:missing=true"
        " family:contains=eve name=arie",
    ),
    (
        [MAORI],
        "family=te·maori family=maori family=MĀORI family=TE·M family:contains=aori family:contains=Ā"
        " family:exact=Te·Māori given=hemi given=hēmi given:exact=Hēmi name=māori",
        "family:exact=Te·Maori family:exact=te·māori family:exact=Māori given:exact=Hemi family=aori",
    ),
    ([DECOMPOSED], "family=maori family:exact=Te·Māori family:contains=māo", "family:exact=Te·Maori"),
    # "an array": any of them
    ([EVE, MAORI], "family=carr family=maori name=hemi given:exact=Hēmi given:contains=oe", "given:exact=Te·Māori"),
    (
        [{"family": "O'Brien"}],
        "family=obrien family=O'B family:contains=brien family:exact=O'Brien",
        "family:exact=OBrien",
    ),
    ([{"family": "a,b"}], r"family=a\,b family:exact=a\,b family=x,a", r"family:exact=a,b family=b"),
    ([{"family": r"a\b|c$d"}], r"family:exact=a\\b\|c\$d family:exact=a\\b|c$d", r"family:exact=a\\\\b"),
    ([{"given": ["", None]}], "", "given=x given:exact=x given:contains=x"),
    ([{"given": ["李"]}], "given=李 given:exact=李 given:contains=李", "given=王"),
    (
        [{"family": "Straße"}],
        "family=strasse family=STRASSE family:contains=RASS family:exact=Straße",
        "family:exact=Strasse",
    ),
    ([{"use": "old"}], "name:missing=false given:missing=true", "name=old name:exact=old name:contains=o"),
    ([], "name:missing=true family:missing=true", "name=eve name:contains=e name:exact=Eve name:missing=false"),
]


@table(NAMES)
def test_names(value: Any, query: str, expected: bool) -> None:
    assert matches(named(*value), query) is expected


@table(
    [
        (
            {"line": ["7 Lützowstraße", "Haus B"], "city": "Berlin", "postalCode": "10785", "use": "work"},
            "address=7·lutz address=berl address=10785 address:contains=zowstrasse address:exact=Berlin"
            " address-city=ber address-city:contains=lin address-city:exact=Berlin"
            " address:exact=Haus·B address-postalcode=107 address-country:missing=true address-city:missing=false",
            "address=work address=haus·c address:exact=berlin address-city:exact=Ber address-city=erlin"
            " address:contains=work address-city=10785 address-city:missing=true",
        ),
        ({}, "address-city:missing=true", "address=b address-city:contains=b address-city:exact=Berlin"),
    ]
)
def test_addresses(value: Any, query: str, expected: bool) -> None:
    resource = {"resourceType": "Patient", **({"address": [value]} if value else {})}
    assert matches(resource, query) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("family=M%C4%81ori", True),
        ("family:exact=Te%20M%C4%81ori", True),
        ("family:exact=Te%20Maori", False),
        ("family%3Aexact=Te%20M%C4%81ori", True),
        ("family=x%2Cmaori", True),
        ("family=x%5C%2Cmaori", False),
        ("Patient?family=M%C4%81ori&given=h%C4%93mi", True),
        ("Patient?family=M%C4%81ori&given=x", False),
        ("Patient?family=M%C4%81ori&family=te", True),
        ("Patient?family=M%C4%81ori&family=smith", False),
        ("Patient?family=smith,maori&family=te,x", True),
    ],
)
def test_url_encoding_commas_as_or_and_repetition_as_and(text: str, expected: bool) -> None:
    criteria = queries(parse(text), frozenset({"Patient"}), R4)["Patient"]
    assert all(each.matches(named(MAORI), nothing_else()) for each in criteria) is expected


URLS: list[Row] = [
    # "the entire URI must match", "precise, case, accent, and escape sensitive"
    (
        "http://acme.org/fhir/ValueSet/123",
        "=http://acme.org/fhir/ValueSet/123 =x,http://acme.org/fhir/ValueSet/123 :missing=false"
        # ":below": "any value sets that have a URL that starts with http://acme.org/fhir/"
        " :below=http://acme.org/fhir/ :below=http://acme.org/fhir :below=http://acme.org :below=http://acme.org/"
        " :below=http://acme.org/fhir/ValueSet/123 :below=http://acme.org/fhir/ValueSet,urn:x://y"
        # ":above=http://acme.org/fhir/ValueSet/123/_history/5" has "http://acme.org/fhir/ValueSet/123" above it
        " :above=http://acme.org/fhir/ValueSet/123/_history/5 :above=http://acme.org/fhir/ValueSet/123"
        " :above=http://acme.org/fhir/ValueSet/123/ :above=http://x.org/a,http://acme.org/fhir/ValueSet/123/x",
        "=http://acme.org/fhir/ValueSet/12 =http://acme.org/fhir =HTTP://acme.org/fhir/ValueSet/123 :missing=true"
        " =http://acme.org/fhir/valueset/123 =http://acme.org/fhir/ValueSet/123/ =http://acme.org/fhir/ValueSet/1%323"
        # by segments, and not by characters
        " :below=http://acme.org/fh :below=http://acme.org/fhir/ValueSet/1 :below=http://acme.or"
        " :below=https://acme.org/fhir :below=http://acme.org/fhir/ValueSet/123/_history :below=http://ACME.org"
        " :above=http://acme.org/fhir/ValueSet/1234 :above=http://acme.org/fhir/ValueSet :above=http://acme.org"
        " :above=https://acme.org/fhir/ValueSet/123/x",
    ),
    ("http://acme.org", "=http://acme.org :above=http://acme.org/a/b :below=http://acme.org/", "=http://acme.org/"),
    ("http://acme.org/", "=http://acme.org/ :above=http://acme.org/a :below=http://acme.org", "=http://acme.org"),
    ("http://acme.org/fhir2", ":below=http://acme.org", ":below=http://acme.org/fhir :above=http://acme.org/fhir2x"),
    ("urn:oid:1.2.3.4", "=urn:oid:1.2.3.4", "=urn:oid:1.2.3 =1.2.3.4 :below=http://acme.org"),
    ("http://acme.org/Mäori", "=http://acme.org/Mäori", "=http://acme.org/Maori =http://acme.org/M%C3%A4ori"),
    ("http://acme.org/a,b", r"=http://acme.org/a\,b", "=http://acme.org/a,b"),
    (
        "http://acme.org/a?b=c/d",
        "=http://acme.org/a?b=c/d :below=http://acme.org/a :below=http://acme.org :below=http://acme.org/a?b=c/d"
        " :below=http://acme.org/a?b=c :above=http://acme.org/a?b=c/d :above=http://acme.org/a?b=c/d/e",
        "=http://acme.org/a :below=http://acme.org/a?b :below=http://acme.org/a/b :above=http://acme.org/a?b=c"
        " :above=http://acme.org/a",
    ),
    (None, ":missing=true", "=http://acme.org :below=http://acme.org :above=http://acme.org/a :missing=false"),
]


@table([(value, met.replace(",urn:x://y", ""), unmet) for value, met, unmet in URLS])
def test_uris(value: Any, query: str, expected: bool) -> None:
    resource = {"resourceType": "ValueSet", **({"url": value} if value else {})}
    assert matches(resource, f"url{query}") is expected


@table(
    [
        ("http://acme.org/in", "=http://acme.org/in :below=http://acme.org :missing=false", "=http://acme.org"),
        # "the entire URI must match"; with `:below`, "URL path segments": a fragment is none
        (
            "http://acme.org/in#7",
            "=http://acme.org/in#7 :below=http://acme.org/in :below=http://acme.org/in/ :below=http://acme.org"
            " :below=http://acme.org/in#7 :above=http://acme.org/in#7",
            "=http://acme.org/in =http://acme.org/in#8 :below=http://acme.org/in#8 :below=http://acme.org/i"
            " :below=http://acme.org/in/7 :above=http://acme.org/in :above=http://acme.org/in#77",
        ),
        ("http://acme.org/in", ":above=http://acme.org/in#7 :below=http://acme.org/in", ":below=http://acme.org/in#7"),
        ("http://acme.org/in/#7", ":below=http://acme.org/in", ":below=http://acme.org/in/x"),
        ("http://acme.org#7", ":below=http://acme.org :above=http://acme.org#7", ":below=http://acme.or"),
        ("urn:uuid:1#7", "=urn:uuid:1#7", "=urn:uuid:1 :below=http://acme.org"),
        (None, ":missing=true", ":missing=false"),
    ]
)
def test_the_source_of_a_resource(value: Any, query: str, expected: bool) -> None:
    meta = {"meta": {"source": value}} if value else {}
    assert matches({"resourceType": "Patient", **meta}, f"_source{query}") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # "a case-insensitive and combining-character insensitive match anywhere in the target string"
        ("fhir", True),
        ("FHIR", True),
        ("acme.org/fh", True),
        ("://ACME", True),
        ("maori", True),
        ("Ma\u0304ori", True),
        ("fhir/MĀORI", True),
        # Punctuation counts, unlike in strings.
        ("acmeorg", False),
        ("fhir-maori", False),
        ("x", False),
    ],
)
def test_a_part_of_a_uri_is_new_in_r5(text: str, expected: bool) -> None:
    value_set = {"resourceType": "ValueSet", "url": "http://acme.org/fhir/Māori"}
    assert "`:contains` of `url`" in rejection("ValueSet", f"url:contains={text}")
    assert matches(value_set, f"url:contains={text}", R5) is expected


def test_a_part_of_a_uri_is_something() -> None:
    with pytest.raises(Rejected, match="a part of a URI is expected"):
        search([("url:contains", "\u0304")], "ValueSet", R5)


@pytest.mark.parametrize(
    ("type_", "query", "reason"),
    [
        pytest.param("Patient", "name:above=x", "supported: `:exact`, `:contains`, `:missing`", id="not-of-strings"),
        pytest.param("Patient", "name:text=x", "it asks for a text search", id="text-search"),
        pytest.param("Patient", "name:contains=-", "a string needs", id="contains-nothing"),
        pytest.param("Patient", "name:missing=1", "`true` or `false`", id="missing"),
        pytest.param("ValueSet", "url:exact=http://a.example", "supported: `:above`, `:below`, `:missing`", id="exact"),
        pytest.param("ValueSet", "url:below=urn:oid:1.2", "compare URLs", id="urn"),
        pytest.param("ValueSet", "url:above=a/b", "compare URLs", id="relative"),
        pytest.param("ValueSet", "url:below=http://", "compare URLs", id="no-host"),
        pytest.param("ValueSet", "url:below=http://#a", "compare URLs", id="a-fragment-for-a-host"),
        pytest.param("Patient", "_profile=#q", "a URI is expected", id="contained"),
        pytest.param("ValueSet", "url:below=http://a.example|1", "without a version", id="version"),
    ],
)
def test_what_cannot_be_decided_is_rejected_with_the_reason(type_: str, query: str, reason: str) -> None:
    assert reason in rejection(type_, query)


@pytest.mark.parametrize(
    ("query", "access"),
    [
        ("name=Hē", Beginning(frozenset({"he"}))),
        ("name:exact=Hē", Equal(frozenset({"Hē"}))),
        ("name:contains=Hē", None),
        ("name:missing=false", None),
        ("_source=http://a.example", Equal(frozenset({"http://a.example"}))),
        ("_source:below=http://a.example/b", Beginning(frozenset({"http://a.example/b/"}))),
        ("_source:above=http://a.example/b", Equal(frozenset({"http://a.example/b/", "http://a.example/"}))),
    ],
)
def test_what_an_index_can_find_it_by(query: str, access: Any) -> None:
    (criterion,) = search([(query.partition("=")[0], query.partition("=")[2])], "Patient", R4)
    assert criterion.test.access == access
