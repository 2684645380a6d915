"""What an examination finds, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    OK = "ok"
    #: It works, and may not for long, or not as it seems to be meant.
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    area: What was looked at: one of a few words.
    todo: What to do; empty where nothing is.
    """

    grade: Grade
    area: str
    text: str
    todo: str = ""


def ok(area: str, text: str) -> Finding:
    return Finding(Grade.OK, area, text)


def warn(area: str, text: str, todo: str) -> Finding:
    return Finding(Grade.WARN, area, text, todo)


def fail(area: str, text: str, todo: str) -> Finding:
    return Finding(Grade.FAIL, area, text, todo)


def first(values: Sequence[str], most: int = 5) -> str:
    """So many of them, and how many more there are."""
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more


def sized(number: float) -> str:
    """Bytes, for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
