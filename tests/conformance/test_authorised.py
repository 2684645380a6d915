"""What clients may, on a hub that tells them apart."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from hub.access import DEFAULT, Access, Client, Key
from hub.instants import now_ms
from hub.pipeline import Pipeline
from subscriptions.rights import Rights
from subscriptions.scopes import ALL, Scopes
from tests.conformance.bases import Base, base_of
from tests.conformance.topics import SCOPED, TOPICS
from tests.facts import eventually
from tests.fhir import immunization
from tests.processes import SHARED, HubProcess
from tests.receiver import Receiver

#: What a publisher may, and whoever wants to be told.
PUBLISHES, IS_TOLD = "system/*.cruds", "system/Immunization.r system/Subscription.cruds"


@dataclass(frozen=True)
class Guarded:
    """A hub that asks for keys, and its operator."""

    hub: HubProcess
    access: Access
    subscriber: Receiver
    stack: AsyncExitStack

    async def base(self, version: str, client: str, scopes: str) -> Base:
        """A base, as a new client sees it, with a key."""
        await self.let(client, scopes)
        key, text = Key.new(client, ALL, now=now_ms(), expires=None)
        await self.access.set(key)
        seen = await self.stack.enter_async_context(base_of(self.hub, self.subscriber, version))
        seen.http.headers["Authorization"] = f"Bearer {text}"

        async def known() -> bool:
            return (await seen.http.get("Subscription")).status_code == 200

        await eventually(known)
        return seen

    async def let(self, name: str, scopes: str) -> None:
        await self.access.set(Client(name, DEFAULT, Rights(Scopes.parse(scopes))))


@pytest.fixture(scope="session")
async def guarded(subscriber: Receiver) -> AsyncIterator[Guarded]:
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-data-")))
        hub = await stack.enter_async_context(HubProcess(data, SHARED | {"HUB_AUTH": "keys"}))
        redis = await stack.enter_async_context(Redis.from_url(hub.redis_url))
        yield Guarded(hub, Access(Pipeline(redis), now_ms), subscriber, stack)


async def test_H22_clients(guarded: Guarded, version: str) -> None:
    """Who is not known registers nothing, and who is nothing that it may not be told of."""
    ward = await guarded.base(version, f"ward-{version}", IS_TOLD)
    async with guarded.hub.client(version) as nobody:
        assert (await nobody.post("Subscription", json=ward.wanted("nobody"))).status_code == 401
    refused = await ward.http.post("Subscription", json=ward.wanted("ward", type_="Observation"))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (403, "forbidden")
    await ward.subscribe(ward.wanted("ward"))


async def test_A138_topic_and_filters(guarded: Guarded, version: str) -> None:
    """Whoever may be told of one of a topic's types is accepted with filters that name it, and not without."""
    lab = await guarded.base("r5", f"author-{version}", PUBLISHES)
    [scoped] = [each for each in TOPICS if each["url"] == SCOPED]
    await lab.fhir.put(scoped)
    ward = await guarded.base(version, f"ward-three-{version}", IS_TOLD)
    refused = await ward.http.post("Subscription", json=ward.wanted("any", topic=SCOPED))
    [issue] = refused.json()["issue"]
    assert (refused.status_code, issue["expression"]) == (403, [f"Subscription.{ward.topic}"])
    assert "system/Observation.r" in issue["details"]["text"]
    await ward.register(ward.wanted("one", "Immunization?patient=Patient/example", topic=SCOPED))


async def test_A138_each_event(guarded: Guarded, version: str) -> None:
    """A client that may not be told any more is not: others are, of the same change."""
    lab = await guarded.base(version, f"lab-too-{version}", PUBLISHES)
    ward = await guarded.base(version, f"ward-too-{version}", IS_TOLD)
    await lab.subscribe(lab.wanted("lab-too"))
    id_ = await ward.subscribe(ward.wanted("ward-too"))
    await lab.fhir.put(immunization(f"first-{version}"))
    await eventually(lambda: bool(ward.told("ward-too")))
    await guarded.let(f"ward-too-{version}", "system/Subscription.cruds")

    async def ended() -> bool:
        return bool((await ward.fhir.status(id_))["status"] == "error")

    await eventually(ended)
    told = [received.foci for received in ward.told("ward-too")]
    await lab.fhir.put(immunization(f"last-{version}"))
    await eventually(lambda: lab.told("lab-too")[-1].foci == [f"Immunization/last-{version}"])
    assert [received.foci for received in ward.told("ward-too")] == told
