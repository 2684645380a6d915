"""Requests are counted by what was answered, and timed."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from hub.access import Tenant
from hub.api.counting import Counting
from hub.families import HTTP_REQUESTS, REQUEST
from hub.figures import Figures
from hub.meter import Meter
from tests.hub.api.server import Hub, patient
from tests.hub.conftest import BASE


def taken(meter: Meter) -> Figures:
    return Figures.of((name, str(value)) for name, value in meter.take().counts.items())


async def test_by_method_and_status(hub: Hub) -> None:
    """Of all tenants, and wherever the answer comes from."""
    await hub.parts.access.set(Tenant("ward"))
    await hub.put("/Patient/1", patient("1"))
    await hub.get("/Patient/1")
    await hub.get("/Patient/2")
    await hub.get(f"{BASE}/nowhere")
    await hub.get(f"{BASE}/t/ward/fhir/r4/Patient/1")
    await hub.get(f"{BASE}/healthz")
    found = taken(hub.parts.meter)
    assert found.each(HTTP_REQUESTS) == {("PUT", "201"): 1, ("GET", "200"): 2, ("GET", "404"): 3}
    assert found.timing(REQUEST).count == 6


async def stream(_: Request) -> Response:
    return StreamingResponse(iter(["data: 1\n\n"]), media_type="text/event-stream")


async def plain(_: Request) -> Response:
    return PlainTextResponse("1")


async def breaks(_: Request) -> Response:
    raise ZeroDivisionError


async def test_streams_are_not_timed() -> None:
    """They last as long as somebody looks; that they were asked for counts. So does what broke, as it is answered."""
    meter = Meter()
    app = Counting(
        Starlette(routes=[Route("/stream", stream), Route("/plain", plain), Route("/breaks", breaks)]), meter
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.example") as client:
        await client.get("/stream")
        await client.get("/plain")
        with pytest.raises(ZeroDivisionError):
            await client.get("/breaks")
    found = taken(meter)
    assert found.each(HTTP_REQUESTS) == {("GET", "200"): 2, ("GET", "500"): 1}
    assert found.timing(REQUEST).count == 2
