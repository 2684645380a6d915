"""What publishers and subscribers say to a hub, and R4 resources to say it with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.facts import LONG, eventually
from tests.processes import HubProcess
from tests.receiver import parameters


@dataclass(frozen=True, slots=True)
class Fhir:
    """A client of one of a hub's bases. What must succeed is asserted."""

    http: httpx.AsyncClient

    async def put(self, resource: dict[str, Any]) -> int:
        """Write a resource under its id; returns the version that it made."""
        answer = await self.http.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text
        return version(answer)

    async def post(self, resource: dict[str, Any]) -> str:
        """Create a resource; returns its id."""
        answer = await self.http.post(resource["resourceType"], json=resource)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def delete(self, reference: str) -> None:
        assert (await self.http.delete(reference)).status_code == 204

    async def read(self, reference: str) -> dict[str, Any]:
        answer = await self.http.get(reference)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def subscribe(self, subscription: dict[str, Any]) -> str:
        """Register a Subscription and wait until it is active; returns its id."""
        id_ = await self.post(subscription)
        await self.until(id_, "active")
        return id_

    async def change(self, id_: str, subscription: dict[str, Any], *, until: str = "active") -> None:
        """Write a Subscription anew and wait for its status."""
        await self.put(subscription | {"id": id_})
        await self.until(id_, until)

    async def status(self, id_: str) -> dict[str, Any]:
        """What `$status` says of a Subscription, as in `parameters`."""
        bundle = await self.read(f"Subscription/{id_}/$status")
        return parameters(bundle["entry"][0]["resource"])

    async def events(self, id_: str) -> int:
        """How many events a Subscription has had."""
        return int((await self.status(id_))["events-since-subscription-start"])

    async def until(self, id_: str, status: str, *, within: float = LONG) -> None:
        """Wait until a Subscription has this status."""

        async def has_it() -> bool:
            return str((await self.status(id_))["status"]) == status

        await eventually(has_it, within=within)

    async def until_events(self, id_: str, events: int, *, within: float = LONG) -> None:
        """Wait until a Subscription has had so many events."""

        async def has_them() -> bool:
            return await self.events(id_) >= events

        await eventually(has_them, within=within)


@asynccontextmanager
async def talking_to(hub: HubProcess, version: str = "r4") -> AsyncIterator[Fhir]:
    async with hub.client(version) as client:
        yield Fhir(client)


def version(answer: httpx.Response) -> int:
    """The version that an answer's ETag names."""
    return int(answer.headers["ETag"].removeprefix('W/"').removesuffix('"'))


def immunization(id_: str = "", *, lot: str = "1", patient: str = "example", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Immunization",
        **({"id": id_} if id_ else {}),
        "status": "completed",
        "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "207"}]},
        "patient": {"reference": f"Patient/{patient}"},
        "occurrenceDateTime": "2026-11-21",
        "lotNumber": lot,
        **more,
    }


def observation(id_: str, **more: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, **more}
