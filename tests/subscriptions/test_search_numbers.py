"""Numbers by https://hl7.org/fhir/R4/search.html#number, whose examples come first; its words are quoted."""

from typing import Any

import pytest

from subscriptions.codes import Comparator
from subscriptions.errors import EvaluationError
from subscriptions.search import number
from subscriptions.search.extraction import Value
from tests.subscriptions.searching import Json, matches, parsed, rejection, table

ALL = "eq ne gt lt ge le sa eb ap"


def assessed(value: str) -> Json:
    """A probability: a number in JSON, or the limits of a Range with `..` between them, either perhaps missing."""
    if ".." not in value:
        probability = f'"probabilityDecimal": {value}'
    else:
        limits = zip(("low", "high"), value.split(".."), strict=True)
        members = ", ".join(f'"{end}": {{"value": {limit}, "unit": "%"}}' for end, limit in limits if limit)
        probability = f'"probabilityRange": {{{members}}}'
    resource: Json = parsed(f'{{"resourceType": "RiskAssessment", "prediction": [{{{probability}}}]}}')
    return resource


STANDARD = [
    # "100: values in the range [99.5 ... 100.5)": the lower end is in it, the upper one isn't.
    ("99.5", "100", "ne100"),
    ("99.49999", "ne100", "100"),
    ("100.49999", "100", "ne100"),
    ("100.5", "ne100", "100"),
    # "100.00: [99.995 ... 100.005)"
    ("99.995", "100.00", "ne100.00"),
    ("99.9949", "", "100.00"),
    ("100.00499", "100.00", "ne100.00"),
    ("100.005", "ne100.00", "100.00"),
    # "1e2: [95 ... 105)"
    ("95", "1e2", "ne1e2 100"),
    ("94.99", "ne1e2", "1e2"),
    ("104.99", "1e2", "ne1e2 100"),
    ("105", "ne1e2", "1e2"),
    # "less than exactly 100", "less or equal to exactly 100", "greater than exactly 100", "greater or equal to"
    ("100", "le100 ge100", "lt100 gt100"),
    ("99.999999999999999999999999999999", "lt100 le100", "ge100 gt100"),
    ("100.000000000000000000000000000001", "gt100 ge100", "le100 lt100"),
    # "So 100 and 1.00e2 both have the same number of significant digits - three", "excluding leading zeros"
    ("100.4", "100 1.00e2 0100 00100 1.0e2", "1.000e2 100.0"),
    ("99.4", "1.0e2 1e2", "100 1.00e2 0100"),
    # "probability great than 0.8 (could also be probability=gt8e-1 using exponential form)"
    ("0.81", "gt0.8 gt8e-1", "lt0.8 lt8e-1"),
    ("0.8", "ge0.8 ge8e-1", "gt0.8 gt8e-1"),
]


@table(STANDARD)
def test_the_examples_of_the_standard(value: str, query: str, expected: bool) -> None:
    assert matches(assessed(value), "probability", query) is expected


