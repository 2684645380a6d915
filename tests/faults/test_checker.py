"""The checker sees what it is there to see: each kind of broken promise, and none where there is none."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.faults.checker import Fault, Verdict, causes, check
from tests.faults.publishers import Told
from tests.receiver import Received

TOLD = [
    Told("Immunization/a", 1, "a1", 0, 0),
    Told("Immunization/b", 1, "b1", 0, 0),
    Told("Immunization/a", 2, "a2", 0, 0),
]
VERSIONS = {"Immunization/a": 2, "Immunization/b": 1}


def notification(number: int, id_: str, version: int, lot: str = "", *, bundle: str = "") -> Received:
    """A full-resource notification of one event."""
    resource = {
        "resourceType": "Immunization",
        "id": id_,
        "meta": {"versionId": str(version)},
        "lotNumber": lot or f"{id_}{version}",
    }
    focus = {"name": "focus", "valueReference": {"reference": f"http://hub.example/fhir/r4/Immunization/{id_}"}}
    parameters: list[dict[str, Any]] = [
        {"name": "type", "valueCode": "event-notification"},
        {"name": "events-since-subscription-start", "valueString": str(number)},
        {"name": "notification-event", "part": [{"name": "event-number", "valueString": str(number)}, focus]},
    ]
    entries = [{"resource": {"parameter": parameters}}, {"resource": resource}]
    return Received.of("POST", "/", [], orjson.dumps({"id": bundle or f"bundle-{number}", "entry": entries}))


FIRST, SECOND, THIRD = notification(1, "a", 1), notification(2, "b", 1), notification(3, "a", 2)


def test_kept() -> None:
    """Each change once, in order: nothing is broken, and a repeat right after the first is only counted."""
    assert check([FIRST, SECOND, SECOND, THIRD], VERSIONS, TOLD) == Verdict(events=3, duplicates=1)


@pytest.mark.parametrize(
    ("received", "found"),
    [
        pytest.param([FIRST, SECOND], ["lost"], id="last-change-lost"),
        pytest.param([FIRST, THIRD], ["lost"], id="number-and-change-lost"),
        pytest.param([FIRST, SECOND, THIRD, notification(4, "b", 1)], ["doubled"], id="two-numbers-for-a-change"),
        pytest.param([SECOND, FIRST, THIRD], ["out_of_order"], id="numbers-step-back"),
        pytest.param([FIRST, SECOND, FIRST, THIRD], ["out_of_order"], id="repeat-after-a-later-one"),
        pytest.param(
            [notification(1, "a", 2), SECOND, notification(3, "a", 1)], ["out_of_order"], id="versions-step-back"
        ),
        pytest.param(
            [FIRST, SECOND, notification(2, "b", 1, "other"), THIRD], ["conflicts"], id="repeat-with-other-bytes"
        ),
        pytest.param(
            [FIRST, SECOND, notification(2, "b", 1, bundle="again"), THIRD],
            ["doubled", "out_of_order", "conflicts"],
            id="number-in-two-bundles",
        ),
        pytest.param([FIRST, notification(2, "b", 1, "a1"), THIRD], ["conflicts"], id="body-of-another"),
        pytest.param([FIRST, SECOND, THIRD, notification(4, "c", 1)], ["conflicts"], id="change-that-nobody-made"),
    ],
)
def test_broken(received: list[Received], found: list[str]) -> None:
    """What is broken is found, and named as what it is."""
    verdict = check(received, VERSIONS, TOLD)
    kinds = ("lost", "doubled", "out_of_order", "conflicts")
    assert [kind for kind in kinds if getattr(verdict, kind)] == found


KILL, CUT = Fault("kill", 10, 10), Fault("cut", 20, 22)


@pytest.mark.parametrize(
    ("came", "faults", "found"),
    [
        pytest.param([9, 15], [KILL, CUT], [KILL], id="between-two-arrivals"),
        pytest.param([10.5, 15], [KILL], [KILL], id="read-late"),
        pytest.param([21, 25], [KILL, CUT], [CUT], id="while-it-lasts"),
        pytest.param([9, 15, 25], [KILL, CUT], [KILL, CUT], id="one-each"),
        pytest.param([12, 15], [KILL, CUT], [None], id="nothing-happened"),
        pytest.param([9, 10.2, 10.4], [KILL], [KILL, None], id="twice-for-one"),
    ],
)
def test_causes(came: list[float], faults: list[Fault], found: list[Fault | None]) -> None:
    """Each fault accounts for one notification that comes again, if it lay between the two arrivals."""
    assert [fault for _, fault in causes([replace(FIRST, at=at) for at in came], faults)] == found
