"""Redis is away for a while: writes are refused, and nothing is left half done."""

import asyncio
from collections import defaultdict

import httpx
import pytest

from tests.facts import eventually
from tests.fhir import Fhir, immunization, version
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver

#: How many write at once.
WRITERS = 3


async def put(fhir: Fhir, number: int, lot: str) -> httpx.Response:
    resource = immunization(f"away-{number}", patient="away", lot=lot)
    return await fhir.http.put(f"Immunization/{resource['id']}", json=resource)


@pytest.mark.parametrize(
    "part", [pytest.param("serve", id="killed-and-not-restarted"), pytest.param("redis", id="stopped-and-resumed")]
)
async def test_redis_away(hub: HubProcess, fhir: Fhir, receiver: Receiver, part: str) -> None:
    """
    Writes get 503, Retry-After and an OperationOutcome; what a Redis that stood still did afterwards is a version like
    any other. Repeated, each write is stored, and the versions have no hole: each has one event.
    """
    path = f"/away-{part}"
    wanted = subscription(f"{receiver.url}{path}", "Immunization", "patient=Patient/away", content="full-resource")
    id_ = await fhir.subscribe(wanted)
    before = [version(await put(fhir, number, f"{part}-before")) for number in range(WRITERS)]
    async with hub.paused(part):
        if part == "serve":
            await hub.kill("redis")
        ready, live, *answers = await asyncio.gather(
            *(fhir.http.get(f"{hub.url}/{path}") for path in ("readyz", "healthz")),
            *(put(fhir, number, f"{part}-away") for number in range(WRITERS)),
        )
    assert (ready.status_code, live.status_code) == (503, 200)
    for answer in answers:
        assert (answer.status_code, answer.json()["resourceType"]) == (503, "OperationOutcome")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["issue"][0]["code"] == "transient"

    async def is_back() -> bool:
        return (await fhir.http.get(f"{hub.url}/readyz")).status_code == 200

    await eventually(is_back)
    written = {}
    for number in range(WRITERS):
        answer = await put(fhir, number, f"{part}-away")
        assert answer.status_code == 200
        last = version(answer)
        history = [entry["resource"] for entry in (await fhir.read(f"Immunization/away-{number}/_history"))["entry"]]
        assert [int(each["meta"]["versionId"]) for each in history] == list(range(last, 0, -1))
        assert before[number] < last <= before[number] + 2
        assert {each["lotNumber"] for each in history[: last - before[number]]} == {f"{part}-away"}
        written[f"away-{number}"] = list(range(before[number], last + 1))
    total = sum(map(len, written.values()))
    await receiver.numbered(path, total)
    assert await fhir.events(id_) == total
    told_of = defaultdict(list)
    for each in {each.bundle["id"]: each for each in receiver.at(path)}.values():
        resource = each.bundle["entry"][1]["resource"]
        told_of[resource["id"]].append(int(resource["meta"]["versionId"]))
    assert told_of == written
    await fhir.delete(f"Subscription/{id_}")
