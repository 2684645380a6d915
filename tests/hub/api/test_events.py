"""Events that publishers name: they come with the changes that they are about, and with no other."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from hub.access import DEFAULT
from hub.topics import Topics
from hub.write import Events
from subscriptions.codes import FhirVersion
from subscriptions.topic import EventTrigger, Topic
from tests.fhir import immunization
from tests.hub.api.server import Hub
from tests.hub.conftest import BASE
from tests.hub.engines import active, entries, events, fanout, matched, running
from tests.processes import subscription

V2 = "http://terminology.hl7.org/CodeSystem/v2-0003"
A01, A03 = (V2, "A01"), (V2, "A03")
PATIENT = {"resourceType": "Patient", "id": "p"}


async def named(hub: Hub) -> dict[str, Events]:
    """The events of all changes, by what they changed: `Patient/p/1`."""
    found: dict[str, Events] = {}
    for partition in hub.parts.changes.partitions:
        for entry in await entries(hub.parts, partition):
            found[f"{entry.resource.type}/{entry.resource.id}/{entry.number}"] = entry.events
    return found


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        pytest.param({"Event": f"{V2}|A01"}, {A01}, id="one"),
        pytest.param({"event": f"{V2}|A01, {V2}|A03,urn:x:y|a code"}, {A01, A03, ("urn:x:y", "a code")}, id="several"),
        pytest.param([("Event", f"{V2}|A01"), ("Event", f"{V2}|A03")], {A01, A03}, id="repeated"),
        pytest.param({}, set(), id="none"),
    ],
)
async def test_header(hub: Hub, header: Any, wanted: set[tuple[str, str]]) -> None:
    """A create, an update and a delete carry them, each with its own request."""
    created = await hub.client.post("Patient", json={"resourceType": "Patient"}, headers=header)
    await hub.client.put("Patient/p", json=PATIENT, headers=header)
    await hub.client.delete("Patient/p", headers=header)
    await hub.client.put("Patient/p", json=PATIENT)
    first = f"Patient/{created.json()['id']}/1"
    assert await named(hub) == {first: wanted, "Patient/p/1": wanted, "Patient/p/2": wanted, "Patient/p/3": set()}


@pytest.mark.parametrize(
    "header",
    ["", "A01", "|A01", f"{V2}|", f"{V2}", "v2|A01", f"{V2}|A01,", f"{V2}|A 01 |x", f"{V2}|a  b", "http://a b|c"],
)
@pytest.mark.parametrize(
    ("method", "url"), [("POST", "Patient"), ("PUT", "Patient/p"), ("DELETE", "Patient/p"), ("POST", "")]
)
async def test_malformed(hub: Hub, header: str, method: str, url: str) -> None:
    """What is no coding is refused, and nothing is written."""
    answer = await hub.client.request(
        method, url, json=None if method == "DELETE" else PATIENT, headers={"Event": header}
    )
    assert answer.status_code == 400
    assert "system|code" in answer.json()["issue"][0]["details"]["text"]
    assert await named(hub) == {}


@pytest.mark.parametrize("type_", ["batch", "transaction"])
async def test_bundle(hub: Hub, type_: str) -> None:
    """All writes of a Bundle carry the events of its request."""
    await hub.client.put("Patient/gone", json={"resourceType": "Patient", "id": "gone"})
    bundle = {
        "resourceType": "Bundle",
        "type": type_,
        "entry": [
            {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p"}},
            {"request": {"method": "DELETE", "url": "Patient/gone"}},
        ],
    }
    answer = await hub.client.post("", json=bundle, headers={"Event": f"{V2}|A03"})
    assert answer.status_code == 200
    assert await named(hub) == {"Patient/gone/1": set(), "Patient/p/1": {A03}, "Patient/gone/2": {A03}}


async def test_same_key(hub: Hub) -> None:
    """A repeat under one Idempotency-Key that names another event is another request."""

    async def create(event: str) -> httpx.Response:
        headers = {"Idempotency-Key": "k", "Event": f"{V2}|{event}"}
        return await hub.client.post("Patient", json={"resourceType": "Patient"}, headers=headers)

    assert [(await create(event)).status_code for event in ("A01", "A01", "A03")] == [201, 201, 422]


class OnAdmission(Topics):
    """The built-in topics, with A01 as their only trigger."""

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics.pipeline, topics.tenant, topics.canonical_base, topics.contexts)
        self._topics = topics

    def find(self, version: FhirVersion, canonical: str) -> Topic | None:
        found = self._topics.find(version, canonical)
        return found and replace(found, triggers=(), event_triggers=(EventTrigger(frozenset({A01}), "Immunization"),))


async def test_trigger(hub: Hub) -> None:
    """A topic's event trigger is fired by a change with its event, and by no other."""
    parts = replace(
        hub.parts,
        tenancy=replace(hub.parts.tenancy, _topics={DEFAULT: OnAdmission(hub.parts.tenancy.topics(DEFAULT))}),
    )
    key = await active(parts)
    async with running(fanout(parts)):
        for id_, header in (("a", {}), ("b", {"Event": f"{V2}|A03"}), ("c", {"Event": f"{V2}|A03,{V2}|A01"})):
            written = await hub.client.put(f"Immunization/{id_}", json=immunization(id_), headers=header)
            assert written.status_code == 201
        await matched(parts)
    assert await events(parts, key) == ["c"]


async def test_explained(hub: Hub) -> None:
    """What was named with a version is known when somebody asks why it fired; with a made-up change it is said."""
    topic = {
        "resourceType": "SubscriptionTopic",
        "url": "https://his.example/topics/admission",
        "status": "active",
        "eventTrigger": [{"event": {"coding": [{"system": V2, "code": "A01"}]}, "resource": "Immunization"}],
    }
    published = await hub.client.post(f"{BASE}/fhir/r4b/SubscriptionTopic", json=topic)
    assert published.status_code == 201, published.text
    wanted = subscription("http://127.0.0.1:9/hook") | {"criteria": topic["url"]}
    id_ = (await hub.client.post("Subscription", json=wanted)).json()["id"]
    await hub.client.put("Immunization/i", json=immunization("i"), headers={"Event": f"{V2}|A01"})
    await hub.client.put("Immunization/i", json=immunization("i"), headers={"Event": f"{V2}|A03"})

    async def fires(parameter: dict[str, Any], **headers: str) -> bool:
        body = {"resourceType": "Parameters", "parameter": [parameter]}
        answer = await hub.post(f"Subscription/{id_}/$explain", body, **headers)
        assert answer.status_code == 200, answer.text
        (matched,) = (each["valueBoolean"] for each in answer.json()["parameter"] if each["name"] == "matched")
        return bool(matched)

    versions = [f"Immunization/i/_history/{number}" for number in (1, 2)]
    assert [await fires({"name": "reference", "valueString": each}) for each in versions] == [True, False]
    made_up = {"name": "resource", "resource": immunization("i")}
    assert [await fires(made_up, event=f"{V2}|{code}") for code in ("A01", "A03")] == [True, False]
    assert not await fires(made_up)