DECIMALS = [
    # What stands in the resource is exactly what it says, however many digits it has: 100, 100.00 and 1E+2 are one.
    ("100", "100 100.0 100.00 100.00000000 1e2 1E2 1e+2 eq100 ap100 ne101 sa99 eb101", "99 101 ne100 sa100 eb100"),
    ("100.00", "100 100.0 100.00 100.00000000 1e2 ge100.000 le100.000", "gt100.000 lt100.000 ne100.000"),
    ("1E+2", "100 100.0 100.00 1e2 ge100 le100 sa99.9 eb100.1", "gt100 lt100 ne1e2"),
    ("100", "ge99.999 gt99.999 le100.001 lt100.001", "ge100.001 le99.999 gt100.001 lt99.999"),
    ("0.8", "0.8 0.80 0.800 8e-1 8.0e-1 0.8e0 80e-2 1 ge0.80", "0 0.7 0.9 gt0.80 ne0.8"),
    ("5.4e-3", "0.0054 5.4e-3 5.40e-3 54e-4 lt5.5e-3 gt5.3E-3", "5.5e-3 5.4e-2 ne0.0054"),
    ("1000", "1e3 1.0e3 1.000e3 1000 ge1E3", "1e2 1e4 gt1e3 0.1e3"),
    ("1049", "1e3 1.0e3 gt1000", "1.00e3 1000"),
    ("5", "5 5.0 5e0 50e-1", "4 6 4.9 5.1"),
    ("10", "1e1 10 9.6e0,10", "9 1e0"),
    # Zero, and around it.
    ("0", "0 0.0 0.000 -0 le0 ge0 lt1 gt-1 ap0 eb1 sa-1", "gt0 lt0 ne0 1 -1 sa0 eb0"),
    ("0.0", "0 0.00 ge0 le0", "ne0"),
    ("-0.0", "0 0.00 ge0 le0", "gt0 lt0"),
    ("0.5", "1 0.5 ap1 gt0", "0 ap0 le0"),
    ("-0.5", "0 -0.5 lt0 ap0", "-1 ge0"),
    ("0.4", "0 ap0", "1 0.0"),
    # Negative: the lower end is still the one that belongs to the range.
    ("-5", "-5 -5.0 lt0 lt-4 gt-6 le-5 ge-5 ap-5 eb-4 sa-6", "5 gt-5 lt-5 gt-4 lt-6 ne-5 -4 -6"),
    ("-5.5", "-5 ne-6 lt-5", "-6 gt-5 ge-5"),
    ("-4.5", "-4 gt-5", "-5"),
    ("-100", "-100 -1e2 ap-105 ap-95 lt-99", "100 ap-112 ap-90 1e2"),
    # Decimals are exact: no binary fraction lies between.
    ("0.3", "0.3 0.30000000000000000000 ge0.3 le0.3", "gt0.3 lt0.3 ge0.30000000000000000001"),
    ("0.30000000000000004", "0.3 gt0.3", "le0.3 0.30000000000000000"),
    ("0.1", "0.1 le0.1 ge0.1000000000000000000000", "gt0.1 lt0.1"),
    ("12345678901234567890.5", "gt12345678901234567890 lt12345678901234567891 12345678901234567891", ""),
    ("12345678901234567890.5", "ne12345678901234567890", "12345678901234567890 ge12345678901234567891"),
    ("1e300", "1e300 gt1e299 lt1e301 ge1.000e300", "1e299 gt1e300"),
    ("1e-300", "1e-300 gt0 lt1e-299 0", "0.0e-300 le0"),
    # "10% of the stated value", both ends included; never less than what equals it.
    ("90", "ap100 ap99 ap82", "ap100.1 ap81"),
    ("110", "ap100 ap122", "ap99 ap123"),
    ("110.00001", "", "ap100"),
    ("89.99999", "", "ap100"),
    ("2.4", "ap2", "ap2.0 ap3"),
    ("2.2", "ap2.0 ap2", "ap1.9"),
]


@table(DECIMALS)
def test_decimals_by_the_digits_of_what_is_searched_for(value: str, query: str, expected: bool) -> None:
    assert matches(assessed(value), "probability", query) is expected


#: How a Range lies to exactly 100 (`eq`, `ne`: to 99.5 up to 100.5; `ap`: to 90 up to 110), and what holds then.
AGAINST_100 = [
    ("50..80", "ne lt le eb"),
    ("50..90", "ne lt le eb ap"),
    ("50..99", "ne lt le eb ap"),
    ("50..100", "ne lt le ge ap"),
    ("50..200", "ne gt lt ge le ap"),
    ("99.5..100", "eq lt le ge ap"),
    ("99.5..100.4", "eq gt lt ge le ap"),
    ("99.5..100.5", "ne gt lt ge le ap"),
    ("100..100", "eq ge le ap"),
    ("100..200", "ne gt ge le ap"),
    ("100.1..100.2", "eq gt ge sa ap"),
    ("101..200", "ne gt ge sa ap"),
    ("110..200", "ne gt ge sa ap"),
    ("111..200", "ne gt ge sa"),
    # "not specified" is open
    ("50..", "ne gt lt ge le ap"),
    ("100..", "ne gt ge le ap"),
    ("200..", "ne gt ge sa"),
    ("..50", "ne lt le eb"),
    ("..100", "ne lt le ge ap"),
    ("..200", "ne gt lt ge le ap"),
    ("..", ""),
    # Numbers, for comparison.
    ("99", "ne lt le eb ap"),
    ("99.6", "eq lt le eb ap"),
    ("100", "eq ge le ap"),
    ("100.4", "eq gt ge sa ap"),
    ("101", "ne gt ge sa ap"),
    ("111", "ne gt ge sa"),
]


@pytest.mark.parametrize(("value", "holding"), AGAINST_100)
@pytest.mark.parametrize("comparator", ALL.split())
def test_every_comparator_against_every_way_to_lie(value: str, holding: str, comparator: str) -> None:
    """With "`gt, lt, ge, le, sa & eb` … the implicit precision of the number is ignored"."""
    assert matches(assessed(value), "probability", f"{comparator}100") is (comparator in holding.split())


