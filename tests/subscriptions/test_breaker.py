"""When an origin is left alone, and who tries it again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.breaker import (
    FAILURES,
    FIRST,
    LONGEST,
    PATIENCE,
    QUIET,
    Admission,
    Standing,
    admit,
    connected,
    failed,
    wait,
    well,
)
from subscriptions.retry import Accepted, Blocked, Fault, Outcome, Refused, Unreachable

UNCONNECTED = {Fault.DNS, Fault.REFUSED, Fault.NO_ROUTE, Fault.CERTIFICATE, Fault.TLS, Fault.CONNECT_TIMEOUT}
NOW = 1_800_000_000_000


@pytest.mark.parametrize("fault", Fault)
def test_only_failures_to_connect_count(fault: Fault) -> None:
    """Not an answer that does not come, nor a close after sending; what nobody knows says nothing."""
    said = connected(Unreachable(fault))
    assert said is (False if fault in UNCONNECTED else None if fault is Fault.OTHER else True)


@pytest.mark.parametrize("outcome", [Accepted(204), Refused(500), Refused(429, "60"), Refused(302)])
def test_whoever_answers_is_there_whatever_it_answers(outcome: Outcome) -> None:
    assert connected(outcome) is True
    assert connected(Blocked("127.0.0.1")) is None


@given(st.lists(st.tuples(st.integers(0, 30_000), st.booleans(), st.floats(0, 1, exclude_max=True)), min_size=1))
def test_it_opens_after_some_failures_and_a_minute_without_a_connection(
    steps: list[tuple[int, bool, float]],
) -> None:
    standing, now, count, probes = None, NOW, 0, 0
    for pause, probe, dice in steps:
        now += pause if count else 0
        was, count = standing, count + 1
        standing = failed(standing, now=now, dice=dice, probe=probe)
        assert (standing.since, standing.failures) == (NOW, count)
        if was is None or was.probes is None:
            assert (standing.probes is not None) == (count >= FAILURES and now - NOW >= QUIET)
            probes = 0
        else:
            probes += probe
            assert standing.probes == probes
        if standing.probes is not None and (probe or was is None or was.probes is None):
            assert standing.probe_at == now + wait(probes, dice)
        elif standing.probes is not None and was is not None:
            assert standing.probe_at == was.probe_at, "only the probe moves the next one"


def test_probes_come_after_5_s_10_s_and_so_on_to_5_min_and_a_tenth_at_most_is_added() -> None:
    assert [wait(probes, 0) // 1000 for probes in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert wait(10**6, 0) == LONGEST
    assert FIRST <= wait(0, 0.999) <= FIRST * 1.1


OPEN = Standing(NOW - QUIET, 9, 0, NOW + FIRST)


@pytest.mark.parametrize(
    ("standing", "now", "parked", "probing", "may"),
    [
        (None, NOW, None, False, Admission.SEND),
        (Standing(NOW, 2), NOW, None, False, Admission.SEND),
        (OPEN, NOW, None, False, Admission.PARK),
        (OPEN, NOW + FIRST, None, False, Admission.PROBE),
        (OPEN, NOW + FIRST, NOW, True, Admission.PARK),
        (OPEN, NOW + FIRST - 1, NOW - PATIENCE, False, Admission.PARK),
        (OPEN, NOW, NOW - PATIENCE, False, Admission.SEND),
        (OPEN, NOW + PATIENCE, NOW, True, Admission.SEND),
    ],
)
def test_one_probes_and_the_others_wait(
    standing: Standing | None, now: int, parked: int | None, probing: bool, may: Admission
) -> None:
    if may is Admission.PARK and parked == NOW - PATIENCE:
        parked = now - PATIENCE + 1
    assert admit(standing, now=now, parked=parked, probing=probing) is may


@pytest.mark.parametrize(
    ("outcome", "good"),
    [
        (Accepted(200), True),
        (Refused(404), True),
        (Refused(429), False),
        (Refused(503), False),
        (Unreachable(Fault.TIMEOUT), False),
        (Blocked("10.0.0.0/8"), False),
    ],
)
def test_what_lets_an_origin_that_is_back_be_sent_more_at_once(outcome: Outcome, good: bool) -> None:
    assert well(outcome) is good
