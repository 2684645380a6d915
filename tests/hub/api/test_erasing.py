"""Erasing: what is gone, what stays, and what of it can be seen, over REST and in Redis."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from hub.erasures import CHUNK, CLAIMED, Erasures, Order, Stage
from hub.errors import Unavailable
from hub.keys import ERASURES, ResourceId, erasure
from hub.suppressions import honour
from hub.turn import Sent, Turn, Verb
from hub.wiring.erasing import erasing
from subscriptions.audit import Outcome
from subscriptions.codes import FhirVersion
from tests import dump
from tests.facts import eventually, until
from tests.hub.api.server import FHIR, Hub, issue, patient, place, serving
from tests.hub.api.subscriptions import put as subscribe
from tests.hub.conftest import BASE, settings
from tests.hub.engines import active, fanout, matched, member, running
from tests.redis_server import RedisServer

R4 = FhirVersion.R4
NAME, NHI = "Wharerau", "ZAA0067"
IDENTIFIER = {"system": "https://standards.digital.health.nz/ns/nhi-id", "value": NHI}

Json = dict[str, Any]


def him(**more: Any) -> Json:
    return patient("123", name=[{"family": NAME}], identifier=[IDENTIFIER], **more)


def observation(id_: str, subject: Json, **more: Any) -> Json:
    code = {"text": "weight"}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, "subject": subject, **more}


def to(reference: str) -> Json:
    return {"reference": reference}


async def put(hub: Hub, resource: Json) -> None:
    answer = await hub.put(f"/{resource['resourceType']}/{resource['id']}", resource)
    assert answer.status_code in (200, 201), answer.text


async def erase(hub: Hub, resource: str = "Patient/123", **more: Any) -> Json:
    answer = await hub.post(f"{BASE}/admin/erase", {"resource": resource, **more})
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


def is_erased(answer: httpx.Response) -> bool:
    return answer.status_code == 410 and "was erased" in issue(answer)["details"]["text"]


async def everything(hub: Hub) -> bytes:
    return await dump.everything(hub.parts.pipeline.command)


async def test_all_versions_of_a_resource(hub: Hub) -> None:
    """No version of it can be read, nor found, and its history has nothing; nothing else is touched."""
    await put(hub, him())
    await put(hub, him(active=True))
    await put(hub, patient("124", name=[{"family": "Ngata"}]))
    told = await erase(hub)
    assert told | {"id": ""} == {
        "id": "",
        "resource": "Patient/123",
        "version": "r4",
        "compartment": False,
        "state": "done",
        "erased": {"Patient": 1},
        "versions": 2,
        "stillMentionedIn": [],
        "linkedPatients": [],
        "notUnderstood": [],
        "files": "written anew",
    }
    for url in ("/Patient/123", "/Patient/123/_history/1", "/Patient/123/_history/2"):
        assert is_erased(await hub.get(url))
    assert (await hub.get("/Patient/123/_history/3")).status_code == 404
    assert (await hub.get("/Patient/123/_history")).json().get("entry", []) == []
    assert [e["resource"]["id"] for e in (await hub.get("/Patient")).json()["entry"]] == ["124"]
    by_identifier = await hub.client.get("/Patient", params={"identifier": f"{IDENTIFIER['system']}|{NHI}"})
    assert by_identifier.json()["total"] == 0
    changes = (await hub.get("/_history")).json()["entry"]
    assert [each["fullUrl"] for each in changes] == [f"{FHIR}/Patient/124"]


async def test_nothing_is_left_in_redis(hub: Hub) -> None:
    """Whatever key there is, it holds neither the name nor the identifier; the changes are still counted."""

    async def refused(**headers: str) -> None:
        answer = await hub.post("/Patient", {k: v for k, v in him().items() if k != "id"}, **headers)
        assert answer.status_code == 201
        await erase(hub, f"Patient/{answer.json()['id']}")

    await put(hub, him(link=[{"other": to("Patient/9"), "type": "replaces"}]))
    entry = {"resource": him(), "request": {"method": "PUT", "url": "Patient/123"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert (await hub.post("", bundle, idempotency_key="k")).status_code == 200
    await hub.delete("/Patient/123")
    await put(hub, him())
    await put(
        hub,
        {
            "resourceType": "Group",
            "id": "g",
            "type": "person",
            "actual": True,
            "name": NAME,
            "identifier": [IDENTIFIER],
            "member": [{"entity": to("Patient/123")}],
        },
    )
    before = await everything(hub)
    assert NAME.encode() in before
    assert NHI.encode() in before
    assert (await erase(hub))["versions"] == 4
    await erase(hub, "Group/g")
    await refused(idempotency_key="other")
    await refused(if_none_exist=f"identifier={IDENTIFIER['system']}|{NHI}")
    after = await everything(hub)
    assert NAME.encode() not in after
    assert NHI.encode() not in after
    assert len(await hub.changes()) == 7
    superseded = [await hub.parts.pipeline.command("GET", p.superseded) for p in hub.parts.changes.partitions]
    assert sum(int(each or 0) for each in superseded) == 0


async def test_a_later_put_begins_a_new_life(hub: Hub) -> None:
    """It has a higher number, and nothing old shows; to erase again erases that too."""
    await put(hub, him())
    await put(hub, him())
    await erase(hub)
    assert (await hub.put("/Patient/123", him(), if_match='W/"2"')).status_code == 412
    anew = await hub.put("/Patient/123", patient("123", active=True))
    assert (anew.status_code, anew.json()["meta"]["versionId"]) == (201, "3")
    assert "name" not in (await hub.get("/Patient/123")).json()
    history = (await hub.get("/Patient/123/_history")).json()
    assert [each["response"]["etag"] for each in history["entry"]] == ['W/"3"']
    assert is_erased(await hub.get("/Patient/123/_history/2"))
    await erase(hub)
    assert is_erased(await hub.get("/Patient/123/_history/3"))


async def test_a_repeated_create_does_not_bring_it_back(hub: Hub) -> None:
    """An Idempotency-Key under which something was created that is erased is of no use any more."""
    body = patient(name=[{"family": NAME}])
    id_ = (await hub.post("/Patient", body, idempotency_key="k")).json()["id"]
    await erase(hub, f"Patient/{id_}")
    assert is_erased(await hub.post("/Patient", body, idempotency_key="k"))
    assert is_erased(await hub.get(f"/Patient/{id_}"))


async def test_deleted_before(hub: Hub) -> None:
    """What was deleted has earlier versions, which go; of the delete nothing is told either."""
    await put(hub, him())
    await hub.delete("/Patient/123")
    assert (await erase(hub))["versions"] == 2
    assert is_erased(await hub.get("/Patient/123/_history/1"))
    assert is_erased(await hub.get("/Patient/123"))
    assert (await hub.delete("/Patient/123")).status_code == 204


async def test_to_erase_twice(hub: Hub) -> None:
    """It says that there was nothing, and has the files written anew."""
    await put(hub, him())
    await erase(hub)
    told = await erase(hub)
    assert (told["erased"], told["versions"], told["files"]) == ({}, 0, "written anew")


async def test_the_compartment(hub: Hub) -> None:
    """What is about the patient goes, deleted or not; what mentions him else is told; the others' stays."""
    await put(hub, him(link=[{"other": to("Patient/8"), "type": "seealso"}]))
    await put(hub, observation("relative", to("Patient/123")))
    await put(hub, observation("absolute", to(f"{FHIR}/Patient/123")))
    await put(hub, observation("logical", {"identifier": IDENTIFIER}))
    inner = {"resourceType": "Patient", "id": "p", "identifier": [IDENTIFIER]}
    await put(hub, observation("contained", to("#p"), contained=[inner]))
    await put(hub, observation("deleted", to("Patient/123"), valueString=NAME))
    await hub.delete("/Observation/deleted")
    await put(hub, observation("others", to("Patient/124")))
    await put(hub, observation("corrected", to("Patient/123")))
    await put(hub, observation("corrected", to("Patient/124")))
    await put(hub, observation("focus", to("Patient/124"), focus=[to("Patient/123")]))
    await put(hub, observation("was-focus", to("Patient/124"), focus=[to("Patient/123")]))
    await put(hub, observation("was-focus", to("Patient/124")))
    await put(hub, patient("9", link=[{"other": to("Patient/123"), "type": "replaces"}]))
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True}
    await put(hub, group | {"member": [{"entity": to("Patient/123")}]})
    await put(
        hub,
        {
            "resourceType": "List",
            "id": "l",
            "status": "current",
            "mode": "working",
            "entry": [{"item": to("Patient/123")}],
        },
    )
    whole = [{"fullUrl": f"{FHIR}/Patient/123", "resource": him()}]
    await put(hub, {"resourceType": "Bundle", "id": "b", "type": "collection", "entry": whole})

    would = await erase(hub, compartment=True, dryRun=True)
    assert (await hub.get("/Patient/123")).status_code == 200
    told = await erase(hub, compartment=True)
    assert told["erased"] == would["erased"] == {"Observation": 6, "Patient": 2}
    assert told["stillMentionedIn"] == [
        "Bundle/b",
        "Group/g",
        "List/l",
        "Observation/focus",
        "Observation/was-focus/_history/1",
    ]
    assert told["linkedPatients"] == ["Patient/8", "Patient/9"]
    assert told["notUnderstood"] == []
    for id_ in ("relative", "absolute", "logical", "contained", "deleted"):
        assert is_erased(await hub.get(f"/Observation/{id_}"))
    assert is_erased(await hub.get("/Observation/deleted/_history/1"))
    assert is_erased(await hub.get("/Observation/corrected/_history/1"))
    assert (await hub.get("/Observation/corrected")).json()["subject"] == to("Patient/124")
    for kept in ("Observation/others", "Observation/focus", "Group/g", "List/l", "Bundle/b"):
        assert (await hub.get(f"/{kept}")).status_code == 200
    found = (await hub.client.get("/Observation", params={"subject": "Patient/124"})).json()["entry"]
    assert sorted(each["resource"]["id"] for each in found) == ["corrected", "focus", "others", "was-focus"]


