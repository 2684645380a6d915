"""How much somebody may ask for."""

from hypothesis import given
from hypothesis import strategies as st

from subscriptions.allowance import Allowance, Rate

RATES = st.builds(Rate, st.floats(0.1, 100), st.floats(1, 50))
PAUSES = st.lists(st.floats(0, 10), max_size=60)


def test_what_was_saved_up_and_then_so_much_a_second() -> None:
    allowance = Allowance.full(Rate(each=2, most=3), 100.0)
    assert [allowance.take(100.0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert [allowance.take(100.5), allowance.take(100.5)] == [0, 0.5]
    assert [allowance.take(1000.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_debt_is_waited_for() -> None:
    """What was charged beyond what there was comes back with time, and nothing is had before."""
    allowance = Allowance.full(Rate(each=2, most=3), 0.0)
    assert allowance.take(0.0) == 0
    allowance.charge(9)
    assert allowance.take(0.0) == 4
    assert allowance.take(3.9) > 0
    assert allowance.take(4.0) == 0


def test_a_clock_that_goes_back_changes_nothing() -> None:
    allowance = Allowance.full(Rate(each=1, most=1), 50.0)
    assert allowance.take(50.0) == 0
    assert allowance.take(10.0) == 1
    assert allowance.take(51.0) == 0


@given(RATES, PAUSES)
def test_never_more_than_may_be(rate: Rate, pauses: list[float]) -> None:
    """In any time no more is had than was saved up at most, and what that time brings."""
    allowance, now, had = Allowance.full(rate, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        if not allowance.take(now):
            had.append(now)
    for first, begin in enumerate(had):
        for last in range(first, len(had)):
            assert last - first + 1 <= rate.most + (had[last] - begin) * rate.each + 1e-6


@given(RATES, PAUSES)
def test_who_waits_as_told_is_let(rate: Rate, pauses: list[float]) -> None:
    allowance, now = Allowance.full(rate, 0.0), 0.0
    for pause in pauses:
        now += pause
        if wait := allowance.take(now):
            now += wait * (1 + 1e-6) + 1e-6
            assert allowance.take(now) == 0
