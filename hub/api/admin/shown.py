"""How operators are shown what is in several answers: instants, Subscriptions, attempts, reasons."""

from typing import Any

import msgspec
from starlette.responses import Response

from hub.attempts import Attempt
from hub.instants import instant
from hub.survey import Row
from hub.turn import Sending
from subscriptions.errors import EvaluationError
from subscriptions.explanation import Explanation


def json(told: Any, status: int = 200) -> Response:
    """An answer."""
    return Response(msgspec.json.encode(told), status, media_type="application/json")


def iso(ms: int | None) -> str | None:
    """ms since 1970 as an instant; None for none."""
    return None if ms is None else instant(ms).isoformat(timespec="milliseconds")


def row(of: Row) -> dict[str, Any]:
    """How a Subscription stands."""
    return {
        "version": of.key.version.value,
        "id": of.key.id,
        "owner": of.owner,
        "topic": of.wanted.topic,
        "origin": of.wanted.origin,
        "content": of.wanted.content,
        "status": of.status.value,
        "events": of.events,
        "delivered": of.delivered,
        "undelivered": of.undelivered,
        "oldestAt": iso(of.oldest_at),
        "dropped": of.dropped,
        "skipped": of.skipped,
        "attempt": of.attempt,
        "nextAt": iso(of.next_at),
        "failing": of.failing,
        "error": of.error,
        "code": of.code,
        "outcome": of.outcome,
        "outcomeAt": iso(of.outcome_at),
        "updated": iso(of.updated),
    }


def pinned(sending: Sending) -> dict[str, Any]:
    """A notification."""
    return {
        "kind": sending.kind.value,
        "firstEvent": None if sending.eventless else sending.first,
        "lastEvent": None if sending.eventless else sending.last,
    }


def attempt(of: Attempt) -> dict[str, Any]:
    return {
        "at": iso(of.at),
        **pinned(of.sending),
        "attempt": of.number,
        "decision": of.verb.value,
        "said": of.said,
        "milliseconds": of.sent.milliseconds,
        "bytes": of.sent.bytes,
        "answer": of.sent.answer,
    }


def reasons(why: Explanation, *, found: bool) -> dict[str, Any]:
    """Why a change concerns a Subscription or not. `found`: With what was found in the resource."""
    return {
        "matched": why.matched,
        "trigger": [
            {
                "fired": tried.verdict is True,
                "reason": tried.reason,
                "error": str(tried.verdict) if isinstance(tried.verdict, EvaluationError) else "",
            }
            for tried in why.trigger.tried
        ],
        "filters": [
            {
                "filter": each.filter.text,
                "matched": each.matched,
                "found": list(each.found) if found else [],
                "error": each.error,
            }
            for each in why.filters
        ],
    }
