"""
What is counted and timed, each under its name: `hub_<name>` in the metrics, and behind that the unit, if it has one.

Labels have few values, all of them ours: never an id, a URL, nor what a client may choose.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

#: Upper bounds in seconds, 1 ms to over an hour, each some 1.6 times the one before; behind them is the rest.
BUCKETS: Final = tuple(
    round(step * 10.0**power, 6) for power in range(-3, 4) for step in (1, 1.6, 2.5, 4, 6.3) if step * 10**power <= 4000
)


@dataclass(frozen=True, slots=True)
class Family:
    """
    One figure, by its labels.

    timed: It is how long something took, and how often for so long; else how often something happened.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    timed: bool = False

    @property
    def metric(self) -> str:
        """Its name in the metrics, without the `_total` of a counter."""
        return f"hub_{self.name}_seconds" if self.timed else f"hub_{self.name}"


CHANGES_STORED = Family("changes_stored", "Changes that were stored.", ("tenant", "interaction"))
CHANGES_MATCHED = Family("changes_matched", "Changes that matching has finished.", ("tenant",))
EVENTS_OWED = Family("events_owed", "Events that subscriptions were owed, those without room too.", ("tenant",))
EVENTS_DROPPED = Family(
    "events_dropped",
    "Events without room in a backlog, or removed before they were sent.",
    ("tenant",),
)
EVENTS_WITHHELD = Family(
    "events_withheld", "Resources of events that were kept from a subscription they concern.", ("tenant", "reason")
)
EVALUATIONS_FAILED = Family("evaluations_failed", "Changes and evaluations of them that were set aside.", ("reason",))
#: Why: each is there from the beginning, since Prometheus sees no increase from nothing to something.
REASONS: Final = ("body", "evaluation", "include", "matching", "retention", "subscription")
ATTEMPTS = Family("attempts", "Attempts at notifications.", ("tenant", "kind", "outcome"))
NOTIFICATIONS_DELIVERED = Family("notifications_delivered", "Notifications that were accepted.", ("tenant", "kind"))
EVENTS_DELIVERED = Family("events_delivered", "Events that were accepted for the first time.", ("tenant",))
HTTP_REQUESTS = Family("http_requests", "Requests that the hub has answered.", ("method", "status"))

TRIP = Family(
    "trip", "From a change's being stored to the acceptance of the first notification of it.", ("tenant",), timed=True
)
ATTEMPT = Family("attempt", "One request to an endpoint.", timed=True)
REQUEST = Family("request", "One request to the hub, streams left out.", timed=True)
MATCH = Family("match", "The matching of one batch of changes.", timed=True)

FAMILIES: Final = (
    CHANGES_STORED,
    CHANGES_MATCHED,
    EVENTS_OWED,
    EVENTS_DROPPED,
    EVENTS_WITHHELD,
    EVALUATIONS_FAILED,
    ATTEMPTS,
    NOTIFICATIONS_DELIVERED,
    EVENTS_DELIVERED,
    HTTP_REQUESTS,
    TRIP,
    ATTEMPT,
    REQUEST,
    MATCH,
)


def bucket(seconds: float) -> int:
    """The place of a time among BUCKETS; one more than they have for a longer one."""
    return bisect_left(BUCKETS, seconds)
