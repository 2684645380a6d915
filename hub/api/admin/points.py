"""How busy a tenant was in a while, as charts have it: the same by the second and by the sample."""

from typing import Any

from hub.api.admin.shown import iso
from hub.families import ATTEMPTS, CHANGES_STORED, EVENTS_DELIVERED, EVENTS_OWED, TRIP
from hub.figures import Figures, Span
from hub.stream import Behind

ACCEPTED = "accepted"


def failed(figures: Figures, tenant: str) -> int:
    """Attempts that were not accepted."""
    return sum(many for how, many in figures.by(ATTEMPTS, "outcome", tenant=tenant).items() if how != ACCEPTED)


def rates(span: Span, tenant: str) -> dict[str, float]:
    """How often a second."""
    seconds = span.milliseconds / 1000
    return {
        "stored": round(span.rate(CHANGES_STORED, tenant=tenant), 2),
        "owed": round(span.rate(EVENTS_OWED, tenant=tenant), 2),
        "delivered": round(span.rate(EVENTS_DELIVERED, tenant=tenant), 2),
        "attempts": round(span.rate(ATTEMPTS, tenant=tenant), 2),
        "failed": round(failed(span.figures, tenant) / seconds, 2) if seconds else 0.0,
    }


def latency(span: Span, tenant: str) -> dict[str, float | None]:
    """ms from a change's being stored to its notification's being accepted; None where there was none."""
    timing = span.figures.timing(TRIP, tenant=tenant)
    return {f"p{percent}": _ms(timing.percentile(percent)) for percent in (50, 95, 99)}


def point(at: int, span: Span, behind: Behind | None, tenant: str) -> dict[str, Any]:
    """`behind`: None for whom that is none of his."""
    hubs = {"behindSeconds": behind.seconds, "unmatched": behind.changes} if behind else {}
    return {"at": iso(at), **rates(span, tenant), **latency(span, tenant), **hubs}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
