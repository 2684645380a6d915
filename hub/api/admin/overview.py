"""`/admin/overview`: all that an operator needs first, at one look."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hub.access import DEFAULT
from hub.api.admin import origins
from hub.api.admin.points import failed, latency, rates
from hub.api.admin.problems import HOUR, Changed, Found, Whole, problems
from hub.api.admin.shown import iso, json, row
from hub.api.documentation import watched as documentation
from hub.api.exchange import Exchange
from hub.api.routes import Route
from hub.audit import Audit
from hub.draining import Draining
from hub.families import (
    ATTEMPTS,
    CHANGES_MATCHED,
    CHANGES_STORED,
    EVALUATIONS_FAILED,
    EVENTS_DELIVERED,
    EVENTS_DROPPED,
    EVENTS_OWED,
    EVENTS_WITHHELD,
    NOTIFICATIONS_DELIVERED,
    TRIP,
)
from hub.figures import Figures
from hub.keeping import Keeping, Kept
from hub.machinery import Machinery, Working
from hub.pressure import Pressure
from hub.pulse import Pulse
from hub.summary import Summaries, Summary
from hub.topics import Topics
from subscriptions.codes import SubscriptionStatus

#: Seconds that rates are of, and latencies.
LATELY, MINUTE = 10, 60

#: What is told of those that have been counted ever.
TOTALS = {
    "stored": CHANGES_STORED,
    "matched": CHANGES_MATCHED,
    "owed": EVENTS_OWED,
    "delivered": EVENTS_DELIVERED,
    "notifications": NOTIFICATIONS_DELIVERED,
    "attempts": ATTEMPTS,
    "withheld": EVENTS_WITHHELD,
    "dropped": EVENTS_DROPPED,
}


@dataclass(frozen=True, slots=True)
class Overview:
    """
    Of one tenant; and of the whole hub, where it is the default one.

    release: The version of the software.
    """

    tenant: str
    release: str
    pulse: Pulse
    summaries: Summaries
    audit: Audit
    machinery: Machinery
    keeping: Keeping
    draining: Draining
    pressure: Pressure
    topics: Topics

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/admin/overview", self.read, documentation.OVERVIEW)

    async def read(self, request: Request) -> Response:
        Exchange(request).without_parameters()
        beat, hour, summary, lost = await asyncio.gather(
            self.pulse.beat(), self.pulse.hour(), self.summaries.of(self.tenant), self.audit.lost(self.tenant)
        )
        reading = beat.reading
        lately, minute = reading.over(LATELY), reading.over(MINUTE)
        whole = await self._whole(hour.figures) if self.tenant == DEFAULT else None
        dropped = hour.figures.total(EVENTS_DROPPED, tenant=self.tenant)
        found = Found(reading.at, summary, dropped, lost, whole, await self._changed(reading.at))
        timed = minute.figures.timing(TRIP, tenant=self.tenant).count
        return json(
            {
                "at": iso(reading.at),
                "tenant": self.tenant,
                "rates": {"seconds": round(lately.milliseconds / 1000), **rates(lately, self.tenant)},
                "latency": {
                    "seconds": round(minute.milliseconds / 1000),
                    "count": timed,
                    **latency(minute, self.tenant),
                },
                "totals": self._totals(reading.totals),
                "subscriptions": {**summarised(summary), "worst": list(map(row, summary.worst))},
                **(self._shown(whole) if whole else {}),
                "problems": [problem.shown for problem in problems(found)],
            }
        )

    async def _whole(self, hour: Figures) -> Whole:
        working, kept, states, declines = await asyncio.gather(
            self.machinery.look(), self.keeping.look(), self.draining.states(), self.pressure.found()
        )
        return Whole(working, kept, tuple(states), declines, self.pressure.remedy, hour.total(EVALUATIONS_FAILED))

    async def _changed(self, at: int) -> tuple[Changed, ...]:
        """Topics that were changed in the last hour under Subscriptions that are on them; the last one first."""
        await self.topics.refresh()
        if not (lately := self.topics.changed_since(at - HOUR)):
            return ()
        rows = await self.summaries.survey.of(self.tenant)
        on = Counter(row.wanted.topic.partition("|")[0] for row in rows if row.status is not SubscriptionStatus.OFF)
        return tuple(
            Changed(each.topic.url, each.at, each.number, each.topic.retired, on[each.topic.url])
            for each in lately
            if on[each.topic.url]
        )

    def _totals(self, figures: Figures) -> dict[str, int]:
        found = {name: figures.total(family, tenant=self.tenant) for name, family in TOTALS.items()}
        found["failed"] = failed(figures, self.tenant)
        return found | ({"setAside": figures.total(EVALUATIONS_FAILED)} if self.tenant == DEFAULT else {})

    def _shown(self, whole: Whole) -> dict[str, Any]:
        working = whole.working
        return {
            "release": self.release,
            "matching": _matching(working),
            "workers": list(_workers(working)),
            "leases": working.leases,
            "origins": list(map(origins.shown, whole.origins)),
            "redis": _redis(whole.kept),
            "transactions": working.transactions,
            "erasures": working.erasures,
            "declines": whole.declines or None,
        }


def summarised(of: Summary) -> dict[str, Any]:
    """A tenant's Subscriptions in a few numbers."""
    oldest = of.worst[0] if of.worst else None
    return {
        **{status.value: of.statuses[status] for status in SubscriptionStatus},
        "lagging": of.lagging,
        "undelivered": of.undelivered,
        "dropped": of.dropped,
        "skipped": of.skipped,
        "missed": of.missed,
        "oldest": oldest and {"version": oldest.key.version.value, "id": oldest.key.id, "at": iso(oldest.oldest_at)},
    }


def _matching(of: Working) -> dict[str, Any]:
    return {
        "behindSeconds": of.behind.seconds,
        "unmatched": of.behind.changes,
        "partitions": [
            {
                "number": each.number,
                "behindSeconds": each.behind.seconds,
                "unmatched": each.behind.changes,
                "matcher": each.matcher or None,
            }
            for each in of.partitions
        ],
    }


def _workers(of: Working) -> Iterator[dict[str, Any]]:
    for name in of.matching:
        mine = [each.number for each in of.partitions if each.matcher == name]
        yield {"kind": "match", "name": name, "partitions": mine}
    for name in of.delivering:
        yield {"kind": "deliver", "name": name}
    if of.clock:
        yield {"kind": "clock", "name": of.clock}


def _redis(of: Kept) -> dict[str, Any]:
    return {
        "version": of.version,
        "usedBytes": of.used,
        "maxBytes": of.most,
        "policy": of.policy,
        "appendonly": of.appendonly == "yes",
        "fsync": of.fsync,
        "volatile": of.unfit or of.volatile or None,
        "appendBytes": of.append_bytes,
    }
