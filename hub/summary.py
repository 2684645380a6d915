"""All Subscriptions of a tenant in a few numbers, and those that have waited longest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from math import inf
from typing import Self

from hub.survey import Row, Survey
from subscriptions.codes import SubscriptionStatus

#: Of those that have waited longest, so many.
WORST = 10

#: Attempts in a row that fail, from which on it is more than one that is soon repeated.
FAILS = 2


@dataclass(frozen=True, slots=True)
class Summary:
    """
    Of a tenant's Subscriptions.

    statuses: How many there are, by status.
    lagging, undelivered: How many have events that wait, and how many events these are.
    dropped, skipped: Events ever.
    missed: Of those that were skipped, those that were not sent once more since.
    worst: Whoever has waited longest comes first.
    in_error: Those in `error`: whoever has most events that wait comes first, then who came last.
    failing, waiting: Those whose attempts fail, and those for which events wait though none does: whoever has waited
        longest comes first.
    missing: Those that have missed events and are active again, unless these are on their way: who came last is first.
    ended: Those that the hub has turned off, since their endpoint said so: the last one comes first.
    """

    statuses: Counter[SubscriptionStatus]
    lagging: int
    undelivered: int
    dropped: int
    skipped: int
    missed: int
    worst: tuple[Row, ...]
    in_error: tuple[Row, ...]
    failing: tuple[Row, ...]
    waiting: tuple[Row, ...]
    missing: tuple[Row, ...]
    ended: tuple[Row, ...]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        lagging = [row for row in rows if row.lags]
        told = [row for row in rows if row.status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.REQUESTED)]
        in_error = [row for row in rows if row.status is SubscriptionStatus.ERROR]
        missing = [row for row in rows if row.missed and row.status is SubscriptionStatus.ACTIVE and not row.resend]
        ended = [row for row in rows if row.status is SubscriptionStatus.OFF and row.code]
        return cls(
            statuses=Counter(row.status for row in rows),
            lagging=len(lagging),
            undelivered=sum(row.undelivered for row in lagging),
            dropped=sum(row.dropped for row in rows),
            skipped=sum(row.skipped for row in rows),
            missed=sum(map(len, (each for row in rows for each in row.missed))),
            worst=tuple(nsmallest(WORST, (row for row in lagging if row.oldest_at is not None), key=_since)),
            in_error=tuple(sorted(in_error, key=lambda row: (-row.undelivered, -row.updated))),
            failing=tuple(sorted((row for row in told if _fails(row)), key=_since)),
            waiting=tuple(sorted((row for row in told if row.lags and row.oldest_at and not _fails(row)), key=_since)),
            missing=tuple(sorted(missing, key=_latest)),
            ended=tuple(sorted(ended, key=_latest)),
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


def _fails(row: Row) -> bool:
    return row.failing and row.attempt >= FAILS


def _latest(row: Row) -> int:
    return -row.updated


def _since(row: Row) -> float:
    """ms since 1970; those for which nothing waits come last."""
    return inf if row.oldest_at is None else row.oldest_at
