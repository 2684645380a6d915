"""Instants: in Redis they are whole milliseconds since 1970, in FHIR aware times."""

import time
from datetime import UTC, datetime, timedelta


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def instant(ms: int) -> datetime:
    """Milliseconds since 1970 as an aware time."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def ms(at: datetime) -> int:
    """An aware time as milliseconds since 1970."""
    return (at - instant(0)) // timedelta(milliseconds=1)
