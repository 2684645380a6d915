"""What the demo makes of what was seen: each event's way, and whatever is not as promised."""

from typing import Any

import pytest

from hub.cli.actors import Hub
from hub.cli.evidence import Event, Published, faults, trips

AT = "2026-01-01T00:00:0{}.000+00:00"
#: AT's zeroth second.
BEGAN = 1767225600.0


def published(id_: str, status: int = 201) -> Published:
    return Published({"resourceType": "Immunization", "id": id_}, status, 1, BEGAN, BEGAN + 1)


def stored(id_: str, second: int) -> dict[str, Any]:
    return {"event": "change.stored", "at": AT.format(second), "change": f"default/r4/Immunization/{id_}/1"}


def matched(id_: str, second: int, events: int = 1) -> dict[str, Any]:
    return stored(id_, second) | {"event": "change.matched", "events": events}


def test_the_way_of_each_event() -> None:
    """By what the log says of its change; of one of which it says nothing there is none."""
    hub = Hub(steps=[stored("d", 1), stored("a", 1), stored("f", 2), stored("g", 2)])
    hub.steps += [matched("d", 3), matched("a", 4), matched("f", 5)]
    told = [Event(1, "Immunization/d", BEGAN + 6), Event(2, "Immunization/a", BEGAN + 7)]
    told += [Event(3, "Immunization/f", BEGAN + 8), Event(3, "Immunization/f", BEGAN + 8)]
    told += [Event(4, "Immunization/g", BEGAN + 9), Event(5, "Immunization/h", BEGAN + 9)]
    found = {
        trip.resource: tuple(at - BEGAN for at in (trip.sent, trip.stored, trip.answered, trip.matched, trip.notified))
        for trip in trips([published(id_) for id_ in "adfg"], told, hub)
    }
    assert found == {
        "Immunization/d": (0, 1, 1, 3, 6),
        "Immunization/a": (0, 1, 1, 4, 7),
        "Immunization/f": (0, 2, 1, 5, 8),
    }


A, B = Event(1, "Immunization/a", 0), Event(2, "Immunization/b", 0)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([A, B], []),
        ([A], ["missing: Immunization/b", "$status counts 2 events, not 1"]),
        ([B, A], ["the events' numbers are not 1, 2, 3 …, but [2, 1]"]),
        (
            [A, B, B],
            [
                "not asked for: Immunization/b",
                "the events' numbers are not 1, 2, 3 …, but [1, 2, 2]",
                "$status counts 2 events, not 3",
            ],
        ),
        ([A, Event(2, "Immunization/c", 0)], ["missing: Immunization/b", "not asked for: Immunization/c"]),
    ],
    ids=["as-promised", "lost", "out-of-order", "twice", "another"],
)
def test_what_is_not_as_promised(told: list[Event], said: list[str]) -> None:
    hub = Hub(steps=[matched("a", 1), matched("b", 1)])
    expected = ["Immunization/a", "Immunization/b"]
    handled = sorted({event.number for event in told})
    assert list(faults([published("a"), published("b")], expected, told, handled, hub, 2)) == said


def test_what_the_receiver_did_not_hand_over() -> None:
    """Each event once, in order, whatever came again."""
    hub = Hub(steps=[matched("a", 1), matched("b", 1)])
    expected = ["Immunization/a", "Immunization/b"]
    assert list(faults([published("a"), published("b")], expected, [A, B], [1, 1, 2], hub, 2)) == [
        "the receiver has handed over [1, 1, 2]"
    ]


def test_what_did_not_come_so_far() -> None:
    hub = Hub(steps=[matched("a", 1, events=0)])
    assert list(faults([published("a"), published("b", 503)], [], [], [], hub, 0)) == [
        "not stored: Immunization/b",
        "1 changes were matched, not 2",
    ]
