"""How often a subscriber is told, by real time: heartbeats when nothing is new, and windows that gather what is."""

from itertools import pairwise
from pathlib import Path

from tests.facts import eventually
from tests.fhir import Fhir, immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Received, Receiver

#: What a process may be late when the machine is busy, in seconds.
LATE = 2.0


def all_at(receiver: Receiver, path: str) -> list[Received]:
    return [received for received in receiver.received if received.path == path]


async def two_more(receiver: Receiver) -> None:
    """Wait for heartbeats that are still to come."""
    sent = len(receiver.at("/heart", "heartbeat"))
    await receiver.until(lambda: len(receiver.at("/heart", "heartbeat")) >= sent + 2)


async def test_heartbeats(fhir: Fhir, receiver: Receiver) -> None:
    """One a second while nothing is new; events are told at once all the same; turned off there are none."""
    wanted = subscription(f"{receiver.url}/heart", "Immunization", "patient=Patient/heart", heartbeat=1)
    id_ = await fhir.subscribe(wanted)
    await receiver.until(lambda: len(receiver.at("/heart", "heartbeat")) >= 2)
    await fhir.put(immunization("heart", patient="heart"))
    await receiver.events("/heart", 1)
    await receiver.until(lambda: len(receiver.at("/heart", "heartbeat")) >= 4)
    told = all_at(receiver, "/heart")
    waits = [after.at - before.at for before, after in pairwise(told) if after.type == "heartbeat"]
    assert all(wait > 0.8 for wait in waits)
    assert min(waits) < 1 + LATE, "a busy machine is late, but not with each of them"
    numbers = [received.parameters["events-since-subscription-start"] for received in told]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == ("0", "1")
    await fhir.change(id_, wanted | {"status": "off"}, until="off")
    witness = await fhir.subscribe(subscription(f"{receiver.url}/witness", heartbeat=1))
    sent = len(all_at(receiver, "/heart"))
    await receiver.until(lambda: len(receiver.at("/witness", "heartbeat")) >= 2)
    await fhir.delete(f"Subscription/{witness}")
    assert len(all_at(receiver, "/heart")) <= sent + 1, "what was on the wire"


async def test_heartbeats_go_on_when_whoever_sends_them_is_killed(data: Path, receiver: Receiver) -> None:
    async with HubProcess(data, {"HUB_REQUEST_TIMEOUT": "1"}) as hub, talking_to(hub) as fhir:
        await fhir.subscribe(subscription(f"{receiver.url}/heart", heartbeat=1))
        await two_more(receiver)
        for part in ("worker deliver", "redis"):
            await hub.kill(part)
            await two_more(receiver)


async def test_window(fhir: Fhir, receiver: Receiver) -> None:
    """Changes come without a pause for some windows, and no two Bundles in one of them; nothing is left out."""
    wanted = subscription(f"{receiver.url}/window", "Immunization", "patient=Patient/window", window=1)
    id_ = await fhir.subscribe(wanted)
    written = 0
    while len(receiver.at("/window")) < 4:
        written += 1
        await fhir.put(immunization("window", patient="window", lot=str(written)))
    await receiver.numbered("/window", written)
    bundles = receiver.at("/window")
    assert [number for bundle in bundles for number in bundle.numbers] == list(range(1, written + 1))
    assert all(after.at - before.at > 0.95 for before, after in pairwise(bundles))
    assert max(len(bundle.numbers) for bundle in bundles) > 1

    async def delivered() -> bool:
        return await fhir.events(id_) == written

    await eventually(delivered)
