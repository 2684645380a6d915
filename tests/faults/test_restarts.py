"""The whole hub ends, well or badly, and is started again on the same data: outstanding work goes on."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.facts import eventually
from tests.faults.checker import check
from tests.faults.publishers import Publishers
from tests.fhir import immunization, talking_to
from tests.processes import HubProcess, redis_servers, subscription
from tests.receiver import Holding, Receiver, after_handshake


@pytest.mark.timeout(240)
async def test_kill_of_the_supervisor(data: Path, receiver: Receiver) -> None:
    """kill -9 of the supervisor under load and a second start at once: nothing is lost, and there is one Redis."""
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(redis_servers(data)))
            await asyncio.sleep(0.01)

    async with HubProcess(data, {"HUB_REQUEST_TIMEOUT": "1"}) as hub, talking_to(hub) as fhir:
        id_ = await fhir.subscribe(subscription(f"{receiver.url}/full", content="full-resource", max_count=10))
        watching = asyncio.create_task(watch())
        publishers = Publishers(hub)
        async with publishers.at_work():
            await publishers.acknowledged(40)
            await receiver.more(20, "/full")
            await hub.stop(kill=True)
            await hub.start()
            await publishers.acknowledged(40)
        versions = publishers.versions()
        await receiver.numbered("/full", sum(versions.values()), seconds=60)
        watching.cancel()
        assert most == 1
        assert await fhir.events(id_) == sum(versions.values())
    verdict = check(receiver.at("/full"), versions, publishers.told)
    print(f"{verdict.events} events, {verdict.duplicates} duplicates, {publishers.repeats} writes repeated")
    assert verdict.broken == []


@pytest.mark.timeout(240)
async def test_restart(data: Path, receiver: Receiver) -> None:
    """
    After SIGTERM and a second start: what was on the wire has arrived once, what waited for its retry comes with the
    same bytes, what was behind it and what was not matched yet comes after it, and the handshake that was due is made.
    """
    # All that is due after the restart is due long after the stop, however long that takes.
    settings = {"HUB_HANDSHAKE_DELAY": "6", "HUB_RETRY_WAITS": "12,12,12", "HUB_REQUEST_TIMEOUT": "20"}
    holding = receiver.answers["/wire"] = Holding()
    receiver.answers["/retried"] = after_handshake(503, 200)
    async with HubProcess(data, settings) as hub, talking_to(hub) as fhir:
        wire, retried = await asyncio.gather(
            fhir.subscribe(subscription(f"{receiver.url}/wire", "Immunization", "patient=Patient/wire")),
            fhir.subscribe(subscription(f"{receiver.url}/retried", "Immunization", "patient=Patient/retried")),
        )
        await fhir.put(immunization("wire", patient="wire"))
        await receiver.until(lambda: holding.on_the_wire == 1)
        for lot in "12":
            await fhir.put(immunization("retried", patient="retried", lot=lot))
        await fhir.until_events(retried, 2)
        async with hub.paused("worker match"):
            await fhir.put(immunization("retried", patient="retried", lot="3"))
            pending = await fhir.post(subscription(f"{receiver.url}/pending"))
            assert await fhir.events(retried) == 2
            await hub.kill("worker match")
        stopping = asyncio.create_task(hub.stop())
        await eventually(lambda: not hub.pids("worker match"))
        holding.release()
        assert await stopping == 0
        assert (receiver.numbers("/retried"), receiver.requests["/pending"]) == ([1], 0)

        await hub.start()
        first, *others = await receiver.events("/retried", 4)
        assert [each.numbers for each in others] == [[1], [2], [3]]
        assert others[0].body == first.body
        await fhir.until(pending, "active")
        assert receiver.requests["/pending"] == 1
        await fhir.put(immunization("wire", patient="wire", lot="2"))
        assert [each.numbers for each in await receiver.events("/wire", 2)] == [[1], [2]]
        assert await fhir.events(wire) == 2


@pytest.mark.timeout(240)
async def test_workers_that_share(data: Path, receiver: Receiver) -> None:
    """Two match and two deliver workers share the work and keep the order, also when one of each is killed."""
    async with HubProcess(data, {"HUB_REQUEST_TIMEOUT": "1"}) as hub, talking_to(hub) as fhir:
        more = [await hub.another("worker", "match"), await hub.another("worker", "deliver")]
        await eventually(lambda: hub.have(2))
        wanted = {
            f"/full-{number}": subscription(f"{receiver.url}/full-{number}", content="full-resource", max_count=5)
            for number in range(6)
        }
        ids = await asyncio.gather(*map(fhir.subscribe, wanted.values()))
        publishers = Publishers(hub)
        async with publishers.at_work():
            await publishers.acknowledged(60)
            await receiver.more(20, *wanted)
            await eventually(lambda: hub.have(2))
            for process in more:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            await publishers.acknowledged(60)
            await receiver.more(20, *wanted)
        await eventually(lambda: hub.have(1))
        versions = publishers.versions()
        total = sum(versions.values())
        for path, id_ in zip(wanted, ids, strict=True):
            await receiver.numbered(path, total)
            assert await fhir.events(id_) == total
    verdicts = [check(receiver.at(path), versions, publishers.told) for path in wanted]
    print(f"{total} events each, {sum(verdict.duplicates for verdict in verdicts)} duplicates")
    assert [line for verdict in verdicts for line in verdict.broken] == []
