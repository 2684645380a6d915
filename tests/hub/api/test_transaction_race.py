"""Transactions against single requests and each other, the interleaving forced: one process stops in the middle."""

import asyncio

import pytest

from hub.intent import Intent
from hub.keys import Index
from hub.store import Store
from hub.transaction import TransactionCoordinator
from hub.wiring.parts import Parts
from hub.write import Indexed, Lock, PutResult, Write
from tests.facts import eventually
from tests.hub.api.bundles import NHI, ask, done, located, observation, post, put, status, transaction
from tests.hub.api.server import Hub, issue, patient, place

CONDITION = "identifier=urn:nhi|1"
LOCK = "default/r4/Patient?identifier=urn%3Anhi%7C1"


class Halting(Store):
    """A store that halts before each delete until it may go on."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.pipeline, parts.settings.partitions)
        self.halted, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def put(self, write: Write) -> PutResult:
        if write.method == "delete":
            self.halted.set()
            await self.may_go_on.wait()
        return await super().put(write)


def write(id_: str, method: str = "update", lock: Lock | None = None) -> Write:
    head = b'{"resourceType":"Patient","id":"%b","meta":{"versionId":"' % id_.encode()
    tail = b'"},"identifier":[{"system":"urn:nhi","value":"1"}]}'
    return Write(
        place("Patient", id_),
        method,
        1_700_000_000_000,
        head,
        tail,
        indexed=(Indexed(Index.IDENTIFIERS, "urn:nhi|1"),),
        lock=lock,
    )


async def stopped(process: Hub, *writes: Write) -> Intent:
    """A transaction of another process that has reserved everything and is not decided yet."""
    intent = await process.transactions.begin(writes)
    assert isinstance(intent, Intent)
    await process.transactions.reserve(intent)
    return intent


async def decide(process: Hub, intent: Intent, committed: bool) -> None:
    if committed:
        await process.transactions.commit(intent, b"")
        await process.transactions.complete(intent.attempt, intent.writes)
    else:
        await process.transactions.undo(intent.attempt, intent.writes)


async def waits(hub: Hub, task: "asyncio.Task[object]") -> None:
    """Until a request has looked a few times whether the transaction is over."""
    asked = (await hub.parts.client.info("commandstats"))["cmdstat_hmget"]["calls"] + 20

    async def has_asked() -> bool:
        return bool((await hub.parts.client.info("commandstats"))["cmdstat_hmget"]["calls"] >= asked)

    await eventually(has_asked)
    assert not task.done()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "undone"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_single_write_comes_after_the_transaction_that_has_reserved(
    hub: Hub, other: Hub, method: str, committed: bool
) -> None:
    await hub.put("/Patient/a", patient("a"))
    intent = await stopped(other, write("a"), write("b"))
    single = asyncio.create_task(hub.client.request(method, "/Patient/a", json=patient("a")))
    await waits(hub, single)
    await decide(other, intent, committed)
    answer = await single
    assert answer.headers["ETag"] == ('W/"3"' if committed else 'W/"2"')
    assert (await hub.get("/Patient/b")).status_code == (200 if committed else 404)


@pytest.mark.usefixtures("patience")
async def test_a_precondition_is_judged_after_the_transaction(hub: Hub, other: Hub) -> None:
    """The version that the client expects was in force when it asked, and is not any more."""
    await hub.put("/Patient/a", patient("a"))
    intent = await stopped(other, write("a"))
    single = asyncio.create_task(hub.put("/Patient/a", patient("a"), if_match='W/"1"'))
    await waits(hub, single)
    await decide(other, intent, committed=True)
    assert (await single).status_code == 412


async def test_a_single_write_is_told_to_come_back_when_a_transaction_stays_open(hub: Hub, other: Hub) -> None:
    await stopped(other, write("a"))
    answer = await hub.put("/Patient/a", patient("a"))
    assert (answer.status_code, issue(answer)["code"], answer.headers["Retry-After"]) == (503, "transient", "1")
    assert await hub.changes() == []


async def test_reading_does_not_wait(hub: Hub, other: Hub) -> None:
    """What is only reserved is still what it was, or still isn't there."""
    await hub.put("/Patient/a", patient("a"))
    await stopped(other, write("a"), write("b"))
    assert (await hub.get("/Patient/a")).headers["ETag"] == 'W/"1"'
    assert (await hub.get("/Patient/b")).status_code == 404
    assert (await hub.get("/Patient")).json()["total"] == 1


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "undone"])
async def test_a_conditional_create_waits_for_the_transaction_that_creates_the_same(
    hub: Hub, other: Hub, committed: bool
) -> None:
    """The lock passes from the request to its transaction and stays until that is decided, however long it takes."""
    lock = await other.store.reservations.lock(LOCK, milliseconds=10_000)
    assert isinstance(lock, Lock)
    id_ = next(f"n{n}" for n in range(1000) if hub.store.reservations.lies_with(place("Patient", f"n{n}"), LOCK))
    intent = await stopped(other, write(id_, "create", lock))
    await other.store.reservations.unlock(lock)  # the request gives its own lock back; the transaction's stays
    single = asyncio.create_task(hub.post("/Patient", patient(identifier=[NHI]), if_none_exist=CONDITION))
    await waits(hub, single)
    await decide(other, intent, committed)
    answer = await single
    assert answer.status_code == (200 if committed else 201)
    assert (answer.json()["id"] == id_) is committed
    assert len(await hub.changes()) == 1


