"""Laws of comparing ranges, whatever their type; what an index may rely on."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from subscriptions.codes import Comparator
from subscriptions.search import number
from subscriptions.search.comparison import Reaching
from subscriptions.search.ranges import Compared, Range, Wanted, prefixed

INFINITE = float("inf")

LIMITS = st.integers(0, 12)
GROUPS = st.sampled_from([None, "a", "b"])


@st.composite
def ranges(draw: st.DrawFn, groups: st.SearchStrategy[str | None] = GROUPS) -> Range:
    """Of some length, perhaps open at an end."""
    start, length = draw(LIMITS), draw(st.integers(1, 5))
    below, above = draw(st.sampled_from([(False, False), (False, False), (True, False), (False, True)]))
    return Range(-INFINITE if below else start, INFINITE if above else start + length, draw(groups))


ALIKE = ranges(st.just(None))
WANTED = st.builds(Wanted, st.sampled_from(Comparator), ranges())


def holds(comparator: Comparator, wanted: Range, found: Range) -> bool:
    return Wanted(comparator, wanted).holds(found)


@given(ALIKE, ALIKE)
def test_comparators_complement_and_imply_each_other(wanted: Range, found: Range) -> None:
    held = {comparator for comparator in Comparator if holds(comparator, wanted, found)}
    C = Comparator
    assert (C.EQ in held) is not (C.NE in held)
    # Something is in the value or above it, unless all is below: `ge` is the opposite of `eb`, `le` of `sa`.
    assert (C.GE in held) is not (C.EB in held)
    assert (C.LE in held) is not (C.SA in held)
    assert C.EQ not in held or {C.GE, C.LE, C.AP} <= held
    assert C.GT not in held or C.GE in held
    assert C.LT not in held or C.LE in held
    assert C.SA not in held or C.GT in held
    assert C.EB not in held or C.LT in held
    assert (C.AP in held) is ({C.GE, C.LE} <= held)


@given(ALIKE, ALIKE)
def test_what_holds_one_way_holds_mirrored_the_other(wanted: Range, found: Range) -> None:
    def mirrored(each: Range) -> Range:
        return Range(-each.end, -each.start)

    pairs = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge", "sa": "eb", "eb": "sa"}
    for comparator in Comparator:
        other = Comparator(pairs.get(comparator, comparator))
        assert holds(comparator, wanted, found) is holds(other, mirrored(wanted), mirrored(found))


@given(st.sampled_from(Comparator), ranges(st.just("a")), ranges(st.just("b")))
def test_nothing_holds_between_different_groups(comparator: Comparator, wanted: Range, found: Range) -> None:
    assert not holds(comparator, wanted, found)


def reached(reaching: Reaching, read: frozenset[Range]) -> bool:
    """What `Reaching` says."""
    alike = [each for each in read if each.group == reaching.group]
    return any(each.start <= reaching.limit if reaching.down else each.end >= reaching.limit for each in alike)


@given(st.frozensets(WANTED, min_size=1, max_size=4), st.frozensets(ranges(), max_size=4))
def test_what_passes_is_reached(wanted: frozenset[Wanted], read: frozenset[Range]) -> None:
    """An index that looks at limits only loses nothing; there is one limit for each group and direction."""
    compared = Compared(wanted)
    access = compared.access
    if any(each.comparator is Comparator.NE for each in wanted):
        assert access is None
        return
    assert isinstance(access, tuple)
    assert len({replace(each, limit=0) for each in access}) == len(access)
    assert not compared.passes(read) or any(reached(each, read) for each in access)


@given(st.frozensets(WANTED, min_size=1, max_size=4), st.frozensets(ranges(), max_size=4))
def test_one_of_the_wanted_and_one_of_the_found_is_enough(wanted: frozenset[Wanted], read: frozenset[Range]) -> None:
    alone = [Compared(frozenset({each})).passes(frozenset({found})) for each in wanted for found in read]
    assert Compared(wanted).passes(read) is any(alone)


NUMBERS = st.decimals(min_value=-1000, max_value=1000, places=2)


@given(NUMBERS, NUMBERS)
def test_exactly_one_of_less_equal_and_greater_holds_of_exact_numbers(value: Decimal, found: Decimal) -> None:
    at = Range(*number.point(found))
    held = {each: number.wanted(each, f"{value:f}").holds(at) for each in Comparator}
    assert (held[Comparator.LT], held[Comparator.GT]) == (found < value, found > value)
    assert (held[Comparator.LE], held[Comparator.GE]) == (found <= value, found >= value)
    assert (held[Comparator.EB], held[Comparator.SA]) == (found < value, found > value)


@given(NUMBERS, st.integers(0, 60))
def test_a_number_is_found_with_however_many_zeros(value: Decimal, zeros: int) -> None:
    """More digits ask for more precision, and all of them are zero in the resource as well."""
    for comparator in (Comparator.EQ, Comparator.AP, Comparator.GE, Comparator.LE):
        assert number.wanted(comparator, f"{value:f}{'0' * zeros}").holds(Range(*number.point(value)))


@given(st.sampled_from(Comparator), st.from_regex(r"\A[0-9+.\-][0-9a-z]{0,5}\Z"))
def test_a_comparator_stands_before_digits_and_signs(comparator: Comparator, rest: str) -> None:
    assert prefixed(f"{comparator}{rest}") == (comparator, rest)
    assert prefixed(rest) == (None, rest)
    assert prefixed(f"{comparator.upper()}{rest}")[0] is None
    assert prefixed(f"{comparator}") == (None, f"{comparator}")
