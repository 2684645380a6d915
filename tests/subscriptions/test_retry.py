"""What follows from an attempt."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.codes import ErrorCode, FhirVersion
from subscriptions.retry import (
    Accepted,
    Blocked,
    Decision,
    Delivered,
    Fault,
    GiveUp,
    Outcome,
    Policy,
    Refused,
    TryAgain,
    TurnOff,
    Unauthorized,
    Unreachable,
    decide,
    decide_handshake,
)
from subscriptions.versions.forms import FORMS

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
R4_ELEMENTS = FORMS[FhirVersion.R4].elements
POLICY = Policy((1, 5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 43200, 43200, 43200, 43200, 43200))


def after(outcome: Outcome, *, attempt: int = 1, dice: float = 0.0, policy: Policy = POLICY) -> Decision:
    return decide(outcome, attempt=attempt, dice=dice, now=NOW, policy=policy, elements=R4_ELEMENTS)


def wait_after(outcome: Outcome, *, attempt: int = 1, dice: float = 0.0) -> float:
    decision = after(outcome, attempt=attempt, dice=dice)
    assert isinstance(decision, TryAgain)
    return decision.wait


failures: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(
        Refused,
        st.integers(100, 999).filter(lambda status: not 200 <= status <= 299 and status != 410),
        st.none() | st.integers(0, 10**9).map(str) | st.text(),
    ),
    st.builds(Unreachable, st.sampled_from(Fault)),
    st.builds(Blocked, st.text()),
)
policies = st.lists(st.floats(0, 10**6), max_size=20).map(lambda waits: Policy(tuple(waits)))
dice = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    """Every 2xx is success, on whatever attempt."""
    assert after(Accepted(status), attempt=16) == Delivered()
    assert decide_handshake(Accepted(status), attempt=3, elements=R4_ELEMENTS) == Delivered()


def test_410_turns_off_at_once() -> None:
    """410 is the one failure that does not follow the schedule."""
    assert after(Refused(410)) == TurnOff(ErrorCode.ERROR_RESPONSE, "the endpoint answered 410: it is gone for good")


@pytest.mark.parametrize(
    ("outcome", "code", "text"),
    [
        pytest.param(Refused(301), ErrorCode.ERROR_RESPONSE, "redirects are not followed", id="redirect"),
        pytest.param(Refused(304), ErrorCode.ERROR_RESPONSE, "redirects are not followed", id="not-modified"),
        pytest.param(Refused(400), ErrorCode.ERROR_RESPONSE, "does not accept this notification", id="bad-request"),
        pytest.param(Refused(422), ErrorCode.ERROR_RESPONSE, "does not accept this notification", id="unprocessable"),
        pytest.param(Refused(401), ErrorCode.ERROR_RESPONSE, "Subscription.channel.header", id="unauthorized"),
        pytest.param(Refused(403), ErrorCode.ERROR_RESPONSE, "Subscription.channel.header", id="forbidden"),
        pytest.param(Refused(404), ErrorCode.ERROR_RESPONSE, "Subscription.channel.endpoint", id="not-found"),
        pytest.param(Refused(405), ErrorCode.ERROR_RESPONSE, "Subscription.channel.endpoint", id="method"),
        pytest.param(Refused(429), ErrorCode.ERROR_RESPONSE, "answered 429: it asks to be called later", id="later"),
        pytest.param(Refused(503), ErrorCode.ERROR_RESPONSE, "answered 503: it failed", id="unavailable"),
        pytest.param(Refused(418), ErrorCode.ERROR_RESPONSE, "only 2xx is success", id="another-4xx"),
        pytest.param(Refused(101), ErrorCode.ERROR_RESPONSE, "only 2xx is success", id="no-final-answer"),
        pytest.param(Unreachable(Fault.DNS), ErrorCode.DNS_RESOLUTION_ERROR, "can't be resolved", id="dns"),
        pytest.param(Unreachable(Fault.TLS), ErrorCode.NO_RESPONSE, "secure connection", id="tls"),
        pytest.param(Unreachable(Fault.TIMEOUT), ErrorCode.NO_RESPONSE, "in time", id="timeout"),
        pytest.param(
            Unreachable(Fault.CERTIFICATE, "certificate has expired"),
            ErrorCode.NO_RESPONSE,
            "the endpoint's certificate is not accepted (certificate has expired)",
            id="certificate",
        ),
        pytest.param(
            Unauthorized("the token endpoint answered 401"),
            ErrorCode.NO_RESPONSE,
            "nothing was sent, for want of an access token: the token endpoint answered 401",
            id="no-token",
        ),
        pytest.param(Blocked("10.0.0.1 in 10.0.0.0/8"), ErrorCode.NO_RESPONSE, "10.0.0.0/8", id="blocked"),
    ],
)
def test_every_other_failure_follows_the_schedule(outcome: Outcome, code: ErrorCode, text: str) -> None:
    """The kind of failure changes the code and the text, never the wait."""
    decision = after(outcome, attempt=2)
    assert isinstance(decision, TryAgain)
    assert (decision.wait, decision.code) == (5, code)
    assert text in decision.text


@pytest.mark.parametrize(
    ("version", "headers", "endpoint"),
    [
        (FhirVersion.R4, "Subscription.channel.header", "Subscription.channel.endpoint"),
        (FhirVersion.R4B, "Subscription.channel.header", "Subscription.channel.endpoint"),
        (FhirVersion.R5, "Subscription.parameter", "Subscription.endpoint"),
    ],
)
def test_the_text_points_to_elements_of_the_version(version: FhirVersion, headers: str, endpoint: str) -> None:
    """A client of R5 is not sent to a channel that its Subscription does not have."""
    elements = FORMS[version].elements
    for status, text in (
        (401, f"see {headers} and"),
        (404, f"see {endpoint}"),
        (301, f"set {endpoint} to the final address"),
    ):
        for decision in (
            decide(Refused(status), attempt=1, dice=0, now=NOW, policy=Policy(()), elements=elements),
            decide_handshake(Refused(status), attempt=3, elements=elements),
        ):
            assert isinstance(decision, GiveUp)
            assert text in decision.text
            assert ("channel" in decision.text) is (version is not FhirVersion.R5)


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        pytest.param(503, "7", 7, id="seconds"),
        pytest.param(503, " 7 ", 7, id="seconds-with-blanks"),
        pytest.param(500, "7", 7, id="any-status"),
        pytest.param(503, "2", 5, id="earlier-than-the-schedule"),
        pytest.param(503, format_datetime(NOW + timedelta(minutes=3), usegmt=True), 180, id="date"),
        pytest.param(503, "Saturday, 21-Nov-26 10:03:00 GMT", 180, id="date-of-rfc-850"),
        pytest.param(503, "Sat Nov 21 10:03:00 2026", 180, id="date-of-asctime"),
        pytest.param(503, "Sat, 21 Nov 2020 10:03:00 GMT", 5, id="date-in-the-past"),
        pytest.param(503, "86400", 21600, id="503-is-capped-at-6-hours"),
        pytest.param(429, "9" * 5000, 21600, id="429-is-capped-at-6-hours"),
        pytest.param(404, "86400", 3600, id="the-rest-is-capped-at-1-hour"),
        pytest.param(404, "Sun, 21 Nov 2027 10:03:00 GMT", 3600, id="dates-are-capped"),
        pytest.param(503, "soon", 5, id="nonsense"),
        pytest.param(503, "-7", 5, id="negative"),
        pytest.param(503, "7.5", 5, id="fraction"),
        pytest.param(503, "٧٧", 5, id="digits-beyond-ascii"),
        pytest.param(503, "Sat, 21 Nov 99999999999 10:03:00 GMT", 5, id="no-such-year"),
        pytest.param(503, "Sat, 21 Nov 2026 10:03:00 +9999", 5, id="no-such-zone"),
        pytest.param(503, "", 5, id="empty"),
        pytest.param(503, None, 5, id="none"),
    ],
)
def test_retry_after_wins_if_later(status: int, header: str | None, wait: float) -> None:
    """`Retry-After` in all its forms, up to its cap; what can't be understood is as if it were not there."""
    assert wait_after(Refused(status, header), attempt=2) == wait


