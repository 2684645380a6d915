"""What Redis lost or garbled is set aside, counted and logged; what comes behind it goes on."""

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from hub.keys import Partition, ResourceId
from subscriptions.codes import FhirVersion
from tests.facts import eventually
from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver, lots

PARTITIONS = 4


def key(id_: str) -> str:
    """Where an Immunization is."""
    resource = ResourceId("default", FhirVersion.R4, "Immunization", id_)
    return Partition(resource.partition(PARTITIONS)).resource(resource)


def set_aside(hub: HubProcess, id_: str) -> list[dict[str, Any]]:
    """What the log says of changes of an Immunization that were set aside."""
    lines = [json.loads(line) for line in hub.output if line.startswith("{")]
    return [
        line
        for line in lines
        if line["event"] == "change.set-aside" and line["resource"].endswith(f"/Immunization/{id_}")
    ]


@pytest.mark.parametrize("body", [pytest.param(None, id="lost"), pytest.param("{broken", id="garbled")])
async def test_poison(
    hub: HubProcess, fhir: Fhir, receiver: Receiver, request: pytest.FixtureRequest, body: str | None
) -> None:
    """A change whose body is lost or garbled makes no event and stops nobody: later versions of the resource do."""
    name = f"poison-{request.node.callspec.id}"
    wanted = subscription(f"{receiver.url}/{name}", "Immunization", f"patient=Patient/{name}", content="full-resource")
    id_ = await fhir.subscribe(wanted)
    async with hub.paused("worker match"):
        await fhir.put(immunization(name, patient=name, lot="1"))
        async with Redis.from_url(hub.redis_url) as redis:
            if body is None:
                assert await redis.hdel(key(name), "b1") == 1
            else:
                assert await redis.hset(key(name), "b1", body) == 0
        for lot in "23":
            await fhir.put(immunization(name, patient=name, lot=lot))
    await receiver.until(lambda: "3" in lots(receiver.at(f"/{name}")))
    told_of = lots(receiver.at(f"/{name}"))
    assert "1" not in told_of
    assert receiver.numbers(f"/{name}") == list(range(1, len(told_of) + 1))
    assert await fhir.events(id_) == len(told_of)
    await eventually(lambda: set_aside(hub, name))  # a log is read when it is
    first = set_aside(hub, name)[0]
    assert (first["level"], bool(first["reason"])) == ("error", True)


async def test_body_lost_before_delivery(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """An event whose body is lost after it was owed is told without it, in its turn: its entry asks for a read."""
    name = "lost-later"
    id_ = await fhir.subscribe(
        subscription(f"{receiver.url}/{name}", "Immunization", f"patient=Patient/{name}", content="full-resource")
    )
    async with hub.paused("worker deliver"):
        for lot in "12":
            await fhir.put(immunization(name, patient=name, lot=lot))
        await fhir.until_events(id_, 2)
        async with Redis.from_url(hub.redis_url) as redis:
            assert await redis.hdel(key(name), "b1") == 1
    first, second = await receiver.events(f"/{name}", 2)
    assert (first.numbers, second.numbers) == ([1], [2])
    assert "resource" not in first.bundle["entry"][1]
    assert first.bundle["entry"][1]["request"] == {"method": "GET", "url": f"Immunization/{name}"}
    assert second.bundle["entry"][1]["resource"]["lotNumber"] == "2"
