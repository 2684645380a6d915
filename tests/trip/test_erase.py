"""A patient is erased on the real trip: from Redis' files too, whoever is killed meanwhile, and at the command line."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import operator
from tests.dump import files
from tests.facts import eventually
from tests.fhir import Fhir, immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver, parameters

NAME, OTHER = "Quixlethorpe", "Ngata"
COMPARTMENT = ("erase", "Patient/gone", "--compartment")


def patient(id_: str, family: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "name": [{"family": family}]}


def everything_in(data: Path) -> bytes:
    """What is in all files of a data directory."""
    return b"".join(file.read_bytes() for file in data.rglob("*") if file.is_file())


async def publish(fhir: Fhir, events: int) -> None:
    await fhir.put(patient("gone", NAME))
    await fhir.put(patient("stays", OTHER))
    for number in range(events):
        await fhir.put(immunization(f"gone{number}", patient="gone", note=[{"text": NAME}]))


async def order(hub: HubProcess) -> httpx.Response:
    async with httpx.AsyncClient(base_url=hub.url, timeout=30) as http:
        return await http.post("/admin/erase", json={"resource": "Patient/gone", "compartment": True})


async def done(hub: HubProcess, answer: httpx.Response) -> dict[str, Any]:
    """What is said of an erasure when all of it is done, however long that takes."""
    async with httpx.AsyncClient(timeout=30) as http:

        async def is_done() -> bool:
            nonlocal answer
            if answer.status_code == 202:
                answer = await http.get(answer.headers["Location"])
            elif answer.json()["state"] != "done":
                answer = await http.get(f"{hub.url}/admin/erasures/{answer.json()['id']}")
            assert answer.status_code in (200, 202), answer.text
            return bool(answer.json()["state"] == "done")

        await eventually(is_done)
    return dict(answer.json())


async def is_erased(fhir: Fhir, reference: str) -> bool:
    try:
        return (await fhir.http.get(reference)).status_code == 410
    except httpx.TransportError:
        return False


@pytest.mark.timeout(240)
async def test_the_name_is_in_no_file_any_more(data: Path, receiver: Receiver) -> None:
    """Nor after a restart; the events' numbers stay, and what comes later is told as ever."""
    async with HubProcess(data) as hub, talking_to(hub) as fhir:
        id_ = await fhir.subscribe(subscription(f"{receiver.url}/all", content="full-resource"))
        await publish(fhir, 3)
        await receiver.numbered("/all", 3)
        assert NAME.encode() in files(data)
        told = await done(hub, await order(hub))
        assert (told["erased"], told["files"]) == ({"Immunization": 3, "Patient": 1}, "written anew")
        await eventually(lambda: NAME.encode() not in files(data))
        await hub.stop()
        everywhere = everything_in(data)
        assert NAME.encode() not in everywhere
        assert OTHER.encode() in everywhere
        await hub.start()
        assert await is_erased(fhir, "Immunization/gone1")
        assert (await fhir.read("Patient/stays"))["name"] == [{"family": OTHER}]
        assert await fhir.events(id_) == 3
        await fhir.put(immunization("later"))
        await receiver.numbered("/all", 4)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("step", ["after:further", "after:erase:2"])
async def test_whoever_is_killed_meanwhile(data: Path, receiver: Receiver, step: str) -> None:
    """The process that erases dies at a step: the clock goes on where that was."""
    async with HubProcess(data, {"HUB_CRASH_AT": step}) as hub, talking_to(hub) as fhir:
        await fhir.subscribe(subscription(f"{receiver.url}/all", content="full-resource"))
        await publish(fhir, 3)
        with pytest.raises(httpx.TransportError):
            await order(hub)
        await eventually(lambda: is_erased(fhir, "Patient/gone"))
        await eventually(lambda: is_erased(fhir, "Immunization/gone2"))
        await eventually(lambda: NAME.encode() not in files(data))
        assert OTHER.encode() in files(data)


@pytest.mark.timeout(240)
async def test_at_the_command_line(data: Path) -> None:
    """At rest: what would be erased is said first, then it is."""
    async with HubProcess(data) as hub, talking_to(hub) as fhir:
        await publish(fhir, 2)
        await fhir.put({"resourceType": "List", "id": "l", "status": "current", "mode": "working", "entry": [
            {"item": {"reference": "Patient/gone"}}]})  # fmt: skip
    said = await operator.done(data, *COMPARTMENT, "--dry-run")
    assert "would be erased: 2 Immunization, 1 Patient; 3 versions" in said
    assert "  List/l" in said
    assert NAME.encode() in files(data)
    said = await operator.done(data, *COMPARTMENT)
    assert "erased: 2 Immunization, 1 Patient; 3 versions" in said
    assert "written anew" in said
    assert NAME.encode() not in files(data)
    for words, why in (
        (("Patient/never",), "Patient/never is not known"),
        (("Patient",), "Type/id"),
        (("Patient/gone", "--compartment", "--tenant", "nobody"), "there is no tenant nobody"),
    ):
        code, _, said = await operator.operate(data, "erase", *words)
        assert (code, said.count("\n"), why in said) == (2, 1, True), said
    async with HubProcess(data) as hub, talking_to(hub) as fhir:
        assert await is_erased(fhir, "Patient/gone")


@pytest.mark.timeout(240)
async def test_at_the_command_line_while_the_hub_runs(data: Path, receiver: Receiver) -> None:
    """What was created stays gone, events keep their numbers, and who is asked at the same time disturbs nobody."""
    async with HubProcess(data) as hub, talking_to(hub) as fhir:
        id_ = await fhir.subscribe(subscription(f"{receiver.url}/all", content="full-resource"))
        await publish(fhir, 2)
        create = fhir.http.build_request(
            *("POST", "Immunization"),
            json=immunization(patient="gone", note=[{"text": NAME}]),
            headers={"Idempotency-Key": "k"},
        )
        assert (await fhir.http.send(create)).status_code == 201
        await receiver.numbered("/all", 3)
        said = await operator.done(data, *COMPARTMENT)
        assert "erased: 3 Immunization, 1 Patient; 4 versions" in said
        assert "written anew" in said
        assert NAME.encode() not in files(data)
        assert await is_erased(fhir, "Immunization/gone1")
        assert (await fhir.http.send(create)).status_code == 410
        events = await fhir.read(f"Subscription/{id_}/$events?content=full-resource")
        told = parameters(events["entry"][0]["resource"])
        assert [event["event-number"] for event in told["notification-event"]] == ["1", "2", "3"]
        assert NAME not in str(events)

        await publish(fhir, 2)
        await receiver.numbered("/all", 5)
        said, answer = await asyncio.gather(operator.done(data, *COMPARTMENT), order(hub))
        assert (await done(hub, answer))["files"] in said
        assert NAME.encode() not in files(data)
        assert await is_erased(fhir, "Patient/gone")
        await fhir.put(immunization("later"))
        await receiver.numbered("/all", 6)
