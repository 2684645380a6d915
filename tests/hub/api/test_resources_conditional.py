"""Conditional and idempotent creates: whatever is repeated or races, there is one resource."""

import asyncio

import pytest

from hub.keys import Index, ResourceId
from hub.write import Indexed, Lock, Put, Write
from tests.hub.api.server import Hub, issue, patient, place
from tests.hub.api.waiting import is_waited_for

ANN = patient(identifier=[{"system": "urn:nhi", "value": "ZAA0001"}])
CONDITION = "identifier=urn:nhi|ZAA0001"
#: The name of the lock that a create under CONDITION takes.
LOCK = "default/r4/Patient?identifier=urn%3Anhi%7CZAA0001"


async def test_a_conditional_create_creates_finds_or_refuses(hub: Hub) -> None:
    """0 matches: 201. One: 200 with what is there. More: 412."""
    created = await hub.post("/Patient", ANN, if_none_exist=CONDITION)
    found = await hub.post("/Patient", ANN | {"active": True}, if_none_exist=f"Patient?{CONDITION}")
    assert (created.status_code, found.status_code) == (201, 200)
    assert found.content == created.content
    assert found.headers["Location"] == created.headers["Location"]
    await hub.post("/Patient", ANN)
    several = await hub.post("/Patient", ANN, if_none_exist=CONDITION)
    assert (several.status_code, issue(several)["code"]) == (412, "multiple-matches")
    assert len(await hub.changes()) == 2


async def test_a_condition_can_be_any_search_parameter(hub: Hub) -> None:
    await hub.post("/Patient", patient(name=[{"family": "Doe"}]))
    assert (
        await hub.post("/Patient", patient(name=[{"family": "Doe"}]), if_none_exist="family=doe")
    ).status_code == 200
    assert (
        await hub.post("/Patient", patient(name=[{"family": "Roe"}]), if_none_exist="family=roe")
    ).status_code == 201


async def test_a_question_mark_in_a_value_belongs_to_it(hub: Hub) -> None:
    asking = patient(identifier=[{"system": "http://who?is", "value": "1"}])
    for status in (201, 200):
        answer = await hub.post("/Patient", asking, if_none_exist="identifier=http://who?is|1")
        assert answer.status_code == status


async def test_a_condition_about_another_type_is_refused(hub: Hub) -> None:
    answer = await hub.post("/Patient", ANN, if_none_exist=f"Person?{CONDITION}")
    assert (answer.status_code, await hub.changes()) == (400, [])


async def test_a_deleted_resource_does_not_meet_a_condition(hub: Hub) -> None:
    created = await hub.post("/Patient", ANN, if_none_exist=CONDITION)
    await hub.delete(f"/Patient/{created.json()['id']}")
    assert (await hub.post("/Patient", ANN, if_none_exist=CONDITION)).status_code == 201


@pytest.mark.usefixtures("patience")
async def test_many_conditional_creates_at_once_make_one_resource(hub: Hub, other: Hub) -> None:
    """By two processes, in whatever order they get at the lock."""
    processes = [hub, other] * 8
    answers = await asyncio.gather(*(process.post("/Patient", ANN, if_none_exist=CONDITION) for process in processes))
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await hub.changes()) == 1


@pytest.mark.usefixtures("patience")
async def test_the_second_of_two_conditional_creates_waits_until_the_first_has_put(hub: Hub) -> None:
    """The interleaving by hand: the first has searched and holds the lock; the second searches after its put only."""
    lock = await hub.store.reservations.lock(LOCK, milliseconds=60_000)
    assert isinstance(lock, Lock)
    second = asyncio.create_task(hub.post("/Patient", ANN, if_none_exist=CONDITION))
    await is_waited_for(hub)
    assert not second.done()
    first = await hub.store.put(_create(_in_partition(hub), lock))
    await hub.store.reservations.unlock(lock)
    assert first.outcome is Put.STORED
    assert (await second).status_code == 200
    assert len(await hub.changes()) == 1


async def test_whoever_lost_the_lock_while_it_searched_can_put_no_more(hub: Hub) -> None:
    """The interleaving by hand: the first is so slow that its lock runs out, and the second creates."""
    lock = await hub.store.reservations.lock(LOCK, milliseconds=1)
    assert isinstance(lock, Lock)
    second = await hub.post("/Patient", ANN, if_none_exist=CONDITION)
    first = await hub.store.put(_create(_in_partition(hub), lock))
    assert (second.status_code, first.outcome) == (201, Put.FENCED)
    assert len(await hub.changes()) == 1


