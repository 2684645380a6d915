"""
What is wrong, worst first, and what to do: what an operator reads at three in the morning.

Nothing here looks at anything: what was found is given.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.draining import OriginState, Standing
from hub.keeping import Kept
from hub.machinery import Working
from hub.summary import Summary

#: So many are told of.
MOST = 10

#: Seconds that matching is behind, and that an event waits, from which on they are a warning, and an error.
BEHIND, LAG = (5.0, 60.0), (60.0, 900.0)

#: The part of Redis' memory from which on it is a warning.
NEAR_FULL = 0.75


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What is wrong.

    action: What to do, in few words.
    link: Where in the console that is done.
    """

    error: bool
    text: str
    action: str
    link: str

    @property
    def shown(self) -> dict[str, Any]:
        severity = "error" if self.error else "warning"
        return {"severity": severity, "text": self.text, "action": self.action, "link": self.link}


@dataclass(frozen=True, slots=True)
class Whole:
    """
    What was found of the whole hub.

    declines, remedy: Why nothing more is stored, and what to do; empty if it is.
    set_aside: Changes and evaluations in the last hour.
    """

    working: Working
    kept: Kept
    origins: tuple[OriginState, ...]
    declines: str
    remedy: str
    set_aside: int


@dataclass(frozen=True, slots=True)
class Found:
    """
    What was found of a tenant at a time (ms).

    dropped: Events in the last hour.
    audit_lost: Entries of the audit that are left out for now.
    whole: None for a tenant that isn't the hub's own.
    """

    at: int
    summary: Summary
    dropped: int
    audit_lost: int
    whole: Whole | None


def problems(found: Found) -> list[Problem]:
    """At most so many; errors first, and each kind in the order of what stops most."""
    every = [*(_of_hub(found.whole) if found.whole else ()), *_of_tenant(found)]
    return sorted(every, key=lambda problem: not problem.error)[:MOST]


def _of_hub(found: Whole) -> Iterator[Problem]:
    working, kept = found.working, found.kept
    if found.declines:
        yield Problem(
            True,
            f"Publishers are told to come back. {found.declines}. {found.remedy}.",
            "See Redis and matching",
            "#/?at=redis",
        )
    if kept.volatile:
        yield Problem(True, f"Redis may forget what it confirmed: {kept.volatile}.", "See Redis", "#/?at=redis")
    for missing, what, then in (
        (not working.matching, "match worker", "changes are stored, and become no events"),
        (not working.delivering, "deliver worker", "events are kept, and nothing is sent"),
        (not working.clock, "clock", "nothing is tried again, and nothing ends"),
    ):
        if missing:
            yield Problem(True, f"No {what} runs: {then}.", "Start one", "#/?at=workers")
    if (behind := working.behind).seconds >= BEHIND[0]:
        text = f"Matching is {behind.seconds:,.0f} s behind: {behind.changes:,} changes wait."
        yield Problem(behind.seconds >= BEHIND[1], text, "See the partitions, and what matching costs", "#/index")
    if kept.used >= kept.most * NEAR_FULL and not found.declines:
        text = f"Redis uses {kept.used / kept.most:.0%} of its memory."
        yield Problem(False, text, "Give it more, or keep less", "#/?at=redis")
    for state in found.origins:
        if state.standing is Standing.OPEN:
            text = f"{state.origin} can't be reached: {state.failures} connections failed, {_wait(state.parked)}."
            yield Problem(False, text, "See the origins", "#/origins")
    drained = [state.origin for state in found.origins if state.standing is Standing.DRAINED]
    if drained:
        more = f" and {len(drained) - 1} more" if drained[1:] else ""
        yield Problem(False, f"Nothing is sent to {drained[0]}{more}: drained.", "See the origins", "#/origins")
    if found.set_aside:
        text = f"{_many(found.set_aside, 'change')} or evaluations of changes were set aside in the last hour."
        yield Problem(False, text, "See the log: change.set-aside", "#/")


def _of_tenant(found: Found) -> Iterator[Problem]:
    summary = found.summary
    failed, kept = summary.in_error
    if failed:
        text = f"{_many(failed, 'Subscription')} in `error`, and {_many(kept, 'event')} kept for them and not sent."
        yield Problem(True, text, "See them, and resume", "#/subscriptions?status=error")
    if found.dropped:
        text = f"{_many(found.dropped, 'event')} dropped in the last hour before they could be sent."
        yield Problem(True, text, "See whose", "#/withheld")
    if (waiting := summary.waiting) and waiting.oldest_at is not None:
        seconds = (found.at - waiting.oldest_at) / 1000
        if seconds >= LAG[0]:
            text = f"An event has waited for {seconds:,.0f} s: Subscription/{waiting.key.id}."
            link = f"#/subscriptions/{waiting.key.version}/{waiting.key.id}"
            yield Problem(seconds >= LAG[1], text, "See why", link)
    if found.audit_lost:
        text = f"The audit is full: {_many(found.audit_lost, 'entry', 'entries')} left out."
        yield Problem(False, text, "Raise HUB_AUDIT_ENTRIES, or lower HUB_AUDIT_DAYS", "#/")


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _wait(parked: int) -> str:
    return f"{_many(parked, 'Subscription')} wait{'s' if parked == 1 else ''} for it"
