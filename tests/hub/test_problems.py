"""What is told of first to an operator: what is wrong, worst first, and what to do."""

from collections import Counter
from dataclasses import replace

import pytest

from hub.api.admin.problems import MOST, Found, Problem, Whole, problems
from hub.draining import OriginState, Standing
from hub.keeping import Kept
from hub.keys import SubscriptionKey
from hub.machinery import Matched, Working
from hub.stream import Behind
from hub.summary import Summary
from hub.survey import Row, Wanted
from subscriptions.codes import FhirVersion, SubscriptionStatus

NOW = 1_800_000_000_000
WELL = Whole(
    Working((Matched(0, Behind(0, 0), "m"),), ("m",), ("d",), "c", 0, 0, 0),
    Kept("7.0.0", 10, 100, "noeviction", "yes", "always", "", 0),
    (),
    "",
    "",
    0,
)
NOBODY = Summary.of([])


def row(seconds: float, status: SubscriptionStatus = SubscriptionStatus.ACTIVE) -> Row:
    """Of a Subscription whose one event has waited for so long."""
    key = SubscriptionKey("default", FhirVersion.R4, "s", "1")
    wanted = Wanted("topic", "http://a.example:80", "id-only")
    return Row(
        key, "lab", wanted, status, revision=1, updated=0, events=1, delivered=0, dropped=0, skipped=0, attempt=0,
        next_at=None, failing=False, error="", code="", outcome="",
        outcome_at=None, oldest_at=NOW - int(seconds * 1000),
    )  # fmt: skip


def found(whole: Whole | None = WELL, summary: Summary = NOBODY, dropped: int = 0, lost: int = 0) -> list[Problem]:
    return problems(Found(NOW, summary, dropped, lost, whole))


def behind(seconds: float) -> Working:
    return replace(WELL.working, partitions=(Matched(0, Behind(seconds, 5), "m"),))


def test_nothing_is_wrong() -> None:
    assert found() == []
    assert found(None) == []


@pytest.mark.parametrize(
    ("whole", "error", "text"),
    [
        pytest.param(replace(WELL, declines="Full", remedy="More"), True, "come back. Full. More.", id="declines"),
        pytest.param(replace(WELL, kept=replace(WELL.kept, volatile="x")), True, "may forget", id="volatile"),
        pytest.param(replace(WELL, working=replace(WELL.working, matching=())), True, "match worker", id="no-matcher"),
        pytest.param(replace(WELL, working=replace(WELL.working, delivering=())), True, "deliver", id="no-deliverer"),
        pytest.param(replace(WELL, working=replace(WELL.working, clock="")), True, "No clock", id="no-clock"),
        pytest.param(replace(WELL, working=behind(5)), False, "5 s behind: 5 changes", id="behind"),
        pytest.param(replace(WELL, working=behind(60)), True, "60 s behind", id="far-behind"),
        pytest.param(replace(WELL, kept=replace(WELL.kept, used=75)), False, "75%", id="nearly-full"),
        pytest.param(
            replace(WELL, origins=(OriginState("http://a:80", Standing.OPEN, 1, 4, 2, 1),)),
            False,
            "http://a:80 can't be reached: 4 connections failed, 1 Subscription waits for it.",
            id="left-alone",
        ),
        pytest.param(
            replace(WELL, origins=(OriginState("http://a:80", Standing.DRAINED, 1, 0, None, 0, 2, "boss"),)),
            False,
            "Nothing is sent to http://a:80: drained.",
            id="drained",
        ),
        pytest.param(replace(WELL, set_aside=2), False, "2 changes or evaluations", id="set-aside"),
    ],
)
def test_what_is_wrong_with_the_hub(whole: Whole, error: bool, text: str) -> None:
    (problem,) = found(whole)
    assert problem.error is error
    assert text in problem.text
    assert problem.action
    assert problem.link.startswith("#/")


@pytest.mark.parametrize(("seconds", "severity"), [(59, None), (60, "warning"), (899, "warning"), (900, "error")])
def test_an_event_that_waits(seconds: float, severity: str | None) -> None:
    told = found(summary=Summary.of([row(seconds)]))
    assert [problem.shown["severity"] for problem in told] == ([severity] if severity else [])


def test_who_is_in_error_has_its_own_line() -> None:
    """Not also that of an event that waits: nothing is sent to it, however long it waits."""
    (problem,) = found(summary=Summary.of([row(9_999, SubscriptionStatus.ERROR)]))
    assert problem.error
    assert problem.text == "1 Subscription in `error`, and 1 event kept for them and not sent."


def test_what_was_lost() -> None:
    assert [(each.error, each.text.split(":")[0]) for each in found(None, dropped=3, lost=1)] == [
        (True, "3 events dropped in the last hour before they could be sent."),
        (False, "The audit is full"),
    ]


def test_at_most_ten_and_the_errors_of_them_first() -> None:
    origins = tuple(OriginState(f"http://{n}:80", Standing.OPEN, 1, 4, 2, 1) for n in range(20))
    told = found(replace(WELL, origins=origins), Summary.of([row(9_999, SubscriptionStatus.ERROR)]), dropped=1)
    assert len(told) == MOST
    assert Counter(each.error for each in told[:2]) == {True: 2}
    assert not any(each.error for each in told[2:])
