"""
Logs: one JSON line for each step of the trip, with the ids of the trip.

Never the content of a resource, never an identifier of a person: it is health data.
"""

import logging
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson

#: What every record has; the rest is what a step has to say.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def site(error: BaseException) -> dict[str, Any]:
    """
    Where something unforeseen happened, as fields of a line.

    Not what: messages of exceptions quote what they choked on, and that is health data.
    """
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"exception_type": type(error).__qualname__, "where": where}


class WideLine(logging.Formatter):
    """A record as one line of JSON: `at`, `level`, `event`, and whatever the step gave as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info and record.exc_info[1]:
            line |= site(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def configure(level: str) -> None:
    """Send the hub's lines to stderr from this level on, and warnings of the libraries too."""
    handler = logging.StreamHandler()
    handler.setFormatter(WideLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("hub").setLevel(level.upper())
