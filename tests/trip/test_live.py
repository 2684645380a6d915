"""What operators watch of a hub that runs: from the write to the delivery, and until the hub is told to stop."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from tests.facts import eventually
from tests.fhir import immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver


async def told(answer: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of a stream, each with its name."""
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def test_what_happens_is_seen_as_it_happens(data: Path, receiver: Receiver) -> None:
    """Each step of a trip within seconds, and the figures that it makes; a hub that stops waits for no stream."""
    async with HubProcess(data) as hub, talking_to(hub) as fhir, httpx.AsyncClient(timeout=30) as http:
        await fhir.subscribe(subscription(f"{receiver.url}/all"))
        async with http.stream("GET", f"{hub.url}/admin/live?tail=true") as answer:
            assert answer.status_code == 200
            steps, delivered, stream = set[str](), 0.0, told(answer)
            async with asyncio.timeout(30):
                while not (delivered and {"change.stored", "change.matched", "delivery.attempted"} <= steps):
                    name, seen = await anext(stream)
                    if name == "figures":
                        delivered += seen["delivered"]
                        await fhir.put(immunization("i"))
                    else:
                        steps.add(seen["step"])
            began = time.monotonic()
            assert await hub.stop() == 0
            took = time.monotonic() - began
        assert took < 4, "requests under way would have got 5 s"


async def test_the_overview_of_a_hub_that_runs(data: Path, receiver: Receiver) -> None:
    """Who works stands there, and nothing is wrong; the figures are those of what was done."""
    async with HubProcess(data) as hub, talking_to(hub) as fhir, httpx.AsyncClient(timeout=30) as http:
        await fhir.subscribe(subscription(f"{receiver.url}/all"))
        for number in range(5):
            await fhir.put(immunization("i", lot=str(number)))
        await receiver.numbered("/all", 5)

        async def overview() -> dict[str, Any]:
            return dict((await http.get(f"{hub.url}/admin/overview")).json())

        async def well() -> bool:
            """Also whoever was the last to start, or to count, has said so."""
            said = await overview()
            counted = [said["totals"][name] for name in ("stored", "owed", "delivered")]
            at_work = {each["kind"] for each in said["workers"]} == {"match", "deliver", "clock"}
            matching = all(each["matcher"] for each in said["matching"]["partitions"])
            return counted == [5, 5, 5] and at_work and matching and said["problems"] == []

        await eventually(well)
