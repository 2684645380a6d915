"""
How often a subscriber is told, and of how much at once.

A notification starts two clocks: after `beat` a heartbeat goes out if nothing else did, and during `window` nothing
does; what comes meanwhile is gathered. A handshake starts the first one only. What failed is repeated when the schedule
says so (`retry`): then neither counts.

Each counts from its own notification, so those that are told of the same change don't beat at once, but as far apart as
they were told.
https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/StructureDefinition-backport-heartbeat-period.html
"""

from dataclasses import dataclass

from subscriptions.subscription import Subscription

#: The most events in a notification, whoever asks for more: it is made in memory.
MOST_EVENTS = 1_000
#: As many, when the subscriber gives a window and no `maxCount`: one by one it would never catch up.
GATHERED = 100

#: ms that a heartbeat is early at most, and the part of its period: the subscriber counts from the arrival of one
#: notification to that of the next, and each takes its time.
_EARLY_AT_MOST, _EARLY = 5_000, 10


@dataclass(frozen=True, slots=True)
class Pace:
    """
    How often a subscriber is told.

    most: The most events in a notification.
    beat: ms after a notification at which a heartbeat goes out; 0 for never.
    window: ms after a notification in which nothing is sent; 0 for none.
    """

    most: int = 1
    beat: int = 0
    window: int = 0


def pace(subscription: Subscription) -> Pace:
    """The pace that a Subscription asks for. Its window ends at the latest when a heartbeat is due."""
    period, window = (subscription.heartbeat_period or 0) * 1000, (subscription.window or 0) * 1000
    beat = period - min(period // _EARLY, _EARLY_AT_MOST)
    most = min(subscription.max_count or (GATHERED if window else 1), MOST_EVENTS)
    return Pace(most, beat, min(window, beat) if beat else window)
