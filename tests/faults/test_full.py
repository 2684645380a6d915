"""Redis is full: publishers are told to come back, and whatever was confirmed is matched and delivered all the same."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from tests.facts import eventually
from tests.faults.conftest import SETTINGS
from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver

PATH = "/full"


@pytest.fixture
async def hub(data: Path) -> AsyncIterator[HubProcess]:
    """One of the test's own, whose Redis may be filled."""
    async with HubProcess(data, SETTINGS) as hub:
        await eventually(lambda: hub.have(1))
        yield hub


async def fill(fhir: Fhir, first: int) -> list[str]:
    """Write resources until the hub declines them; the ids of those that it took."""
    taken: list[str] = []
    note = [{"text": "x" * 20_000}]
    for number in count(first):
        id_ = f"full-{number}"
        answer = await fhir.http.put(f"Immunization/{id_}", json=immunization(id_, patient="full", note=note))
        if answer.status_code == 201:
            taken.append(id_)
            continue
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        if answer.json()["issue"][0]["code"] == "throttled":
            break
    return taken


async def takes(fhir: Fhir) -> bool:
    """Whether the hub takes what is published."""
    return (await fhir.http.put("Patient/p", json={"resourceType": "Patient", "id": "p"})).is_success


async def test_full(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """
    First at the limit that the hub has set itself; then Redis itself takes no more, before what was confirmed is
    matched, and for longer than jobs of RQ last, which needs the same Redis. When there is room all is as before.
    """
    wanted = subscription(f"{receiver.url}{PATH}", "Immunization", "patient=Patient/full", max_count=50)
    id_ = await fhir.subscribe(wanted)
    with Redis.from_url(hub.redis_url, decode_responses=True) as redis:
        redis.config_set("maxmemory", 8_000_000)
        first = await fill(fhir, 0)
        await receiver.numbered(PATH, len(first))
        assert (await fhir.http.get(f"{hub.url}/readyz")).json()["declines"].startswith("The hub is full")
        redis.config_set("maxmemory", 12_000_000)
        async with hub.paused("worker match"):
            await eventually(lambda: takes(fhir))
            second = await fill(fhir, 10_000)
            assert second
            redis.config_set("maxmemory", 8_000_000)
            with pytest.raises(OutOfMemoryError):
                redis.set("more", "x")
            await eventually(lambda: any('"rq.away","kind":"deliver"' in line for line in hub.output))
        await receiver.numbered(PATH, len(first + second))
        await fhir.change(id_, wanted)
        other = await fhir.http.post("Subscription", json=wanted)
        assert (other.status_code, other.json()["issue"][0]["code"]) == (503, "throttled")
        redis.config_set("maxmemory", 0)
    await eventually(lambda: takes(fhir))
    third = immunization("third", patient="full")
    await fhir.put(third)
    await receiver.numbered(PATH, len(first + second) + 1)
    foci = [focus for notification in receiver.at(PATH) for focus in notification.foci]
    assert sorted(foci) == sorted(f"Immunization/{each}" for each in (*first, *second, "third"))
    assert await fhir.events(id_) == len(foci)
    assert not any("request.failed" in line for line in hub.output)
    await eventually(lambda: hub.have(1))
