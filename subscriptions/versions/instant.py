"""FHIR's instant: a moment in time with its offset, http://hl7.org/fhir/R4/datatypes.html#instant."""

import re
from datetime import UTC, datetime

_FORM = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)", re.ASCII)


def write(at: datetime) -> str:
    """`2026-11-21T09:59:59.123Z`: milliseconds, cut and not rounded, in UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def read(text: str) -> datetime:
    """
    Read an instant. More than six decimals are cut; a leap second is the second before it.

    Raises:
        ValueError: It isn't one.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(f"{text!r} is not an instant")
    return datetime.fromisoformat(text[:17] + text[17:19].replace("60", "59") + text[19:])
