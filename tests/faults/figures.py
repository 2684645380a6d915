"""What each figure must be, by what publishers and subscribers have in their logs."""

from collections import Counter
from typing import Any

from subscriptions.codes import SubscriptionStatus
from tests.faults.agreement import ANYTHING, At, Between, Expected, Fits, Says, ms
from tests.faults.ledger import APART, BACKLOG, Moment, Seen, last_failures
from tests.faults.logbook import Entry, Subscriber
from tests.faults.written import Write
from tests.processes import TOPIC

#: Whoever writes where clients are not told apart.
OWNER = "anonymous"


def row(at: Moment, of: Seen) -> dict[str, Expected]:
    """How a Subscription stands."""
    who, failed = of.subscriber, last_failures(of) if at.over else []
    pending = who.name == "stuck" and bool(failed)
    waits = at.over and at.undelivered(of).high > 0
    oldest: Expected = ANYTHING
    if at.over and (not waits or who.name == "gone"):
        oldest = None
    elif at.over:
        oldest = of.events[int(at.delivered(of).high) + 1]["at"]
    last = who.log[-1] if at.over else None
    return {
        "version": who.version,
        "id": of.id,
        "owner": OWNER,
        "topic": TOPIC.format("immunization"),
        "origin": who.origin,
        "content": who.options.get("content", "id-only"),
        "status": at.status(of) if at.over else Fits("a status", lambda shown: shown in list(SubscriptionStatus)),
        "events": at.events(of),
        "delivered": at.delivered(of),
        "undelivered": at.undelivered(of),
        "oldestAt": oldest,
        "dropped": at.dropped(of),
        "skipped": at.skipped(of),
        "attempt": (len(failed) if pending else 0) if at.over else Between(0, 10),
        "nextAt": (At(*_next(failed[-1])) if pending else None) if at.over else ANYTHING,
        "failing": pending if at.over else Fits("a flag", lambda shown: isinstance(shown, bool)),
        "error": _error(who.name) if at.over else ANYTHING,
        "code": ANYTHING if not at.over else _code(who.name),
        "outcome": _outcome(last) if last else ANYTHING,
        "outcomeAt": At(last.answered, last.answered + APART) if last and last.answered else ANYTHING,
        "updated": At(of.active - 5_000, at.until + APART),
    }


def _next(failed: Entry) -> tuple[float, float]:
    """The second wait of `stuck` is ten minutes, and up to a tenth of it."""
    assert failed.answered is not None
    return failed.answered + 600_000, failed.answered + 660_000 + APART


def _error(name: str) -> Expected:
    match name:
        case "kept":
            return Says("500|its backlog is full")
        case "gone":
            return Says("410")
        case "stuck":
            return Says("500")
    return ""


def _code(name: str) -> Expected:
    return "error-response" if name in ("gone", "stuck", "kept") else ""


def _outcome(last: Entry) -> Expected:
    return "delivered" if last.accepted else Says(str(last.status))


def attempts(of: Seen) -> list[Expected]:
    """The last hundred requests, the latest first; of which none was refused a connection."""
    found, before, times = list[Expected](), None, 0
    for each in of.subscriber.log:
        times = times + 1 if before is not None and before.received.body == each.received.body else 1
        before = each
        found.append(_attempt(of.subscriber, each, times))
    return found[::-1][:100]


def _attempt(of: Subscriber, each: Entry, times: int) -> Expected:
    numbers, lasted = each.received.numbers, of.seconds * 1000
    over = each.answered if each.answered is not None else each.at + lasted
    took = over - each.at
    return {
        # Who gives up counts from when it sent, which may be some time before it is read.
        "at": At(over - (50 if each.answered is not None else APART), over + APART),
        "kind": each.kind,
        "firstEvent": numbers[0] if numbers else None,
        "lastEvent": numbers[-1] if numbers else None,
        "attempt": times,
        "decision": _decision(each),
        "said": _said(each),
        "milliseconds": Between(took - 2, took + APART),
        "bytes": len(each.received.body),
        "answer": each.said,
    }


def _decision(each: Entry) -> Expected:
    if each.accepted:
        return "active" if each.kind == "handshake" else "delivered"
    return "off" if each.status == 410 else Fits("again or error", lambda shown: shown in ("again", "error"))


def _said(each: Entry) -> Expected:
    if each.accepted:
        return "active" if each.kind == "handshake" else "delivered"
    return Says("in time" if each.status is None else str(each.status))


def events(at: Moment, of: Seen, shown: list[dict[str, Any]]) -> list[Expected]:
    """
    What became events of a Subscription, by number from 1 on, when nothing happens any more.

    In which order changes of different resources are numbered nobody else knows: but for that it is as it was written.

    Args:
        shown: As the hub tells of them.
    """
    who = of.subscriber
    told = {
        number: focus
        for each in who.log
        for number, focus in zip(each.received.numbers, each.received.foci, strict=True)
    }
    written = {
        (f"Immunization/{each.id}", each.number): each for each in at.concerning(of, at.until, acknowledged=True)
    }
    left, found = dict(written), list[Expected]()
    for number, event in enumerate(shown[: len(written)], 1):
        state = _state(at, of, number)
        focus = told.get(number, f"{event['type']}/{event['id']}")
        write = None if state == "dropped" else left.pop((focus, event["versionId"]), None)
        found.append({"number": number, "tenant": None, "state": state, **_of(write)})
    return found


