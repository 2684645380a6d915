"""What is told of first to an operator: what is wrong, worst first, and what to do."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from hub.api.admin.problems import MOST, Changed, Found, Problem, Whole, problems
from hub.draining import OriginState, Standing
from hub.keeping import Kept
from hub.keys import SubscriptionKey
from hub.machinery import Matched, Working
from hub.stream import Behind
from hub.summary import Summary
from hub.survey import Row, Wanted
from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.ranges import Range

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


def row(
    seconds: float = 0, status: SubscriptionStatus = SubscriptionStatus.ACTIVE, events: int = 1, **more: Any
) -> Row:
    """Of a Subscription whose events have waited for so long."""
    key = SubscriptionKey("default", FhirVersion.R4, "s", "1")
    wanted = Wanted("topic", "http://a.example:80", "id-only")
    made = Row(
        key, "lab", wanted, status, revision=1, updated=0, events=events, delivered=0, dropped=0, skipped=0, attempt=0,
        next_at=None, failing=False, error="", code="", outcome="",
        outcome_at=None, oldest_at=NOW - int(seconds * 1000) if events else None,
    )  # fmt: skip
    return replace(made, **more)


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
        pytest.param(replace(WELL, kept=replace(WELL.kept, unfit="x")), True, "get 503, and nothing", id="unfit"),
        pytest.param(replace(WELL, working=replace(WELL.working, matching=())), True, "match worker", id="no-matcher"),
        pytest.param(replace(WELL, working=replace(WELL.working, delivering=())), True, "deliver", id="no-deliverer"),
        pytest.param(replace(WELL, working=replace(WELL.working, clock="")), True, "No clock is at", id="no-clock"),
        pytest.param(replace(WELL, working=behind(5)), False, "5 s behind: 5 changes", id="behind"),
        pytest.param(replace(WELL, working=behind(60)), True, "60 s behind", id="far-behind"),
        pytest.param(replace(WELL, kept=replace(WELL.kept, used=75)), False, "75%", id="nearly-full"),
        pytest.param(
            replace(WELL, origins=(OriginState("http://a:80", Standing.OPEN, NOW, 4, 2, 1),)),
            False,
            "http://a:80 can't be reached: 4 connections failed, 1 Subscription waits for it.",
            id="left-alone",
        ),
        pytest.param(
            replace(WELL, origins=(OriginState("http://a:80", Standing.OPEN, 1, 4, 2, 1),)),
            True,
            "1 Sub",
            id="for-long",
        ),
        pytest.param(
            replace(WELL, origins=(OriginState("http://a:80", Standing.OPEN, 1, 4, 2, 0),)),
            False,
            "0 Sub",
            id="for-none",
        ),
        pytest.param(
            replace(WELL, origins=(OriginState("http://a:80", Standing.DRAINED, 1, 0, None, 0, NOW, "boss"),)),
            False,
            "Nothing is sent to http://a:80: drained until 2027-01-15 08:00 UTC, by boss.",
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


@pytest.mark.parametrize(("seconds", "severity"), [(7, None), (8, "warning"), (899, "warning"), (900, "error")])
def test_an_event_that_waits(seconds: float, severity: str | None) -> None:
    """A look is believed for two seconds: so what hangs is said within ten."""
    told = found(summary=Summary.of([row(seconds)]))
    assert [problem.shown["severity"] for problem in told] == ([severity] if severity else [])
    assert [problem.command for problem in told] == (["hub subscriptions show r4/s"] if severity else [])


@pytest.mark.parametrize(
    ("attempt", "seconds", "severity"), [(1, 2, None), (2, 2, "warning"), (9, 899, "warning"), (9, 900, "error")]
)
def test_attempts_that_fail(attempt: int, seconds: float, severity: str | None) -> None:
    """From the second on, with the reason; not also as an event that waits."""
    told = found(summary=Summary.of([row(seconds, failing=True, attempt=attempt, error="it answered 500")]))
    assert [problem.shown["severity"] for problem in told] == ([severity] if severity else [])
    text = "Attempts to tell 1 Subscription fail, and 1 event waits."
    text += " Subscription/s, told at http://a.example:80: it answered 500."
    assert [problem.text for problem in told] == ([text] if severity else [])


@pytest.mark.parametrize("standing", [Standing.OPEN, Standing.DRAINED])
def test_what_waits_for_an_origin_has_the_line_of_the_origin(standing: Standing) -> None:
    """Whether attempts have failed or not."""
    origins = (OriginState("http://a.example:80", standing, NOW, 4, 2, 1),)
    rows = [row(60), row(60, failing=True, attempt=3)]
    (problem,) = found(replace(WELL, origins=origins), Summary.of(rows))
    assert "http://a.example:80" in problem.text
    assert not problem.error


def test_an_origin_that_is_away_for_long() -> None:
    origins = (OriginState("http://a.example:80", Standing.OPEN, NOW - 900_000, 4, 2, 1),)
    (problem,) = found(replace(WELL, origins=origins))
    assert problem.error


def test_who_is_in_error_has_its_own_line() -> None:
    """Not also that of an event that waits: nothing is sent to it, however long it waits."""
    (problem,) = found(summary=Summary.of([row(9_999, SubscriptionStatus.ERROR, error="gone away")]))
    assert problem.error
    assert problem.text == (
        "1 Subscription in `error`, and 1 event kept for them and not sent."
        " Subscription/s, told at http://a.example:80: gone away."
    )


def test_the_reason_is_that_of_whom_most_is_kept_for() -> None:
    """Of those that are in error it is the first to be mended."""
    rows = [row(1, SubscriptionStatus.ERROR, events=n, error=f"error {n}") for n in (1, 5, 3)]
    (problem,) = found(summary=Summary.of(rows))
    assert problem.text.endswith(": error 5. Others: error 3 (1); error 1 (1).")


def test_each_reason_is_told_for_which_some_are_in_error() -> None:
    """That of the first with its name, of the others how many there are: a right that was withdrawn is not covered."""
    withdrawn, gone = "nothing of this tenant is granted to its client any more", "the endpoint answered 500: it failed"
    rows = [row(9, SubscriptionStatus.ERROR, error=f"{gone}.")] + [
        row(status=SubscriptionStatus.ERROR, events=0, error=each) for each in ("other", withdrawn, withdrawn, gone)
    ]
    (problem,) = found(summary=Summary.of(rows))
    assert problem.text.endswith(f"http://a.example:80: {gone}. Others: {withdrawn} (2); other (1).")


@pytest.mark.parametrize(
    ("more", "told"),
    [({}, True), ({"updated": NOW - 3_601_000}, False), ({"resend": (Range(2, 3),)}, False), ({"missed": ()}, False)],
    ids=["not-sent", "long-ago", "on-its-way", "sent"],
)
def test_what_was_missed_and_not_sent_since(more: dict[str, Any], told: bool) -> None:
    """For an hour after the activation, with what sends it; not while that is under way."""
    missed = (Range(2, 3), Range(5, 5))
    stands: dict[str, Any] = {"delivered": 5, "updated": NOW - 1_000, "missed": missed}
    again = row(events=5, **stands | more)
    summary = Summary.of([again])
    assert summary.missed == (3 if again.missed else 0)
    said = [(each.error, each.text, each.command) for each in found(summary=summary)]
    text = (
        "1 Subscription became active again in the last hour, and 3 events missed before not sent since."
        " Subscription/s, told at http://a.example:80: events 2 to 3, 5."
    )
    assert said == ([(False, text, "hub subscriptions resume --all --resend")] if told else [])


def test_who_was_active_is_in_error_also_before_something_waits() -> None:
    lost = row(status=SubscriptionStatus.ERROR, delivered=1, error="its client is turned off")
    (problem,) = found(summary=Summary.of([lost]))
    assert problem.error
    assert problem.text.startswith("1 Subscription in `error`. ")


def test_who_never_was_active_is_told_of() -> None:
    """Nothing is kept for whom a handshake fails: no harm is done yet, and somebody waits to be told."""
    (problem,) = found(summary=Summary.of([row(status=SubscriptionStatus.ERROR, events=0, error="it answered 500")]))
    assert not problem.error
    assert problem.text.startswith("1 Subscription in `error`. Subscription/s, told at ")
    assert problem.text.endswith("it answered 500.")


@pytest.mark.parametrize(
    ("code", "ago", "told"),
    [("error-response", 3_599, True), ("error-response", 3_601, False), ("", 1, False)],
    ids=["just-now", "long-ago", "turned-off-by-somebody"],
)
def test_whose_endpoint_said_that_it_is_gone(code: str, ago: int, told: bool) -> None:
    """For an hour: then it is known, or nobody wants to."""
    ended = row(status=SubscriptionStatus.OFF, code=code, error="the endpoint answered 410", updated=NOW - ago * 1000)
    assert [each.text for each in found(summary=Summary.of([ended]))] == (
        [
            "1 Subscription ended in the last hour."
            " Subscription/s, told at http://a.example:80: the endpoint answered 410."
        ]
        if told
        else []
    )


@pytest.mark.parametrize(
    ("retired", "used", "text"),
    [
        (
            False,
            2,
            "was changed at 08:00 UTC (version 3): 2 Subscriptions are on it, and may be told of less now, or of",
        ),
        (True, 1, "was retired at 08:00 UTC (version 3): 1 Subscription is on it, and it takes no new ones."),
    ],
    ids=["changed", "retired"],
)
def test_a_topic_that_was_changed_under_its_subscriptions(retired: bool, used: int, text: str) -> None:
    """The command names it whole, whatever its publisher has called it."""
    changed = Changed("https://t.example/a;b", NOW, 3, retired, used)
    (problem,) = problems(Found(NOW, NOBODY, 0, 0, None, (changed,)))
    assert problem.text.startswith(f"Topic https://t.example/a;b {text}")
    assert (problem.error, problem.command) == (False, "hub topics 'https://t.example/a;b'")


def test_what_was_lost() -> None:
    assert [(each.error, each.text.split(":")[0]) for each in found(None, dropped=3, lost=1)] == [
        (True, "3 events dropped in the last hour before they could be sent."),
        (False, "The audit is full"),
    ]


def test_at_most_ten_and_the_errors_of_them_first() -> None:
    origins = tuple(OriginState(f"http://{n}:80", Standing.OPEN, NOW, 4, 2, 1) for n in range(20))
    told = found(replace(WELL, origins=origins), Summary.of([row(9_999, SubscriptionStatus.ERROR)]), dropped=1)
    assert len(told) == MOST
    assert Counter(each.error for each in told[:2]) == {True: 2}
    assert not any(each.error for each in told[2:])
