"""
When an origin to which no connection can be made is left alone, and who tries it again.

Only failures to connect open its breaker: whoever answers, whatever it answers and however late, is there. While it is
open, all who want to send to it are parked, and one real notification after the other is the probe.

What counts as an attempt of the schedule is a request that was made when the subscription's own schedule called for
one. Being parked is none, and a probe that comes before the subscription's own time leaves its schedule as it is. So
nobody gets to `error` sooner than without a breaker. Nor does anybody stay `active` for ever at an origin that is gone:
whoever has been parked for `PATIENCE` makes an attempt of its own. A handshake is never parked: the client waits for
an `active` or an `error`, it is made three times at most, and of an origin that is there again it is the first sign.

The atomic scripts mirror `failed` and `admit`. All times are ms of one clock.
"""

from dataclasses import dataclass
from enum import StrEnum

from subscriptions.retry import Accepted, Blocked, Fault, Outcome, Refused, Unauthorized, Unreachable

#: It opens after so many failures, of whichever subscriptions, and when no connection has been made for so long.
FAILURES, QUIET = 3, 60_000

#: The wait for the first probe, which doubles from one to the next, and the longest. Dice add up to a tenth.
FIRST, LONGEST, JITTER = 5_000, 300_000, 0.1

#: Whoever has been parked for so long makes an attempt of its own.
PATIENCE = 3_600_000

_UNCONNECTED = frozenset(
    {Fault.DNS, Fault.REFUSED, Fault.NO_ROUTE, Fault.CERTIFICATE, Fault.TLS, Fault.CONNECT_TIMEOUT}
)


@dataclass(frozen=True, slots=True)
class Standing:
    """
    How it stands with an origin to which connections fail; there is none of an origin to which they don't.

    since: When the first one failed, of those behind the last that was made.
    failures: How many have failed since.
    probes: How many probes have failed since it is open; None while it is closed.
    probe_at: When the next probe may be, while it is open.
    """

    since: int
    failures: int
    probes: int | None = None
    probe_at: int = 0


class Admission(StrEnum):
    """What somebody who wants to send may do."""

    SEND = "send"
    PROBE = "probe"
    PARK = "park"


def connected(outcome: Outcome) -> bool | None:
    """Whether an attempt made a connection; None when it doesn't tell."""
    match outcome:
        case Accepted() | Refused():
            return True
        case Unreachable(Fault.TIMEOUT | Fault.RESET | Fault.GARBAGE | Fault.CLIENT_CERTIFICATE):
            return True
        case Unreachable(fault):
            return False if fault in _UNCONNECTED else None
        case Blocked() | Unauthorized():
            return None


def well(outcome: Outcome) -> bool:
    """Whether an origin that has just come back may be sent more at once: it answered, and neither 429 nor 5xx."""
    match outcome:
        case Accepted():
            return True
        case Refused(status):
            return status != 429 and status < 500
        case Unreachable() | Blocked() | Unauthorized():
            return False


def failed(standing: Standing | None, *, now: int, dice: float, probe: bool) -> Standing:
    """
    How it stands after one more connection that could not be made.

    Args:
        dice: Uniform in [0, 1), as in `retry.decide`.
        probe: It was the probe.
    """
    if standing is None:
        return Standing(now, 1)
    since, failures = standing.since, standing.failures + 1
    if standing.probes is None:
        if failures < FAILURES or now - since < QUIET:
            return Standing(since, failures)
        probes = 0
    elif probe:
        probes = standing.probes + 1
    else:
        return Standing(since, failures, standing.probes, standing.probe_at)
    return Standing(since, failures, probes, now + wait(probes, dice))


def wait(probes: int, dice: float) -> int:
    """ms until the next probe, after so many have failed."""
    return int(min(FIRST * 2 ** min(probes, 16), LONGEST) * (1 + JITTER * dice))


def admit(
    standing: Standing | None, *, now: int, parked: int | None, probing: bool, drained: bool = False
) -> Admission:
    """
    What somebody who wants to send an event notification may do.

    Args:
        parked: Since when it is parked; None when it isn't.
        probing: Somebody's notification is the probe already.
        drained: An operator wants nothing to be sent there now.
    """
    if drained:
        return Admission.PARK
    if standing is None or standing.probes is None:
        return Admission.SEND
    if now >= standing.probe_at and not probing:
        return Admission.PROBE
    if parked is not None and now - parked >= PATIENCE:
        return Admission.SEND
    return Admission.PARK
