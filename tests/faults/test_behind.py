"""Matching stands still: publishers are told to come back, what is owed is delivered, and then all is as before."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.facts import eventually
from tests.faults.conftest import SETTINGS
from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Holding, Receiver

PATH = "/behind"


@pytest.fixture
async def hub(data: Path) -> AsyncIterator[HubProcess]:
    async with HubProcess(data, SETTINGS | {"HUB_MAX_UNMATCHED": "20"}) as hub:
        await eventually(lambda: hub.have(1))
        yield hub


async def test_a_backlog_of_changes(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    receiver.answers[PATH] = held = Holding()
    id_ = await fhir.subscribe(subscription(f"{receiver.url}{PATH}"))
    for name in ("first", "second"):
        await fhir.put(immunization(name))
    await fhir.until_events(id_, 2)
    await receiver.numbered(PATH, 1)
    async with hub.paused("worker match"):
        taken = 0
        while (said := await fhir.http.put(f"Immunization/b{taken}", json=immunization(f"b{taken}"))).is_success:
            taken += 1
        issue = said.json()["issue"][0]
        assert (said.status_code, issue["code"]) == (503, "throttled")
        assert "changes are not matched yet" in issue["diagnostics"]
        assert int(said.headers["Retry-After"]) > 0
        assert taken >= 20
        held.release()
        await receiver.numbered(PATH, 2)

    async def takes() -> bool:
        return (await fhir.http.put("Immunization/last", json=immunization("last"))).is_success

    await eventually(takes)
    await receiver.numbered(PATH, taken + 3)
