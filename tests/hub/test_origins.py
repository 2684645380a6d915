"""Places at an origin, and for slow requests at all: nobody is kept out by the slow, nor kept busy by a crowd."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.channels.origins import LATE, SOON, Origins, Visit, origin

ORIGINS = ("a", "b")
MANY = 1_000


@given(slots=st.integers(2, 9), most=st.integers(1, 9), data=st.data())
def test_places_are_never_overdrawn_and_slow_requests_hold_at_most_their_share(
    slots: int, most: int, data: st.DataObject
) -> None:
    """Whoever comes, turns slow and leaves in whatever order; counted here from the visits themselves."""
    origins, now = Origins(slots, most), 0
    visits: list[Visit] = []
    for verb in data.draw(st.lists(st.sampled_from(("enter", "enter", "slowed", "leave")), max_size=60)):
        held = Counter(visit.origin for visit in visits if visit.holds)
        slow = Counter(visit.origin for visit in visits if visit.holds and visit.slow)
        all_slow = sum(visit.slow for visit in visits)
        now += data.draw(st.integers(0, 3_000))
        if verb == "enter":
            where, was_slow = data.draw(st.sampled_from(ORIGINS)), data.draw(st.booleans())
            visit = origins.enter(where, slow=was_slow, now=now)
            room = held[where] < slots and not (was_slow and (slow[where] >= slots // 2 or all_slow >= most))
            assert isinstance(visit, Visit) == room
            if isinstance(visit, Visit):
                visits.append(visit)
            else:
                assert now + SOON <= visit <= now + LATE
        elif visits:
            visit = data.draw(st.sampled_from(visits))
            if verb == "leave":
                origins.leave(visit, now)
                origins.leave(visit, now)  # once more does no harm
                visits.remove(visit)
            else:
                may_go_on = visit.slow or all_slow < most
                assert origins.slowed(visit, now) == may_go_on
                assert visit.slow == may_go_on
        for where in ORIGINS:
            holding = [visit for visit in visits if visit.origin == where and visit.holds]
            assert len(holding) <= slots
            assert sum(visit.slow for visit in holding) <= slots // 2
        assert origins.slow == sum(visit.slow for visit in visits) <= most
    for visit in visits:
        origins.leave(visit, now)
    assert origins.slow == 0
    assert not origins._origins, "an origin that nobody visits is forgotten"


def entered(origins: Origins, where: str, many: int, *, slow: bool = False, now: int = 0) -> list[Visit]:
    """The places that so many requests get."""
    asked = (origins.enter(where, slow=slow, now=now) for _ in range(many))
    return [visit for visit in asked if isinstance(visit, Visit)]


def test_half_of_the_places_stay_for_the_quick_however_many_are_slow() -> None:
    origins = Origins(8, MANY)
    assert len(entered(origins, "a", 100, slow=True)) == 4
    assert len(entered(origins, "a", 100)) == 4


def test_requests_that_turn_slow_make_room_for_others() -> None:
    """First all eight places are taken by what seemed quick; when all of it turns slow, half of the places are free."""
    origins = Origins(8, MANY)
    visits = entered(origins, "a", 100)
    assert len(visits) == 8
    assert all(origins.slowed(visit, 1_000) for visit in visits)
    assert len(entered(origins, "a", 100)) == 4
    assert entered(origins, "b", 1, slow=True)


def test_there_are_so_many_slow_requests_at_all_origins_and_always_room_for_quick_ones() -> None:
    origins = Origins(8, 10)
    assert sum(len(entered(origins, f"slow{n}", 1, slow=True)) for n in range(20)) == 10
    quick = [visit for n in range(20) for visit in entered(origins, f"quick{n}", 1)]
    assert len(quick) == 20
    assert not any(origins.slowed(visit, 1_000) for visit in quick), "none of them may go on"


@pytest.mark.parametrize(("held", "last"), [(10, SOON), (1_000, SOON + 63 * 1_000 // 16), (20_000, LATE)])
def test_those_who_wait_ask_again_one_after_the_other_as_places_become_free(held: int, last: int) -> None:
    """At a quick origin all at once and soon; the slower it is, the more do they take turns."""
    origins = Origins(8, MANY)
    entered(origins, "a", 1)
    for n in range(50):
        for visit in entered(origins, "a", 7, now=n * held):
            origins.leave(visit, (n + 1) * held)
    now = 50 * held
    entered(origins, "a", 7, now=now)
    asks = [origins.enter("a", slow=False, now=now) for _ in range(64)]
    waits = [ask - now for ask in asks if isinstance(ask, int)]
    assert len(waits) == 64
    assert waits == sorted(waits)
    assert waits[0] >= SOON
    assert last * 0.9 <= waits[-1] <= last * 1.1 + 63


def test_an_origin_that_was_away_is_sent_one_more_at_once_after_each_round_that_goes_well() -> None:
    """Until it has all its places again; what does not go well halves them. Others have all of theirs."""
    origins = Origins(8, MANY)
    origins.come_back("a")
    for size in (1, 2, 3, 4, 5):
        visits = entered(origins, "a", 20)
        assert len(visits) == size
        for visit in visits:
            origins.leave(visit, 0)
            origins.went("a", well=True)
    assert len(entered(origins, "b", 20)) == 8
    origins.went("a", well=False)
    visits = entered(origins, "a", 20)
    assert len(visits) == 3
    for _ in range(5):
        origins.went("a", well=False)
    assert not entered(origins, "a", 1), "those under way are more than the one that there may be"
    for visit in visits:
        origins.leave(visit, 0)
    for _ in range(sum(range(8))):
        origins.went("a", well=True)
    assert len(entered(origins, "a", 20)) == 8
    origins.went("a", well=False)
    for visit in entered(origins, "b", 1):
        origins.leave(visit, 0)
    assert not origins._windows, "forgotten once it is as wide as it can be"


async def test_where_places_come_free_quickly_whoever_found_none_waits_for_one() -> None:
    """First come, first served; where nobody comes or leaves, nobody waits."""
    origins, time, came = Origins(2, MANY), [0], []
    visits = entered(origins, "a", 5)
    assert len(visits) == 2

    async def come(name: str) -> None:
        if await origins.come_free("a", lambda: time[0]):
            came.append(name)

    tasks = []
    for name in ("first", "second", "third"):
        tasks.append(asyncio.create_task(come(name)))
        await asyncio.sleep(0)
    for visit in visits:
        origins.leave(visit, 1)
    entered(origins, "a", 2, now=1)
    await asyncio.gather(*tasks[:2])
    assert came == ["first", "second"]
    time[0] = 1_000
    await tasks[2]
    assert came == ["first", "second"]
    assert not await origins.come_free("a", lambda: time[0])
    assert not await origins.come_free("nobody", lambda: 0)
    assert not origins._origins["a"].waiting


@pytest.mark.parametrize(
    ("endpoint", "same"),
    [
        ("https://Example.org/hook", "https://example.org:443"),
        ("https://example.org:443/other?x=1", "https://example.org:443"),
        ("http://example.org", "http://example.org:80"),
        ("https://example.org:8443/hook", "https://example.org:8443"),
        ("https://[2001:DB8::1]/hook", "https://[2001:db8::1]:443"),
        ("https://[2001:db8::1]:443", "https://[2001:db8::1]:443"),
    ],
)
def test_an_origin_is_scheme_host_and_port(endpoint: str, same: str) -> None:
    assert origin(endpoint) == same
