"""Updates, patches and deletes of what a search finds: https://hl7.org/fhir/R4/http.html#cond-update."""

import asyncio
from typing import Any

import pytest

from hub.write import Lock
from subscriptions.codes import FhirVersion
from tests.hub.api.bundles import NHI, ask, bundle, done, located, put, status, transaction
from tests.hub.api.patches import fhirpath, operation, patch
from tests.hub.api.server import Hub, issue, patient
from tests.hub.api.waiting import is_waited_for
from tests.hub.conftest import BASE

versions = pytest.mark.parametrize("version", list(FhirVersion))
ANN = patient(identifier=[NHI])
FOUND = "Patient?identifier=urn:nhi|1"
#: The name of the lock on what writes under this condition.
LOCK = "default/r4/Patient?identifier=urn%3Anhi%7C1"
MALE = [{"op": "add", "path": "/gender", "value": "male"}]


@versions
async def test_a_conditional_update_creates_updates_or_refuses(hub: Hub, version: FhirVersion) -> None:
    url = f"{BASE}/fhir/{version}"
    created = await hub.put(f"{url}/{FOUND}", ANN)
    id_ = created.json()["id"]
    assert (created.status_code, created.headers["Location"]) == (201, f"{url}/Patient/{id_}/_history/1")
    updated = await hub.put(f"{url}/{FOUND}", ANN | {"active": True})
    assert (updated.status_code, updated.headers["Location"]) == (200, f"{url}/Patient/{id_}/_history/2")
    assert updated.json()["active"] is True
    assert (await hub.put(f"{url}/{FOUND}", ANN | {"id": id_})).status_code == 200
    await hub.post(f"{url}/Patient", ANN)
    several = await hub.put(f"{url}/{FOUND}", ANN)
    assert (several.status_code, issue(several)["code"]) == (412, "multiple-matches")
    assert len(await hub.changes()) == 4


async def test_a_conditional_update_that_finds_nothing_creates_under_the_id_of_the_body(hub: Hub) -> None:
    created = await hub.put(f"/{FOUND}", ANN | {"id": "ann"})
    assert (created.status_code, created.json()["id"]) == (201, "ann")
    other = await hub.put("/Patient?identifier=urn:nhi|2", patient("ann"))
    assert (other.status_code, issue(other)["code"]) == (409, "duplicate")
    wrong = await hub.put(f"/{FOUND}", ANN | {"id": "bob"})
    assert (wrong.status_code, issue(wrong)["expression"]) == (400, ["Patient.id"])
    await hub.delete("/Patient/ann")
    assert (await hub.put(f"/{FOUND}", ANN | {"id": "ann"})).status_code == 201


@pytest.mark.usefixtures("patience")
async def test_many_conditional_updates_at_once_make_one_resource(hub: Hub, other: Hub) -> None:
    """Conditional creates under the same condition among them; every update is a version of its own."""
    processes = [hub, other] * 4
    updates = (process.put(f"/{FOUND}", ANN) for process in processes)
    creates = (process.post("/Patient", ANN, if_none_exist="identifier=urn:nhi|1") for process in processes)
    answers = await asyncio.gather(*updates, *creates)
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert 8 <= len(await hub.changes()) <= 9


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_conditional_write_waits_for_whoever_has_its_lock(hub: Hub, method: str) -> None:
    lock = await hub.store.reservations.lock(LOCK, milliseconds=60_000)
    assert isinstance(lock, Lock)
    body: Any = {"PUT": ANN, "PATCH": fhirpath(), "DELETE": None}[method]
    asked = asyncio.create_task(hub.client.request(method, f"/{FOUND}", json=body))
    await is_waited_for(hub)
    assert not asked.done()
    await hub.store.reservations.unlock(lock)
    assert (await asked).status_code == {"PUT": 201, "PATCH": 404, "DELETE": 204}[method]


