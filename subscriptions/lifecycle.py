"""
A subscription's life: `requested`, `active`, `error`, `off`, and what each step means for its event numbers.

                    accepted                  retries exhausted, or the backlog is full
    requested ---------------------> active ---------------------> error        410, `end` or a client's `off`
     |   ^  ^                          |                           ^   |        lead to `off` from anywhere, and a
     |   |  +--------- written --------+                           |   |        write from there to `requested`
     |   +------------ written ----------------------------------- | --+
     +---------------- handshake failed ---------------------------+

The status alone does not say whether changes are numbered: `requested` may be new, or active until just now. Hence two
flags beside it. The atomic scripts keep the same three fields and mirror `follow`.
The rules: https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/ (workflow, channels, errors).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from subscriptions.codes import SubscriptionStatus


@dataclass(frozen=True, slots=True)
class State:
    """
    Where a subscription stands.

    status: In force, as clients see it; None: never created, or deleted.
    counting: Matching changes get numbers: from the first activation until `off`, whether they are sent or not, so
        that the subscriber can see a gap.
    skip: The next activation leaves behind what was numbered and not sent: the subscriber asks for it with `$events`.
    """

    status: SubscriptionStatus | None
    counting: bool = False
    skip: bool = False


ABSENT = State(None)


class Happening(StrEnum):
    """What can happen to a subscription."""

    #: A client created or updated it with status `requested` or `active`.
    WRITTEN = "written"
    #: A client created or updated it with status `off`.
    WRITTEN_OFF = "written-off"
    HANDSHAKE_ACCEPTED = "handshake-accepted"
    HANDSHAKE_FAILED = "handshake-failed"
    RETRIES_EXHAUSTED = "retries-exhausted"
    #: The endpoint answered 410 to anything but a handshake.
    GONE = "gone"
    #: Its `end` is reached, or an operator turned it off.
    ENDED = "ended"
    #: There is no room for what comes: it is numbered and dropped.
    OVERFLOWED = "overflowed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Step:
    """
    What follows from a happening.

    restart: Numbering starts with the changes that come from now on: set the cursors to the streams' ends.
    skip: Set `delivered` to `events`, and record the range between them as skipped.
    """

    state: State
    restart: bool = False
    skip: bool = False


def follow(state: State, happening: Happening) -> Step:
    """
    Say what a happening makes of a subscription. What does not concern it in this state changes nothing.

    Event notifications and heartbeats go out in `active` alone, and a handshake is owed after each `requested`; so a
    change that was numbered while a client's update waited for its handshake is sent after it, unless an `error` came
    between. A heartbeat is given up like an event: `RETRIES_EXHAUSTED`, `GONE`.
    """
    waiting = state.status is SubscriptionStatus.REQUESTED
    active = state.status is SubscriptionStatus.ACTIVE
    match happening:
        case Happening.WRITTEN:
            return Step(State(SubscriptionStatus.REQUESTED, state.counting, state.skip))
        case Happening.HANDSHAKE_ACCEPTED if waiting:
            return Step(State(SubscriptionStatus.ACTIVE, counting=True), restart=not state.counting, skip=state.skip)
        case Happening.HANDSHAKE_FAILED if waiting:
            return Step(State(SubscriptionStatus.ERROR, state.counting, skip=True))
        case Happening.RETRIES_EXHAUSTED if active:
            return Step(State(SubscriptionStatus.ERROR, state.counting, skip=True))
        case Happening.OVERFLOWED if state.counting:
            return Step(State(SubscriptionStatus.ERROR if active else state.status, state.counting, skip=True))
        case Happening.GONE if active or state.status is SubscriptionStatus.ERROR:
            return Step(State(SubscriptionStatus.OFF, skip=True))
        case Happening.ENDED if state != ABSENT:
            return Step(State(SubscriptionStatus.OFF, skip=True))
        case Happening.WRITTEN_OFF:
            return Step(State(SubscriptionStatus.OFF, skip=True))
        case Happening.DELETED:
            return Step(ABSENT)
        case (
            Happening.HANDSHAKE_ACCEPTED
            | Happening.HANDSHAKE_FAILED
            | Happening.RETRIES_EXHAUSTED
            | Happening.GONE
            | Happening.ENDED
            | Happening.OVERFLOWED
        ):
            return Step(state)
    assert_never(happening)
