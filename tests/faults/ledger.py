"""What publishers and subscribers have in their logs, added up for some moment."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.faults.agreement import Between, ms
from tests.faults.logbook import Entry, Subscriber
from tests.faults.written import Publisher, Write

#: Events that may wait for one subscription; the ms that the hub may take to say what happened.
BACKLOG, LATE = 90, 9_000

#: ms by which an instant may be off that both sides note, on a machine that is busy.
APART = 4_000

#: Attempts that an endpoint refuses a connection while it is away, at most.
MOST_REFUSED = 20

#: ms within which the hub notices an answer, on a machine that is busy.
NOTICED = 3_000


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What one subscriber has to do with, by both sides' logs.

    id: Of its Subscription.
    active: When it was active, in ms.
    events: By number, as the hub tells of them at the end; they are held against the logs first.
    refused: Attempts that were refused a connection, which nobody has seen but the hub: they are from when they were.
    told: The steps `delivery.attempted` of the live stream, by the first and last number and the outcome, in order;
        they are held against the logs as well.
    """

    subscriber: Subscriber
    id: str
    active: int
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    refused: list[dict[str, Any]] = field(default_factory=list)
    told: defaultdict[tuple[int, int, str], list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def path(self) -> str:
        return f"/admin/subscriptions/{self.subscriber.version}/{self.id}"


@dataclass(frozen=True, slots=True)
class Trip:
    """Between how many seconds something took, as those who were at its ends know."""

    least: float
    most: float


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

    def behind(self, of: Seen) -> Between:
        """The events from the last one on that needs no sending any more."""
        events, delivered = self.events(of), self.delivered(of)
        return Between(max(0, events.low - delivered.high), max(0, events.high - delivered.low))

    def undelivered(self, of: Seen) -> Between:
        """Those of them that wait."""
        behind, dropped = self.behind(of), self.dropped(of)
        return Between(max(0, behind.low - dropped.high), behind.high - dropped.low)

    def dropped(self, of: Seen) -> Between:
        """What found no room in its backlog."""
        if of.subscriber.name != "kept":
            return Between(0, 0)
        behind = self.behind(of)
        return Between(max(0, behind.low - BACKLOG), max(0, behind.high - BACKLOG))

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

    def tried(self) -> dict[tuple[str, str], Between]:
        """All attempts by kind and outcome."""
        low, high = (
            Counter((each.kind, each.outcome) for of in self.seen for each in of.subscriber.over(at))
            for at in (self.since, self.until)
        )
        for of in self.seen:
            low["events", "unreachable"] += len(of.refused)
            high["events", "unreachable"] += len(of.refused) if self.over else MOST_REFUSED * len(of.subscriber.closed)
        return {place: Between(low[place], high[place]) for place in high}

    def trips(self) -> list[Trip]:
        return [trip for _, trip in self.arrivals()]

    def arrivals(self) -> list[tuple[int, Trip]]:
        """When each event was accepted first, in ms; and the way there, from its change's being stored."""
        found = list[tuple[int, Trip]]()
        if not self.over:
            return found
        for of in self.seen:
            first: dict[int, Entry] = {}
            for each in of.subscriber.log:
                if each.accepted:
                    first.update({number: each for number in each.received.numbers if number not in first})
            for number, each in first.items():
                stored = ms(of.events[number]["at"])
                noticed = of.told[each.received.numbers[0], each.received.numbers[-1], "accepted"]
                assert each.answered is not None
                least, most = each.answered - stored - 1, (noticed[0]["at"] if noticed else each.answered) - stored + 1
                found.append((each.answered, Trip(max(0, least) / 1000, max(0, most) / 1000)))
        return found

    def lasted(self) -> list[Trip]:
        """The requests that are over, from their coming to their answer; and those that were refused a connection."""
        found = [Trip(0, NOTICED / 1000) for of in self.seen for _ in of.refused]
        for of in self.seen:
            again = Counter[tuple[int, int, str]]()
            for ended, each in of.subscriber.ended():
                numbers, most = each.received.numbers or [0], ended - each.at + NOTICED
                place = numbers[0], numbers[-1], each.outcome
                if len(of.told[place]) > again[place]:
                    most = of.told[place][again[place]]["milliseconds"] + 1
                again[place] += 1
                found.append(Trip(max(0, ended - each.at - 2) / 1000, most / 1000))
        return found

    def oldest(self, of: Seen) -> int:
        """When the event happened that has waited longest."""
        return self.written(of, int(self.delivered(of).high) + 1).acknowledged

    def written(self, of: Seen, number: int) -> Write:
        """What was written that got this number, as the hub tells it; that was held against the logs before."""
        event, (publisher,) = (
            of.events[number],
            (each for each in self.publishers if each.fhir == of.subscriber.version),
        )
        return publisher.made[event["id"], event["versionId"]]

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
