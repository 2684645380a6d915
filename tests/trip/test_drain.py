"""An origin is drained while a whole hub runs, and its processes are killed: nothing is lost, and all is in order."""

from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.facts import eventually
from tests.fhir import Fhir, immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver, lots


async def asked(hub: HubProcess, action: str, **body: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.post(f"{hub.url}/admin/origins/{action}", json=body)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said


async def _stored(fhir: Fhir, resource: dict[str, Any]) -> bool:
    """Write it; False while Redis starts again."""
    answer = await fhir.http.put(f"Immunization/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201, 503), answer.text
    return answer.status_code != 503


async def standing(hub: HubProcess) -> dict[str, str]:
    """How it stands with origins."""
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.get(f"{hub.url}/admin/origins")
        return {each["origin"]: each["state"] for each in answer.json().get("origins", ())}


async def test_drained_over_kills_and_a_restart(data: Path, receiver: Receiver) -> None:
    """The other origin is told of everything meanwhile; the drained one afterwards, from the first number on."""
    async with HubProcess(data, {"HUB_REQUEST_TIMEOUT": "1"}) as hub, Receiver() as other, talking_to(hub) as fhir:
        for each in (receiver, other):
            await fhir.subscribe(subscription(f"{each.url}/all", content="full-resource"))
        written = 0

        async def write(count: int) -> None:
            nonlocal written
            for _ in range(count):
                await eventually(partial(_stored, fhir, immunization("i", lot=str(written))))
                written += 1

        await write(3)
        for each in (receiver, other):
            await each.numbered("/all", written)
        said = await asked(hub, "drain", origin=receiver.url, minutes=60)
        before = len(receiver.at("/all"))
        await write(5)
        for part in ("worker deliver", "redis"):
            await hub.kill(part)
            await write(5)
        await other.numbered("/all", written)
        assert len(receiver.at("/all")) == before
        await hub.stop()
        await hub.start()
        assert (await standing(hub))[said["origin"]] == "drained"
        async with talking_to(hub) as again:
            await again.put(immunization("i", lot=str(written)))
            written += 1
        await eventually(lambda: str(written - 1) in lots(other.at("/all")))
        assert len(receiver.at("/all")) == before
        await asked(hub, "resume", origin=receiver.url)
        await receiver.until(lambda: str(written - 1) in lots(receiver.at("/all")))
        numbers = receiver.numbers("/all")
        assert sorted(set(numbers)) == list(range(1, max(numbers) + 1))
        assert [number for place, number in enumerate(numbers) if number not in numbers[:place]] == sorted(set(numbers))
        assert said["origin"] not in await standing(hub)
