"""Subscriptions whose criteria are a search, as R4 has them without topics: what goes over the wire."""

import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.facts import eventually
from tests.fhir import Fhir, immunization, talking_to
from tests.processes import SHARED, HubProcess
from tests.receiver import Answer, Received, Receiver

MEDPLUM = "https://medplum.com/fhir/StructureDefinition"


@pytest.fixture(scope="module")
async def medplum() -> AsyncIterator[HubProcess]:
    """A hub that does as Medplum does."""
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        async with HubProcess(Path(folder), SHARED | {"HUB_LEGACY_STYLE": "medplum"}) as hub:
            await eventually(lambda: hub.have(1))
            yield hub


def legacy(criteria: str, endpoint: str, *, payload: str = "", extensions: Any = (), **channel: Any) -> dict[str, Any]:
    return {
        "resourceType": "Subscription",
        **({"extension": list(extensions)} if extensions else {}),
        "status": "requested",
        "reason": "A test",
        "criteria": criteria,
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            **({"payload": payload} if payload else {}),
            **channel,
        },
    }


def interaction(code: str) -> dict[str, Any]:
    return {"url": f"{MEDPLUM}/subscription-supported-interaction", "valueCode": code}


async def came(receiver: Receiver, count: int) -> list[Received]:
    """Wait until so many requests have come; all that have."""
    await receiver.until(lambda: len(receiver.received) >= count)
    return receiver.received


def headers(received: Received) -> dict[str, str]:
    return {name.lower(): value for name, value in received.headers}


def answering(*statuses: int) -> Answer:
    """Answers with these in turn, and with the last one from then on."""
    left = list(statuses)

    async def answer(_: Received) -> int:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


async def test_empty(fhir: Fhir, receiver: Receiver) -> None:
    """Without a payload: a POST with the client's headers and no body, for creates and updates, and nothing else."""
    wanted = legacy(
        "Immunization?patient=Patient/empty", f"{receiver.url}/hook?a=1", header=["Authorization: Bearer a:b"]
    )
    await fhir.subscribe(wanted)
    await fhir.put(immunization("legacy-empty", patient="empty"))
    await fhir.put(immunization("legacy-empty", patient="empty", lot="2"))
    await fhir.put(immunization("legacy-empty", patient="other"))
    await fhir.delete("Immunization/legacy-empty")
    await fhir.put(immunization("legacy-empty-last", patient="empty"))
    received = await came(receiver, 3)
    assert [(each.method, each.path, each.body) for each in received] == [("POST", "/hook", b"")] * 3
    assert headers(received[0])["authorization"] == "Bearer a:b"
    assert headers(received[0])["content-length"] == "0"
    assert "content-type" not in headers(received[0])


@pytest.mark.parametrize("payload", ["application/fhir+json", "application/json"])
@pytest.mark.parametrize("path", ["", "/", "/fhir/r4", "/fhir/?tenant=1"])
async def test_put(fhir: Fhir, receiver: Receiver, payload: str, path: str) -> None:
    """With a payload the endpoint is a base: the resource is PUT there, byte for byte, in that MIME type."""
    id_ = f"legacy-{len(path)}-{len(payload)}"
    await fhir.subscribe(legacy(f"/Immunization?_id={id_}", receiver.url + path, payload=payload))
    for lot in ("1", "2"):
        await fhir.put(immunization(id_, lot=lot))
    received = await came(receiver, 2)
    base = path.partition("?")[0].rstrip("/")
    assert [(each.method, each.path) for each in received] == [("PUT", f"{base}/Immunization/{id_}")] * 2
    for number, each in enumerate(received, start=1):
        stored = await fhir.http.get(f"Immunization/{id_}/_history/{number}")
        assert each.body == stored.content
        assert headers(each)["content-type"] == payload


async def test_put_stays_below_the_endpoint(fhir: Fhir, receiver: Receiver) -> None:
    """An id of dots, which FHIR allows, would lead elsewhere: it is passed by, and the next one follows."""
    id_ = await fhir.subscribe(
        legacy("Basic?_id=.,..,legacy-dots", f"{receiver.url}/a/b", payload="application/fhir+json")
    )
    for name in (".", "..", "legacy-dots"):
        entry = {
            "resource": {"resourceType": "Basic", "id": name, "code": {"text": "x"}},
            "request": {"method": "PUT", "url": f"Basic/{name}"},
        }
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        assert (await fhir.http.post("", json=bundle)).status_code == 200
    await fhir.until_events(id_, 3)
    await fhir.put({"resourceType": "Basic", "id": "legacy-dots", "code": {"text": "y"}})
    assert [each.path for each in await came(receiver, 2)] == ["/a/b/Basic/legacy-dots"] * 2


async def test_type_alone(fhir: Fhir, receiver: Receiver) -> None:
    """Criteria that are a type are for all resources of it."""
    await fhir.subscribe(legacy("Basic", receiver.url))
    await fhir.put({"resourceType": "Basic", "id": "legacy", "code": {"text": "x"}})
    assert [each.method for each in await came(receiver, 1)] == ["POST"]


async def test_active_at_once(fhir: Fhir, receiver: Receiver) -> None:
    """No handshake: it is `active` although nobody would have accepted one, and $status counts as for any other."""
    receiver.answers["/never"] = answering(404)
    id_ = await fhir.subscribe(legacy("Immunization?patient=Patient/nobody", f"{receiver.url}/never"))
    assert receiver.received == []
    status = await fhir.status(id_)
    assert (status["events-since-subscription-start"], "topic" in status) == ("0", False)


