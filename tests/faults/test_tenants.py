"""
Two tenants with the same ids, topics, filters and patients, at work at once: nothing of one shows at the other.

TENANTS_SECONDS: For how long.
"""

import asyncio
import os
from pathlib import Path

import pytest

from tests.faults.tenants import READ, SUBSCRIPTIONS, Organisation, organisations, publishing, shown
from tests.processes import HubProcess

SECONDS = float(os.environ.get("TENANTS_SECONDS", "20"))
#: Seconds between two writes of one publisher, and between two reads of one reader.
PAUSE = 0.1
#: A tenant that there isn't, as long as those that there are.
GHOST = "ghost"


async def reading(one: Organisation, other: Organisation, enough: asyncio.Event) -> None:
    """Read all of it again and again: nothing names the other."""
    while not enough.is_set():
        for method, url, body in READ:
            answer = await one.look(url, method, body)
            assert other.name not in shown(answer), (url, answer.text)
            assert answer.status_code in (200, 400, 404, 410), (url, answer.text)
        for url in (f"Immunization/only-{other.name}", one.below(other.name, "fhir/r4/Immunization")):
            there, nowhere = await one.look(url), await one.look(url.replace(other.name, GHOST))
            assert there.status_code == nowhere.status_code == 404
            assert shown(there).replace(other.name, GHOST) == shown(nowhere)
        await asyncio.sleep(PAUSE)


@pytest.mark.timeout(SECONDS + 110)
async def test_nothing_crosses_between_tenants(data: Path) -> None:
    """No notification, status, event, result, count or error; each is told of all that is its own, in order."""
    async with (
        HubProcess(data, {"HUB_AUTH": "keys"}) as hub,
        organisations(hub, "north", "south") as (north, south),
    ):
        await asyncio.gather(north.begin(member=True), south.begin(member=False))
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for one, other in ((north, south), (south, north)):
                group.create_task(publishing(one, enough, pause=PAUSE))
                group.create_task(reading(one, other, enough))
            asyncio.get_running_loop().call_later(SECONDS, enough.set)
        for one, other, member in ((north, south, True), (south, north, False)):
            await told_of_its_own(one, other, member=member)
        print({one.name: (one.changes, dict(one.answers), len(one.receiver.received)) for one in (north, south)})
        assert north.changes != south.changes


async def told_of_its_own(one: Organisation, other: Organisation, *, member: bool) -> None:
    """Each Subscription has had an event for each change of its own, and nothing came from elsewhere."""
    for id_ in SUBSCRIPTIONS:
        expected = {"group": one.changes if member else 0, "own": one.deletes}.get(id_, one.changes)
        await one.fhir.until_events(id_, expected)
        if expected:
            await one.receiver.numbered(f"/{id_}", expected, seconds=60)
        assert await one.fhir.events(id_) == expected
        assert one.receiver.numbers(f"/{id_}") == list(range(1, expected + 1))
    for received in one.receiver.received:
        assert other.name.encode() not in received.body
        assert other.name not in str(received.headers)
        assert received.path.removeprefix("/") in SUBSCRIPTIONS
        for entry in received.bundle["entry"][1:]:
            assert one.name in entry["fullUrl"]
    found = (await one.look("Immunization?_count=1000&_total=accurate")).json()
    # Beside what it wrote there is the one that only it has.
    assert found["total"] == len(one.written) + 1
    assert (await one.look("Subscription?_summary=count")).json()["total"] == len(SUBSCRIPTIONS)
    for reference, version in one.written.items():
        assert (await one.look(reference)).json()["meta"]["versionId"] == str(version)
