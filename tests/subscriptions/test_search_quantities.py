"""Quantities by https://hl7.org/fhir/R4/search.html#quantity, whose examples come first; its words are quoted."""

from typing import Any

import pytest

from subscriptions.errors import EvaluationError
from tests.subscriptions.searching import Json, Row, matches, parsed, rejection, table

UCUM = "http://unitsofmeasure.org"
ALL = "eq ne gt lt ge le sa eb ap"


def observed(quantity: str | None) -> Json:
    """A quantity as JSON; `{U}` is UCUM."""
    written = "" if quantity is None else f', "valueQuantity": {quantity.replace("{U}", UCUM)}'
    resource: Json = parsed(f'{{"resourceType": "Observation"{written}}}')
    return resource


def met(quantity: str | None, query: str, parameter: str = "value-quantity") -> bool:
    return matches(observed(quantity), parameter, query.replace("{U}", UCUM))


MG = '{"value": 5.4, "unit": "mg", "system": "{U}", "code": "mg"}'
G = '{"value": 0.0054, "unit": "g", "system": "{U}", "code": "g"}'

STANDARD = [
    # "5.4(+/-0.05) mg where mg is understood as a UCUM unit (system/code)"
    (MG, "5.4|{U}|mg 5.4||mg 5.4 eq5.4|{U}|mg", "5.4|{U}|g 5.5|{U}|mg"),
    ('{"value": 5.35, "system": "{U}", "code": "mg"}', "5.4|{U}|mg", "5.3|{U}|mg"),
    ('{"value": 5.45, "system": "{U}", "code": "mg"}', "5.5|{U}|mg", "5.4|{U}|mg"),
    # "0.0054(+/-0.00005) g where g is understood as a UCUM unit"
    (G, "5.40e-3|{U}|g 0.0054|{U}|g", "5.41e-3|{U}|g 5.40e-3|{U}|mg"),
    # "where the unit - either the code (code) or the stated human unit (unit) are 'mg'"
    ('{"value": 5.4, "unit": "mg"}', "5.4||mg 5.4", "5.4|{U}|mg 5.4||MG"),
    ('{"value": 5.4, "code": "mg"}', "5.4||mg", "5.4|{U}|mg"),
    ('{"value": 5.4, "unit": "milligram", "system": "{U}", "code": "mg"}', "5.4||mg 5.4||milligram", "5.4||g"),
    # "5.4 irrespective of the unit"
    ('{"value": 5.4}', "5.4", "5.4||mg 5.4|{U}|mg 5.5"),
    ('{"value": 5.4, "unit": "apples"}', "5.4 5.4||apples", "5.4||pears"),
    # "less or equal to 5.4 mg", "greater than 5.4 mg"
    (MG, "le5.4|{U}|mg ge5.4|{U}|mg", "gt5.4|{U}|mg lt5.4|{U}|mg"),
    # "approximately 5.4mg"
    ('{"value": 5.9, "system": "{U}", "code": "mg"}', "ap5.4|{U}|mg", "ap5.4|{U}|g ap5.3|{U}|mg"),
]


@table(STANDARD)
def test_the_examples_of_the_standard(value: str, query: str, expected: bool) -> None:
    assert met(value, query) is expected


UNITS = [
    # No conversion: the same amount in another unit is not found.
    (G, "0.0054|{U}|g", "5.4|{U}|mg 5400|{U}|ug 0.0054|{U}|kg"),
    (MG, "5.4|{U}|mg", "0.0054|{U}|g 5.4|{U}|Mg 5.4|{U}|MG 5.4|http://snomed.info/sct|mg"),
    # What is compared in one unit says nothing of another: `ne` and the open comparators neither.
    (MG, "ne6|{U}|mg lt6|{U}|mg gt5|{U}|mg", "ne5|{U}|g lt6|{U}|g gt5|{U}|g ge0|{U}|g sa0||g eb9||g ap5.4||g"),
    (MG, "ne6 lt6 gt5 sa5 eb6 ap5", "ne5 ne5.4 lt5 gt6 sa6 eb5 ap7"),
    # UCUM has brackets and slashes in its codes, and they are codes as any.
    ('{"value": 140, "system": "{U}", "code": "mm[Hg]"}', "gt139|{U}|mm[Hg] 140||mm[Hg] ge140|{U}|mm[Hg]", "140||mmHg"),
    ('{"value": 6, "system": "{U}", "code": "10*3/uL"}', "6|{U}|10*3/uL", "6|{U}|10*3"),
    ('{"value": 97, "system": "{U}", "code": "%"}', "97|{U}|% gt95||%", "97||percent"),
    # A literal bar, dollar or backslash in a unit is escaped.
    (r'{"value": 5, "system": "urn:x|y", "code": "a|b"}', r"5|urn:x\|y|a\|b 5||a\|b", "5||a"),
    (r'{"value": 5, "unit": "$"}', r"5||\$ 5||$", "5||USD"),
    (r'{"value": 5, "unit": "a\\b"}', r"5||a\\b", "5||ab"),
    ('{"value": 5, "unit": "a,b"}', r"5||a\,b 6,5", "5||a"),
    # An empty code is none; a system without a code doesn't name a unit.
    ('{"value": 5, "system": "{U}"}', "5", "5|{U}|mg 5||mg"),
    ('{"value": 5, "code": "mg", "unit": "mg"}', "5||mg", "5|{U}|mg"),
]