async def test_what_still_mentions_one_resource(hub: Hub) -> None:
    """Without its compartment, what refers to it stays and is told, and so are criteria that name it."""
    await put(hub, him())
    await put(hub, observation("o", to("Patient/123")))
    await active(hub.parts, "named", "Immunization?patient=Patient/123")
    await active(hub.parts, "by-id", "Immunization?patient=123")
    await active(hub.parts, "another", "Immunization?patient=Patient/1234")
    told = await erase(hub)
    assert told["stillMentionedIn"] == ["Observation/o", "Subscription/by-id", "Subscription/named"]
    assert (await hub.get("/Observation/o")).status_code == 200


async def test_other_tenants_and_versions_keep_theirs(hub: Hub) -> None:
    """The same name elsewhere is another resource."""
    await put(hub, him())
    elsewhere = f"{BASE}/fhir/r5/Patient/123"
    headers = {"Content-Type": "application/fhir+json"}
    assert (await hub.client.put(elsewhere, json=him(), headers=headers)).status_code == 201
    await erase(hub, compartment=True)
    assert (await hub.get(elsewhere)).json()["name"] == [{"family": NAME}]


async def test_a_value_set(hub: Hub) -> None:
    """What was remembered of it for filters goes too, and no late word of an earlier version brings it back."""
    value_set = {"resourceType": "ValueSet", "id": "v", "url": "http://v.example/v", "status": "active", "title": NAME}
    await put(hub, value_set)
    contexts = hub.parts.tenancy.topics("default").contexts
    await contexts.refresh()
    assert NAME.encode() in await everything(hub)
    await erase(hub, "ValueSet/v")
    await hub.store.remember(place("ValueSet", "v"), 1, b'{"title":"%b"}' % NAME.encode())
    await contexts.refresh()
    assert NAME.encode() not in await everything(hub)
    await put(hub, value_set)
    await contexts.refresh()
    assert NAME.encode() in await everything(hub)