async def test_a_lock_that_stays_is_waited_for_a_bounded_time(hub: Hub) -> None:
    assert isinstance(await hub.store.reservations.lock(LOCK, milliseconds=60_000), Lock)
    answer = await hub.post("/Patient", ANN, if_none_exist=CONDITION)
    assert (answer.status_code, issue(answer)["code"], answer.headers["Retry-After"]) == (503, "transient", "1")
    assert await hub.changes() == []


async def test_the_lock_is_free_after_the_answer(hub: Hub) -> None:
    """Whether it created, found or refused."""
    for _ in range(2):
        await hub.post("/Patient", ANN, if_none_exist=CONDITION)
        lock = await hub.store.reservations.lock(LOCK, milliseconds=1000)
        assert isinstance(lock, Lock)
        await hub.store.reservations.unlock(lock)
    await hub.post("/Patient", ANN)
    await hub.post("/Patient", ANN, if_none_exist=CONDITION)
    assert isinstance(await hub.store.reservations.lock(LOCK, milliseconds=1000), Lock)


async def test_a_repeated_create_with_a_key_gets_the_first_answer(hub: Hub, other: Hub) -> None:
    first = await hub.post("/Patient", ANN, idempotency_key="k")
    for process in (hub, other):
        again = await process.post("/Patient", ANN, idempotency_key="k")
        assert (again.status_code, again.content, again.headers["Location"]) == (
            201,
            first.content,
            first.headers["Location"],
        )
    assert len(await hub.changes()) == 1


async def test_a_repeat_gets_the_first_answer_after_an_update_and_even_after_a_delete(hub: Hub) -> None:
    first = await hub.post("/Patient", ANN, idempotency_key="k")
    id_ = first.json()["id"]
    await hub.put(f"/Patient/{id_}", ANN | {"id": id_, "active": True})
    assert (await hub.post("/Patient", ANN, idempotency_key="k")).content == first.content
    await hub.delete(f"/Patient/{id_}")
    again = await hub.post("/Patient", ANN, idempotency_key="k")
    assert (again.status_code, again.content) == (201, first.content)
    assert (await hub.get(f"/Patient/{id_}")).status_code == 410
    assert len(await hub.changes()) == 3


async def test_a_key_is_for_one_body_and_one_type(hub: Hub) -> None:
    await hub.post("/Patient", ANN, idempotency_key="k")
    differs = await hub.post("/Patient", ANN | {"active": True}, idempotency_key="k")
    assert (differs.status_code, issue(differs)["code"]) == (422, "business-rule")
    group = {"resourceType": "Group", "type": "person", "actual": True}
    assert (await hub.post("/Group", group, idempotency_key="k")).status_code == 201


async def test_a_refused_create_does_not_use_its_key_up(hub: Hub) -> None:
    assert (await hub.post("/Patient", patient(birthDate="soon"), idempotency_key="k")).status_code == 400
    assert (await hub.post("/Patient", ANN, idempotency_key="k")).status_code == 201


@pytest.mark.usefixtures("patience")
async def test_repeats_at_once_make_one_resource(hub: Hub, other: Hub) -> None:
    answers = await asyncio.gather(*(p.post("/Patient", ANN, idempotency_key="k") for p in [hub, other] * 8))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert len(await hub.changes()) == 1


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_key_and_a_condition_go_together(hub: Hub, deleted: bool) -> None:
    """A repeat is told that it created, not that it found what it had created itself."""
    first = await hub.post("/Patient", ANN, idempotency_key="k", if_none_exist=CONDITION)
    if deleted:
        await hub.delete(f"/Patient/{first.json()['id']}")
    again = await hub.post("/Patient", ANN, idempotency_key="k", if_none_exist=CONDITION)
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)


def _in_partition(hub: Hub) -> ResourceId:
    ids = (place("Patient", f"first-{number}") for number in range(1000))
    return next(resource for resource in ids if hub.store.reservations.lies_with(resource, LOCK))


def _create(resource: ResourceId, lock: Lock) -> Write:
    body = b'{"resourceType":"Patient","id":"%b","meta":{"versionId":"' % resource.id.encode()
    indexed = (Indexed(Index.IDENTIFIERS, "urn:nhi|ZAA0001"),)
    tail = b'"},"identifier":[{"system":"urn:nhi","value":"ZAA0001"}]}'
    return Write(resource, "create", 1_700_000_000_000, body, tail, indexed=indexed, lock=lock)
