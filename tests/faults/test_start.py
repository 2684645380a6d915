"""A start before now, while the matcher is killed in the middle of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis

from subscriptions.versions.instant import write
from tests.facts import eventually
from tests.faults.checker import check
from tests.faults.publishers import Publishers
from tests.fhir import talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver


@pytest.mark.timeout(300)
async def test_kills_in_the_middle_of_the_past(data: Path, receiver: Receiver) -> None:
    """kill -9 of the matcher while the past is told and more is published: each change comes once, in order."""
    settings = {"HUB_REQUEST_TIMEOUT": "1"}
    async with HubProcess(data, settings) as hub, talking_to(hub) as fhir:
        async with Redis.from_url(hub.redis_url) as redis:
            # The clock has begun to note what is not kept any more; so all that is put from now on is known to be kept.
            await eventually(lambda: redis.exists("hub:{0}:trimmed"))
        start, publishers = write(datetime.now(UTC)), Publishers(hub)
        async with publishers.at_work():
            await publishers.acknowledged(1_000)
            wanted = subscription(f"{receiver.url}/past", content="full-resource", max_count=5, start=start)
            id_ = await fhir.subscribe(wanted)
            for _ in range(3):
                await receiver.more(20, "/past", seconds=60)
                await hub.kill("worker match")
        versions = publishers.versions()
        total = sum(versions.values())
        await receiver.numbered("/past", total, seconds=150)
        assert await fhir.events(id_) == total
    verdict = check(receiver.at("/past"), versions, publishers.told)
    print(f"{verdict.events} events, {verdict.duplicates} duplicates")
    assert verdict.broken == []
