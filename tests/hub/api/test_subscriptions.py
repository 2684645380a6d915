"""Subscription's interactions and `$status`, on the state that the store holds: nothing is delivered here."""

from typing import Any

import pytest

from tests.hub.api.server import Hub
from tests.processes import subscription

ENDPOINT = "http://127.0.0.1:9/hook"


async def put(hub: Hub, id_: str, **more: Any) -> None:
    """Register a Subscription under an id, or change it."""
    answer = await hub.put(f"/Subscription/{id_}", subscription(ENDPOINT) | {"id": id_} | more)
    assert answer.status_code in (200, 201), answer.text


@pytest.mark.parametrize("path", ["", "/s", "/$status", "/s/$status"])
async def test_head_is_get_without_a_body(hub: Hub, path: str) -> None:
    await put(hub, "s")
    asked = [await hub.client.request(method, f"/Subscription{path}") for method in ("GET", "HEAD")]
    assert [answer.status_code for answer in asked] == [200, 200]
    assert asked[0].headers.keys() == asked[1].headers.keys()
    refused = await hub.client.request("PATCH", f"/Subscription{path}")
    assert refused.status_code == 405
    assert {"GET", "HEAD"} <= set(refused.headers["Allow"].split(", "))