async def test_a_consent(hub: Hub) -> None:
    """What of it was remembered for suppressing goes too, and no late word of it brings it back."""
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    consent = {
        "resourceType": "Consent",
        "id": "c",
        "status": "active",
        "scope": {"coding": [scope]},
        "category": [{"text": "c"}],
        "patient": {"reference": "Patient/123", "display": NAME},
        "policyRule": {"text": "p"},
        "provision": {"type": "deny"},
    }
    body = orjson.dumps(consent)
    await put(hub, consent)
    await honour(hub.parts.pipeline, place("Consent", "c"), 1, body)
    await erase(hub, compartment=True)
    await honour(hub.parts.pipeline, place("Consent", "c"), 1, body)
    assert is_erased(await hub.get("/Consent/c"))
    assert NAME.encode() not in await everything(hub)


async def test_a_change_that_was_not_matched_yet(hub: Hub) -> None:
    """It concerns nobody any more, and isn't counted among what was set aside."""
    key = await active(hub.parts)
    gone: Json = {"resourceType": "Immunization", "id": "gone", "status": "completed"}
    gone |= {"vaccineCode": {"text": "v"}, "patient": to("Patient/123"), "occurrenceString": "then"}
    await put(hub, gone)
    await put(hub, gone | {"id": "there"})
    await erase(hub, "Immunization/gone")
    engine = fanout(hub.parts)
    async with running(engine):
        await matched(hub.parts)
    owed = await hub.parts.outboxes.events(key, 1, 9)
    assert [(event.number, event.id) for event in owed] == [(1, "there")]
    assert not engine.poison


