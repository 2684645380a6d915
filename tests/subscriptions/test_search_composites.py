"""Composites by https://hl7.org/fhir/R4/search.html#composite, and what is near by https://hl7.org/fhir/R4/location.html#search."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.errors import EvaluationError, Rejected
from subscriptions.filters import search
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Equal
from subscriptions.search.composite import Key, composition, is_evaluated
from subscriptions.search.parameters import parameters
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.searching import Json, matches, rejection, table

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
EXAMPLES = Path(__file__).parents[2] / "fixtures"


def coded(code: str, system: str = LOINC) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def pressure(systolic: int | None, diastolic: int | None) -> Json:
    """A blood pressure: a panel with two components."""
    components: list[Json] = []
    for code, number in (("8480-6", systolic), ("8462-4", diastolic)):
        value = {} if number is None else {"valueQuantity": {"value": number, "system": UCUM, "code": "mm[Hg]"}}
        components.append({"code": coded(code), **value})
    return {"resourceType": "Observation", "code": coded("85354-9"), "component": components}


PRESSURES = [
    (
        pressure(150, 80),
        "8480-6$150 http://loinc.org|8480-6$gt140 8462-4$lt90 8480-6$gt140||mm[Hg] 8480-6$lt1,8462-4$80 "
        "8462-4$80|http://unitsofmeasure.org|mm[Hg] 8480-6$ne80 8480-6$ap145 http://loinc.org|$150 http://loinc.org|$80",
        # No mixing across components: 150 is not the diastolic one.
        "8462-4$gt140 8480-6$lt90 8480-6$80 8462-4$150 85354-9$150 85354-9$gt0 8480-6$gt140||kPa "
        "8480-6$lt90,8462-4$gt140 http://snomed.info/sct|8480-6$150 |8480-6$150 8480-6$ne150",
    ),
    (pressure(150, None), "8480-6$gt140", "8462-4$gt140 8462-4$lt140 8462-4$ne1"),
    (pressure(None, 80), "8462-4$80", "8480-6$80 8480-6$ne1"),
    (pressure(None, None), "", "8480-6$gt0 8480-6$ne1 8462-4$lt999"),
]


@table(PRESSURES)
def test_all_components_are_met_in_one_element(value: Json, query: str, expected: bool) -> None:
    assert matches(value, "component-code-value-quantity", query) is expected


@table(PRESSURES)
def test_a_composite_of_observation_and_its_components_finds_in_either(value: Json, query: str, expected: bool) -> None:
    assert matches(value, "combo-code-value-quantity", query) is expected


SIMPLE: Json = {
    "resourceType": "Observation",
    "code": {"coding": [{"system": LOINC, "code": "2339-0"}, {"system": "urn:local", "code": "glu"}]},
}
VALUES = [
    (
        "valueQuantity",
        {"value": 6.3, "unit": "mmol/l"},
        "code-value-quantity",
        "2339-0$6.3 glu$gt6||mmol/l",
        "glu$6.4 x$6.3",
    ),
    (
        "valueQuantity",
        {"value": 6.3},
        "combo-code-value-quantity",
        "urn:local|glu$lt7 glu$6",
        "glu$lt6 urn:local|x$6.3",
    ),
    ("valueQuantity", {"value": 6.3}, "component-code-value-quantity", "", "glu$6.3 glu$ne1"),
    (
        "valueCodeableConcept",
        coded("high"),
        "code-value-concept",
        "glu$high 2339-0$http://loinc.org|high",
        "glu$low x$high",
    ),
    ("valueCodeableConcept", coded("high"), "combo-code-value-concept", "glu$high,glu$low", "glu$x,x$high"),
    (
        "valueString",
        "Very High",
        "code-value-string",
        "glu$very 2339-0$VERY",
        "glu$high",
    ),
    (
        "valueDateTime",
        "2013-05-06",
        "code-value-date",
        "glu$2013 glu$ge2013-05 2339-0$lt2014",
        "glu$2014 glu$gt2013 x$2013",
    ),
    ("valuePeriod", {"start": "2013"}, "code-value-date", "glu$ge2020 glu$sa2012", "glu$2013 glu$lt2013"),
    ("valueQuantity", {"value": 6.3}, "code-value-concept", "", "glu$6.3 glu$high"),
]


@pytest.mark.parametrize(
    ("choice", "data", "name", "query", "expected"),
    [
        pytest.param(choice, data, name, query, expected, id=f"{name}={query}: {choice} {data}"[:90])
        for choice, data, name, met, unmet in VALUES
        for queries, expected in ((met, True), (unmet, False))
        for query in queries.split()
    ],
)
def test_components_compare_by_their_own_types(choice: str, data: Any, name: str, query: str, expected: bool) -> None:
    assert matches({**SIMPLE, choice: data}, name, query) is expected


OTHERS: list[tuple[Json, str, str, str]] = [
    (
        {
            "resourceType": "Group",
            "characteristic": [
                {"code": {"coding": [{"code": "gender"}]}, "valueCodeableConcept": {"coding": [{"code": "mixed"}]}},
                {"code": {"coding": [{"code": "owner"}]}, "valueBoolean": True},
            ],
        },
        "characteristic-value",
        "gender$mixed owner$true gender$x,owner$true",
        "gender$true owner$mixed owner$false gender$x,owner$x",
    ),
    (
        {
            "resourceType": "DocumentReference",
            "relatesTo": [
                {"code": "replaces", "target": {"reference": "DocumentReference/1"}},
                {"code": "appends", "target": {"reference": "DocumentReference/2"}},
            ],
        },
        "relationship",
        "replaces$DocumentReference/1 replaces$1 appends$DocumentReference/2",
        "replaces$DocumentReference/2 appends$1 signs$DocumentReference/1",
    ),
    (
        {
            "resourceType": "Library",
            "useContext": [
                {"code": {"code": "age"}, "valueRange": {"low": {"value": 18, "code": "a"}}},
                {"code": {"code": "gender"}, "valueCodeableConcept": {"coding": [{"code": "female"}]}},
            ],
        },
        "context-type-quantity",
        "age$gt20 age$ge18||a",
        "gender$gt20 age$lt18 age$gt20||mo",
    ),
    (
        {
            "resourceType": "MolecularSequence",
            "referenceSeq": {"chromosome": {"coding": [{"code": "1"}]}, "windowStart": 100, "windowEnd": 200},
            "variant": [{"start": 110, "end": 120}, {"start": 150, "end": 160}],
        },
        # HL7's expression looks at `%resource` for the chromosome.
        "chromosome-variant-coordinate",
        "1$lt130$gt115 1$150$160 1$110$120",
        "2$150$160 1$110$160 1$gt130$lt130",
    ),
    (
        {
            "resourceType": "MolecularSequence",
            "referenceSeq": {"chromosome": {"coding": [{"code": "1"}]}, "windowStart": 100, "windowEnd": 200},
        },
        "chromosome-window-coordinate",
        "1$le100$ge200",
        "1$lt100$ge200 2$le100$ge200",
    ),
]


@pytest.mark.parametrize(
    ("resource", "name", "query", "expected"),
    [
        pytest.param(resource, name, query, expected, id=f"{name}={query}"[:90])
        for resource, name, met, unmet in OTHERS
        for queries, expected in ((met, True), (unmet, False))
        for query in queries.split()
    ],
)
def test_composites_of_other_types(resource: Json, name: str, query: str, expected: bool) -> None:
    assert matches(resource, name, query) is expected


def test_a_separator_in_a_value_is_escaped() -> None:
    observation = {"resourceType": "Observation", "code": coded("a$b|c,d", "urn:x"), "valueString": "$5, net"}
    assert matches(observation, "code-value-string", r"a\$b\|c\,d$\$5\, net")
    assert matches(observation, "code-value-string", r"urn:x|a\$b\|c\,d$\$5")


def test_nothing_stands_together_where_an_element_is_missing() -> None:
    observation = {"resourceType": "Observation", "code": coded("a")}
    assert not matches(observation, "code-value-quantity", "a$ne5")
    assert not matches({"resourceType": "Observation"}, "code-value-quantity", "a$ne5")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("8480-6", "a value is written `<code>$<component-value-quantity>`"),
        ("8480-6$", "a value is written"),
        ("$140", "a value is written"),
        ("8480-6$140$1", "a value is written"),
        (r"8480-6\$140", "a value is written"),
        ("8480-6$high", "`component-value-quantity`: a number is written"),
        ("8480-6$140|mm", "`component-value-quantity`: a quantity is written"),
        ("a|b|c$140", "`component-code`: a token is written"),
        ("8480-6$1,8462-4", "a value is written"),
        ("8480-6$1,8462-4$x", "a number is written"),
        ("gt8480-6", "a value is written"),
    ],
)
def test_a_malformed_composite_is_rejected(value: str, reason: str) -> None:
    assert reason.replace("<code>", "<component-code>") in rejection(
        "Observation", "component-code-value-quantity", value
    )


def test_a_modifier_of_a_composite_is_rejected() -> None:
    assert "is not supported" in rejection("Observation", "code-value-quantity:exact", "a$1")


def test_a_malformed_part_is_an_error_and_no_match() -> None:
    observation = {"resourceType": "Observation", "code": coded("a"), "valueQuantity": {"value": "many"}}
    with pytest.raises(EvaluationError, match=r"Observation\.code-value-quantity could not be read"):
        matches(observation, "code-value-quantity", "a$5")


def test_an_index_can_find_a_composite_by_the_keys_of_its_code() -> None:
    (criterion,) = search(
        [("code-value-quantity", "urn:x|a$gt5,b$6")], "Observation", Context(FhirVersion.R4, frozenset())
    )
    assert criterion.test.access == Equal(frozenset({Key(0, ("urn:x", "a")), Key(0, (None, "b"))}))
    observation = {"resourceType": "Observation", "code": coded("b"), "valueQuantity": {"value": 1}}
    assert Key(0, (None, "b")) in criterion.source.read(observation, nothing_else())


RATIO = {"presentationRatio": {"numerator": {"value": 5, "code": "mg"}, "denominator": {"value": 1, "code": "mL"}}}
SCOPE = {"artifact": "http://x.example/a|1", "conformance": {"coding": [{"code": "must"}]}, "phase": {"text": "unit"}}
IN_R5: list[tuple[Json, str, str, str]] = [
    (
        {
            "resourceType": "Encounter",
            "location": [
                {"location": {"reference": "Location/1"}, "period": {"start": "2023-05-01", "end": "2023-05-03"}},
                {"location": {"reference": "Location/2"}, "period": {"start": "2023-05-03"}},
            ],
        },
        "location-period",
        "Location/1$2023-05 1$lt2023-05-02 Location/2$ge2024",
        "Location/1$ge2024 Location/2$2023-05 3$2023-05",
    ),
    (
        {"resourceType": "Ingredient", "substance": {"code": {}, "strength": [RATIO]}},
        "strength-presentation-ratio",
        "5$1 gt4||mg$1||mL",
        "1$5 gt4||mL$1||mL gt5$1",
    ),
    (
        {"resourceType": "TestScript", "scope": [SCOPE, {"artifact": "http://x.example/b", "phase": coded("it")}]},
        "scope-artifact-conformance",
        "http://x.example/a$must http://x.example/a|1$must",
        "http://x.example/b$must http://x.example/a$may http://x.example/a|2$must",
    ),
    (
        {"resourceType": "TestScript", "scope": [SCOPE, {"artifact": "http://x.example/b", "phase": coded("it")}]},
        "scope-artifact-phase",
        "http://x.example/b$it",
        "http://x.example/a$it",
    ),
    (
        {"resourceType": "Device", "conformsTo": [{"specification": coded("11073"), "version": "V2"}, {}]},
        "specification-version",
        "11073$v2",
        "11073$v1 x$v2",
    ),
    ({**SIMPLE, "valueString": "Very high"}, "code-value-string", "glu$very", "glu$high x$very"),
]


@pytest.mark.parametrize(
    ("resource", "name", "query", "expected"),
    [
        pytest.param(resource, name, query, expected, id=f"{name}={query}"[:90])
        for resource, name, met, unmet in IN_R5
        for queries, expected in ((met, True), (unmet, False))
        for query in queries.split()
    ],
)
def test_composites_of_r5_whose_components_hl7_does_not_define(
    resource: Json, name: str, query: str, expected: bool
) -> None:
    """And one of those that it does."""
    (criterion,) = search([(name, query)], resource["resourceType"], Context(FhirVersion.R5, frozenset()))
    assert criterion.matches(resource, nothing_else()) is expected


def test_a_composite_with_a_component_that_is_not_evaluated_is_rejected() -> None:
    with pytest.raises(Rejected, match="`section-code-text` of type composite is not supported"):
        search([("section-code-text", "a$b")], "Composition", Context(FhirVersion.R5, frozenset()))


#: What no example has, but for texts without codes.
UNMET = {
    FhirVersion.R4: {"characteristic-value", "chromosome-variant-coordinate", "context-type-quantity"},
    FhirVersion.R4B: {"characteristic-value", "chromosome-variant-coordinate", "context-type-quantity"},
    FhirVersion.R5: {
        *("characteristic-value", "classification", "context-type-quantity", "ext-context", "location-period"),
        "strength-concentration-ratio",
    },
}


@pytest.mark.parametrize("version", FhirVersion)
def test_every_official_composite_compiles_and_is_met_by_what_it_finds(version: FhirVersion) -> None:
    """In HL7's examples: with the codes and numbers that stand together in an element."""
    context = Context(version, frozenset())
    met: dict[str, int] = {}
    resources = [json.loads(path.read_bytes()) for path in sorted((EXAMPLES / version).glob("*.json"))]
    for (type_, code), parameter in parameters(version).items():
        if parameter.type != "composite" or not is_evaluated(parameter):
            continue
        found = composition(version, type_, code)
        assert all(component.parameter.type != "special" for component in found.components)
        met.setdefault(code, 0)
        for resource in resources:
            if resource["resourceType"] != type_:
                continue
            for value in found.values(resource, nothing_else()):
                parts = [
                    [text for each in part if (text := _filter(each.data, component.parameter.type))]
                    for component, part in zip(found.components, value.parts, strict=True)
                ]
                for combination in product(*parts):
                    (criterion,) = search([(code, "$".join(combination))], type_, context)
                    assert criterion.matches(resource, nothing_else()), (type_, code, combination)
                    met[code] += 1
    assert {name for name, count in met.items() if not count} == UNMET[version]


