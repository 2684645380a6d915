"""
What follows from one attempt to deliver: delivered, try again, give up, or turn the subscription off.

The schedule is the whole: n waits are n + 1 attempts, and every failure but 410 follows it. What kind of failure it
was changes only what the subscriber is told. A fault of the hub's own is no outcome: it is not charged to anybody.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TypeAlias, assert_never

from subscriptions.codes import ErrorCode

#: Seconds between the tries of a handshake.
HANDSHAKE_WAITS = (1.0, 4.0)

#: How much of a wait the dice may add.
_JITTER = 0.1

#: Seconds: the longest `Retry-After` that is honoured, from a subscriber that is overloaded and from any other.
_CAP_OVERLOADED = 6 * 3600.0
_CAP = 3600.0


class Fault(StrEnum):
    """Why no answer came."""

    DNS = "the endpoint's name can't be resolved"
    REFUSED = "the endpoint refuses connections"
    NO_ROUTE = "there is no route to the endpoint"
    CERTIFICATE = "no secure connection: the endpoint's certificate is not accepted"
    TLS = "no secure connection: the endpoint and the hub do not agree on TLS"
    CLIENT_CERTIFICATE = "the endpoint does not accept the hub's client certificate, or wants one"
    CONNECT_TIMEOUT = "no connection to the endpoint in time"
    TIMEOUT = "the endpoint did not answer in time"
    RESET = "the endpoint closed the connection without an answer"
    GARBAGE = "the endpoint's answer is not HTTP"
    OTHER = "the endpoint can't be reached"


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    The subscriber answered 2xx.

    said: How its answer begins, 200 characters at most, for the operator's eyes; it decides nothing.
    """

    status: int
    said: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """
    The subscriber answered anything but 2xx.

    retry_after: The header of that name, as it came; None without one.
    said: As in Accepted.
    """

    status: int
    retry_after: str | None = None
    said: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """
    No answer came. The subscriber may have received the notification all the same.

    detail: What more is known of it; empty for nothing.
    """

    fault: Fault
    detail: str = ""

    @property
    def text(self) -> str:
        return f"{self.fault} ({self.detail})" if self.detail else str(self.fault)


@dataclass(frozen=True, slots=True)
class Blocked:
    """
    No request was made: the endpoint's address is one that the hub must not call.

    rule: Which address and which rule, for the owner.
    """

    rule: str


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """
    No request was made: there is no access token for it.

    reason: Why, for the owner.
    """

    reason: str


Outcome: TypeAlias = Accepted | Refused | Unreachable | Blocked | Unauthorized


@dataclass(frozen=True, slots=True)
class Delivered:
    """It arrived, as far as HTTP can tell."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """
    The same bytes go out once more.

    wait: Seconds from the end of this attempt.
    text: For `Subscription.error`, as in the other decisions.
    """

    wait: float
    code: ErrorCode
    text: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No more attempts: the subscription is in `error` until its client writes it anew."""

    code: ErrorCode
    text: str


@dataclass(frozen=True, slots=True)
class TurnOff:
    """The endpoint is gone for good: the subscription is `off`."""

    code: ErrorCode
    text: str


Decision: TypeAlias = Delivered | TryAgain | GiveUp | TurnOff


@dataclass(frozen=True, slots=True)
class Policy:
    """
    How long to go on.

    waits: Seconds before the second attempt, the third, and so on.
    """

    waits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Elements:
    """Where a Subscription of its FHIR version has what its client may have to mend: `Subscription.parameter`."""

    headers: str
    endpoint: str


def decide(
    outcome: Outcome, *, attempt: int, dice: float, now: datetime, policy: Policy, elements: Elements
) -> Decision:
    """
    Say what becomes of an event notification after its `attempt`-th attempt.

    Args:
        attempt: 1 for the first one.
        dice: Uniform in [0, 1); adds up to a tenth to the wait, so that subscriptions that failed together do not
            return together.
        now: When the attempt ended, aware; what a date in `Retry-After` is compared with.
        elements: Which the text points to.
    """
    if isinstance(outcome, Accepted):
        return Delivered()
    code, text = _explain(outcome, elements)
    if isinstance(outcome, Refused) and outcome.status == 410:
        return TurnOff(code, text)
    if attempt > len(policy.waits):
        return GiveUp(code, f"{text}; given up after {_count(attempt)}")
    wait = policy.waits[attempt - 1] * (1 + _JITTER * dice)
    if isinstance(outcome, Refused):
        wait = max(wait, _retry_after(outcome, now))
    return TryAgain(wait, code, text)


def decide_handshake(outcome: Outcome, *, attempt: int, elements: Elements) -> Decision:
    """
    Say what becomes of a handshake after its `attempt`-th try, 1 for the first one.

    At most three, and only one if the answer is 4xx; 410 is no exception, since any error in a handshake leads to
    `error`. `Retry-After` is not honoured: the client waits for an `active` or an `error`.
    """
    if isinstance(outcome, Accepted):
        return Delivered()
    code, text = _explain(outcome, elements)
    final = isinstance(outcome, Refused) and 400 <= outcome.status <= 499
    if final or attempt > len(HANDSHAKE_WAITS):
        return GiveUp(code, f"the handshake failed: {text}; given up after {_count(attempt)}")
    return TryAgain(HANDSHAKE_WAITS[attempt - 1], code, text)


def _count(attempts: int) -> str:
    return f"{attempts} attempt{'' if attempts == 1 else 's'}"


def _explain(outcome: Refused | Unreachable | Blocked | Unauthorized, elements: Elements) -> tuple[ErrorCode, str]:
    match outcome:
        case Refused(status):
            return ErrorCode.ERROR_RESPONSE, f"the endpoint answered {status}: {_meaning(status, elements)}"
        case Unreachable(Fault.DNS):
            return ErrorCode.DNS_RESOLUTION_ERROR, outcome.text
        case Unreachable():
            return ErrorCode.NO_RESPONSE, outcome.text
        case Blocked(rule):
            return ErrorCode.NO_RESPONSE, f"nothing was sent: the hub must not call the endpoint's address ({rule})"
        case Unauthorized(reason):
            return ErrorCode.NO_RESPONSE, f"nothing was sent, for want of an access token: {reason}"
    assert_never(outcome)


def _meaning(status: int, elements: Elements) -> str:
    match status:
        case 401 | 403:
            return f"it does not accept the hub's credentials, see {elements.headers} and $credentials"
        case 404 | 405:
            return f"it takes no notifications, see {elements.endpoint}"
        case 400 | 413 | 415 | 422:
            return "it does not accept this notification"
        case 410:
            return "it is gone for good"
        case 408 | 425 | 429:
            return "it asks to be called later"
        case _ if 300 <= status <= 399:
            return f"redirects are not followed, set {elements.endpoint} to the final address"
        case _ if 500 <= status <= 599:
            return "it failed"
        case _:
            return "only 2xx is success"


def _retry_after(outcome: Refused, now: datetime) -> float:
    """Seconds that the subscriber asks to be left alone, capped; 0 when it doesn't say or can't be understood."""
    cap = _CAP_OVERLOADED if outcome.status in (429, 503) else _CAP
    text = (outcome.retry_after or "").strip()
    if re.fullmatch("[0-9]+", text):
        return min(float(text), cap)  # float, since int refuses to read thousands of digits
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    # RFC 9110 §5.6.7: all three forms of a date are in UTC, also the one that does not say so.
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), cap)
