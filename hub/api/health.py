"""`/healthz`: this process lives. `/readyz`: what it needs is there, and why not."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from hub.access import DEFAULT, Access
from hub.audit import Audit
from hub.errors import Unavailable
from hub.foundation import Foundation
from hub.presence import running
from hub.pressure import Pressure


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
        stored. So is one whose audit is full: `audit` then says how many entries were left out.
        """
        try:
            volatile = await foundation.standing()
            declines = await pressure.found()
            await access.current()
            lost = await audit.lost(*{DEFAULT, *access.tenants})
            pumps = {kind: len(await running(foundation.pipeline, kind)) for kind in ("match", "deliver")}
        except Unavailable as error:
            headers = {"Retry-After": str(error.retry_after)}
            return JSONResponse({"status": "unavailable", "reason": str(error)}, 503, headers)
        ready: dict[str, Any] = {"status": "ready", "pumps": pumps}
        if volatile:
            ready["volatile"] = volatile
        if declines:
            ready["declines"] = declines
        if lost:
            ready["audit"] = f"full (HUB_AUDIT_ENTRIES): {lost} entries are left out until older ones have gone"
        return JSONResponse(ready)

    return router