@pytest.mark.usefixtures("patience")
async def test_who_has_waited_for_the_lock_finds_the_deletes_of_its_transaction_done(hub: Hub, other: Hub) -> None:
    """A transaction that replaces the bearer of an identifier is halted between its commit and its delete."""
    await hub.put("/Patient/x", patient("x", identifier=[NHI]))
    lock = await other.store.reservations.lock(LOCK, milliseconds=10_000)
    assert isinstance(lock, Lock)
    id_ = next(f"n{n}" for n in range(1000) if hub.store.reservations.lies_with(place("Patient", f"n{n}"), LOCK))
    intent = await stopped(other, Write(place("Patient", "x"), "delete", 1), write(id_, "create", lock))
    await other.transactions.commit(intent, b"")
    halting = Halting(other.parts)
    slow = TransactionCoordinator(other.parts.pipeline, halting)
    completing = asyncio.create_task(slow.complete(intent.attempt, intent.writes))
    await halting.halted.wait()
    answer = await hub.post("/Patient", patient(identifier=[NHI]), if_none_exist=CONDITION)
    assert (answer.status_code, answer.json().get("id")) == (200, id_)
    halting.may_go_on.set()
    await completing
    assert (await hub.get("/Patient/x")).status_code == 410


@pytest.mark.usefixtures("patience")
async def test_the_bearer_of_an_identifier_is_replaced_by_one_whoever_races(hub: Hub, other: Hub) -> None:
    """Two processes at once; single conditional creates in between find or create one, never are there two."""
    await hub.put("/Patient/x", patient("x", identifier=[NHI]))
    conditional = post(patient(identifier=[NHI]), ifNoneExist=CONDITION)

    async def alone(process: Hub) -> None:
        answer = await process.post("/Patient", patient(identifier=[NHI]), if_none_exist=CONDITION)
        assert answer.status_code in (200, 201), answer.text

    async def together(process: Hub) -> None:
        await done(process, transaction(ask("DELETE", "Patient/x"), conditional))

    await asyncio.gather(*(do(process) for do in (alone, together) for process in (hub, other) for _ in range(4)))
    assert (await hub.get("/Patient?identifier=urn:nhi|1")).json()["total"] == 1


@pytest.mark.usefixtures("patience")
async def test_conditional_creates_in_transactions_and_alone_make_one_resource(hub: Hub, other: Hub) -> None:
    """All at once, by two processes."""
    conditional = post(patient(identifier=[NHI]), ifNoneExist=CONDITION)

    async def alone(process: Hub) -> str:
        answer = await process.post("/Patient", patient(identifier=[NHI]), if_none_exist=CONDITION)
        assert answer.status_code in (200, 201)
        return f"Patient/{answer.json()['id']}"

    async def together(process: Hub) -> str:
        entries = await done(process, transaction(conditional, post(patient())))
        return located(entries[0])

    found = await asyncio.gather(
        *(do(process) for do in (alone, together) for process in (hub, other) for _ in range(4))
    )
    assert len(set(found)) == 1
    assert len(await hub.changes()) == 1 + 8


@pytest.mark.usefixtures("patience")
async def test_a_reference_never_names_a_version_that_somebody_else_made(hub: Hub, other: Hub) -> None:
    """Another transaction writes the same resource after the number was looked up: try again."""
    one = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
    await hub.put("/Patient/a", patient("a"))
    intent = await stopped(other, write("a"))
    told = observation("o", subject={"reference": f"{one}/_history/1"})
    sent = transaction(put(patient("a", active=True)) | {"fullUrl": one}, put(told))
    asked = asyncio.create_task(hub.post("", sent))
    await waits(hub, asked)
    await decide(other, intent, committed=True)
    answer = await asked
    assert (answer.status_code, issue(answer)["code"]) == (503, "transient")
    assert await hub.changes() == [("Patient/a", 1, "create"), ("Patient/a", 2, "update")]
    assert status(await done(hub, sent)) == [200, 201]
    assert (await hub.get("/Observation/o")).json()["subject"] == {"reference": "Patient/a/_history/3"}


@pytest.mark.usefixtures("patience")
async def test_transactions_over_the_same_resources_are_done_one_after_the_other(hub: Hub, other: Hub) -> None:
    """Each writes its number into four resources, named in another order: no mixture is ever left."""

    async def run(turn: int) -> None:
        ids = [f"p{(turn + start) % 4}" for start in range(4)]
        entries = [put(patient(id_, multipleBirthInteger=turn)) for id_ in (ids if turn % 2 else reversed(ids))]
        assert set(status(await done((hub, other)[turn % 2], transaction(*entries)))) <= {200, 201}

    await asyncio.gather(*(run(turn) for turn in range(1, 9)))
    numbers = [(await hub.get(f"/Patient/p{n}/_history")).json()["entry"] for n in range(4)]
    orders = [[entry["resource"]["multipleBirthInteger"] for entry in entries] for entries in numbers]
    assert orders[0] == orders[1] == orders[2] == orders[3]
    assert sorted(orders[0]) == list(range(1, 9))
