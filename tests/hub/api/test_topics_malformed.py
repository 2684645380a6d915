"""What a topic must be to be stored: a whole resource of its FHIR version, and not just what the hub reads of it."""

from typing import Any

import msgspec
import pytest

from hub.access import DEFAULT
from hub.topics import Published
from subscriptions.codes import FhirVersion
from subscriptions.versions.topics import read_topic
from tests.hub.api.server import Hub, issue
from tests.hub.conftest import BASE

URL = "https://topics.example/SubscriptionTopic/malformed"
Json = dict[str, Any]


def topic(**more: Any) -> Json:
    trigger = {"resource": "Patient", "supportedInteraction": ["create"]}
    return {"resourceType": "SubscriptionTopic", "url": URL, "status": "active", "resourceTrigger": [trigger]} | more


def triggered(**more: Any) -> Json:
    return topic(resourceTrigger=[{"resource": "Patient"} | more])


@pytest.mark.parametrize(
    ("version", "sent", "expression"),
    [
        ("r5", topic(meta="x"), "SubscriptionTopic.meta"),
        ("r5", topic(meta=[1]), "SubscriptionTopic.meta"),
        ("r5", topic(extension="x"), "SubscriptionTopic.extension"),
        ("r5", topic(date="yesterday"), "SubscriptionTopic.date"),
        ("r4b", topic(date={"a": 1}), "SubscriptionTopic.date"),
        ("r5", topic(identifier="x"), "SubscriptionTopic.identifier"),
        ("r5", topic(effectivePeriod="x"), "SubscriptionTopic.effectivePeriod"),
        ("r5", topic(language=4), "SubscriptionTopic.language"),
        ("r5", topic(contained=[1]), "SubscriptionTopic.contained[0]"),
        ("r5", topic(contained=[{"resourceType": "Nothing"}]), "SubscriptionTopic.contained[0].resourceType"),
        ("r5", topic(_title="x"), "SubscriptionTopic.title"),
        ("r5", triggered(queryCritera={"current": "active=true"}), "SubscriptionTopic.resourceTrigger[0].queryCritera"),
        (
            "r4b",
            triggered(queryCriteria={"current": "active=true", "requireboth": True}),
            "SubscriptionTopic.resourceTrigger[0].queryCriteria.requireboth",
        ),
        ("r5", triggered(supportedActions=["create"]), "SubscriptionTopic.resourceTrigger[0].supportedActions"),
        ("r4b", topic(name="OfR5"), "SubscriptionTopic.name"),
    ],
)
async def test_what_is_malformed_is_refused_with_the_element_and_not_stored(
    hub: Hub, version: str, sent: Json, expression: str
) -> None:
    answer = await hub.post(f"{BASE}/fhir/{version}/SubscriptionTopic", sent)
    assert answer.status_code == 400, answer.text
    assert issue(answer)["expression"] == [expression]
    found = await hub.get(f"{BASE}/fhir/r5/SubscriptionTopic?url={URL}")
    assert (found.status_code, found.json()["total"]) == (200, 0)


async def test_a_topic_of_r5_may_have_what_r5_has_alone(hub: Hub) -> None:
    sent = topic(name="OfR5", versionAlgorithmString="semver", copyrightLabel="2026", date="2026-01")
    assert (await hub.post(f"{BASE}/fhir/r5/SubscriptionTopic", sent)).status_code == 201
    found = await hub.get(f"{BASE}/fhir/r5/SubscriptionTopic?url={URL}&date=2026")
    assert found.json()["total"] == 1


async def test_what_cannot_be_evaluated_is_left_out_of_a_search_and_counted(hub: Hub) -> None:
    sent = topic(date="yesterday")
    written = Published("broken", 0, 0, FhirVersion.R5, read_topic(sent, FhirVersion.R5), msgspec.json.encode(sent))
    await hub.parts.tenancy.topics(DEFAULT).define(written)
    found = await hub.get(f"{BASE}/fhir/r5/SubscriptionTopic?url={URL}")
    assert found.json()["total"] == 1
    found = await hub.get(f"{BASE}/fhir/r5/SubscriptionTopic?date=2026")
    assert found.status_code == 200
    assert "total" not in found.json()
    (remark,) = found.json()["entry"]
    assert "1 SubscriptionTopic could not be evaluated" in remark["resource"]["issue"][0]["diagnostics"]
