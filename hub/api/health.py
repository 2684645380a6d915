"""`/healthz`: this process lives. `/readyz`: what it needs is there, and why not."""

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from hub.access import DEFAULT, Access
from hub.audit import Audit
from hub.errors import Unavailable
from hub.foundation import Foundation
from hub.keys import CLOCK
from hub.mark import full
from hub.presence import running
from hub.pressure import Pressure
from hub.wire import FAILURES


def health_routes(foundation: Foundation, pressure: Pressure, audit: Audit, access: Access) -> APIRouter:
    """The routes that load balancers and supervisors ask."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """This process answers."""
        return {"status": "alive"}

    @router.get("/readyz", responses={503: {"description": "Redis is away, has lost its memory, or may forget"}})
    async def readyz() -> JSONResponse:
        """
        What is written now will be on disk. Pumps may be missing: what is written waits for them. A hub that is full is
        ready all the same, since it goes on reading, delivering and deleting: `declines` then says why nothing more is
        stored. So is one whose audit is full: `audit` then says how many entries were left out. Each says what to do.
        """
        try:
            volatile = await foundation.standing()
            declines = await pressure.found()
            await access.current()
            lost = await audit.lost(*{DEFAULT, *access.tenants})
            pumps = {kind: len(await running(foundation.pipeline, kind)) for kind in ("match", "deliver")}
            clock = await foundation.pipeline.command("EXISTS", CLOCK)
        except Unavailable as error:
            reason = foundation.pipeline.lost or str(error)
            if isinstance(error.__cause__, FAILURES) and not foundation.pipeline.lost:
                todo = await asyncio.to_thread(full, foundation.settings.data_dir) or (
                    "See that the Redis at HUB_REDIS_URL runs, and what it says in its log; `hub doctor` says more"
                )
                reason = f"{reason.rstrip('.')}. {todo}"
            headers = {"Retry-After": str(error.retry_after)}
            return JSONResponse({"status": "unavailable", "reason": reason}, 503, headers)
        ready: dict[str, Any] = {"status": "ready", "pumps": pumps}
        if missing := [f"`hub worker {kind}`" for kind, count in pumps.items() if not count]:
            start = f"start {' and '.join(missing)}, or see on stderr why it ends"
            ready["waits"] = f"What is written waits, since nobody is there to take it: {start}"
        if not clock:
            start = "start `hub clock`, or see on stderr why it ends"
            ready["clock"] = f"Nothing is tried again, and nothing ends, since no clock is at work: {start}"
        if volatile:
            ready["volatile"] = f"{volatile}. Change that in Redis: HUB_ALLOW_VOLATILE_REDIS=true lets it forget"
        if declines:
            ready["declines"] = f"{declines}. {pressure.remedy}"
        if lost:
            left_out = f"full (HUB_AUDIT_ENTRIES): {lost} entries are left out until older ones have gone"
            ready["audit"] = f"{left_out}. Raise it, or lower HUB_AUDIT_DAYS"
        return JSONResponse(ready)

    return router