@table(UNITS)
def test_units_by_code_and_never_converted(value: str, query: str, expected: bool) -> None:
    assert met(value, query) is expected


NUMBERS = [
    ('{"value": 100}', "100 100.0 1e2 1.00e2 ge100 le100", "99 101 gt100 lt100 ne100"),
    ('{"value": 99.5}', "100 ne101", "ne100 100.0 99"),
    ('{"value": 100.5}', "101", "100"),
    ('{"value": 104}', "1e2", "100"),
    ('{"value": 105}', "ne1e2", "1e2"),
    ('{"value": 0}', "0 ge0 le0 lt1 gt-1", "gt0 lt0 1"),
    ('{"value": -40.0, "unit": "Cel", "system": "{U}", "code": "Cel"}', "-40 lt0|{U}|Cel -40.0||Cel gt-41", "40 gt-40"),
    ('{"value": 1E+3}', "1000 1e3", "1e2"),
    ('{"value": 0.1}', "le0.1 0.10", "lt0.1 0.2"),
    ('{"value": 7.00}', "7 7.0 7.00 7.000", "7.01 ne7"),
]


@table(NUMBERS)
def test_the_number_compares_as_in_number_search(value: str, query: str, expected: bool) -> None:
    assert met(value, query) is expected


#: What a comparator in the resource leaves open, against exactly 5 (`eq` and `ne`: 4.5 up to 5.5; `ap`: the same).
OPEN = [
    ("<", 4, "ne lt le eb"),
    ("<", 5, "ne lt le eb ap"),
    ("<", 6, "ne lt gt ge le ap"),
    ("<=", 4, "ne lt le eb"),
    ("<=", 5, "ne lt le ge ap"),
    ("<=", 6, "ne lt gt ge le ap"),
    (">", 4, "ne lt gt ge le ap"),
    (">", 5, "ne gt ge sa ap"),
    (">", 6, "ne gt ge sa"),
    (">=", 4, "ne lt gt ge le ap"),
    (">=", 5, "ne gt ge le ap"),
    (">=", 6, "ne gt ge sa"),
    # "sufficient to achieve": how much it is is not said.
    ("ad", 5, ""),
]


@pytest.mark.parametrize(("own", "number", "holding"), OPEN)
@pytest.mark.parametrize("comparator", ALL.split())
def test_a_quantity_with_a_comparator_of_its_own_is_open(own: str, number: int, holding: str, comparator: str) -> None:
    quantity = f'{{"value": {number}, "comparator": "{own}"}}'
    assert met(quantity, f"{comparator}5") is (comparator in holding.split())


RANGES: list[Row] = [
    ('{"low": {"value": 30, "code": "a"}, "high": {"value": 40, "code": "a"}}', "gt35 lt35 ge40 le30 sa29 eb41", "35"),
    ('{"low": {"value": 30, "code": "a"}, "high": {"value": 40, "code": "a"}}', "gt35||a ne35||a", "gt40 lt30 gt35||b"),
    ('{"low": {"value": 34.6}, "high": {"value": 35.4}}', "35 ap35 ge35", "ne35 35.0"),
    ('{"low": {"value": 30, "unit": "a"}}', "gt100 ge30 sa29||a gt100||a ne5", "lt30 eb50 40"),
    ('{"high": {"value": 30, "unit": "a"}}', "lt0 le30 eb31||a", "gt30 sa0 20"),
    # What both limits are in is the unit.
    ('{"low": {"value": 1, "unit": "y", "code": "a"}, "high": {"value": 2, "code": "a"}}', "gt1||a gt1", "gt1||y"),
    ('{"low": {"value": 1, "code": "a"}, "high": {"value": 2, "code": "mo"}}', "gt1", "gt1||a gt1||mo"),
    ('{"low": {"unit": "a"}}', "", "gt0 ne0 lt9"),
    ("{}", "", "gt0 ne0 lt9"),
]


@table(RANGES)
def test_a_range_is_what_lies_between_its_limits(value: str, query: str, expected: bool) -> None:
    condition = parsed(f'{{"resourceType": "Condition", "onsetRange": {value}}}')
    assert matches(condition, "onset-age", query) is expected


