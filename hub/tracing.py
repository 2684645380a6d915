"""
Traces: one from a publisher's request to the attempt that tells of it, across the processes. Here they are off.

What a step follows from is told it as a W3C `traceparent`, which is stored with the change and goes along with its
events: https://www.w3.org/TR/trace-context/. hub/exporting.py keeps spans and sends them to a collector.
"""

import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import ClassVar

#: Version, trace, span and flags; of later versions there may be more behind that.
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


class Span:
    """
    A step that is under way; this one is none.

    trace: The `traceparent` that names it, for what follows from it; empty when nothing is traced.
    """

    trace: str = ""

    def stored(self, change: str) -> None:
        """By a request this change was stored."""

    def answered(self, status: int, route: str) -> None:
        """A request has ended. `route`: Its template; empty where there is none."""

    def matched(self, subscriptions: int) -> None:
        """Matching has ended: the change concerns so many."""

    def settled(self, outcome: str, status: int, error: str) -> None:
        """An attempt has ended. `status`: 0 for no answer. `error`: Its class; empty when it was accepted."""


NOTHING = Span()

#: What runs here follows from this request.
REQUEST: ContextVar[Span] = ContextVar("request", default=NOTHING)


class Traces:
    """The spans of the trip; here none are made."""

    on: ClassVar[bool] = False

    def request(self, method: str, scheme: str, parent: str) -> Span:
        """A request of a publisher's. `parent`: Its `traceparent`; empty without a valid one."""
        return NOTHING

    def match(self, parent: str, *, change: str, id_: str, partition: int) -> Span:
        """The matching of a change. `id_`: Of the stream."""
        return NOTHING

    def attempt(
        self,
        parents: Sequence[str],
        *,
        method: str,
        endpoint: str,
        subscription: str,
        kind: str,
        events: tuple[int, int],
        attempt: int,
    ) -> Span:
        """
        An attempt at a notification.

        Args:
            parents: What its events follow from: it belongs to the first one's trace, and is linked to the others.
            endpoint: Of which no more is kept than scheme, host and port.
            events: The first and the last one.
            attempt: 1 for the first one.
        """
        return NOTHING

    async def close(self) -> None:
        """Send what is kept."""


def parent_of(header: str) -> str:
    """The `traceparent` that a request bears, as it is stored; empty for one that isn't valid."""
    found = _PARENT.fullmatch(header.strip(" \t"))
    if (
        not found
        or found[1] == "ff"
        or (found[1] == "00" and found[5])
        or not (found[2].strip("0") and found[3].strip("0"))
    ):
        return ""
    return f"00-{found[2]}-{found[3]}-{found[4]}"


def id_of(trace: str) -> str:
    """The id of a trace, of a `traceparent`; empty for none."""
    return trace[3:35]
