"""
What the owner of a subscription and the operator are told of it, beside its channel: how it fares, of no patient.

Its form is the Standard Webhooks': `type`, `timestamp` and `data`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

import msgspec

from subscriptions.ranges import Range, words
from subscriptions.versions import instant

_NAMESPACE = UUID("0c5c6f0e-6a0b-5c8f-8a0b-9d1f4f0d2b7e")


class AlertKind(StrEnum):
    """Of what somebody is told."""

    #: The third attempt in a row has failed.
    FAILING = "failing"
    #: The schedule is used up, a handshake has failed, the backlog is full, or the hub was recovered: nothing is sent
    #: until the client asks for it.
    ERROR = "error"
    #: What is sent is accepted again, after `failing`, `error` or a 410.
    RECOVERED = "recovered"
    #: The endpoint says that it is gone, or its `end` has come.
    OFF = "off"
    #: Events were dropped before they could be sent.
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Kept:
    """
    What can be had by `$events` when an alert is told; None for nothing.

    missed: Of the events that were not sent, from the first one that is kept to the last.
    waiting: The same of those that wait to be sent.
    """

    missed: Range | None = None
    waiting: Range | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """
    One thing to be told.

    at: When it happened, aware.
    code: FHIR's error code; empty for none.
    missed: The events that were not sent and won't be by themselves; None when there are none.
    times: How often it has happened since it was last told.
    """

    kind: AlertKind
    at: datetime
    status: str
    code: str
    text: str
    missed: Range | None
    times: int

    def id(self, hub: str, subscription: str) -> str:
        """A UUID, the same in all attempts at telling it."""
        return str(uuid5(_NAMESPACE, f"{hub} {subscription} {self.kind} {self.at.timestamp():.3f}"))

    def body(self, resource: Mapping[str, Any], url: str, kept: Kept) -> bytes:
        """
        The JSON that is sent.

        Args:
            resource: The Subscription, for its contacts.
            url: The Subscription's.
        """
        data: dict[str, Any] = {"subscription": url, "status": self.status, "times": self.times}
        if contact := resource.get("contact"):
            data["contact"] = contact
        gone = list(_gone(self.missed, kept.missed)) if self.missed else []
        if text := self._text(gone):
            data["error"] = {"code": self.code, "text": text} if self.code else {"text": text}
        if self.missed:
            data["missed"] = _range(self.missed) | ({"gone": list(map(_range, gone))} if gone else {})
            if kept.missed:
                data["missed"]["fetch"] = _fetch(url, kept.missed)
        if self.kind is AlertKind.DROPPED and kept.waiting:
            data["waiting"] = _range(kept.waiting) | {"fetch": _fetch(url, kept.waiting)}
        told = {"type": f"subscription.{self.kind}", "timestamp": instant.write(self.at), "data": data}
        return msgspec.json.encode(told)

    def _text(self, gone: list[Range]) -> str:
        if self.kind is not AlertKind.DROPPED or not gone:
            return self.text
        was = "was" if sum(map(len, gone)) == 1 else "were"
        return f"{words(gone)} {was} dropped undelivered, and can't be had any more: {self.text}"


def _gone(missed: Range, kept: Range | None) -> Iterator[Range]:
    """What lies before and behind what is kept."""
    if kept is None:
        yield missed
        return
    if kept.first > missed.first:
        yield Range(missed.first, kept.first - 1)
    if kept.last < missed.last:
        yield Range(kept.last + 1, missed.last)


def _range(of: Range) -> dict[str, Any]:
    return {"first": of.first, "last": of.last}


def _fetch(url: str, of: Range) -> str:
    return f"{url}/$events?eventsSinceNumber={of.first}&eventsUntilNumber={of.last}"
