"""What is told of one attempt while it is made: to the log, to the meter, and to the trace that it belongs to."""

from dataclasses import dataclass, field
from logging import getLogger
from typing import assert_never

from hub.families import ATTEMPT, ATTEMPTS, EVENTS_DELIVERED, NOTIFICATIONS_DELIVERED, TRIP
from hub.keys import SubscriptionKey
from hub.meter import Meter
from hub.rendering import Rendering
from hub.tracing import NOTHING, Span, Traces, id_of
from hub.turn import Kind, Sending
from subscriptions.message import Message
from subscriptions.retry import Accepted, Blocked, Decision, Outcome, Refused, Unauthorized, Unreachable
from subscriptions.subscription import Subscription

log = getLogger("hub.delivery")


@dataclass
class Witness:
    """
    Of an attempt.

    rendering: Which has made the message, and so has its events.
    sending: What of the pinned notification is sent.
    attempt: 1 for the first one.
    """

    meter: Meter
    traces: Traces
    rendering: Rendering
    key: SubscriptionKey
    sending: Sending
    attempt: int
    _span: Span = field(default=NOTHING, init=False)

    def begun(self, subscription: Subscription, message: Message) -> str:
        """It begins; returns its `traceparent`, empty where nothing is traced."""
        if self.traces.on:
            self._span = self.traces.attempt(
                self.rendering.traces(self.sending),
                method=message.method,
                endpoint=subscription.endpoint,
                subscription=str(self.key),
                kind=self.sending.kind,
                events=(self.sending.first, self.sending.last),
                attempt=self.attempt,
            )
        return self._span.trace

    def postponed(self) -> None:
        """It was broken off: it counts as none."""
        self._span.settled("postponed", 0, "postponed")
        ids = {"subscription": str(self.key), "first_event": self.sending.first, "last_event": self.sending.last}
        log.info("delivery.postponed", extra=ids)

    def ended(self, outcome: Outcome, decision: Decision, seconds: float, size: int) -> None:
        """It has ended after so long. `size`: Bytes of the body."""
        answer = type(outcome).__name__.lower()
        ids: dict[str, object] = {
            "subscription": str(self.key),
            "kind": self.sending.kind.value,
            "first_event": self.sending.first,
            "last_event": self.sending.last,
            "attempt": self.attempt,
            "outcome": answer,
            "decision": type(decision).__name__.lower(),
            "milliseconds": round(seconds * 1000, 1),
            "bytes": size,
        }
        self._span.settled(answer, *_failure(outcome))
        log.info("delivery.attempted", extra=ids | self._goes_back_to())
        self.meter.count(ATTEMPTS, self.key.tenant, self.sending.kind, answer)
        self.meter.time(ATTEMPT, seconds)
        self.meter.tell("delivery.attempted", self.key.tenant, ids)

    def delivered(self, answered: int) -> None:
        """It was accepted at `answered` (ms), and that is settled."""
        sending, tenant = self.sending, self.key.tenant
        self.meter.count(NOTIFICATIONS_DELIVERED, tenant, sending.kind)
        if sending.kind is Kind.EVENTS:
            self.meter.count(EVENTS_DELIVERED, tenant, by=sending.last - sending.first + 1)
            for number in range(sending.first, sending.last + 1):
                self.meter.time(TRIP, (answered - self.rendering.ahead[number].at) / 1000, tenant)

    def _goes_back_to(self) -> dict[str, list[str]]:
        """The changes that it tells of, and the traces that these belong to."""
        found = {"changes": changes} if (changes := self.rendering.changes(self.sending)) else {}
        if self._span.trace:
            traces = (self._span.trace, *self.rendering.traces(self.sending))
            found["traces"] = list(dict.fromkeys(filter(None, map(id_of, traces))))
        return found


def _failure(outcome: Outcome) -> tuple[int, str]:
    """The status that an attempt was answered, 0 for none, and how its failure is classed; empty for none."""
    match outcome:
        case Accepted(status):
            return status, ""
        case Refused(status):
            return status, str(status)
        case Unreachable(fault):
            return 0, fault.value
        case Blocked() | Unauthorized():
            return 0, type(outcome).__name__.lower()
    assert_never(outcome)
