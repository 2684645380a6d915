"""Tenants on their real trip: one is made while the hub runs, and granted something, and then no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.facts import eventually
from tests.fhir import Fhir, immunization
from tests.operator import done
from tests.processes import SHARED, HubProcess, subscription
from tests.receiver import Receiver


@asynccontextmanager
async def at(hub: HubProcess, tenant: str) -> AsyncIterator[Fhir]:
    """A client of a tenant's R4 base."""
    async with hub.client() as client:
        client.base_url = httpx.URL(f"{hub.url}/t/{tenant}/fhir/r4/")
        yield Fhir(client)


async def test_a_tenant_that_comes_while_the_hub_runs(data: Path, receiver: Receiver) -> None:
    """It is told of its own, then of what it is granted as well, and then no more of that; the other way of nothing."""
    async with HubProcess(data, SHARED) as hub, hub.client() as client, at(hub, "late") as late:
        default = Fhir(client)
        await default.subscribe(subscription(f"{receiver.url}/default"))
        await done(data, "tenants", "set", "late")

        async def there() -> bool:
            return (await late.http.get("metadata")).status_code == 200

        await eventually(there)
        id_ = await late.subscribe(subscription(f"{receiver.url}/late"))
        for place in (default, late):
            await place.put(immunization("one"))
        (first,) = await receiver.events("/late", 1)
        assert str(late.http.base_url) + "Immunization/one" in first.body.decode()

        await done(data, "tenants", "grant", "default", "late", "system/Immunization.r")
        numbers = iter(range(1000))

        async def told() -> bool:
            await default.put(immunization(f"granted-{next(numbers)}"))
            return any(f"{hub.base}/Immunization/granted-".encode() in each.body for each in receiver.at("/late"))

        await eventually(told)
        await done(data, "tenants", "revoke", "default", "late")

        async def passed_by() -> bool:
            """Whoever a change concerns is owed it in one step: by when it is told, it is known who wasn't."""
            before, name = await late.events(id_), f"Immunization/withdrawn-{next(numbers)}"
            await default.put(immunization(name.partition("/")[2]))
            await receiver.until(lambda: any(name in each.foci for each in receiver.at("/default")))
            return await late.events(id_) == before

        await eventually(passed_by)
        assert all([await passed_by() for _ in range(5)])
        assert not any(b"/t/late/" in each.body for each in receiver.at("/default"))
