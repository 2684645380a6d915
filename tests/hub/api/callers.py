"""Hubs that ask who calls, and those who do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from hub.access import DEFAULT, Client, Key, Tenant
from hub.instants import now_ms
from subscriptions.rights import Rights
from subscriptions.scopes import ALL, Scopes
from tests.hub.api.server import Hub, serving
from tests.hub.conftest import settings

PUBLISHES = "system/Patient.cruds"


@asynccontextmanager
async def guarded(redis_url: str, tmp_path: Path, **wanted: Any) -> AsyncIterator[Hub]:
    """A hub with settings beside those of tests, that knows the client `lab`, who may publish Patients."""
    async with serving(settings(redis_url, tmp_path).model_copy(update=wanted)) as hub:
        await client(hub, "lab", PUBLISHES)
        yield hub


async def client(hub: Hub, name: str, scopes: str, tenant: str = DEFAULT, **more: Any) -> Client:
    made = Client(name, tenant, Rights(Scopes.parse(scopes)), **more)
    await hub.parts.access.set(made)
    return made


async def key(
    hub: Hub, client: str = "lab", scopes: Scopes = ALL, *, now: int | None = None, lasts: int | None = None
) -> tuple[Key, str]:
    """A key of a client's, and what it has to send. `lasts`: ms."""
    now = now_ms() if now is None else now
    made, text = Key.new(client, scopes, now=now, expires=None if lasts is None else now + lasts)
    await hub.parts.access.set(made)
    return made, text


async def grant(hub: Hub, tenant: str, to: str, scopes: str) -> None:
    await hub.parts.access.set(Tenant(tenant, {to: Scopes.parse(scopes)}))


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def with_token(hub: Hub, token: str, url: str = "/Patient/1") -> httpx.Response:
    return await hub.client.get(url, headers=bearing(token))


def fault(caplog: Any) -> str:
    """What the log says that was wrong with the credentials of the last request that was refused."""
    return str([record for record in caplog.records if record.message == "caller.refused"][-1].fault)
