"""
One subscription's state.

`hub:{s}:subscription` is a hash:
- `resource` (JSON as sent, without its headers), `headers` (sealed, or absent: see seal.py), `style` (in which it was
  accepted), `owner` (the client whose it is), `status`, `revision` (raised by every change of them), `updated` (ms),
  `max_count`, `end` (ms, or empty)
- `beat`, `window` (ms after a notification: when a heartbeat goes out, how long nothing does; absent for none),
  `beat_at`, `quiet_until` (ms: the times that came of them, since the last notification)
- `counting` (`1` while changes are numbered), `owed:<partition>` (stream id of the last change owed from there)
- `alerts` (JSON: of what somebody is to be told), `quiet:<kind>:<who>` (ms before which he is told no more of
  this kind), `troubled` (`1` while the owner knows that something is wrong): see alerts.py
- `test` (`1` while a test notification is to be sent)
- `begun` (`1` from the first activation on), `filling:<partition>` (while it is filled with changes of the past: stream
  id of the last change that waits for that)
- `events` (numbers given so far), `delivered` (the highest that needs no sending any more)
- `skip` (after `error` or `off`: activation moves `delivered` to `events`), `skipped` (`from-to …`: of what was passed
  by then, what is kept and was not sent once more since), `skipped_events` (all ever), `recovered` (the recovery by
  which the numbers were last moved on)
- `token` (of the latest lease), `sending` (`first last ms kind`: the pinned notification, see `Sending`),
  `attempt` (its failures so far), `next` (ms before which nothing is sent)
- `early` (ms: the `next` that was left out since the origin's breaker called)
- `secrets`, `credentials` (see keyring.py)
- `dropped_events` (all that retention or a full backlog dropped undelivered), `dropped`, `untold` (lua/dropped.lua)
- `resend` (`first-last`, joined by blanks: what is to be sent once more, before anything new)
- `failing`, `failing_code` (while attempts fail), `error`, `error_code` (why the status is `error` or `off`),
  `outcome`, `outcome_at` (of the last attempt)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from hub.access import ANYBODY
from subscriptions.codes import SubscriptionStatus
from subscriptions.ranges import Dropped, Range
from subscriptions.subscription import Style

#: The fields that are read.
FIELDS = (
    "resource", "status", "revision", "updated", "end", "events", "delivered",
    "error", "error_code", "failing", "failing_code", "skipped_events", "counting", "style", "beat_at", "test",
    "alerts", "resend", "dropped_events", "untold", "headers", "owner", "skipped",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class State:
    """
    A subscription's hash, read. `end` and `beat_at` are in ms; `counting` is whether changes are numbered.

    resource, headers: As they are kept, the headers sealed.
    missed: What was skipped, and not sent once more since.
    """

    resource: bytes
    status: SubscriptionStatus
    revision: int
    updated: int
    end: int | None
    events: int
    delivered: int
    error: str
    error_code: str
    failing: str
    failing_code: str
    skipped_events: int
    counting: bool
    style: Style = Style.TOPIC
    beat_at: int | None = None
    test: bool = False
    alerts: bool = False
    resend: tuple[Range, ...] = ()
    dropped_events: int = 0
    untold: Dropped | None = None
    headers: bytes = b""
    owner: str = ANYBODY.name
    missed: tuple[Range, ...] = ()

    @property
    def undelivered(self) -> int:
        """Events that wait: to be sent, or for an activation."""
        return self.events - self.delivered - (self.untold.behind(self.delivered) if self.untold else 0)

    @property
    def waiting(self) -> bool:
        """Whether there is something to send: a handshake, events, or a test notification."""
        active = self.status is SubscriptionStatus.ACTIVE
        events = self.test or bool(self.resend) or self.events > self.delivered
        return self.status is SubscriptionStatus.REQUESTED or (active and events)

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Self | None:
        """The values of FIELDS, read; None when there is no Subscription."""
        return None if values[0] is None else cls._read(dict(zip(FIELDS, values, strict=True)))

    @classmethod
    def _read(cls, fields: Mapping[str, bytes | None]) -> Self:
        def text(name: str) -> str:
            return (fields[name] or b"").decode()

        return cls(
            resource=fields["resource"] or b"",
            status=SubscriptionStatus(text("status")),
            revision=int(text("revision")),
            updated=int(text("updated")),
            end=int(text("end")) if text("end") else None,
            events=int(text("events")),
            delivered=int(text("delivered")),
            error=text("error"),
            error_code=text("error_code"),
            failing=text("failing"),
            failing_code=text("failing_code"),
            skipped_events=int(text("skipped_events") or 0),
            counting=text("counting") == "1",
            style=Style(text("style") or Style.TOPIC),
            beat_at=int(text("beat_at")) if text("beat_at") else None,
            test=text("test") == "1",
            alerts=bool(text("alerts")),
            dropped_events=int(text("dropped_events") or 0),
            untold=Dropped.parse(text("untold")) if text("untold") else None,
            resend=tuple(map(Range.parse, text("resend").split())),
            headers=fields["headers"] or b"",
            owner=text("owner") or ANYBODY.name,
            missed=tuple(map(Range.parse, text("skipped").split())),
        )
