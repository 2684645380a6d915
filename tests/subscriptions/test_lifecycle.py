"""A subscription's life, cell by cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.codes import SubscriptionStatus
from subscriptions.lifecycle import ABSENT, Happening, State, Step, follow

NEW = State(SubscriptionStatus.REQUESTED)
ACTIVE = State(SubscriptionStatus.ACTIVE, counting=True)
PAUSED = State(SubscriptionStatus.REQUESTED, counting=True)
ERROR = State(SubscriptionStatus.ERROR, counting=True, skip=True)
RETURNING = State(SubscriptionStatus.REQUESTED, counting=True, skip=True)
NEVER_STARTED = State(SubscriptionStatus.ERROR, skip=True)
OFF = State(SubscriptionStatus.OFF, skip=True)
STARTING_AGAIN = State(SubscriptionStatus.REQUESTED, skip=True)

#: Every state that a subscription can come into, and where each happening takes it. What is not named changes nothing.
TABLE = {
    ABSENT: {Happening.WRITTEN: Step(NEW), Happening.WRITTEN_OFF: Step(OFF)},
    NEW: {
        Happening.WRITTEN_OFF: Step(OFF),
        Happening.HANDSHAKE_ACCEPTED: Step(ACTIVE, restart=True),
        Happening.HANDSHAKE_FAILED: Step(NEVER_STARTED),
        Happening.ENDED: Step(OFF),
        Happening.DELETED: Step(ABSENT),
    },
    ACTIVE: {
        Happening.WRITTEN: Step(PAUSED),
        Happening.WRITTEN_OFF: Step(OFF),
        Happening.RETRIES_EXHAUSTED: Step(ERROR),
        Happening.OVERFLOWED: Step(ERROR),
        Happening.GONE: Step(OFF),
        Happening.ENDED: Step(OFF),
        Happening.DELETED: Step(ABSENT),
    },
    PAUSED: {
        Happening.WRITTEN_OFF: Step(OFF),
        Happening.HANDSHAKE_ACCEPTED: Step(ACTIVE),
        Happening.HANDSHAKE_FAILED: Step(ERROR),
        Happening.OVERFLOWED: Step(RETURNING),
        Happening.ENDED: Step(OFF),
        Happening.DELETED: Step(ABSENT),
    },
    ERROR: {
        Happening.WRITTEN: Step(RETURNING),
        Happening.WRITTEN_OFF: Step(OFF),
        Happening.GONE: Step(OFF),
        Happening.ENDED: Step(OFF),
        Happening.DELETED: Step(ABSENT),
    },
    RETURNING: {
        Happening.WRITTEN_OFF: Step(OFF),
        Happening.HANDSHAKE_ACCEPTED: Step(ACTIVE, skip=True),
        Happening.HANDSHAKE_FAILED: Step(ERROR),
        Happening.ENDED: Step(OFF),
        Happening.DELETED: Step(ABSENT),
    },
    NEVER_STARTED: {
        Happening.WRITTEN: Step(STARTING_AGAIN),
        Happening.WRITTEN_OFF: Step(OFF),
        Happening.GONE: Step(OFF),
        Happening.ENDED: Step(OFF),
        Happening.DELETED: Step(ABSENT),
    },
    OFF: {Happening.WRITTEN: Step(STARTING_AGAIN), Happening.DELETED: Step(ABSENT)},
    STARTING_AGAIN: {
        Happening.WRITTEN_OFF: Step(OFF),
        Happening.HANDSHAKE_ACCEPTED: Step(ACTIVE, restart=True, skip=True),
        Happening.HANDSHAKE_FAILED: Step(NEVER_STARTED),
        Happening.ENDED: Step(OFF),
        Happening.DELETED: Step(ABSENT),
    },
}

happenings = st.lists(st.sampled_from(Happening), max_size=30)


@pytest.mark.parametrize(
    ("state", "happening"),
    [
        pytest.param(state, happening, id=f"{state.status}-{state.counting}-{state.skip}-{happening}")
        for state in TABLE
        for happening in Happening
    ],
)
def test_transition(state: State, happening: Happening) -> None:
    """Each happening in each state leads where the table says."""
    assert follow(state, happening) == TABLE[state].get(happening, Step(state))


@given(happenings)
def test_nothing_leads_out_of_the_table(story: list[Happening]) -> None:
    """Whatever happens in whatever order, a subscription is in one of the table's states."""
    state = ABSENT
    for happening in story:
        state = follow(state, happening).state
        assert state in TABLE


@given(happenings)
def test_only_a_handshake_activates(story: list[Happening]) -> None:
    """A subscription never comes back to active by itself, and clients cannot write it active."""
    state = ABSENT
    for happening in story:
        before, state = state, follow(state, happening).state
        if state.status is SubscriptionStatus.ACTIVE and before.status is not SubscriptionStatus.ACTIVE:
            assert happening is Happening.HANDSHAKE_ACCEPTED
            assert before.status is SubscriptionStatus.REQUESTED


@given(happenings)
def test_numbering_has_no_hole(story: list[Happening]) -> None:
    """From activation until off or deletion changes are numbered, and numbering starts only with new cursors."""
    state = ABSENT
    for happening in story:
        before, step = state, follow(state, happening)
        state = step.state
        assert step.restart == (state.counting and not before.counting)
        if before.counting and not state.counting:
            assert state.status in (None, SubscriptionStatus.OFF)


@given(happenings)
def test_what_failed_is_skipped_once(story: list[Happening]) -> None:
    """An activation skips what was not sent if and only if an error, `off` or a full backlog came before it."""
    state, failed = ABSENT, False
    for happening in story:
        before, step = state, follow(state, happening)
        state = step.state
        overflowed = happening is Happening.OVERFLOWED and state.counting
        if overflowed or state.status in (SubscriptionStatus.ERROR, SubscriptionStatus.OFF):
            failed = True
        elif state == ABSENT:
            failed = False
        if state.status is SubscriptionStatus.ACTIVE and before.status is not SubscriptionStatus.ACTIVE:
            assert step.skip == failed
            failed = False
