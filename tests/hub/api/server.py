"""The hub's HTTP side on a real Redis, in the process of the tests and without a port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from hub.access import DEFAULT
from hub.api.routes import Gate
from hub.keys import ResourceId
from hub.settings import Settings
from hub.store import Store
from hub.transaction import TransactionCoordinator
from hub.wiring.parts import Parts, parts
from hub.wiring.web import web
from subscriptions.codes import FhirVersion
from tests.hub.conftest import BASE, close

FHIR = f"{BASE}/fhir/r4"


@dataclass(frozen=True)
class Hub:
    """One api process. `client` has the FHIR base as its base URL."""

    client: httpx.AsyncClient
    parts: Parts
    app: FastAPI

    @property
    def store(self) -> Store:
        return self.parts.store

    @property
    def transactions(self) -> TransactionCoordinator:
        return self.parts.transactions

    async def get(self, url: str, **headers: str) -> httpx.Response:
        """GET, with headers written `if_none_match=`."""
        return await self.client.get(url, headers=_headers(headers))

    async def post(self, url: str, body: Any, **headers: str) -> httpx.Response:
        return await self.client.post(url, json=body, headers=_headers(headers))

    async def put(self, url: str, body: Any, **headers: str) -> httpx.Response:
        return await self.client.put(url, json=body, headers=_headers(headers))

    async def delete(self, url: str, **headers: str) -> httpx.Response:
        return await self.client.delete(url, headers=_headers(headers))

    async def changes(self) -> list[tuple[str, int, str]]:
        """All changes, sorted: `Type/id`, number of the version, interaction."""
        found = []
        for partition in self.parts.changes.partitions:
            entries = await self.parts.changes.after(partition, "0-0", count=100_000, wait_ms=1)
            found += [(f"{e.resource.type}/{e.resource.id}", e.number, e.interaction.value) for e in entries]
        return sorted(found)

    async def keys(self) -> set[bytes]:
        """Every key that Redis holds, but those that say what store it is and how far a lock's tokens have come."""
        found = set(await self.parts.pipeline.command("KEYS", "*"))
        return {key for key in found if not key.startswith(b"hub:{registry}") and not key.endswith(b":locks")}


@asynccontextmanager
async def serving(wanted: Settings, gate: Gate | None = None) -> AsyncIterator[Hub]:
    built = await parts(wanted)
    app = web(wanted, built, gate)
    headers = {"Content-Type": "application/fhir+json"}
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=FHIR, headers=headers) as client:
            yield Hub(client, built, app)
    finally:
        await close(built.client)


def patient(id_: str = "", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **({"id": id_} if id_ else {}), **more}


def place(type_: str, id_: str) -> ResourceId:
    return ResourceId(DEFAULT, FhirVersion.R4, type_, id_)


def issue(response: httpx.Response) -> dict[str, Any]:
    """The first issue of the OperationOutcome that a refusal has to be."""
    outcome = response.json()
    assert response.headers["content-type"].startswith("application/fhir+json")
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]
    for each in outcome["issue"]:
        assert each["severity"] == "error"
        assert each["code"]
        assert each["details"]["text"]
    first: dict[str, Any] = outcome["issue"][0]
    return first


def _headers(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