OTHERS = [
    ('{"resourceType": "Condition", "onsetAge": {"value": 52, "system": "{U}", "code": "a"}}', "onset-age", "52|{U}|a"),
    ('{"resourceType": "Condition", "abatementAge": {"value": 54, "code": "a"}}', "abatement-age", "ge50||a"),
    ('{"resourceType": "Encounter", "length": {"value": 140, "unit": "min", "code": "min"}}', "length", "ge2e1||min"),
    ('{"resourceType": "Invoice", "totalNet": {"value": 40.22, "currency": "EUR"}}', "totalnet", "40.22||EUR"),
    (
        '{"resourceType": "Invoice", "totalGross": {"value": 48, "currency": "EUR"}}',
        "totalgross",
        "48|urn:iso:std:iso:4217|EUR",
    ),
    ('{"resourceType": "ChargeItem", "priceOverride": {"value": 1E+2, "currency": "NZD"}}', "price-override", "100"),
    ('{"resourceType": "ChargeItem", "quantity": {"value": 1}}', "quantity", "1"),
    ('{"resourceType": "Substance", "instance": [{}, {"quantity": {"value": 3}}]}', "quantity", "3"),
    ('{"resourceType": "Observation", "component": [{"valueQuantity": {"value": 3}}]}', "combo-value-quantity", "3"),
    (
        '{"resourceType": "Observation", "component": [{"valueQuantity": {"value": 3}}]}',
        "component-value-quantity",
        "3",
    ),
    ('{"resourceType": "Library", "useContext": [{"valueQuantity": {"value": 3}}]}', "context-quantity", "3"),
    ('{"resourceType": "Library", "useContext": [{"valueRange": {"low": {"value": 3}}}]}', "context-quantity", "ge3"),
]


@pytest.mark.parametrize(("written", "name", "query"), OTHERS)
def test_quantities_of_every_data_type(written: str, name: str, query: str) -> None:
    resource = parsed(written.replace("{U}", UCUM))
    assert matches(resource, name, query.replace("{U}", UCUM))
    assert not matches(resource, name, query.replace("{U}", UCUM).split("|")[0].lstrip("ge") + "||parsec")


REPEATED = [
    ("[3, 7]", "3 7 lt4 gt6 ne3 ne5 sa5 eb5 5,7 lt1,gt6", "5 gt7 lt3 4,6 lt1,gt9"),
    ("[3]", "3 ne4", "ne3 4"),
    ("[]", "", "3 ne3 lt3 ge0 ap3"),
]


@table(REPEATED)
def test_of_several_values_one_has_to_compare(value: str, query: str, expected: bool) -> None:
    components = [{"valueQuantity": {"value": number}} for number in parsed(value)]
    assert (
        matches({"resourceType": "Observation", "component": components}, "component-value-quantity", query) is expected
    )


@pytest.mark.parametrize("comparator", ALL.split())
@pytest.mark.parametrize("quantity", [None, '{"unit": "mg"}', "{}"])
def test_without_a_value_nothing_compares(comparator: str, quantity: str | None) -> None:
    assert not met(quantity, f"{comparator}5")


@pytest.mark.parametrize("comparator", ALL.split())
def test_sampled_data_does_not_compare(comparator: str) -> None:
    sampled = {"origin": {"value": 0}, "period": 10, "dimensions": 1, "data": "5 5 5", "factor": 1}
    resource = {"resourceType": "Observation", "valueSampledData": sampled}
    assert not matches(resource, "value-quantity", f"{comparator}5")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        *[(each, "a number is written") for each in ("x", "||mg", "gt|urn:x|mg", "5,4,|a|b", "5mg|a|b")],
        *[
            (each, "a quantity is written")
            for each in ("5|mg", "|mg", "mg|5", "5|urn:x|", "5||", "5|a|b|c", "gt5|mg", "5|")
        ],
        ("5||a\\b", "a backslash stands before"),
    ],
)
def test_what_is_no_quantity_is_rejected(query: str, reason: str) -> None:
    assert reason in rejection("Observation", "value-quantity", query)


def test_a_modifier_is_rejected() -> None:
    assert "`:exact` of `value-quantity` is not" in rejection("Observation", "value-quantity:exact", "1")


@pytest.mark.parametrize(
    "quantity",
    ['{"value": "5"}', '{"value": true}', '{"value": 5, "comparator": "~"}', '["5"]', '"5"', '{"value": null}'],
)
@pytest.mark.parametrize("comparator", ["eq", "ne", "ge"])
def test_a_malformed_quantity_in_a_resource_is_an_error_and_no_match(quantity: Any, comparator: str) -> None:
    with pytest.raises(EvaluationError, match=r"Observation\.value-quantity could not be read"):
        met(quantity, f"{comparator}1")
