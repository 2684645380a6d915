"""The audit of a hub on its real trip: what operators export of it while it runs, and what a kill leaves."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.facts import eventually
from tests.fhir import immunization, talking_to
from tests.operator import done, operate
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver


def kind(event: dict[str, Any]) -> str:
    """The hub's own code of an AuditEvent of R4."""
    return str(event["subtype"][-1]["code"])


async def export(data: Path, *more: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await done(data, "audit", "export", *more)).splitlines()]


@pytest.mark.timeout(240)
async def test_export(data: Path, receiver: Receiver) -> None:
    """A trip from registration to notification is in the export of a hub that runs, in order, as REST has it."""
    async with HubProcess(data, {"HUB_AUDIT": "notifications"}) as hub, talking_to(hub) as fhir:
        id_ = await fhir.subscribe(subscription(f"{receiver.url}/audit", content="id-only"))
        await fhir.put(immunization("one"))
        await receiver.events("/audit", 1)

        async def all_of_it() -> bool:
            return [kind(event) for event in await export(data)].count("notified") == 2

        await eventually(all_of_it)
        events = [event for event in await export(data) if kind(event) != "exported"]
        assert [kind(event) for event in events] == [
            "subscription-created", "notified", "subscription-activated", "notified"
        ]  # fmt: skip
        told = events[-1]
        assert [entity["what"]["reference"] for entity in told["entity"]] == [
            f"Subscription/{id_}", "Immunization/one/_history/1"
        ]  # fmt: skip
        listed = (await fhir.http.get("AuditEvent", params={"entity": "Immunization/one"})).json()["entry"]
        # Who has recorded it is told by the hub's URL, which the command isn't told here.
        assert [entry["resource"] | {"source": told["source"]} for entry in listed] == [told]
        assert await export(data, "--until", "2020-01-01") == []
        assert kind((await export(data))[-1]) == "exported"
        r5 = await export(data, "--version", "r5", "--since", "2020-01-01T00:00:00Z")
        assert r5[0]["code"]["coding"][-1]["code"] == "subscription-created"
    assert [kind(event) for event in await export(data)][:1] == ["subscription-created"]
    code, _, said = await operate(data, "audit", "export", "--tenant", "nobody")
    assert (code, "there is no tenant nobody" in said) == (2, True)


@pytest.mark.parametrize(
    ("point", "method", "path", "left"),
    [
        pytest.param("after:record", "PUT", "Subscription/s", "subscription-created", id="registration"),
        pytest.param("after:record", "PUT", "SubscriptionTopic/t", "topic-created", id="topic"),
    ],
)
@pytest.mark.timeout(240)
async def test_killed_between(data: Path, receiver: Receiver, point: str, method: str, path: str, left: str) -> None:
    """A process that dies when the audit has it and before it is done leaves the entry, and nothing done."""
    topic: dict[str, Any] = {
        "resourceType": "SubscriptionTopic",
        "id": "t",
        "url": "https://a.example/t",
        "status": "active",
    }
    topic |= {"title": "T", "resourceTrigger": [{"resource": "Immunization", "supportedInteraction": ["create"]}]}
    body = topic if left == "topic-created" else subscription(f"{receiver.url}/killed") | {"id": "s"}
    version = "r5" if left == "topic-created" else "r4"
    async with HubProcess(data, {"HUB_CRASH_AT": point}) as hub, talking_to(hub) as fhir:
        url = f"{hub.url}/fhir/{version}/{path}"
        before = hub.pids("api")
        with pytest.raises(httpx.TransportError):
            await fhir.http.request(method, url, json=body)
        await eventually(lambda: asyncio.sleep(0, hub.pids("api") not in ([], before)))

        async def is_back() -> bool:
            with suppress(httpx.TransportError):
                return (await fhir.http.get(url)).status_code == 404
            return False

        await eventually(is_back)
        events = [event for event in await export(data) if kind(event) != "exported"]
        assert [(kind(event), event["entity"][0]["what"]["reference"].rpartition("/")[2]) for event in events] == [
            (left, path.rpartition("/")[2])
        ]
