"""ValueSets and CodeSystems that the hub was given decide what filters and searches by them find, from then on."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.access import DEFAULT
from hub.errors import NotTheHub, Unavailable
from hub.instants import now_ms
from hub.keys import ResourceId
from hub.publication import Publication
from hub.store import Store
from hub.topics_dir import load
from hub.wiring.parts import parts
from hub.write import Put, Write
from subscriptions.codes import FhirVersion
from tests.hub.api.server import Hub, issue
from tests.hub.conftest import close
from tests.hub.engines import activate, events, fanout, matched, member, running
from tests.processes import subscription

CVX = "http://hl7.org/fhir/sid/cvx"
URL = "https://terms.example/ValueSet/childhood"
IN = f"vaccine-code:in={URL}"

Json = dict[str, Any]


def value_set(*codes: str, id_: str = "childhood", **more: Any) -> Json:
    include = {"system": CVX, "concept": [{"code": code} for code in codes]}
    written = {"resourceType": "ValueSet", "id": id_, "url": URL, "status": "active"}
    return written | {"compose": {"include": [include]}} | more


def not_enumerable() -> Json:
    return value_set("08", compose={"include": [{"system": "urn:unknown"}]})


def on_childhood(id_: str = "s", filter_: str = IN) -> Json:
    return subscription("http://127.0.0.1:9/hook", "Immunization", filter_) | {"id": id_}


def vaccinated(id_: str, code: str) -> Json:
    return {
        "resourceType": "Immunization",
        "id": id_,
        "status": "completed",
        "vaccineCode": {"coding": [{"system": CVX, "code": code}]},
        "patient": {"reference": "Patient/1"},
        "occurrenceDateTime": "2026-11-27",
    }


async def put(hub: Hub, resource: Json) -> int:
    answer = await hub.put(f"{resource['resourceType']}/{resource['id']}", resource)
    assert answer.status_code in (200, 201, 400), answer.text
    return answer.status_code


async def found(hub: Hub, query: str) -> list[str]:
    answer = await hub.get(f"Immunization?{query}")
    assert answer.status_code == 200, answer.text
    return sorted(entry["resource"]["id"] for entry in answer.json().get("entry", []))


async def status_errors(hub: Hub, id_: str) -> list[str]:
    """The texts of the errors in `$status`."""
    answer = await hub.get(f"Subscription/{id_}/$status")
    (entry,) = answer.json()["entry"]
    said = [each for each in entry["resource"]["parameter"] if each["name"] == "error"]
    return [each["valueCodeableConcept"]["text"] for each in said]


async def loaded(hub: Hub, directory: Path, *resources: Json) -> None:
    """As when the hub starts with these in its directory."""
    for place, resource in enumerate(resources):
        (directory / f"{place}.json").write_text(json.dumps(resource))
    await load(
        directory,
        Publication(hub.parts.tenancy.topics(DEFAULT), hub.parts.registry, hub.parts.audit, hub.parts.store),
        now=now_ms(),
        max_nesting=64,
    )


async def subscribed(hub: Hub, wanted: Json) -> None:
    """With an endpoint that has accepted the handshake."""
    assert await put(hub, wanted) == 201
    await activate(hub.parts, (await member(hub.parts, wanted["id"])).key)


class Dying(Store):
    """Dies between storing a version and having it count."""

    async def remember(self, resource: ResourceId, number: int, body: bytes | None) -> None:
        raise Unavailable(f"{resource}/{number} of {len(body or b'')} bytes does not count yet")


@pytest.fixture
async def matcher(hub: Hub) -> AsyncIterator[None]:
    """A match worker, with a copy of its own of all that matching needs to know."""
    own = await parts(hub.parts.settings)
    async with running(fanout(own)):
        yield
    await close(own.client)


async def told(hub: Hub, *immunizations: Json) -> list[str]:
    """Of which ones the Subscription `s` has events when these are matched too."""
    for each in immunizations:
        assert await put(hub, each) in (200, 201)
    await matched(hub.parts)
    return sorted(await events(hub.parts, (await member(hub.parts)).key))


async def test_a_value_set_counts_from_its_confirmation_on(hub: Hub) -> None:
    refused = await hub.put("Subscription/s", on_childhood())
    assert refused.status_code == 400
    assert f"the hub was not given the ValueSet `{URL}`" in issue(refused)["details"]["text"]
    assert await put(hub, value_set("08")) == 201
    assert await put(hub, on_childhood()) == 201
    assert await put(hub, vaccinated("a", "08")) == 201
    assert await put(hub, vaccinated("b", "03")) == 201
    assert await found(hub, IN) == ["a"]
    assert await put(hub, value_set("03")) == 200
    assert await found(hub, IN) == ["b"]
    assert await found(hub, "vaccine-code:not-in=ValueSet/childhood") == ["a"]


@pytest.mark.usefixtures("matcher")
async def test_subscriptions_follow_a_value_set_that_changes(hub: Hub) -> None:
    await put(hub, value_set("08"))
    await subscribed(hub, on_childhood())
    assert await told(hub, vaccinated("a", "08"), vaccinated("b", "03")) == ["a"]
    await put(hub, value_set("03"))
    assert await told(hub, vaccinated("c", "08"), vaccinated("d", "03"), vaccinated("e", "03")) == ["a", "d", "e"]


@pytest.mark.usefixtures("matcher")
async def test_a_deleted_value_set_goes_on_counting_and_can_be_replaced(hub: Hub) -> None:
    """A delete must not leave subscribers without their notifications."""
    await put(hub, value_set("08"))
    await subscribed(hub, on_childhood())
    assert (await hub.delete("ValueSet/childhood")).status_code == 204
    assert await told(hub, vaccinated("a", "08"), vaccinated("b", "03")) == ["a"]
    await put(hub, value_set("03"))
    assert await told(hub, vaccinated("c", "08"), vaccinated("d", "03")) == ["a", "d"]


@pytest.mark.usefixtures("matcher")
async def test_who_can_not_be_told_any_more_sees_that_in_its_status(hub: Hub) -> None:
    """Until the ValueSet can be enumerated again; others see nothing of it."""
    await put(hub, value_set("08"))
    await subscribed(hub, on_childhood())
    await put(hub, on_childhood("other", "patient=Patient/1"))
    assert await status_errors(hub, "s") == []
    await put(hub, not_enumerable())
    (said,) = await status_errors(hub, "s")
    assert "no change concerns it" in said
    assert "the hub was not given the CodeSystem `urn:unknown`" in said
    assert await status_errors(hub, "other") == []
    assert await told(hub, vaccinated("a", "08")) == []
    await put(hub, value_set("08"))
    assert await status_errors(hub, "s") == []
    assert await told(hub, vaccinated("b", "08")) == ["b"]


@pytest.mark.usefixtures("matcher")
async def test_what_a_process_that_died_left_untold_is_told_when_it_is_matched(hub: Hub) -> None:
    """The version and its change are stored in one step; that it counts is another one."""
    await put(hub, value_set("08"))
    await subscribed(hub, on_childhood())
    head, _, tail = json.dumps(value_set("03", meta={"versionId": "#"})).encode().partition(b"#")
    write = Write(ResourceId("default", FhirVersion.R4, "ValueSet", "childhood"), "update", now_ms(), head, tail)
    with pytest.raises(Unavailable):
        await Dying(hub.parts.pipeline, 4).put(write)
    await matched(hub.parts)
    assert await told(hub, vaccinated("a", "08"), vaccinated("b", "03")) == ["b"]


async def test_what_a_process_that_died_left_untold_is_told_by_the_repeat(hub: Hub) -> None:
    """A repeat is a confirmation too; nothing is matched here."""
    head, _, tail = json.dumps(value_set("08", meta={"versionId": "#"})).encode().partition(b"#")
    place = ResourceId("default", FhirVersion.R4, "ValueSet", "childhood")
    write = Write(place, "create", now_ms(), head, tail, fingerprint="f")
    with pytest.raises(Unavailable):
        await Dying(hub.parts.pipeline, 4).put(write)
    assert await put(hub, on_childhood()) == 400
    assert (await hub.parts.store.put(write)).outcome is Put.REPEATED
    assert await put(hub, on_childhood()) == 201


@pytest.mark.usefixtures("matcher")
async def test_a_code_system_says_what_is_below_a_code(hub: Hub) -> None:
    below = "vaccine-code:below=urn:vaccines|live"
    assert (await hub.put("Subscription/s", on_childhood(filter_=below))).status_code == 400
    concepts = [{"code": "live", "concept": [{"code": "measles"}]}, {"code": "inactivated"}]
    system: Json = {"resourceType": "CodeSystem", "id": "vaccines", "url": "urn:vaccines", "status": "active"}
    answer = await hub.post("CodeSystem", system | {"content": "complete", "concept": concepts})
    assert answer.status_code == 201, answer.text
    await subscribed(hub, on_childhood(filter_=below))
    given = [vaccinated("a", "measles"), vaccinated("b", "inactivated")]
    for each in given:
        each["vaccineCode"]["coding"][0]["system"] = "urn:vaccines"
    assert await told(hub, *given) == ["a"]


async def test_a_transaction_brings_a_value_set_like_any_other_write(hub: Hub) -> None:
    request = {"method": "PUT", "url": "ValueSet/childhood"}
    bundle = {"resourceType": "Bundle", "type": "transaction"}
    answer = await hub.post("", bundle | {"entry": [{"resource": value_set("08"), "request": request}]})
    assert answer.status_code == 200, answer.text
    assert await put(hub, on_childhood()) == 201


@pytest.mark.usefixtures("matcher")
async def test_a_directory_has_value_sets_for_its_topics(hub: Hub, tmp_path: Path) -> None:
    """Whatever the names of the files are: what a topic names is there before the topic is."""
    trigger = {"resource": "Immunization", "queryCriteria": {"current": IN}}
    topic: Json = {
        "resourceType": "SubscriptionTopic",
        "id": "childhood",
        "url": "https://terms.example/SubscriptionTopic/c",
    }
    topic |= {"status": "active", "resourceTrigger": [trigger]}
    await loaded(hub, tmp_path, topic, value_set("08"))
    on_topic = subscription("http://127.0.0.1:9/hook", "Immunization") | {"id": "s", "criteria": topic["url"]}
    await subscribed(hub, on_topic)
    assert await told(hub, vaccinated("a", "08"), vaccinated("b", "03")) == ["a"]
    await loaded(hub, tmp_path, topic, value_set("03"))
    assert await told(hub, vaccinated("c", "08"), vaccinated("d", "03")) == ["a", "d"]


async def test_a_topic_can_be_used_again_when_its_value_set_can(hub: Hub, tmp_path: Path) -> None:
    """Also when a search is the first to see that."""
    trigger = {"resource": "Immunization", "queryCriteria": {"current": IN}}
    topic = {"resourceType": "SubscriptionTopic", "id": "c", "url": "https://terms.example/SubscriptionTopic/c"}
    await loaded(hub, tmp_path, topic | {"status": "active", "resourceTrigger": [trigger]}, value_set("08", id_="own"))
    on_topic = subscription("http://127.0.0.1:9/hook", "Immunization") | {"id": "s", "criteria": topic["url"]}
    await put(hub, not_enumerable())
    assert await put(hub, on_topic) == 400
    await put(hub, value_set("08"))
    assert await found(hub, IN) == []
    assert await put(hub, on_topic) == 201


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        pytest.param(value_set("08") | {"url": None}, "the ValueSet has no url", id="no-url"),
        pytest.param(value_set("08") | {"compose": {"include": "all"}}, "ValueSet.compose.include", id="form"),
    ],
)
async def test_a_bad_value_set_of_a_directory_is_named_in_one_line(
    hub: Hub, tmp_path: Path, resource: Json, reason: str
) -> None:
    with pytest.raises(NotTheHub) as caught:
        await loaded(hub, tmp_path, resource)
    assert reason in str(caught.value)
    assert str(tmp_path / "0.json") in str(caught.value)
    assert "\n" not in str(caught.value)