async def test_what_an_endpoint_has_answered(hub: Hub) -> None:
    """It may repeat what it was sent: the answers are left out, the attempts stay."""
    await put(hub, him())
    await subscribe(hub, "s")
    key = (await member(hub.parts)).key
    await hub.parts.pipeline.command("HDEL", key.subscription, "next")
    turn = await hub.parts.outboxes.take(key, "1")
    assert isinstance(turn, Turn)
    settled = await hub.parts.outboxes.settle(
        key, "1", turn, Verb.AGAIN, said="so", again_at=1, sent=Sent(1, 2, f"I got {NAME}")
    )
    assert settled is not None
    url = f"{BASE}/admin/subscriptions/r4/s/attempts"
    (before,) = (await hub.get(url)).json()["attempts"]
    await erase(hub)
    assert (await hub.get(url)).json()["attempts"] == [before | {"answer": ""}]
    assert NAME.encode() not in await everything(hub)


async def test_what_is_written_while_it_is_under_way(hub: Hub) -> None:
    """What is written after all was found is its publisher's, and stays."""
    at_work, order = erasing(hub.parts), Order("default", R4, "Patient", "123", False, "operator")
    await put(hub, him())
    id_ = await at_work.order(order)
    await at_work.erasures.found(id_, *await at_work.find(order))
    await put(hub, patient("123", active=True))
    done = await at_work.go_on(id_)
    assert done
    assert done.stage is Stage.DONE
    assert is_erased(await hub.get("/Patient/123/_history/1"))
    assert (await hub.get("/Patient/123")).json()["active"] is True
    found = (await hub.get("/Patient")).json()["entry"]
    assert [each["resource"]["meta"]["versionId"] for each in found] == ["2"]


async def test_whoever_is_slower_does_not_find_more(hub: Hub) -> None:
    """Two that look for the same: what the first one found counts, so that nothing goes that came after it."""
    at_work, order = erasing(hub.parts), Order("default", R4, "Patient", "123", False, "operator")
    await put(hub, him())
    id_ = await at_work.order(order)
    await at_work.go_on(id_)
    await put(hub, him())
    await at_work.erasures.found(id_, *await at_work.find(order))
    await at_work.go_on(id_)
    assert (await hub.get("/Patient/123")).status_code == 200


class Dying(Erasures):
    """Dies when all is done, before it has said that nobody has to go on."""

    async def forget(self, id_: str) -> None:
        raise Unavailable(f"{id_} is still open")


async def test_whoever_dies_at_the_very_end_leaves_nothing(hub: Hub) -> None:
    """Nobody goes on with what is done, and it is remembered for its time and no longer."""
    at_work, pipeline = erasing(hub.parts), hub.parts.pipeline
    id_ = await at_work.order(Order("default", R4, "Patient", "123", False, "operator"))
    with pytest.raises(Unavailable):
        await replace(at_work, erasures=Dying(pipeline)).go_on(id_)
    await at_work.finish()
    assert await pipeline.command("ZCARD", ERASURES) == 0
    assert await pipeline.command("PTTL", erasure(id_)) > 0


async def test_several_at_once(hub: Hub) -> None:
    """Whoever goes on with the same order meanwhile, all that was found is erased before that is said."""
    at_work, order = erasing(hub.parts), Order("default", R4, "Patient", "123", True, "operator")
    await put(hub, him())
    for number in range(2 * CHUNK):
        await put(hub, observation(str(number), to("Patient/123")))
    id_ = await at_work.order(order)
    each = await asyncio.gather(*(at_work.go_on(id_) for _ in range(3)))
    assert [erasure and erasure.stage for erasure in each] == [Stage.DONE] * 3
    assert await at_work.erasures.left(id_) == []
    assert NAME.encode() not in await everything(hub)
    assert (await hub.get("/Observation")).json()["total"] == 0