def test_after_the_last_wait_it_is_over() -> None:
    """The sixteenth failure of the default schedule leads to error, and says how often it was tried."""
    assert isinstance(after(Refused(500), attempt=15), TryAgain)
    text = "the endpoint answered 500: it failed; given up after 16 attempts"
    assert after(Refused(500, "7"), attempt=16) == GiveUp(ErrorCode.ERROR_RESPONSE, text)


def test_the_default_schedule_lasts_about_73_hours() -> None:
    """The waits of all attempts together, without jitter."""
    total = sum(wait_after(Unreachable(Fault.REFUSED), attempt=attempt) for attempt in range(1, 16))
    assert timedelta(hours=73) < timedelta(seconds=total) < timedelta(hours=74)


def test_without_waits_there_is_one_attempt() -> None:
    """An empty schedule gives up after the first failure."""
    decision = after(Unreachable(Fault.RESET), policy=Policy(()))
    assert isinstance(decision, GiveUp)
    assert decision.text.endswith("given up after 1 attempt")


@given(failures, policies, dice)
def test_n_waits_are_n_plus_1_attempts(outcome: Outcome, policy: Policy, dice: float) -> None:
    """Whatever the failure, there is one attempt more than there are waits."""
    attempt = 1
    while isinstance(after(outcome, attempt=attempt, dice=dice, policy=policy), TryAgain):
        attempt += 1
    assert attempt == len(policy.waits) + 1