INTEGERS = [
    # "the significance issues cancel out and searching is based on exact matches"
    (5, "5 5.0 5.00 le5 ge5 gt4 lt6 sa4 eb6 ap5", "4 6 gt5 lt5 ne5 sa5 eb5"),
    # "if there are non-zero digits after a decimal point, there cannot be any matches"
    (5, "ne5.5 ne4.9", "5.5 4.5 4.9 5.1"),
    (100, "100 100.0 1e2 1.00e2", "99 101 1e3"),
    (104, "1e2 1.0e2", "100 1.00e2 105"),
    (0, "0 0.0 ge0 le0 lt1", "1 -1 ne0 gt0"),
    (2147483647, "2147483647 gt2147483646 2.147483647e9 2.1e9", "2147483646 ne2147483647 gt2147483647"),
]


@table(INTEGERS)
def test_integers_match_exactly(value: int, query: str, expected: bool) -> None:
    sequence = {"resourceType": "MolecularSequence", "referenceSeq": {"windowStart": value}}
    assert matches(sequence, "window-start", query) is expected


REPEATED = [
    ([3, 7], "3 7 lt4 gt6 ne3 ne5 sa5 eb5 5,7", "5 gt7 lt3 4,6"),
    ([3, 3], "3 ne4", "ne3 4"),
    ([], "", "3 ne3 lt3 ge0 ap3"),
]


@table(REPEATED)
def test_of_several_values_one_has_to_compare(value: list[int], query: str, expected: bool) -> None:
    sequence = {"resourceType": "MolecularSequence", "variant": [{"start": start} for start in value]}
    assert matches(sequence, "variant-start", query) is expected


LISTS = [
    ("0.5", "0.4,0.5 lt0.1,gt0.4 ne0.5,0.5 gt0.4,gt0.9", "0.4,0.6 lt0.1,gt0.9 gt0.9,gt0.8"),
    ("0.2..0.6", "gt0.9,lt0.3 ap0.5,7", "0.3,0.5 sa0.5,eb0.5"),
]


@table(LISTS)
def test_commas_join_by_or_whatever_the_comparators(value: str, query: str, expected: bool) -> None:
    assert matches(assessed(value), "probability", query) is expected


def test_a_plus_that_was_decoded_to_a_blank_is_a_plus() -> None:
    assert matches(assessed("100"), "probability", "1.00e 2")


@pytest.mark.parametrize("data", ["9007199254740993", 9007199254740993], ids=["text", "number"])
def test_an_integer64_is_a_string_in_json(data: str | int) -> None:
    (read,) = number.Reading()(Value("integer64", data, ""))
    assert number.wanted(Comparator.GT, "9007199254740992").holds(read)
    assert not number.wanted(Comparator.GT, "9007199254740993").holds(read)


def test_a_number_may_be_a_binary_one() -> None:
    """Where JSON was read without regard to digits, its shortest form counts."""
    assert matches(
        {"resourceType": "RiskAssessment", "prediction": [{"probabilityDecimal": 0.1}]}, "probability", "le0.1"
    )


@pytest.mark.parametrize(
    "value",
    [
        *("many", "1,5,x", "1.", ".5", "1.5.5", "0x10", "1e", "e2", "1e2.5", "1e12345", "NaN", "Infinity", "-", "--5"),
        *("+5", "1_000", "1 000", "５", "eq", "gt", "gtgt5", "GT5", "gt 5", ">5", "5|mg", "5||mg", "1e99999999999"),
    ],
)
def test_what_is_no_number_is_rejected(value: str) -> None:
    assert "a number is written" in rejection("RiskAssessment", "probability", value)


def test_a_modifier_is_rejected() -> None:
    assert "`:exact` of `probability` is not supported" in rejection("RiskAssessment", "probability:exact", "1")


@pytest.mark.parametrize("value", ["true", '"0.5"', '"x"', "0.6..0.2", "NaN", "Infinity", '"a"..'])
@pytest.mark.parametrize("comparator", ["eq", "ne", "ge"])
def test_a_malformed_number_in_a_resource_is_an_error_and_no_match(value: Any, comparator: str) -> None:
    with pytest.raises(EvaluationError, match=r"RiskAssessment\.probability could not be read"):
        matches(assessed(value), "probability", f"{comparator}1")