async def test_superseded(fhir: Fhir, receiver: Receiver) -> None:
    """A version that is not in force any more is sent as it was matched, in order, and again after a failure."""
    receiver.answers["/Immunization/legacy-old"] = answering(503, 200)
    await fhir.subscribe(legacy("Immunization?_id=legacy-old", receiver.url, payload="application/fhir+json"))
    for lot in "123":
        await fhir.put(immunization("legacy-old", lot=lot))
    received = await came(receiver, 4)
    assert [json.loads(each.body)["lotNumber"] for each in received] == ["1", "1", "2", "3"]
    assert received[0].body == received[1].body


async def test_failing(fhir: Fhir, receiver: Receiver) -> None:
    """It fails for good after the schedule, is in `error` with the reason, and starts again without a handshake."""
    receiver.answers["/failing"] = answering(500)
    wanted = legacy("Immunization?_id=legacy-failing", f"{receiver.url}/failing")
    id_ = await fhir.subscribe(wanted)
    await fhir.put(immunization("legacy-failing"))
    await fhir.until(id_, "error")
    assert len(receiver.received) == 3
    assert "500" in (await fhir.read(f"Subscription/{id_}"))["error"]
    receiver.answers["/failing"] = answering(200)
    await fhir.change(id_, wanted)
    await fhir.put(immunization("legacy-failing", lot="2"))
    await came(receiver, 4)
    await fhir.until_events(id_, 2)


REFUSED = [
    pytest.param(legacy("Immunisation?patient=1", "https://a.example"), "not a resource type", id="unknown-type"),
    pytest.param(legacy("Subscription?status=off", "https://a.example"), "Subscriptions", id="subscriptions"),
    pytest.param(legacy("Immunization?nothing=1", "https://a.example"), "`nothing`", id="unknown-parameter"),
    pytest.param(legacy("Immunization?_count=1", "https://a.example"), "`_count`", id="no-filter"),
    pytest.param(legacy("[Patient,Group]", "https://a.example"), "several types", id="several-types"),
    pytest.param(
        legacy("Patient", "https://a.example", payload="application/fhir+xml"), "application/fhir+xml", id="xml"
    ),
    pytest.param(
        legacy("Patient", "https://a.example", extensions=[interaction("delete")]),
        "HUB_LEGACY_STYLE=medplum",
        id="medplum",
    ),
]


@pytest.mark.parametrize(("wanted", "reason"), REFUSED)
async def test_refused(fhir: Fhir, wanted: dict[str, Any], reason: str) -> None:
    """What can't be heeded is refused, by name."""
    answer = await fhir.http.post("Subscription", json=wanted)
    assert answer.status_code == 400
    assert [issue["details"]["text"] for issue in answer.json()["issue"] if reason in issue["details"]["text"]]


async def test_medplum_posts(medplum: HubProcess, receiver: Receiver) -> None:
    """In Medplum's style the resource is POSTed to the endpoint itself, on create and update."""
    async with talking_to(medplum) as fhir:
        await fhir.subscribe(legacy("Patient", f"{receiver.url}/bot?x=1") | {"status": "active"})
        await fhir.put({"resourceType": "Patient", "id": "p"})
        await fhir.put({"resourceType": "Patient", "id": "p", "active": True})
        await fhir.delete("Patient/p")
        await fhir.put({"resourceType": "Patient", "id": "q"})
        received = await came(receiver, 3)
        assert [(each.method, each.path) for each in received] == [("POST", "/bot")] * 3
        assert received[1].body == (await fhir.http.get("Patient/p/_history/2")).content
        assert headers(received[1])["content-type"] == "application/fhir+json"
        assert json.loads(received[2].body)["id"] == "q"


async def test_medplum_deletes(medplum: HubProcess, receiver: Receiver) -> None:
    """A delete, if it is asked for, is told in a header, with an empty object as the body."""
    async with talking_to(medplum) as fhir:
        wanted = legacy("Group?type=person", receiver.url, extensions=[interaction("delete")])
        await fhir.subscribe(wanted)
        await fhir.put({"resourceType": "Group", "id": "g", "type": "person", "actual": True})
        await fhir.delete("Group/g")
        (received,) = await came(receiver, 1)
        assert (received.method, received.body) == ("POST", b"{}")
        assert headers(received)["x-medplum-deleted-resource"] == "Group/g"


async def test_medplum_expression(medplum: HubProcess, receiver: Receiver) -> None:
    """A FHIRPath over the versions before and after decides too."""
    expression = "%previous.status = 'in-progress' and %current.status = 'finished'"
    extension = {"url": f"{MEDPLUM}/fhir-path-criteria-expression", "valueString": expression}
    async with talking_to(medplum) as fhir:
        await fhir.subscribe(legacy("Encounter", receiver.url, extensions=[interaction("update"), extension]))
        encounter = {"resourceType": "Encounter", "id": "e", "class": {"code": "AMB"}}
        for status in ("in-progress", "finished", "finished", "in-progress", "finished"):
            await fhir.put(encounter | {"status": status})
        received = await came(receiver, 2)
        assert [json.loads(each.body)["meta"]["versionId"] for each in received] == ["2", "5"]


@pytest.mark.parametrize("name", ["subscription-secret", "subscription-max-attempts", "subscription-success-codes"])
async def test_medplum_refused(medplum: HubProcess, name: str) -> None:
    """What of Medplum's is not supported is refused by its name."""
    extension = {"url": f"{MEDPLUM}/{name}", "valueString": "3"}
    async with talking_to(medplum) as fhir:
        answer = await fhir.http.post(
            "Subscription", json=legacy("Patient", "https://a.example", extensions=[extension])
        )
    assert answer.status_code == 400
    assert name in answer.json()["issue"][0]["details"]["text"]