def _filter(data: Any, kind: str) -> str:
    """A filter value that a value is equal to; empty if it would have to be escaped or is of another form."""
    match data:
        case {"coding": [{"code": str(code)}, *_]} | {"code": str(code), "system": _} if "value" not in data:
            return code
        case {"value": int() | float() as number} if "comparator" not in data:
            return str(number)
        case {"reference": str(literal)} if kind == "reference":
            return literal
        case str(text) if not set(text) & set("$|,\\"):
            return text
        case int(number):
            return str(number).lower()
    return ""


def place(latitude: Any, longitude: Any, **more: Any) -> Json:
    return {"resourceType": "Location", "position": {"latitude": latitude, "longitude": longitude, **more}}


WELLINGTON, AUCKLAND, SUVA, LONDON = (
    (-41.2889, 174.7772),
    (-36.8485, 174.7633),
    (-18.1416, 178.4419),
    (51.5074, -0.1278),
)

#: Auckland lies 494 km from Wellington; Greenwich 8 km from London, beyond the meridian; the poles 20,015 km apart.
NEAR = [
    (
        place(*AUCKLAND),
        "-41.2889|174.7772|500 -41.2889|174.7772|500|km -41.2889|174.7772|500000|m",
        "-41.2889|174.7772|490",
    ),
    (place(*AUCKLAND), "-41.2889|174.7772|310|[mi_i] -41.2889|174.7772|310|[mi_us]", "-41.2889|174.7772|305|[mi_i]"),
    (
        place(*AUCKLAND),
        "-41.2889|174.7772|270|[nmi_i] -41.2889|174.7772|1630000|[ft_i]",
        "-41.2889|174.7772|264|[nmi_i]",
    ),
    (place(*WELLINGTON), "-41.2889|174.7772|0 -41.2889|174.7772|1|m", "-41.2890|174.7772|1|m"),
    (place(*LONDON), "51.4779|0.0|12 51.4779|-0|12 51.4779|0|12.5|km", "51.4779|0.0|5 51.5074|0.1278|12"),
    # Beyond 180 degrees it goes on.
    (place(-17.0, 179.9), "-17|-179.9|25", "-17|-179.9|20"),
    (place(*SUVA), "-18|-179|300", "-18|179|30"),
    (place(90, 0), "90|123|1|m 89.99|-77|2 -90|0|20016", "-90|0|20015 0|0|10000"),
    (place(0, 0), "0|0|0 0|90|10008 0|-90|10008 0|180|20016", "0|90|10007 0|180|20015"),
    # One of several places will do.
    (place(*AUCKLAND), "51.5|-0.1|10,-36.8|174.7|10", "51.5|-0.1|10,-41.2889|174.7772|10"),
    (place(*AUCKLAND, altitude=8000), "-36.8485|174.7633|1|m", ""),
    ({"resourceType": "Location"}, "", "0|0|99999"),
]


@table(NEAR)
def test_near_is_within_a_distance(value: Json, query: str, expected: bool) -> None:
    assert matches(value, "near", query) is expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        *[(each, "a place is written") for each in ("-41", "-41|174", "-41|174|", "-41||10", "|174|10", "a|b|c")],
        *[
            (each, "a place is written")
            for each in ("-41|174|10|furlong", "-41|174|10|km|x", "-41|174|-10|km x", "1e1|1|1")
        ],
        *[(each, "degrees go to 90 and 180") for each in ("91|0|1", "-90.1|0|1", "0|180.5|1", "0|-181|1")],
    ],
)
def test_what_is_no_place_is_rejected(value: str, reason: str) -> None:
    assert reason in rejection("Location", "near", value)


@pytest.mark.parametrize(
    "position", [{"latitude": 1}, {"latitude": "x", "longitude": 1}, {"latitude": 91, "longitude": 1}, "x"]
)
def test_a_malformed_position_is_an_error_and_no_match(position: Any) -> None:
    with pytest.raises(EvaluationError, match=r"Location\.near could not be read"):
        matches({"resourceType": "Location", "position": position}, "near", "0|0|99999")