async def test_the_clock_finishes_what_was_left(hub: Hub) -> None:
    """Whoever died at whatever stage, the order is done, once it is nobody's any more."""
    at_work = erasing(hub.parts)
    await put(hub, him())
    id_ = await at_work.order(Order("default", R4, "Patient", "123", False, "operator"))
    await at_work.finish()
    assert (await hub.get("/Patient/123")).status_code == 200, "it is somebody's"
    await at_work.erasures.leave(id_)
    await at_work.finish()
    assert is_erased(await hub.get("/Patient/123"))
    assert (await hub.get(f"{BASE}/admin/erasures/{id_}")).json()["state"] == "done"
    assert await at_work.erasures.abandoned(2**53) == []


async def test_a_redis_that_writes_no_files_anew(tmp_path: Path) -> None:
    """A managed one may refuse that: all is erased, and what is left to its operator is told, and audited."""
    with RedisServer() as server, server.client() as redis:
        async with serving(settings(server.url, tmp_path)) as hub:
            await put(hub, him())
            redis.execute_command("ACL", "SETUSER", "default", "-slowlog")
            told = await erase(hub)
            assert is_erased(await hub.get("/Patient/123"))
            rest = "Redis' files were not written anew"
            assert (told["state"], told["files"].startswith(rest)) == ("done", True)
            last, *_ = [entry.act async for entries in hub.parts.audit.newest("default") for entry in entries]
            assert (last.outcome, rest in last.text) == (Outcome.FAILED, True)


async def test_it_is_audited(hub: Hub) -> None:
    """Once when it is ordered, and once when it is done."""
    await put(hub, him())
    id_ = (await erase(hub))["id"]
    rows = await hub.parts.pipeline.command("XRANGE", "hub:{audit:default}:log", "-", "+")
    texts = [fields[fields.index(b"text") + 1].decode() for _, fields in rows if b"erased" in fields]
    assert texts == [f"ordered: erasure {id_}", f"1 resources, 1 versions: erasure {id_}"]


async def test_one_that_always_fails_keeps_none_behind_it_waiting(hub: Hub) -> None:
    """It is tried again after a while, and not again and again."""
    at_work, pipeline = erasing(hub.parts), hub.parts.pipeline
    await put(hub, him())
    failing, other = [
        await at_work.order(Order("default", R4, "Patient", name, False, "operator")) for name in ("1", "123")
    ]
    await pipeline.command("HSET", erasure(failing), "order", b"of a newer release")
    for id_, since in ((failing, 0), (other, 1)):
        await pipeline.command("ZADD", ERASURES, since, id_)
    await at_work.finish()
    assert is_erased(await hub.get("/Patient/123"))
    assert await at_work.erasures.abandoned(at_work.now()) == []
    assert await at_work.erasures.abandoned(at_work.now() + CLAIMED) == [failing]


async def test_one_that_waits_keeps_none_behind_it_waiting(hub: Hub) -> None:
    """As long as a transaction is under way that began before it, say."""
    at_work, release = erasing(hub.parts), asyncio.Event()
    await put(hub, him())
    waiting, other = [
        await at_work.order(Order("default", R4, "Patient", name, False, "operator")) for name in ("1", "123")
    ]
    held = replace(at_work, erasures=Held(hub.parts.pipeline, waiting, release))
    for id_, since in ((waiting, 0), (other, 1)):
        await hub.parts.pipeline.command("ZADD", ERASURES, since, id_)
    finishing = asyncio.create_task(held.finish())
    await eventually(lambda: _is_done(hub, other))
    assert not await _is_done(hub, waiting)
    release.set()
    await finishing
    assert await _is_done(hub, waiting)


@dataclass(frozen=True, slots=True)
class Held(Erasures):
    """Does not get on with one of them until it is released."""

    one: str
    release: asyncio.Event

    async def left(self, id_: str) -> list[tuple[ResourceId, int]]:
        if id_ == self.one:
            await self.release.wait()
        return await Erasures.left(self, id_)


