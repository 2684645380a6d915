"""What publishers and subscribers have in their logs, added up for some moment."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.faults.agreement import Between
from tests.faults.logbook import Entry, Subscriber
from tests.faults.written import Publisher, Write

#: Events that may wait for one subscription; the ms that the hub may take to say what happened.
BACKLOG, LATE = 60, 6_000


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What one subscriber has to do with, by both sides' logs.

    id: Of its Subscription.
    active: When it was active, in ms.
    """

    subscriber: Subscriber
    id: str
    active: int

    @property
    def path(self) -> str:
        return f"/admin/subscriptions/{self.subscriber.version}/{self.id}"


@dataclass(frozen=True, slots=True)
class Moment:
    """
    The logs as they were at some time.

    since, until: ms. What happened before the first must be told of, what happened after the second can't be.
    """

    publishers: list[Publisher]
    seen: list[Seen]
    since: int
    until: int

    @property
    def over(self) -> bool:
        """Nothing happens any more: each figure is one number."""
        return self.since == self.until

    def writes(self, until: int, *, acknowledged: bool) -> Iterator[Write]:
        """What was stored and acknowledged by then; or what may have been stored."""
        for publisher in self.publishers:
            for write in publisher.log:
                if write.stored and (write.acknowledged if acknowledged else write.sent) <= until:
                    yield write

    def concerning(self, of: Seen, until: int, *, acknowledged: bool) -> list[Write]:
        """The same of what one Subscription is about."""
        wanted = of.subscriber
        return [
            write
            for write in self.writes(until, acknowledged=acknowledged)
            if write.fhir == wanted.version and wanted.patient in ("", write.patient) and write.sent >= of.active
        ]

    def stored(self, interaction: str = "") -> Between:
        low, high = (
            sum(interaction in ("", each.interaction) for each in self.writes(at, acknowledged=acknowledged))
            for at, acknowledged in ((self.since, True), (self.until, False))
        )
        return Between(low, high)

    def events(self, of: Seen) -> Between:
        low = len(self.concerning(of, self.since, acknowledged=True))
        return Between(low, len(self.concerning(of, self.until, acknowledged=False)))

    def delivered(self, of: Seen) -> Between:
        """The highest number that needs no sending any more."""
        who = of.subscriber
        low, high = (max(who.told(who.over(at)), default=0) for at in (self.since, self.until))
        if who.name == "broken" and not self.over:  # what it has missed is passed by some time
            high = int(self.events(of).high)
        return Between(low, high)

    def undelivered(self, of: Seen) -> Between:
        events, delivered = self.events(of), self.delivered(of)
        return Between(max(0, events.low - delivered.high), max(0, events.high - delivered.low))

    def dropped(self, of: Seen) -> Between:
        """What found no room in its backlog."""
        if of.subscriber.name != "kept":
            return Between(0, 0)
        waits = self.undelivered(of)
        return Between(max(0, waits.low - BACKLOG), max(0, waits.high - BACKLOG))

    def skipped(self, of: Seen) -> Between:
        """What it never accepted, and is past."""
        if of.subscriber.name != "broken":
            return Between(0, 0)
        if not self.over:
            return Between(0, self.events(of).high)
        missed = set(range(1, int(self.delivered(of).high) + 1)) - of.subscriber.told(iter(of.subscriber.log))
        return Between(len(missed), len(missed))

    def accepted(self, of: Seen) -> Between:
        """The events that it has accepted."""
        low, high = (len(of.subscriber.told(of.subscriber.over(at))) for at in (self.since, self.until))
        return Between(low, high)

    def attempts(self, of: Seen) -> Between:
        """Requests that are over; and those that were refused a connection, which only their makers have seen."""
        refused = 60 * len(of.subscriber.closed)
        low, high = (len(list(of.subscriber.over(at))) for at in (self.since, self.until))
        return Between(low, high + refused)

    def tried(self) -> dict[tuple[str, str], Between]:
        """All attempts by kind and outcome, without those that were refused a connection."""
        low, high = (
            Counter((each.kind, each.outcome) for of in self.seen for each in of.subscriber.over(at))
            for at in (self.since, self.until)
        )
        return {place: Between(low[place], high[place]) for place in high}

    def total(self, figures: Iterable[Between]) -> Between:
        each = list(figures)
        return Between(sum(one.low for one in each), sum(one.high for one in each))

    def status(self, of: Seen) -> str:
        """In the end."""
        return {"kept": "error", "gone": "off"}.get(of.subscriber.name, "active")


def last_failures(of: Seen) -> list[Entry]:
    """The requests that failed after the last one that it accepted."""
    found: list[Entry] = []
    for each in of.subscriber.log:
        found = [] if each.accepted else [*found, each]
    return found
