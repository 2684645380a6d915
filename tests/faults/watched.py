"""What overview, history and live stream must have, by what publishers and subscribers have in their logs."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil, inf
from typing import Any

from hub.families import BUCKETS
from subscriptions.codes import SubscriptionStatus
from tests.faults.agreement import ANYTHING, At, Between, Expected, Fits, Says, differences, ms
from tests.faults.figures import row, statuses
from tests.faults.ledger import APART, LATE, Moment, Seen, Trip

#: ms by which a span that was counted may begin or end at another time than it says: processes tell once a second.
EDGE = 4_000

#: What is told by the second.
#: What may be said of it, or not: it passes.
FOR_NOW = "has waited for|^Attempts to tell"

RATES = ("stored", "owed", "delivered", "attempts", "failed")

Point = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Happened:
    """When each thing happened, in ms, rising."""

    stored: list[int]
    delivered: list[int]
    attempts: list[int]
    failed: list[int]
    trips: list[tuple[int, Trip]]

    @classmethod
    def of(cls, at: Moment) -> "Happened":
        tried = [(ended, each.accepted) for who in at.seen for ended, each in who.subscriber.ended()]
        tried += [(ms(each["at"]), False) for who in at.seen for each in who.refused]
        return cls(
            sorted(each.acknowledged for each in at.writes(at.until, acknowledged=True)),
            sorted(when for when, _ in at.arrivals()),
            sorted(when for when, _ in tried),
            sorted(when for when, accepted in tried if not accepted),
            sorted(at.arrivals(), key=lambda each: each[0]),
        )


def within(times: list[int], began: float, ended: float) -> Between:
    """How many there were, where neither end is known to better than EDGE."""
    low = bisect_left(times, ended - EDGE) - bisect_left(times, began + EDGE)
    return Between(max(0, low), bisect_left(times, ended + EDGE) - bisect_left(times, began - EDGE))


def point(shown: Point, seconds: float, happened: Happened) -> dict[str, Expected]:
    """One of the history, or of the stream: what happened in so many seconds until its time."""
    ended = ms(shown["at"])
    return {
        "at": ANYTHING,
        **rates(ended, seconds, happened),
        **percentiles(ended, seconds, happened),
        "behindSeconds": Between(0, LATE / 1000),
        "unmatched": Between(0, len(happened.stored)),
    }


def rates(ended: int, seconds: float, happened: Happened) -> dict[str, Expected]:
    def rate(times: list[int]) -> Between:
        many = within(times, ended - seconds * 1000, ended)
        return Between(many.low / (seconds + 0.6) - 0.01, many.high / max(seconds - 0.6, 0.5) + 0.01)

    each = {name: rate(getattr(happened, name)) for name in ("stored", "delivered", "attempts", "failed")}
    return {**each, "owed": Between(0, inf)}


def percentiles(ended: int, seconds: float, happened: Happened) -> dict[str, Expected]:
    """To the bucket in which they are; None where there can have been nothing."""
    times = [when for when, _ in happened.trips]
    first = bisect_left(times, ended - seconds * 1000 - EDGE)
    last = bisect_left(times, ended + EDGE)
    possible = [trip for _, trip in happened.trips[first:last]]
    sure = within(times, ended - seconds * 1000, ended).low
    exact = sure == len(possible)
    found: dict[str, Expected] = {}
    for percent in (50, 95, 99):
        if not possible:
            found[f"p{percent}"] = None
            continue
        at = percent if exact else 0
        low = bucket_of(_percentile(sorted(each.least for each in possible), at))[0]
        high = bucket_of(_percentile(sorted(each.most for each in possible), percent if exact else 100))[1]
        found[f"p{percent}"] = _or_none(Between(low * 1000, high * 1000), known=sure > 0)
    return found


def _or_none(figure: Between, *, known: bool) -> Expected:
    def holds(shown: Any) -> bool:
        return shown is None or figure.holds(shown)

    return figure if known else Fits(f"None or {figure}", holds)


def _percentile(rising: list[float], percent: float) -> float:
    return rising[max(ceil(len(rising) * percent / 100) - 1, 0)]


def bucket_of(seconds: float) -> tuple[float, float]:
    """The bounds between which a time is told."""
    place = bisect_left(BUCKETS, seconds)
    return (BUCKETS[place - 1] if place else 0.0), (BUCKETS[place] if place < len(BUCKETS) else BUCKETS[-1])


def summary(at: Moment) -> dict[str, Expected]:
    """The Subscriptions in a few numbers."""
    late = lagging(at)
    waiting = at.total(map(at.undelivered, late))
    found = {
        "lagging": len(late),
        "undelivered": waiting,
        "dropped": at.total(map(at.dropped, at.seen)),
        "skipped": at.total(map(at.skipped, at.seen)),
        "missed": at.total(map(at.skipped, at.seen)),  # nothing is sent once more
    }
    if not at.over:
        some = dict.fromkeys(map(str, SubscriptionStatus), Between(0, len(at.seen)))
        most = Between(waiting.low, at.total(map(at.undelivered, at.seen)).high)  # one goes off in the end
        return {**found, **some, "lagging": Between(0, len(at.seen)), "undelivered": most, "oldest": ANYTHING}
    first = late[0]
    oldest = {"version": first.subscriber.version, "id": first.id, "at": row(at, first)["oldestAt"]}
    return {**found, **statuses(at), "oldest": oldest}


def lagging(at: Moment) -> list[Seen]:
    """For whom events wait, whoever has waited longest first."""
    late = [each for each in at.seen if at.undelivered(each).high and at.status(each) != "off"]
    return sorted(late, key=lambda each: row(at, each)["oldestAt"]) if at.over else late


def overview(shown: dict[str, Any], at: Moment) -> dict[str, Expected]:
    happened, ended = Happened.of(at), ms(shown["at"])
    lately: dict[str, Expected] = {"seconds": ANYTHING, **dict.fromkeys(RATES, Between(0, inf))}
    latency: dict[str, Expected] = dict.fromkeys(("seconds", "count", "p50", "p95", "p99"), ANYTHING)
    if at.over:
        seconds, minute = shown["rates"]["seconds"], shown["latency"]["seconds"]
        lately = {"seconds": Between(0, 25), **rates(ended, seconds, happened)}
        count = within([when for when, _ in happened.trips], ended - minute * 1000, ended)
        latency = {"seconds": Between(0, 75), "count": count, **percentiles(ended, minute, happened)}
    tried = at.tried()
    accepted = at.total(figure for (_, outcome), figure in tried.items() if outcome == "accepted")
    failed = at.total(figure for (_, outcome), figure in tried.items() if outcome != "accepted")
    late = lagging(at)
    return {
        "at": At(at.until - LATE, at.until + APART),
        "tenant": "default",
        "release": version("fhir-event-hub"),
        "rates": lately,
        "latency": latency,
        "totals": {
            "stored": at.stored(),
            "matched": at.stored(),
            "owed": at.total(map(at.events, at.seen)),
            "delivered": at.total(map(at.accepted, at.seen)),
            "notifications": accepted,
            "attempts": at.total([accepted, failed]),
            "failed": failed,
            "withheld": 0,
            "dropped": at.total(map(at.dropped, at.seen)),
            "setAside": 0,
        },
        "subscriptions": {**summary(at), "worst": [row(at, each) for each in late[:10]] if at.over else ANYTHING},
        "matching": _matching(at),
        "workers": [
            {"kind": "match", "name": Says("."), "partitions": [0, 1, 2, 3]},
            {"kind": "deliver", "name": Says(".")},
            {"kind": "clock", "name": Says(".")},
        ],
        "leases": 0 if at.over else Between(0, len(at.seen)),
        "origins": origins(at) if at.over else ANYTHING,
        "redis": _redis(),
        "transactions": 0,
        "erasures": 0,
        "declines": None,
        "problems": Fits("what is wrong", lambda told: not list(_problems(told, at))) if at.over else ANYTHING,
    }


def _matching(at: Moment) -> dict[str, Expected]:
    behind: dict[str, Expected] = {"behindSeconds": 0, "unmatched": 0}
    if not at.over:
        behind = {"behindSeconds": Between(0, LATE / 1000), "unmatched": Between(0, at.stored().high)}
    return {**behind, "partitions": [{"number": each, **behind, "matcher": Says(".")} for each in range(4)]}


def _redis() -> dict[str, Expected]:
    return {
        "version": Says(r"^\d+\.\d"),
        "usedBytes": Between(100_000, inf),
        "maxBytes": Between(100_000, inf),
        "policy": "noeviction",
        "appendonly": True,
        "fsync": "always",
        "volatile": None,
        "appendBytes": Between(1, inf),
    }


def origins(at: Moment) -> list[Expected]:
    """The one that was drained, for which its only Subscription waits."""
    return [
        {
            "origin": each.subscriber.origin,
            "state": "drained",
            "since": At(each.active, at.until),
            "failures": 0,
            "probeAt": None,
            "parked": 1,
            "until": At(at.until, inf),
            "by": "anonymous",
        }
        for each in at.seen
        if each.subscriber.name == "drained"
    ]


def _problems(told: list[Any], at: Moment) -> Iterator[str]:
    """The worst first; by then an event may have waited for some time, or attempts fail, too."""
    kept = next(each for each in at.seen if each.subscriber.name == "kept")
    waiting = int(at.undelivered(kept).high)
    texts = [
        ("error", f"^1 Subscription in `error`, and {waiting} events kept for them"),
        ("error", f"^{int(at.dropped(kept).high)} events dropped in the last hour"),
        ("warning", f"^Nothing is sent to {origins(at)[0]['origin']}"),
        ("warning", "^1 Subscription became active again"),
        ("warning", "^1 Subscription ended in the last hour.*410"),
    ]
    expected = [
        {"severity": each, "text": Says(text), "action": Says("."), "link": Says("^#/"), "command": Says("^(hub |$)")}
        for each, text in texts
    ]
    yield from differences([each for each in told if not re.search(FOR_NOW, each["text"])], expected)


def sums(points: Iterable[Point], seconds: Callable[[Point, Point | None], float]) -> dict[str, float]:
    """What rates of points, one behind the other, add up to."""
    found, before = Counter[str](), None
    for each in points:
        for name in RATES:
            found[name] += each[name] * seconds(each, before)
        before = each
    return dict(found)


def added_up(points: list[Point], step: float, at: Moment, rounding: float) -> Iterator[str]:
    """Whether all points together are all that happened. `rounding`: Of each point's rates, in all."""
    shown = sums(points, lambda each, before: (ms(each["at"]) - ms(before["at"])) / 1000 if before else step)
    tried = at.tried()
    wanted = {
        "stored": at.stored(),
        "owed": at.total(map(at.events, at.seen)),
        "delivered": at.total(map(at.accepted, at.seen)),
        "attempts": at.total(figure for (kind, _), figure in tried.items() if kind == "events"),
        "failed": at.total(figure for (_, outcome), figure in tried.items() if outcome != "accepted"),
    }
    handshakes = sum(figure.high for (kind, _), figure in tried.items() if kind == "handshake")
    for name, figure in wanted.items():
        more = handshakes if name == "attempts" else 0
        ok = Between(figure.low - rounding, figure.high + more + rounding)
        yield from differences(round(shown[name], 2), ok, f"all points' {name}")


def tallied(told: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How often each step was told of, by whose it was and what came of it."""
    found = Counter[str]()
    for each in told:
        match each["step"]:
            case "change.stored" | "change.matched":
                found[f"{each['step']} {each['resource']} {each['number']}"] += 1
            case "delivery.attempted" if each["kind"] == "events":
                id_ = each["subscription"].split("/")[2]
                found[f"attempted {id_} {each['first_event']}-{each['last_event']} {each['outcome']}"] += 1
            case "left-out":
                found["left-out"] += each["steps"]
    return dict(found)


def steps(at: Moment) -> dict[str, int]:
    """The same by the logs."""
    found = Counter[str]()
    for each in at.writes(at.until, acknowledged=True):
        for step in ("change.stored", "change.matched"):
            found[f"{step} default/{each.fhir}/Immunization/{each.id} {each.number}"] += 1
    for of in at.seen:
        for entry in of.subscriber.over(at.until):
            if entry.kind == "events":
                numbers = entry.received.numbers
                found[f"attempted {of.id} {numbers[0]}-{numbers[-1]} {entry.outcome}"] += 1
        for tried in of.refused:
            found[f"attempted {of.id} {tried['firstEvent']}-{tried['lastEvent']} unreachable"] += 1
    return dict(found)
