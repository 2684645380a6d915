"""`/admin/live` is for operators, for as long as they are."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from subscriptions.scopes import ALL
from tests.facts import eventually
from tests.hub.api.callers import PUBLISHES, bearing, client, guarded, key
from tests.hub.api.server import Hub
from tests.hub.conftest import BASE

LIVE = f"{BASE}/admin/live"


@pytest.fixture
async def hub(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """One whose clients have keys, and may ask but twice at once."""
    async with guarded(redis_url, tmp_path, auth="keys", rate=0.001, rate_burst=2) as hub:
        yield hub


@pytest.mark.parametrize("lost", ["key", "scope"])
async def test_who_may_not_watch_any_more_sees_nothing_more(hub: Hub, lost: str) -> None:
    """The stream ends within seconds, and not when it was to end."""
    await client(hub, "boss", str(ALL))
    made, text = await key(hub, "boss")
    watching = asyncio.create_task(hub.client.get(f"{LIVE}?tail=true&seconds=60", headers=bearing(text)))

    async def watched() -> bool:
        await hub.parts.metering.flush()
        return hub.parts.meter.watched

    await eventually(watched)
    access = hub.parts.access
    if lost == "key":
        await access.set(replace(made, revoked=access.now()))
    else:
        await client(hub, "boss", PUBLISHES)
    async with asyncio.timeout(30):
        answer = await watching
    assert answer.status_code == 200


async def test_who_watches_has_asked_once(hub: Hub) -> None:
    """However often it is looked whether he still may."""
    await client(hub, "boss", str(ALL))
    _, text = await key(hub, "boss")
    answer = await hub.client.get(f"{LIVE}?seconds=4", headers=bearing(text))
    assert "event: figures" in answer.text  # it was looked twice at least before, and he may ask but twice
    assert (await hub.client.get(f"{LIVE}?seconds=1", headers=bearing(text))).status_code == 200
    assert (await hub.client.get(f"{LIVE}?seconds=1", headers=bearing(text))).status_code == 429