async def _is_done(hub: Hub, id_: str) -> bool:
    return bool((await hub.get(f"{BASE}/admin/erasures/{id_}")).json()["state"] == "done")


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        pytest.param({"resource": "Patient/unknown"}, 404, "not known", id="what never was"),
        pytest.param({"resource": "Patient"}, 400, "Type/id", id="a type alone"),
        pytest.param({"resource": "Nothing/1"}, 400, "Type/id", id="no type"),
        pytest.param({"resource": "Subscription/s"}, 400, "Type/id", id="a Subscription"),
        pytest.param({"resource": ["Patient/1"]}, 400, "Type/id", id="several"),
        pytest.param({"resource": "Observation/1", "compartment": True}, 400, "no compartment", id="no patient"),
        pytest.param({"resource": "Patient/1", "compartment": "yes"}, 400, "true or false", id="no boolean"),
        pytest.param({"resource": "Patient/1", "version": "r3"}, 400, "r4b", id="no version"),
        pytest.param({"resource": "Patient/1", "all": True}, 400, "`all`", id="what is unknown"),
    ],
)
async def test_what_is_no_order(hub: Hub, body: Json, status: int, word: str) -> None:
    """It is refused, and nothing is noted."""
    answer = await hub.post(f"{BASE}/admin/erase", body)
    assert (answer.status_code, word in issue(answer)["details"]["text"]) == (status, True)
    assert await erasing(hub.parts).erasures.abandoned(2**53) == []


async def test_nothing_is_passed_over_that_would_have_kept_something(hub: Hub) -> None:
    """What stands in the query is not heeded, so that it is refused: somebody may mean a dry run by it."""
    await put(hub, him())
    answer = await hub.post(f"{BASE}/admin/erase?dryRun=true", {"resource": "Patient/123"})
    assert (answer.status_code, issue(answer)["code"]) == (400, "not-supported")
    assert "`dryRun`: this interaction takes no parameters" in issue(answer)["details"]["text"]
    assert (await hub.get("/Patient/123")).status_code == 200


async def test_an_unknown_erasure(hub: Hub) -> None:
    assert (await hub.get(f"{BASE}/admin/erasures/none")).status_code == 404


async def test_a_patient_who_was_never_published(hub: Hub) -> None:
    """What is about him can be erased all the same."""
    await put(hub, observation("o", to("Patient/123")))
    assert (await erase(hub, compartment=True))["erased"] == {"Observation": 1}


async def test_many_versions(hub: Hub) -> None:
    """As many as one script may meet at once."""
    key = f"hub:{{{place('Patient', '123').partition(4)}}}:resource:{place('Patient', '123')}"
    await put(hub, him())
    for first in range(2, 9_000, 1_000):
        numbers = range(first, first + 1_000)
        fields = [part for n in numbers for part in (f"m{n}", "update 1", f"b{n}", '{"resourceType":"Patient"}')]
        await hub.parts.pipeline.command("HSET", key, *fields)
    await hub.parts.pipeline.command("HSET", key, "version", numbers[-1])
    await erase(hub)
    assert set(await hub.parts.pipeline.command("HKEYS", key)) == {b"version", b"erased", b"deleted"}


async def test_the_files_of_redis(hub: Hub, redis_server: RedisServer) -> None:
    """They have neither the name nor the identifier any more, and the hub's data are all there after a restart."""
    await put(hub, him())
    await put(hub, patient("124", name=[{"family": "Ngata"}]))

    def files() -> bytes:
        return dump.files(redis_server.directory)

    assert NAME.encode() in files()
    await erase(hub, compartment=True)
    until(lambda: NAME.encode() not in files() and NHI.encode() not in files())
    assert b"Ngata" in files()


async def test_one_that_is_cut_short_while_it_waits(hub: Hub) -> None:
    """Whoever goes away in the middle leaves it to the clock."""
    await put(hub, him())
    order = Order("default", R4, "Patient", "123", False, "operator")
    id_ = await erasing(hub.parts).order(order)
    task = asyncio.create_task(erasing(hub.parts).go_on(id_))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await eventually(lambda: _abandoned(hub, id_))
    await erasing(hub.parts).finish()
    assert is_erased(await hub.get("/Patient/123"))


async def _abandoned(hub: Hub, id_: str) -> bool:
    return await erasing(hub.parts).erasures.abandoned(erasing(hub.parts).now()) == [id_]
