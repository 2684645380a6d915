"""The register, the tests and the guide say the same."""

import re
from pathlib import Path

import pytest

from tests.conformance.requirements import Requirement, counts, named, register
from tests.conformance.table import lines, result
from tests.guide import CONFORMANCE, section

HERE = Path(__file__).parent
TESTED = {
    id_
    for file in HERE.glob("test_*.py")
    for test in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    for id_ in named(test)
}


def test_each_requirement_that_is_claimed_has_a_test() -> None:
    assert [id_ for each in register() if each.claimed for id_ in each.ids if id_ not in TESTED] == []


def test_each_test_has_a_requirement() -> None:
    assert TESTED - {id_ for each in register() for id_ in each.ids} == set()


def test_the_lists_without_gaps_are_whole() -> None:
    """Of A and B those that bind clients are left out."""
    ids = {id_ for each in register() for id_ in each.ids}
    assert {f"H{i:02}" for i in range(1, 26)} <= ids
    assert {f"F{i}" for i in range(1, 13)} <= ids


def test_what_should_be_and_is_not_stands_in_the_guide() -> None:
    """By its id and in the same words. Of a SHOULD that isn't claimed it is said why, here or there."""
    told = section(CONFORMANCE, "Deviations")
    flat = " ".join(told.split())
    for each in register():
        if each.deviation:
            assert f"**{each.ids[0]}**" in told, each.ids
            assert each.deviation.rstrip(".") in flat, each.ids


def test_the_guide_has_the_counts() -> None:
    assert counts(register()) in " ".join(section(CONFORMANCE, "Conformance").split())


REQUIREMENT = Requirement(("A1", "B1"), "SHALL", "page", "It is so.", ("r4", "r5"))
BOTH = {("A1", "r4"): [True], ("B1", "r4"): [True]}


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        pytest.param({}, "not run", id="no-test-ran"),
        pytest.param({("A1", "r4"): [True]}, "not run", id="one-of-two-ran"),
        pytest.param(BOTH, "holds", id="all-passed"),
        pytest.param(BOTH | {("B1", "r4"): [True, False]}, "FAILS", id="one-failed"),
    ],
)
def test_a_result_is_what_came_of_the_tests(outcomes: dict[tuple[str, str], list[bool]], expected: str) -> None:
    assert result(REQUIREMENT, "r4", outcomes) == expected


def test_a_version_that_it_does_not_bind_has_no_result() -> None:
    assert result(REQUIREMENT, "r4b", {}) == "–"
    [*_, row] = lines([REQUIREMENT], BOTH)
    assert row.split() == ["A1", "B1", "SHALL", "It", "is", "so.", "[page]", "holds", "–", "not", "run"]
