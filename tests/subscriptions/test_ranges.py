"""Ranges of event numbers: what numbers make, what they leave out, and how it is told."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.ranges import Range, missing, of, words

numbers = st.sets(st.integers(1, 40)).map(sorted)


def spread(ranges: list[Range]) -> list[int]:
    return [number for each in ranges for number in range(each.first, each.last + 1)]


@given(numbers)
def test_ranges_hold_the_numbers_and_are_as_few_as_can_be(held: list[int]) -> None:
    found = list(of(held))
    assert spread(found) == held
    assert all(earlier.last + 1 < later.first for earlier, later in pairwise(found))


@given(numbers)
def test_what_is_missing_is_all_else(held: list[int]) -> None:
    found = list(missing(Range(1, 40), held))
    assert sorted(spread(found) + held) == list(range(1, 41))
    assert spread(found) == sorted(spread(found))


@given(st.integers(1, 10**15), st.integers(0, 10**6))
def test_a_range_is_read_as_it_is_written(first: int, more: int) -> None:
    assert Range.parse(str(Range(first, first + more))) == Range(first, first + more)


@pytest.mark.parametrize(
    ("held", "text"),
    [
        ([5], "event 5"),
        ([5, 6, 7], "events 5 to 7"),
        ([1, 2, 5], "events 1 to 2, 5"),
        ([1, 3, 5, 7, 9, 11, 12, 20], "events 1, 3, 5, 7, 9 and 3 more"),
    ],
)
def test_ranges_in_words(held: list[int], text: str) -> None:
    assert words(of(held)) == text