@versions
async def test_a_conditional_delete_deletes_one_or_refuses(hub: Hub, version: FhirVersion) -> None:
    url = f"{BASE}/fhir/{version}"
    assert (await hub.delete(f"{url}/{FOUND}")).status_code == 204
    await hub.put(f"{url}/Patient/ann", ANN | {"id": "ann"})
    await hub.put(f"{url}/Patient/bob", ANN | {"id": "bob"})
    several = await hub.delete(f"{url}/{FOUND}")
    assert (several.status_code, issue(several)["code"]) == (412, "multiple-matches")
    await hub.delete(f"{url}/Patient/bob")
    deleted = await hub.delete(f"{url}/{FOUND}")
    assert (deleted.status_code, deleted.headers["ETag"]) == (204, 'W/"2"')
    assert (await hub.get(f"{url}/Patient/ann")).status_code == 410
    assert (await hub.delete(f"{url}/{FOUND}")).status_code == 204
    assert len(await hub.changes()) == 4


@versions
async def test_a_conditional_patch_patches_one_or_refuses(hub: Hub, version: FhirVersion) -> None:
    url = f"{BASE}/fhir/{version}"
    missing = await patch(hub, f"{url}/{FOUND}", MALE)
    assert (missing.status_code, issue(missing)["code"]) == (404, "not-found")
    await hub.put(f"{url}/Patient/ann", ANN | {"id": "ann"})
    patched = await patch(hub, f"{url}/{FOUND}", MALE)
    assert (patched.status_code, patched.json()["gender"]) == (200, "male")
    assert patched.headers["Location"] == f"{url}/Patient/ann/_history/2"
    await hub.put(f"{url}/Patient/bob", ANN | {"id": "bob"})
    assert (await patch(hub, f"{url}/{FOUND}", MALE)).status_code == 412


async def test_if_match_holds_for_what_is_found(hub: Hub) -> None:
    assert (await hub.put(f"/{FOUND}", ANN, if_match='W/"1"')).status_code == 412
    assert (await hub.delete(f"/{FOUND}", if_match='W/"1"')).status_code == 412
    assert (await hub.put(f"/{FOUND}", ANN, if_none_match="*")).status_code == 201
    assert (await hub.put(f"/{FOUND}", ANN, if_none_match="*")).status_code == 412
    assert (await hub.put(f"/{FOUND}", ANN, if_match='W/"1"')).status_code == 200
    for answer in (
        await hub.put(f"/{FOUND}", ANN, if_match='W/"1"'),
        await patch(hub, f"/{FOUND}", MALE, if_match='W/"1"'),
        await hub.delete(f"/{FOUND}", if_match='W/"1"'),
    ):
        assert (answer.status_code, issue(answer)["code"]) == (412, "conflict")
    assert (await hub.delete(f"/{FOUND}", if_match='W/"2"')).status_code == 204


@versions
async def test_the_capability_statement_says_which_conditions_are_taken(hub: Hub, version: FhirVersion) -> None:
    answer = await hub.get(f"{BASE}/fhir/{version}/metadata")
    for resource in answer.json()["rest"][0]["resource"]:
        if resource["type"] == "AuditEvent":  # nobody writes those
            assert not {"conditionalUpdate", "conditionalDelete", "conditionalPatch"} & resource.keys()
            continue
        kept = resource["type"] not in ("Subscription", "SubscriptionTopic")
        assert resource["conditionalUpdate"] is kept
        assert resource["conditionalDelete"] == ("single" if kept else "not-supported")
        assert resource.get("conditionalPatch") == (kept if version is FhirVersion.R5 else None)


def of(patch_: Any, url: str, **request: str) -> dict[str, Any]:
    """An entry that patches."""
    return {"resource": patch_, "request": {"method": "PATCH", "url": url, **request}}


#: `[{"op":"add","path":"/gender","value":"male"}]`
BINARY = {
    "resourceType": "Binary",
    "contentType": "application/json-patch+json",
    "data": "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2dlbmRlciIsInZhbHVlIjoibWFsZSJ9XQ==",
}
ACTIVE = fhirpath(operation("add", "Patient", name="active", valueBoolean=True))


