"""A Redis that goes away: 503 with Retry-After, nothing half-written, and everything acknowledged still there."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from hub.keys import TRANSACTIONS
from tests.facts import eventually
from tests.hub.api.server import Hub, issue, patient, serving
from tests.hub.conftest import settings
from tests.redis_server import RedisServer

NHI = {"system": "urn:nhi", "value": "1"}


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """A Redis of the test's own, to be killed."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def hub(mortal: RedisServer, tmp_path: Path) -> AsyncIterator[Hub]:
    async with serving(settings(mortal.url, tmp_path)) as found:
        yield found


def unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, issue(answer)["code"]) == (503, "transient")
    assert int(answer.headers["Retry-After"]) > 0


async def test_without_redis_every_interaction_is_told_to_come_back(hub: Hub, mortal: RedisServer) -> None:
    await hub.put("/Patient/a", patient("a"))
    mortal.kill()
    transaction = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": patient(), "request": {"method": "POST", "url": "Patient"}}],
    }
    for answer in (
        await hub.post("/Patient", patient()),
        await hub.post("/Patient", patient(), if_none_exist="name=x"),
        await hub.put("/Patient/a", patient("a")),
        await hub.delete("/Patient/a"),
        await hub.get("/Patient/a"),
        await hub.get("/Patient/a/_history"),
        await hub.get("/Patient"),
        await hub.post("", transaction),
    ):
        unavailable(answer)
    batch = (await hub.post("", transaction | {"type": "batch"})).json()
    assert batch["entry"][0]["response"]["status"].startswith("503")
    mortal.start()
    await eventually(lambda: _answers(hub, "/Patient/a"))
    assert await hub.changes() == [("Patient/a", 1, "create")]
    assert (await hub.put("/Patient/a", patient("a"))).headers["ETag"] == 'W/"2"'


async def test_what_was_acknowledged_under_load_is_there_and_what_was_not_can_be_repeated(
    hub: Hub, mortal: RedisServer
) -> None:
    """Killed while creates are under way: a repeat with the same key makes no second resource of any."""
    acknowledged: dict[int, str] = {}

    async def create(number: int) -> None:
        answer = await hub.post("/Patient", patient(multipleBirthInteger=number), idempotency_key=f"k{number}")
        if answer.status_code == 201:
            acknowledged[number] = answer.json()["id"]
        else:
            unavailable(answer)

    async def publish() -> None:
        for start in range(0, 400, 16):
            await asyncio.gather(*(create(number) for number in range(start, start + 16)))

    publishing = asyncio.create_task(publish())
    await eventually(lambda: len(acknowledged) >= 50)
    mortal.kill()
    await publishing
    assert 50 <= len(acknowledged) < 400
    mortal.start()
    await eventually(lambda: _answers(hub, f"/Patient/{next(iter(acknowledged.values()))}"))
    before = dict(acknowledged)
    await publish()
    assert {number: acknowledged[number] for number in before} == before
    assert len(set(acknowledged.values())) == len(acknowledged) == 400
    assert sorted(await hub.changes()) == sorted((f"Patient/{id_}", 1, "create") for id_ in acknowledged.values())


async def test_a_create_that_a_redis_which_stood_still_did_afterwards_is_the_one_that_its_repeat_finds(
    hub: Hub, mortal: RedisServer
) -> None:
    """The client is told that it may have been stored, and how to repeat it."""
    await hub.put("/Patient/a", patient("a"))
    assert mortal.process is not None
    mortal.process.send_signal(signal.SIGSTOP)
    answer = await hub.post("/Patient", patient(), idempotency_key="k")
    unavailable(answer)
    assert "may have been stored" in issue(answer)["diagnostics"]
    mortal.process.send_signal(signal.SIGCONT)
    await eventually(lambda: _answers(hub, "/Patient/a"))
    first = await hub.post("/Patient", patient(), idempotency_key="k")
    assert first.status_code == 201
    made = [("Patient/a", 1, "create"), (f"Patient/{first.json()['id']}", 1, "create")]
    assert sorted(await hub.changes()) == sorted(made)


async def test_transactions_under_way_when_redis_is_killed_are_whole_or_absent(hub: Hub, mortal: RedisServer) -> None:
    """Each of three resources, one of them a conditional create: after the clock's round there are all or none."""
    told: dict[int, int] = {}

    def bundle(number: int) -> dict[str, object]:
        one = {"resource": patient(f"{number}-a"), "request": {"method": "PUT", "url": f"Patient/{number}-a"}}
        two = {"resource": patient(f"{number}-b"), "request": {"method": "PUT", "url": f"Patient/{number}-b"}}
        identifier = {"system": "urn:n", "value": str(number)}
        request = {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier=urn:n|{number}"}
        three = {"resource": patient(identifier=[identifier]), "request": request}
        return {"resourceType": "Bundle", "type": "transaction", "entry": [one, two, three]}

    async def run(number: int) -> None:
        answer = await hub.post("", bundle(number))
        told[number] = answer.status_code
        if answer.status_code != 200:
            unavailable(answer)

    async def publish() -> None:
        for start in range(0, 160, 8):
            await asyncio.gather(*(run(number) for number in range(start, start + 8)))

    publishing = asyncio.create_task(publish())
    await eventually(lambda: len(told) >= 16)
    mortal.kill()
    await publishing
    mortal.start()
    await eventually(lambda: _answers(hub, "/Patient/0-a"))
    await hub.transactions.settle_open(now=2**52)
    assert await hub.parts.pipeline.command("ZCARD", TRANSACTIONS) == 0
    for number, status in told.items():
        found = [
            (await hub.get(f"/Patient/{number}-a")).status_code,
            (await hub.get(f"/Patient/{number}-b")).status_code,
            200 if (await hub.get(f"/Patient?identifier=urn:n|{number}")).json()["total"] else 404,
        ]
        assert len(set(found)) == 1
        assert status != 200 or found[0] == 200
    assert {200, 503} == set(told.values())
    assert (await hub.put("/Patient/100-a", patient("100-a"))).status_code in (200, 201)


async def _answers(hub: Hub, url: str) -> bool:
    return (await hub.get(url)).status_code == 200