def _of(write: Write | None) -> dict[str, Expected]:
    """A change, as it is shown. None: it must not be."""
    if write is None:
        return dict.fromkeys(("type", "id", "versionId", "interaction", "at"))
    return {
        "type": "Immunization",
        "id": write.id,
        "versionId": write.number,
        "interaction": write.interaction,
        "at": At(write.sent - 50, write.acknowledged + 50),
    }


def _state(at: Moment, of: Seen, number: int) -> str:
    who, delivered = of.subscriber, int(at.delivered(of).high)
    if number in who.told(iter(who.log)):
        return "delivered"
    if number <= delivered:
        return "skipped"
    if who.name == "kept" and number > delivered + BACKLOG:
        return "dropped"
    return "waiting" if at.status(of) == "active" else "kept"


def trace(of: Seen, event: dict[str, Any], attempts: list[dict[str, Any]]) -> dict[str, Expected]:
    """
    All there is to see of one event.

    Args:
        event, attempts: As they are shown elsewhere, and were held against the logs there.
    """
    number, who = event["number"], of.subscriber
    change = {name: event[name] for name in ("type", "id", "versionId", "interaction", "at")}
    filters = [_filter(who.patient)] if who.patient else []
    why = {
        "matched": True,
        "text": ANYTHING,
        "remarks": ANYTHING,
        "trigger": [{"fired": True, "reason": ANYTHING, "error": ""}],
        "filters": filters,
    }
    known = event["type"] is not None
    return {
        "event": event,
        "change": {"version": who.version, **change, "publisher": OWNER, "stillKept": True} if known else None,
        "matched": why if known else None,
        "attempts": [
            each for each in attempts if each["firstEvent"] and each["firstEvent"] <= number <= each["lastEvent"]
        ],
        "outcome": Says(f"^Event {number} ?"),
    }


def _filter(patient: str) -> Expected:
    return {"filter": Says(f"patient.*Patient/{patient}"), "matched": True, "found": ANYTHING, "error": ""}


def without_refusals(of: Seen, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    The attempts that reached a subscriber, each as if there were no others.

    The rest must be from when it refused connections, and are noted.
    """
    found, times, before = list[dict[str, Any]](), 0, None
    of.refused.clear()
    for each in reversed(shown):
        pinned = each["firstEvent"], each["lastEvent"], each["kind"]
        times, before = (times + 1 if pinned == before else 1), pinned
        assert each["attempt"] == times, each
        if "connection" in each["said"]:
            assert any(began <= ms(each["at"]) <= ended + APART for began, ended in of.subscriber.closed), each
            assert each["answer"] == ""
            assert each["decision"] == "again"
            of.refused.append(each)
        else:
            found.append({**each, "attempt": 1})
    return found[::-1]


def more(of: Seen) -> dict[str, Expected]:
    """What is told of one Subscription beside its row."""
    failed = last_failures(of)
    pending = of.subscriber.name == "stuck"
    numbers = failed[-1].received.numbers if pending else []
    sending: Expected = {
        "kind": "events",
        "firstEvent": numbers[0],
        "lastEvent": numbers[-1],
        "at": ANYTHING,
        "attempt": len(failed) + 1,
    } if pending else None  # fmt: skip
    if of.subscriber.name == "drained":
        sending = Fits("the next one", lambda told: told is None or told["attempt"] == 1)
    return {
        "resource": Fits("its own", lambda resource: resource["id"] == of.id),
        "timeline": Fits("the newest first", lambda told: told == sorted(told, key=lambda each: each["at"])[::-1]),
        "sending": sending,
        "resend": [],
        "missed": Fits("what was skipped", lambda told: bool(told) is (of.subscriber.name == "broken")),
    }


def page(rows: list[Expected]) -> dict[str, Expected]:
    return {"total": len(rows), "subscriptions": rows, "next": None}


def asked(at: Moment, every: list[Seen]) -> dict[str, list[Seen]]:
    """Who must be found by what is asked for."""
    one = every[0].subscriber
    return {
        "status=error,off": [each for each in every if at.status(each) in ("error", "off")],
        "version=r5": [each for each in every if each.subscriber.version == "r5"],
        f"origin={one.origin}": [every[0]],
        "lagging=true": [each for each in every if at.undelivered(each).high and at.status(each) != "off"],
        f"topic={TOPIC.format('immunization')}&owner={OWNER}": every,
        "topic=none": [],
    }


def statuses(at: Moment) -> dict[str, int]:
    found = Counter(at.status(each) for each in at.seen)
    return {status.value: found[status] for status in SubscriptionStatus}


def withheld(at: Moment) -> dict[str, Expected]:
    """Nothing was; and some events were dropped or skipped."""
    lost = [
        {
            "version": who.subscriber.version,
            "id": who.id,
            "kind": kind,
            "events": figure,
            "first": ANYTHING,
            "last": ANYTHING,
        }
        for kind, name, figure_of in (("dropped", "kept", at.dropped), ("skipped", "broken", at.skipped))
        for who in at.seen
        if who.subscriber.name == name and (figure := figure_of(who)).high
    ]
    return {"entries": [], "next": None, "lost": lost}
