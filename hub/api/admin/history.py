"""`/admin/history`: how busy it was, by the ten seconds."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from hub.access import DEFAULT
from hub.api.admin.asked import Query
from hub.api.admin.points import point
from hub.api.admin.shown import json
from hub.api.documentation import watched as documentation
from hub.api.exchange import Exchange
from hub.api.routes import Route
from hub.figures import Readings
from hub.metering import SAMPLED
from hub.stream import Behind

#: Minutes, if nobody says how many, and at most: as long as samples are kept.
MINUTES, MOST = 60, 360

#: Points that are made without a look at what else there is to do: some ms.
AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class UsageHistory:
    """Of one tenant; and of the hub's matching, where it is the default one."""

    tenant: str
    readings: Readings

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/admin/history", self.read, documentation.HISTORY)

    async def read(self, request: Request) -> Response:
        """The samples of so many minutes, the oldest first."""
        minutes = Query(Exchange(request), "minutes").number("minutes", MINUTES, most=MOST)
        reading = await self.readings.read(minutes * 60)
        points, since = [], reading.at - minutes * 60_000
        for number, sample in enumerate(reversed(reading.samples), 1):
            if sample.at > since:
                behind = Behind(sample.behind, sample.unmatched) if self.tenant == DEFAULT else None
                points.append(point(sample.at, sample.span, behind, self.tenant))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return json({"step": SAMPLED, "points": points})
