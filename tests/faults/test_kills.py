"""kill -9 of every part under load: nothing acknowledged is lost, doubled or out of order."""

from pathlib import Path

import pytest

from tests.faults.checker import check
from tests.faults.publishers import Publishers
from tests.fhir import talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver

EVERYTHING = ("api", "worker match", "worker deliver", "clock", "redis")


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("parts", "times"),
    [
        pytest.param(["api"], 3, id="api"),
        pytest.param(["worker match"], 2, id="match"),
        pytest.param(["worker deliver"], 2, id="deliver"),
        pytest.param(["redis"], 3, id="redis"),
        pytest.param(EVERYTHING, 2, id="everything-at-once"),
    ],
)
async def test_kill(data: Path, receiver: Receiver, parts: list[str], times: int) -> None:
    """Every acknowledged change has one event, numbers have no gap, order is kept, and a repeat has the same bytes."""
    async with HubProcess(data, {"HUB_REQUEST_TIMEOUT": "1"}) as hub, talking_to(hub) as fhir:
        one_by_one = subscription(f"{receiver.url}/ids")
        in_batches = subscription(f"{receiver.url}/full", content="full-resource", max_count=10)
        ids = {"/ids": await fhir.subscribe(one_by_one), "/full": await fhir.subscribe(in_batches)}
        publishers = Publishers(hub)
        async with publishers.at_work():
            for _ in range(times):
                await publishers.acknowledged(40)
                await receiver.more(40, *ids, seconds=60)
                for part in parts:
                    await hub.kill(part)
            await publishers.acknowledged(40)
        versions = publishers.versions()
        total = sum(versions.values())
        for path, id_ in ids.items():
            await receiver.numbered(path, total, seconds=60)
            assert await fhir.events(id_) == total
    for path in ids:
        verdict = check(receiver.at(path), versions, publishers.told)
        print(f"{path}: {verdict.events} events, {verdict.duplicates} duplicates, {publishers.repeats} writes repeated")
        assert verdict.broken == []
        assert verdict.events == total