@given(failures, policies.filter(lambda policy: policy.waits != ()), dice, st.data())
def test_no_wait_is_too_short_or_too_long(outcome: Outcome, policy: Policy, dice: float, data: st.DataObject) -> None:
    """A wait is at least the schedule's and at most the longest plus a tenth, or the cap of `Retry-After`."""
    attempt = data.draw(st.integers(1, len(policy.waits)))
    decision = after(outcome, attempt=attempt, dice=dice, policy=policy)
    assert isinstance(decision, TryAgain)
    asked = isinstance(outcome, Refused) and outcome.retry_after is not None
    cap = (6 * 3600 if isinstance(outcome, Refused) and outcome.status in (429, 503) else 3600) if asked else 0
    assert policy.waits[attempt - 1] <= decision.wait <= max(max(policy.waits) * 1.1 + 1e-6, cap)


@given(dice)
def test_jitter_adds_up_to_a_tenth(dice: float) -> None:
    """The dice lengthen a wait by 0 to 10 %, and never shorten it."""
    assert 30 <= wait_after(Refused(500), attempt=3, dice=dice) <= 33
    assert wait_after(Refused(500), attempt=3, dice=0.5) == pytest.approx(31.5)


@pytest.mark.parametrize(
    "outcome",
    [Refused(503, "3600"), Refused(302), Unreachable(Fault.TIMEOUT), Unreachable(Fault.DNS), Blocked("127.0.0.1")],
    ids=str,
)
def test_a_handshake_is_tried_three_times(outcome: Outcome) -> None:
    """Waits of 1 s and 4 s, without jitter and without `Retry-After`; then it has failed."""
    decisions = [decide_handshake(outcome, attempt=attempt, elements=R4_ELEMENTS) for attempt in (1, 2, 3)]
    assert [decision.wait if isinstance(decision, TryAgain) else None for decision in decisions] == [1, 4, None]
    assert isinstance(decisions[2], GiveUp)
    assert decisions[2].text.startswith("the handshake failed: ")


@pytest.mark.parametrize("status", [400, 401, 404, 408, 410, 429, 499])
def test_a_handshake_that_is_refused_with_4xx_is_over(status: int) -> None:
    """A 4xx is not asked twice, and 410 leads to error as any other."""
    decision = decide_handshake(Refused(status, "1"), attempt=1, elements=R4_ELEMENTS)
    assert isinstance(decision, GiveUp)
    assert decision.code is ErrorCode.ERROR_RESPONSE
    assert f"answered {status}" in decision.text
    assert decision.text.endswith("given up after 1 attempt")
