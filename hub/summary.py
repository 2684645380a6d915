"""All Subscriptions of a tenant in a few numbers, and those that have waited longest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Self

from hub.survey import Row, Survey
from subscriptions.codes import SubscriptionStatus

#: Of those that have waited longest, so many.
WORST = 10


@dataclass(frozen=True, slots=True)
class Summary:
    """
    Of a tenant's Subscriptions.

    statuses: How many there are, by status.
    lagging, undelivered: How many have events that wait, and how many events these are.
    dropped, skipped: Events ever.
    in_error: Of those in `error`: how many have events that wait, and how many these are.
    worst: Whoever has waited longest comes first.
    waiting: Of those that are sent something, who has waited longest; None if nobody does.
    """

    statuses: Counter[SubscriptionStatus]
    lagging: int
    undelivered: int
    dropped: int
    skipped: int
    in_error: tuple[int, int]
    worst: tuple[Row, ...]
    waiting: Row | None

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        lagging = [row for row in rows if row.lags]
        waiting = [row for row in lagging if row.status is not SubscriptionStatus.ERROR]
        in_error = [row for row in lagging if row.status is SubscriptionStatus.ERROR]
        return cls(
            statuses=Counter(row.status for row in rows),
            lagging=len(lagging),
            undelivered=sum(row.undelivered for row in lagging),
            dropped=sum(row.dropped for row in rows),
            skipped=sum(row.skipped for row in rows),
            in_error=(len(in_error), sum(row.undelivered for row in in_error)),
            worst=tuple(nsmallest(WORST, (row for row in lagging if row.oldest_at is not None), key=_since)),
            waiting=min((row for row in waiting if row.oldest_at is not None), key=_since, default=None),
        )


@dataclass
class Summaries:
    """Those of all tenants; each is made once of a look."""

    survey: Survey
    _of: dict[str, tuple[Sequence[Row], Summary]] = field(default_factory=dict)

    async def of(self, tenant: str) -> Summary:
        rows = await self.survey.of(tenant)
        held = self._of.get(tenant)
        if held is None or held[0] is not rows:
            held = self._of[tenant] = rows, Summary.of(rows)
        return held[1]


def _since(row: Row) -> int:
    assert row.oldest_at is not None  # noqa: S101 (whoever calls has looked)
    return row.oldest_at
