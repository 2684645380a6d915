"""Places at an origin: nobody who shares one is kept out by the slow."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.channels.origins import Origins, Visit, origin

ORIGINS = ("a", "b")


@given(slots=st.integers(2, 9), data=st.data())
def test_places_are_never_overdrawn_and_slow_requests_hold_at_most_half(slots: int, data: st.DataObject) -> None:
    """Whoever comes, turns slow and leaves in whatever order; counted here from the visits themselves."""
    origins = Origins(slots)
    visits: list[Visit] = []
    for verb in data.draw(st.lists(st.sampled_from(("enter", "enter", "slowed", "leave")), max_size=60)):
        held = Counter(visit.origin for visit in visits if visit.holds)
        slow = Counter(visit.origin for visit in visits if visit.holds and visit.slow)
        if verb == "enter":
            where, was_slow = data.draw(st.sampled_from(ORIGINS)), data.draw(st.booleans())
            visit = origins.enter(where, slow=was_slow)
            room = held[where] < slots and not (was_slow and slow[where] >= slots // 2)
            assert (visit is not None) == room
            visits += [visit] if visit else []
        elif visits:
            visit = data.draw(st.sampled_from(visits))
            if verb == "leave":
                origins.leave(visit)
                origins.leave(visit)  # once more does no harm
                visits.remove(visit)
            else:
                origins.slowed(visit)
                assert visit.slow
        for where in ORIGINS:
            holding = [visit for visit in visits if visit.origin == where and visit.holds]
            assert len(holding) <= slots
            assert sum(visit.slow for visit in holding) <= slots // 2
        assert origins.slow == sum(visit.slow for visit in visits)
    for visit in visits:
        origins.leave(visit)
    assert origins.slow == 0
    assert not origins._origins, "an origin that nobody visits is forgotten"


def test_half_of_the_places_stay_for_the_quick_however_many_are_slow() -> None:
    origins = Origins(8)
    slow = [origins.enter("a", slow=True) for _ in range(100)]
    assert sum(visit is not None for visit in slow) == 4
    assert sum(origins.enter("a", slow=False) is not None for _ in range(100)) == 4


def test_requests_that_turn_slow_make_room_for_others() -> None:
    """First all eight places are taken by what seemed quick; when all of it turns slow, half of the places are free."""
    origins = Origins(8)
    visits = [origins.enter("a", slow=False) for _ in range(8)]
    assert origins.enter("a", slow=False) is None
    for visit in visits:
        assert visit is not None
        origins.slowed(visit)
    assert sum(origins.enter("a", slow=False) is not None for _ in range(100)) == 4
    assert origins.enter("b", slow=True) is not None


@pytest.mark.parametrize(
    ("endpoint", "same"),
    [
        ("https://Example.org/hook", "https://example.org:443"),
        ("https://example.org:443/other?x=1", "https://example.org:443"),
        ("http://example.org", "http://example.org:80"),
        ("https://example.org:8443/hook", "https://example.org:8443"),
        ("https://[2001:DB8::1]/hook", "https://2001:db8::1:443"),
    ],
)
def test_an_origin_is_scheme_host_and_port(endpoint: str, same: str) -> None:
    assert origin(endpoint) == same
