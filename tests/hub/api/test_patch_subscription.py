"""PATCH of Subscriptions and topics: what it makes is written as a PUT of it would be."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from hub.turn import Verb
from subscriptions.codes import FhirVersion
from tests.hub.api.patches import fhirpath, operation, patch
from tests.hub.api.server import Hub, issue
from tests.hub.api.subscriptions import ENDPOINT
from tests.hub.conftest import BASE
from tests.hub.life import Life
from tests.processes import subscription, subscription_r5

versions = pytest.mark.parametrize("version", list(FhirVersion))
TOPIC = Path(__file__).parents[3] / "fixtures" / "topics" / "immunisation-administered.json"

#: By version, where a Subscription has its endpoint.
ENDPOINTS = {
    FhirVersion.R4: ("/channel/endpoint", "Subscription.channel.endpoint"),
    FhirVersion.R4B: ("/channel/endpoint", "Subscription.channel.endpoint"),
    FhirVersion.R5: ("/endpoint", "Subscription.endpoint"),
}


async def subscribed(hub: Hub, version: FhirVersion) -> str:
    """The URL of a Subscription that is `requested`."""
    make = subscription_r5 if version is FhirVersion.R5 else subscription
    url = f"{BASE}/fhir/{version}/Subscription/s"
    assert (await hub.put(url, make(ENDPOINT, heartbeat=60) | {"id": "s"})).status_code == 201
    return url


async def life(hub: Hub, version: FhirVersion) -> Life:
    """The Subscription's, to be led on."""
    member = await hub.parts.membership.find("default", version, "s")
    assert member
    return Life(hub.parts.outboxes, member.key)


async def status(hub: Hub, url: str) -> str:
    return str((await hub.get(url)).json()["status"])


@versions
async def test_a_patch_changes_what_it_names_and_nothing_else(hub: Hub, version: FhirVersion) -> None:
    url = await subscribed(hub, version)
    before = (await hub.get(url)).json()
    pointer, path = ENDPOINTS[version]
    by_json = await patch(hub, url, [{"op": "replace", "path": pointer, "value": f"{ENDPOINT}/2"}])
    assert (by_json.status_code, by_json.headers["ETag"]) == (200, 'W/"2"')
    assert json.dumps(before).replace(ENDPOINT, f"{ENDPOINT}/2") == json.dumps(
        by_json.json() | {"meta": before["meta"]}
    )
    by_path = await patch(hub, url, fhirpath(operation("replace", path, valueUrl=ENDPOINT)))
    assert by_path.status_code == 200
    assert by_path.json() | {"meta": before["meta"]} == before
    assert (await hub.get(url)).content == by_path.content


@versions
async def test_requested_again_reactivates_a_subscription_in_error(hub: Hub, version: FhirVersion) -> None:
    url, its = await subscribed(hub, version), await life(hub, version)
    await its.settle(await its.turn(), Verb.ERROR)
    assert await status(hub, url) == "error"
    answer = await patch(hub, url, [{"op": "replace", "path": "/status", "value": "requested"}])
    assert (answer.status_code, answer.json()["status"]) == (200, "requested")
    assert "error" not in answer.json()
    await its.settle(await its.turn(), Verb.ACTIVE)
    assert await status(hub, url) == "active"


@versions
async def test_a_patch_turns_a_subscription_off_and_on(hub: Hub, version: FhirVersion) -> None:
    url = await subscribed(hub, version)
    for wanted in ("off", "requested"):
        patched = fhirpath(operation("replace", "Subscription.status", valueCode=wanted))
        assert (await patch(hub, url, patched)).json()["status"] == wanted


async def test_the_status_in_force_is_what_is_patched(hub: Hub) -> None:
    url, its = await subscribed(hub, FhirVersion.R4), await life(hub, FhirVersion.R4)
    await its.settle(await its.turn(), Verb.ACTIVE)
    wanted = [{"op": "test", "path": "/status", "value": "active"}, {"op": "replace", "path": "/reason", "value": "so"}]
    answer = await patch(hub, url, wanted)
    assert (answer.status_code, answer.json()["reason"]) == (200, "so")
    assert (await patch(hub, url, wanted)).status_code == 422


