"""`GET /metadata`: the CapabilityStatement of each FHIR version is one, and says what is so."""

from typing import Any

import pytest

from hub.ingest import stored_types
from hub.ingest.validation import issues
from subscriptions.codes import FhirVersion
from tests.hub.api.server import Hub, patient
from tests.hub.api.subscriptions import ENDPOINT
from tests.hub.conftest import BASE
from tests.processes import BACKPORT, subscription, subscription_r5

VERSIONS = pytest.mark.parametrize("version", list(FhirVersion))
BACKPORT_BASE = "http://hl7.org/fhir/uv/subscriptions-backport"
INSTANTIATES = {"r4": "backport-subscription-server-r4", "r4b": "backport-subscription-server"}


async def statement(hub: Hub, version: str) -> dict[str, Any]:
    answer = await hub.get(f"{BASE}/fhir/{version}/metadata")
    assert answer.status_code == 200
    return dict(answer.json())


def of_type(statement: dict[str, Any], type_: str) -> dict[str, Any]:
    [found] = [each for each in statement["rest"][0]["resource"] if each["type"] == type_]
    return dict(found)


def codes(element: dict[str, Any]) -> set[str]:
    return {each["code"] for each in element["interaction"]}


def topics(statement: dict[str, Any]) -> list[str]:
    """The canonicals that Subscription's extension names."""
    extensions = of_type(statement, "Subscription")["extension"]
    url = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"
    assert {each["url"] for each in extensions} == {url}
    return [each["valueCanonical"] for each in extensions]


@VERSIONS
async def test_it_is_a_capability_statement_of_its_version(hub: Hub, version: FhirVersion) -> None:
    """By fhir.resources' model, and by what we look at beyond that."""
    said = await statement(hub, version)
    assert issues(said, version) == []
    assert (said["fhirVersion"], said["kind"]) == (version.number, "instance")
    assert said["implementation"]["url"] == f"{BASE}/fhir/{version}"
    assert said["format"] == ["json", "application/fhir+json"]
    assert (await hub.post(f"{BASE}/fhir/{version}/CapabilityStatement", said)).status_code == 201


@VERSIONS
async def test_only_r4_and_r4b_claim_the_backport(hub: Hub, version: FhirVersion) -> None:
    said = await statement(hub, version)
    claimed = [f"{BACKPORT_BASE}/CapabilityStatement/{INSTANTIATES[version]}"] if version in INSTANTIATES else None
    assert said.get("instantiates") == claimed
    assert ("implementationGuide" in said) is (version in INSTANTIATES)
    profiles = [f"{BACKPORT}/backport-subscription"] if version in INSTANTIATES else None
    assert of_type(said, "Subscription").get("supportedProfile") == profiles


@VERSIONS
async def test_every_type_of_the_store_is_there_with_what_can_be_done(hub: Hub, version: FhirVersion) -> None:
    said = await statement(hub, version)
    types = [each["type"] for each in said["rest"][0]["resource"]]
    own = {"Subscription", "AuditEvent"} | (set() if version is FhirVersion.R4 else {"SubscriptionTopic"})
    assert sorted(types) == sorted(stored_types(version) | own)
    for type_ in stored_types(version):
        found = of_type(said, type_)
        assert {"read", "vread", "history-instance", "history-type", "search-type"} <= codes(found)
        assert (found["conditionalRead"], found["readHistory"]) == ("full-support", True)
    for type_ in own:
        assert not {code for code in codes(of_type(said, type_)) if code.startswith("history")}
    assert {"batch", "transaction", "history-system"} <= codes(said["rest"][0])
    assert "search-system" not in codes(said["rest"][0])
    for each in said["rest"][0]["resource"]:  # there are none, and an empty list is no FHIR
        assert not {"searchInclude", "searchRevInclude"} & each.keys()


@VERSIONS
async def test_what_it_says_of_reading_holds(hub: Hub, version: FhirVersion) -> None:
    """What is claimed is answered, and what is not is refused."""
    base = f"{BASE}/fhir/{version}"
    wanted = subscription_r5(ENDPOINT) if version is FhirVersion.R5 else subscription(ENDPOINT)
    await hub.put(f"{base}/Patient/a", patient("a"))
    await hub.put(f"{base}/Subscription/a", wanted | {"id": "a"})
    paths = {
        "read": "/a",
        "vread": "/a/_history/1",
        "history-instance": "/a/_history",
        "history-type": "/_history",
        "search-type": "",
    }
    said = await statement(hub, version)
    for type_ in ("Patient", "Subscription"):
        for code, path in paths.items():
            answer = await hub.get(f"{base}/{type_}{path}")
            assert (answer.status_code == 200) is (code in codes(of_type(said, type_))), (type_, code)
    assert (await hub.get(f"{base}/_history")).status_code == 200


@VERSIONS
async def test_each_topic_can_be_subscribed_to_as_it_is_written(hub: Hub, version: FhirVersion) -> None:
    """String-equal to what a Subscription names; and those that all versions share are the same everywhere."""
    listed = topics(await statement(hub, version))
    assert len(listed) == len(set(listed)) > 100
    assert set(topics(await statement(hub, "r4"))) & set(topics(await statement(hub, "r5"))) >= {
        f"https://fhir-event-hub.example/SubscriptionTopic/{name}-change" for name in ("immunization", "patient")
    }
    element = "topic" if version is FhirVersion.R5 else "criteria"
    make = subscription_r5 if version is FhirVersion.R5 else subscription
    for number, canonical in enumerate((listed[0], listed[len(listed) // 2], listed[-1])):
        wanted = make(ENDPOINT) | {"id": f"s{number}", element: canonical}
        answer = await hub.put(f"{BASE}/fhir/{version}/Subscription/s{number}", wanted)
        assert (answer.status_code, answer.json().get(element)) == (201, canonical), answer.text