@pytest.mark.parametrize("type_", ["batch", "transaction"])
async def test_a_bundle_may_patch(hub: Hub, type_: str) -> None:
    await hub.put("/Patient/ann", patient("ann"))
    await hub.put("/Patient/bob", patient("bob"))
    sent = bundle(type_, of(BINARY, "Patient/ann"), of(ACTIVE, "Patient/bob", ifMatch='W/"1"'))
    entries = await done(hub, sent)
    assert status(entries) == [200, 200]
    assert [located(entry) for entry in entries] == ["Patient/ann", "Patient/bob"]
    assert (await hub.get("/Patient/ann")).json()["gender"] == "male"
    assert (await hub.get("/Patient/bob")).json()["active"] is True
    assert len(await hub.changes()) == 4


async def test_a_batch_may_write_what_a_search_finds(hub: Hub) -> None:
    update = {"resource": ANN, "request": {"method": "PUT", "url": FOUND}}
    assert status(await done(hub, bundle("batch", update))) == [201]
    entries = await done(hub, bundle("batch", update, of(BINARY, FOUND), ask("GET", FOUND)))
    assert status(entries) == [200, 200, 200]
    assert entries[2]["resource"]["entry"][0]["resource"]["gender"] == "male"
    assert status(await done(hub, bundle("batch", ask("DELETE", FOUND)))) == [204]
    assert status(await done(hub, bundle("batch", of(BINARY, FOUND)))) == [404]


async def test_a_transaction_names_what_it_writes(hub: Hub) -> None:
    for entry in (
        {"resource": ANN, "request": {"method": "PUT", "url": FOUND}},
        of(BINARY, FOUND),
        ask("DELETE", FOUND),
    ):
        answer = await hub.post("", transaction(put(patient("bob")), entry))
        assert (answer.status_code, issue(answer)["expression"]) == (400, ["Bundle.entry[1].request.url"])
    assert await hub.changes() == []


async def test_a_patch_that_fails_undoes_its_transaction(hub: Hub) -> None:
    await hub.put("/Patient/ann", patient("ann"))
    test = fhirpath(operation("replace", "Patient.gender", valueCode="male"))
    for entry, code in (
        (of(test, "Patient/ann"), 422),
        (of(BINARY, "Patient/ann", ifMatch='W/"7"'), 412),
        (of(BINARY, "Patient/none"), 404),
        (of(BINARY | {"data": "===="}, "Patient/ann"), 400),
        (of(BINARY | {"data": "AAAA"}, "Patient/ann"), 400),
        (of(fhirpath(operation("replace", "Patient.id", valueId="x")), "Patient/ann"), 400),
    ):
        answer = await hub.post("", transaction(put(patient("bob")), entry))
        assert answer.status_code == code, answer.text
        assert issue(answer)["expression"][0].startswith("Bundle.entry[1]")
    twice = await hub.post("", transaction(of(BINARY, "Patient/ann"), of(ACTIVE, "Patient/ann")))
    assert (twice.status_code, issue(twice)["code"]) == (400, "duplicate")
    assert len(await hub.changes()) == 1


@pytest.mark.usefixtures("patience")
async def test_patches_in_transactions_at_once_are_all_done(hub: Hub, other: Hub) -> None:
    await hub.put("/Patient/ann", patient("ann", name=[{"given": ["0"]}]))
    patches = [
        fhirpath(operation("insert", "Patient.name.given", index=1, valueString=str(number))) for number in range(1, 9)
    ]
    await asyncio.gather(
        *(
            done(process, transaction(of(each, "Patient/ann")))
            for each, process in zip(patches, [hub, other] * 4, strict=True)
        )
    )
    held = (await hub.get("/Patient/ann")).json()["name"][0]["given"]
    assert sorted(held) == [str(number) for number in range(9)]