@versions
async def test_what_a_patch_makes_is_admitted_as_a_put_is(hub: Hub, version: FhirVersion) -> None:
    url = await subscribed(hub, version)
    before = await hub.get(url)
    pointer, element = ENDPOINTS[version]
    topic = "/topic" if version is FhirVersion.R5 else "/criteria"
    for path, value, where in (
        (pointer, "ftp://example.org", element),
        (topic, "http://example.org/none", f"Subscription.{topic[1:]}"),
        ("/status", "error", "Subscription.status"),
        ("/id", "other", "Subscription.id"),
        ("/resourceType", "Patient", "Subscription.resourceType"),
        ("/colour", "red", "Subscription.colour"),
    ):
        answer = await patch(hub, url, [{"op": "add", "path": path, "value": value}])
        assert answer.status_code == 400, path
        assert issue(answer)["expression"] == [where]
    assert (await hub.get(url)).content == before.content


async def test_if_match_is_the_version_in_force(hub: Hub) -> None:
    url = await subscribed(hub, FhirVersion.R4)
    wanted = [{"op": "replace", "path": "/reason", "value": "so"}]
    assert (await patch(hub, url, wanted, if_match='W/"1"')).status_code == 200
    stale = await patch(hub, url, wanted, if_match='W/"1"')
    assert (stale.status_code, issue(stale)["code"]) == (412, "conflict")
    assert (await patch(hub, f"{url}2", wanted)).status_code == 404
    assert (await patch(hub, url, wanted, "text/plain")).headers["Accept-Patch"]


@pytest.mark.usefixtures("patience")
async def test_patches_at_once_are_all_done(hub: Hub, other: Hub) -> None:
    url = await subscribed(hub, FhirVersion.R4)
    assert (await patch(hub, url, [{"op": "add", "path": "/contact", "value": [{"value": "0"}]}])).status_code == 200
    answers = await asyncio.gather(
        *(
            patch(process, url, [{"op": "add", "path": "/contact/-", "value": {"value": str(number)}}])
            for number, process in enumerate([hub, other] * 4, 1)
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    held = (await hub.get(url)).json()["contact"]
    assert sorted(each["value"] for each in held) == [str(number) for number in range(9)]


async def test_a_topic_is_patched_where_it_was_published(hub: Hub) -> None:
    topic: dict[str, Any] = json.loads(TOPIC.read_bytes()) | {"id": "given"}
    url = f"{BASE}/fhir/r5/SubscriptionTopic/given"
    assert (await hub.put(url, topic)).status_code == 201
    answer = await patch(hub, url, [{"op": "replace", "path": "/title", "value": "Another"}])
    assert (answer.status_code, answer.json()["title"], answer.headers["ETag"]) == (200, "Another", 'W/"2"')
    assert (await hub.get(url)).json() == topic | {"title": "Another", "meta": answer.json()["meta"]}
    title = fhirpath(operation("replace", "SubscriptionTopic.title", valueString="A third"))
    assert (await patch(hub, url, title)).json()["title"] == "A third"
    elsewhere = await patch(hub, f"{BASE}/fhir/r4b/SubscriptionTopic/given", title)
    assert (elsewhere.status_code, issue(elsewhere)["code"]) == (409, "business-rule")
    assert "/fhir/r5" in issue(elsewhere)["details"]["text"]
    stale = await patch(hub, url, title, if_match='W/"1"')
    assert stale.status_code == 412
    broken = await patch(hub, url, [{"op": "remove", "path": "/url"}])
    assert (broken.status_code, issue(broken)["expression"]) == (400, ["SubscriptionTopic.url"])
    built_in = f"{BASE}/fhir/r5/SubscriptionTopic/immunization-change"
    assert (await patch(hub, built_in, title)).status_code == 405
    assert (await patch(hub, f"{url}2", title)).status_code == 404
    basic = await patch(hub, "/Basic/given", title)
    assert (basic.status_code, basic.headers["Allow"]) == (405, "GET, HEAD")
