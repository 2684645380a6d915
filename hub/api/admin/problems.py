"""
What is wrong, worst first, and what to do: what an operator reads at three in the morning.

Nothing here looks at anything: what was found is given.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from hub.draining import OriginState, Standing
from hub.instants import instant
from hub.keeping import Kept
from hub.machinery import Working
from hub.summary import Summary
from hub.survey import Row
from subscriptions.ranges import words

#: So many are told of.
MOST = 10

#: Seconds that matching is behind, and that an event waits, from which on they are a warning, and an error: what hangs
#: is said within ten, for a look at all Subscriptions is believed for two.
BEHIND, LAG = (5.0, 60.0), (8.0, 900.0)

#: ms for which it is said that a Subscription has ended or missed something, and that a topic was changed.
HOUR = 3_600_000

#: Of the reasons for which Subscriptions are in `error`, so many beside the first one's.
REASONS = 3

#: The part of Redis' memory from which on it is a warning.
NEAR_FULL = 0.75


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What is wrong.

    action: What to do, in few words.
    link: Where in the console that is done.
    command: What does it, or shows more, from a shell; empty where the console alone does.
    """

    error: bool
    text: str
    action: str
    link: str
    command: str = ""

    @property
    def shown(self) -> dict[str, Any]:
        return {
            "severity": "error" if self.error else "warning",
            "text": self.text,
            "action": self.action,
            "link": self.link,
            "command": self.command,
        }


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
class Changed:
    """
    A topic on which Subscriptions are, and of which another version was published.

    at: ms. number: Of the version. used: How many Subscriptions are on it.
    """

    url: str
    at: int
    number: int
    retired: bool
    used: int


@dataclass(frozen=True, slots=True)
class Found:
    """
    What was found of a tenant at a time (ms).

    dropped: Events in the last hour.
    audit_lost: Entries of the audit that are left out for now.
    topics: That were changed in the last hour.
    whole: None for a tenant that isn't the hub's own.
    """

    at: int
    summary: Summary
    dropped: int
    audit_lost: int
    whole: Whole | None
    topics: tuple[Changed, ...] = ()


def problems(found: Found) -> list[Problem]:
    """At most so many; errors first, and each kind in the order of what stops most."""
    whole = found.whole
    every = [*(_of_hub(whole, found.at) if whole else ()), *_of_tenant(found)]
    return sorted(every, key=lambda problem: not problem.error)[:MOST]


def _of_hub(found: Whole, at: int) -> Iterator[Problem]:
    working, kept = found.working, found.kept
    if found.declines:
        text = f"Publishers are told to come back. {found.declines}. {found.remedy}."
        yield Problem(True, text, "See Redis and matching", "#/?at=redis", "hub doctor --bad")
    if kept.unfit:
        text = f"Publishers get 503, and nothing is stored: {kept.unfit}."
        yield Problem(True, text, "Set it right in Redis", "#/?at=redis", "hub doctor --bad")
    if kept.volatile:
        text = f"Redis may forget what it confirmed: {kept.volatile}."
        yield Problem(True, text, "Change that in Redis", "#/?at=redis", "hub doctor --bad")
    for missing, what, command, then in (
        (not working.matching, "match worker", "hub worker match", "changes are stored, and become no events"),
        (not working.delivering, "deliver worker", "hub worker deliver", "events are kept, and nothing is sent"),
        (not working.clock, "clock", "hub clock", "nothing is tried again, and nothing ends"),
    ):
        if missing:
            action = "Start one, kill what hangs, or see on stderr why it ends"
            yield Problem(True, f"No {what} is at work: {then}.", action, "#/?at=workers", command)
    if (behind := working.behind).seconds >= BEHIND[0]:
        text = f"Matching is {behind.seconds:,.0f} s behind: {behind.changes:,} changes wait."
        yield Problem(behind.seconds >= BEHIND[1], text, "See the partitions, and what matching costs", "#/index")
    if kept.used >= kept.most * NEAR_FULL and not found.declines:
        text = f"Redis uses {kept.used / kept.most:.0%} of its memory."
        yield Problem(False, text, "Give it more, or keep less", "#/?at=redis", "hub subscriptions list --lagging")
    for state in found.origins:
        if state.standing is Standing.OPEN:
            text = f"{state.origin} can't be reached: {state.failures} connections failed, {_wait(state.parked)}."
            long = state.since is not None and (at - state.since) / 1000 >= LAG[1]
            yield Problem(long and state.parked > 0, text, "See the origins", "#/origins", "hub doctor --bad")
    drained = [state for state in found.origins if state.standing is Standing.DRAINED]
    if drained:
        more = f" and {len(drained) - 1} more" if drained[1:] else ""
        text = f"Nothing is sent to {drained[0].origin}{more}: drained{_until(drained[0])}."
        command = f"hub origins resume {drained[0].origin}"
        yield Problem(False, text, "End that, if it is over", "#/origins", command)
    if found.set_aside:
        text = f"{_many(found.set_aside, 'change')} or evaluations of changes were set aside in the last hour."
        yield Problem(False, text, "See the log: change.set-aside, subscription.broken", "#/")


def _of_tenant(found: Found) -> Iterator[Problem]:
    summary = found.summary
    apart = _apart(found.whole)
    if failed := summary.in_error:
        kept = sum(row.undelivered for row in failed)
        text = f"{_many(len(failed), 'Subscription')} in `error`"
        text += f", and {_many(kept, 'event')} kept for them and not sent" if kept else ""
        action, link = "See them, and resume", "#/subscriptions?status=error"
        was_active, why = any(row.events for row in failed), f"{_why(failed[0])}{_why_others(failed)}"
        yield Problem(was_active, f"{text}. {why}", action, link, "hub subscriptions list --status error")
    if failing := [row for row in summary.failing if row.wanted.origin not in apart]:
        waiting = sum(row.undelivered for row in failing)
        wait = f"{_many(waiting, 'event')} wait{'s' if waiting == 1 else ''}"
        text = f"Attempts to tell {_many(len(failing), 'Subscription')} fail, and {wait}"
        yield _about(failing[0], _waited(failing[0], found.at) >= LAG[1], f"{text}. {_why(failing[0])}")
    if found.dropped:
        text = f"{_many(found.dropped, 'event')} dropped in the last hour before they could be sent."
        yield Problem(True, text, "See whose", "#/withheld")
    if missing := [row for row in summary.missing if found.at - row.updated < HOUR]:
        missed = sum(len(each) for row in missing for each in row.missed)
        last = missing[0]
        text = (
            f"{_many(len(missing), 'Subscription')} became active again in the last hour, and"
            f" {_many(missed, 'event')} missed before not sent since. Subscription/{last.key.id}, told at"
            f" {last.wanted.origin}: {words(last.missed)}."
        )
        action = "Send them, unless they were fetched"
        yield Problem(False, text, action, "#/withheld", "hub subscriptions resume --all --resend")
    row = next((row for row in summary.waiting if row.wanted.origin not in apart), None)
    if row and (seconds := _waited(row, found.at)) >= LAG[0]:
        text = f"An event has waited for {seconds:,.0f} s: Subscription/{row.key.id}, told at {row.wanted.origin}."
        yield _about(row, seconds >= LAG[1], text)
    if ended := [row for row in summary.ended if found.at - row.updated < HOUR]:
        text = f"{_many(len(ended), 'Subscription')} ended in the last hour. {_why(ended[0])}"
        link = "#/subscriptions?status=off"
        yield Problem(False, text, "Ask its owner, or resume", link, "hub subscriptions list --status off")
    for topic in found.topics:
        on = f"{_many(topic.used, 'Subscription')} {'is' if topic.used == 1 else 'are'} on it"
        then = "and may be told of less now, or of more" if not topic.retired else "and it takes no new ones"
        how = "retired" if topic.retired else "changed"
        text = f"Topic {topic.url} was {how} at {instant(topic.at):%H:%M} UTC (version {topic.number}): {on}, {then}."
        yield Problem(False, text, "See whether that was meant", "#/topics", f"hub topics {quote(topic.url)}")
    if found.audit_lost:
        text = f"The audit is full: {_many(found.audit_lost, 'entry', 'entries')} left out."
        yield Problem(False, text, "Raise HUB_AUDIT_ENTRIES, or lower HUB_AUDIT_DAYS", "#/")


def _apart(whole: Whole | None) -> frozenset[str]:
    """Origins of which a line of their own says why what is for them waits."""
    told = (Standing.OPEN, Standing.DRAINED)
    return frozenset(state.origin for state in whole.origins if state.standing in told) if whole else frozenset()


def _about(row: Row, error: bool, text: str) -> Problem:
    name = f"{row.key.version}/{row.key.id}"
    return Problem(error, text, "See why", f"#/subscriptions/{name}", f"hub subscriptions show {name}")


def _waited(row: Row, at: int) -> float:
    """Seconds; 0 where nothing waits."""
    return 0 if row.oldest_at is None else (at - row.oldest_at) / 1000


def _why(row: Row) -> str:
    """In a sentence of its own."""
    return f"Subscription/{row.key.id}, told at {row.wanted.origin}: {row.error.rstrip('.') or 'it does not say why'}."


def _why_others(rows: Sequence[Row]) -> str:
    """The reasons that are not the first one's, most frequent first; in a sentence of its own."""
    reasons = Counter(row.error.rstrip(".") for row in rows if row.error.rstrip(".") != rows[0].error.rstrip("."))
    some = "; ".join(f"{why or 'it does not say why'} ({count:,})" for why, count in reasons.most_common(REASONS))
    return f" Others: {some}." if some else ""


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _wait(parked: int) -> str:
    return f"{_many(parked, 'Subscription')} wait{'s' if parked == 1 else ''} for it"


def _until(state: OriginState) -> str:
    """Until when, and by whom, as far as it is known."""
    ends = "" if state.until is None else f" until {instant(state.until):%Y-%m-%d %H:%M} UTC"
    return f"{ends}, by {state.by}" if state.by else ends
