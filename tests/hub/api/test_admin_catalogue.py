"""`/admin/topics`, `/admin/withheld`, `/admin/index` and `/admin/explain`: what operators look up."""

from typing import Any

import httpx
import pytest

from hub.api.admin.withheld import LOOKED_AT
from hub.metering import Metering
from hub.turn import Turn, Verb
from subscriptions.audit import HUB, Act, Kind
from subscriptions.codes import FhirVersion, SubscriptionStatus
from tests.fhir import immunization
from tests.hub.api.callers import grant
from tests.hub.api.clients import Clients
from tests.hub.api.described import told
from tests.hub.api.server import Hub, issue, patient
from tests.hub.api.subscriptions import ENDPOINT, put
from tests.hub.api.test_recovering import subscribed
from tests.hub.conftest import BASE
from tests.hub.engines import activate, becomes, member
from tests.processes import subscription

ADMIN = f"{BASE}/admin"
TOPIC = {
    "resourceType": "SubscriptionTopic",
    "id": "done",
    "url": "http://topics.example/done",
    "title": "Immunisation done",
    "description": "An immunisation was given.",
    "purpose": "So that the register knows.",
    "status": "active",
    "resourceTrigger": [{"resource": "Immunization"}],
    "canFilterBy": [{"resource": "Immunization", "filterParameter": "patient", "description": "Whose it is"}],
}


async def explained(hub: Hub, body: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = told(hub, "post", "/admin/explain", await hub.post(f"{ADMIN}/explain", body))
    return said


async def test_topics_and_who_is_on_them(hub: Hub) -> None:
    """The published ones first, with what they are for; the Subscriptions on each by status."""
    answer = await hub.put(f"{BASE}/fhir/r5/SubscriptionTopic/done", TOPIC)
    assert answer.status_code == 201, answer.text
    await put(hub, "a", criteria=TOPIC["url"])
    await put(hub, "b", criteria=TOPIC["url"], status="off")
    await put(hub, "c")
    said = told(hub, "get", "/admin/topics", await hub.get(f"{ADMIN}/topics"))["topics"]
    first = said[0]
    assert (first["url"], first["kind"], first["purpose"]) == (TOPIC["url"], "published", TOPIC["purpose"])
    assert first["resourceTypes"] == ["Immunization"]
    assert first["filters"][0]["parameter"] == "patient"
    assert {name: many for name, many in first["subscriptions"].items() if many} == {"requested": 1, "off": 1}
    (built_in,) = [each for each in said if each["url"].endswith("/immunization-change")]
    assert built_in["kind"] == "built-in"
    assert built_in["filters"] is None
    assert built_in["subscriptions"]["requested"] == 1
    assert len({each["url"] for each in said}) == len(said)


async def test_topics_of_another_tenant(hub: Hub) -> None:
    await hub.put(f"{BASE}/fhir/r5/SubscriptionTopic/done", TOPIC)
    await put(hub, "a")
    await grant(hub, "ward", "default", "")
    said = (await hub.get(f"{BASE}/t/ward/admin/topics")).json()["topics"]
    assert all(each["kind"] == "built-in" for each in said)
    assert not any(sum(each["subscriptions"].values()) for each in said)


async def suppressed(hub: Hub, number: int) -> None:
    text = f"event {number}: by rule x" if number % 2 else "by rule x"
    entity, also = f"Subscription/s{number}", (f"Patient/{number}/_history/1",)
    await hub.parts.audit.record("default", Act(Kind.SUPPRESSED, HUB, entity, FhirVersion.R4, text=text, also=also))
    await hub.parts.audit.record("default", Act(Kind.TESTED, "lab", "Subscription/s", FhirVersion.R4))


async def test_what_was_withheld(hub: Hub) -> None:
    """Newest first, page by page; and why."""
    for number in range(1, 6):
        await suppressed(hub, number)
    url, found = f"{ADMIN}/withheld?count=2", []
    while url:
        said = told(hub, "get", "/admin/withheld", await hub.get(url))
        found += said["entries"]
        url = said["next"]
    assert [each["id"] for each in found] == ["s5", "s4", "s3", "s2", "s1"]
    assert [each["kind"] for each in found] == ["withheld", "suppressed"] * 2 + ["withheld"]
    assert (found[0]["event"], found[0]["resource"], found[0]["reason"]) == (5, "Patient/5/_history/1", "by rule x")
    assert said["lost"] == []


async def test_what_is_far_back_is_on_a_later_page(hub: Hub) -> None:
    """Nobody who asks has a whole audit read at once."""
    await suppressed(hub, 1)
    other = Act(Kind.TESTED, "lab", "Subscription/s", FhirVersion.R4)
    for _ in range(LOOKED_AT // 500):
        await hub.parts.audit.record("default", *[other] * 500)
    first = told(hub, "get", "/admin/withheld", await hub.get(f"{ADMIN}/withheld"))
    assert first["entries"] == []
    second = told(hub, "get", "/admin/withheld", await hub.get(first["next"]))
    assert [each["id"] for each in second["entries"]] == ["s1"]


async def test_whose_events_were_lost(hub: Hub) -> None:
    """Dropped, since they were not kept any longer; skipped, since it was in `error`."""
    key = await subscribed(hub, "a", "b", "c")
    await hub.parts.retention.retain(key, (await hub.parts.outboxes.events(key, 2, 2))[0].at + 1)
    turn = await hub.parts.outboxes.take(key, "9")
    assert isinstance(turn, Turn)
    assert await hub.parts.outboxes.settle(key, "9", turn, Verb.ERROR, said="so")
    assert (await hub.post(f"{ADMIN}/subscriptions/r4/s/resume", {})).status_code == 202
    await hub.parts.pipeline.command("HSET", key.subscription, "token", 0, "next", 0)
    await activate(hub.parts, key)
    await becomes(hub.parts, SubscriptionStatus.ACTIVE)
    await hub.parts.pipeline.command("HSET", key.subscription, "skipped", "1-1 3-3")  # an outage before
    said = told(hub, "get", "/admin/withheld", await hub.get(f"{ADMIN}/withheld"))
    assert [(each["kind"], each["events"], each["first"], each["last"]) for each in said["lost"]] == [
        ("dropped", 2, 1, 2),
        ("skipped", 1, 3, 3),
    ]


async def test_what_another_tenant_was_not_told(hub: Hub) -> None:
    """Of the others' Subscriptions the tenant alone is named."""
    await hub.parts.audit.record("default", Act(Kind.SUPPRESSED, HUB, "tenant/ward", FhirVersion.R4, text="why"))
    (entry,) = (await hub.get(f"{ADMIN}/withheld")).json()["entries"]
    assert (entry["id"], entry["tenant"]) == (None, "ward")


@pytest.mark.parametrize("query", ["page=x", "count=0", "ward=7"])
async def test_what_cannot_be_asked_of_it(hub: Hub, query: str) -> None:
    assert (await hub.get(f"{ADMIN}/withheld?{query}")).status_code == 400


async def test_what_matching_costs(hub: Hub) -> None:
    """Whom each change of a type is held against, and whose criteria take longest: this tenant's alone."""
    for id_ in ("a", "b"):
        answer = await hub.put(
            f"/Subscription/{id_}", subscription(ENDPOINT, "Immunization", "status:not=completed") | {"id": id_}
        )
        assert answer.status_code == 201, answer.text
    await put(hub, "c")
    for id_, seconds in (("a", 0.003), ("c", 0.001)):
        hub.parts.meter.spend((await member(hub.parts, id_)).key, seconds)
    hub.parts.meter.spend("ward/r4/a/1", 1)
    await Metering(hub.parts.pipeline, hub.parts.meter).flush()
    said = told(hub, "get", "/admin/index", await hub.get(f"{ADMIN}/index"))
    (type_,) = said["types"]
    assert (type_["version"], type_["type"], type_["scanned"]) == ("r4", "Immunization", 2)
    assert type_["topics"][0]["topic"].endswith("/immunization-change")
    first, second = said["criteria"]
    assert (first["id"], first["microseconds"], first["share"]) == ("a", 3000, 0.75)
    assert first["filters"] == ["status:not=completed"]
    assert (second["id"], second["share"]) == ("c", 0.25)
    assert (await hub.client.delete("/Subscription/a")).is_success
    await put(hub, "a")
    said = told(hub, "get", "/admin/index", await hub.get(f"{ADMIN}/index"))
    assert [each["id"] for each in said["criteria"]] == ["c"], "what was spent on another life of it is not its own"


async def test_why_a_given_change_would_concern_one(hub: Hub) -> None:
    """A Subscription that is here, or given; each clause says what it found."""
    wanted = subscription(ENDPOINT, "Immunization", "Immunization?patient=Patient/1") | {"id": "s"}
    await hub.put("/Subscription/s", wanted)
    for one in ("s", wanted):
        said = await explained(hub, {"subscription": one, "resource": immunization("i", patient="1")})
        assert said["matched"] is True
        assert said["text"] == "The change concerns the Subscription."
        assert "Patient/1" in said["filters"][0]["found"][0]
        said = await explained(hub, {"subscription": one, "resource": immunization("i", patient="2")})
        assert said["matched"] is False
        assert "patient=Patient/1" in said["text"]
    said = await explained(hub, {"subscription": "s", "resource": patient("1")})
    assert said["matched"] is False
    assert said["text"].startswith("The topic does not fire")


async def test_why_a_change_that_happened_did_or_did_not(hub: Hub) -> None:
    await subscribed(hub, "a")
    said = await explained(hub, {"version": "r4", "subscription": "s", "reference": "Immunization/a/_history/1"})
    assert said["matched"] is True
    assert said["text"].startswith("The change is event 1 of this Subscription")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"subscription": 1}, 400),
        ({"subscription": "s"}, 400),
        ({"subscription": "none", "resource": {"resourceType": "Patient"}}, 404),
        ({"subscription": "s", "version": "r3"}, 400),
        ({"subscription": "s", "resource": "x"}, 400),
        ({"subscription": "s", "reference": {}}, 400),
        ({"subscription": "s", "reference": "Patient/1/_history/1", "interaction": "create"}, 400),
        ({"subscription": "s", "reference": "Patient/none/_history/1"}, 404),
        ({"subscription": subscription(ENDPOINT), "reference": "Patient/1/_history/1"}, 400),
        ({"subscription": "s", "ward": "7"}, 400),
    ],
)
async def test_what_cannot_be_explained(hub: Hub, body: dict[str, Any], status: int) -> None:
    await put(hub, "s")
    answer: httpx.Response = await hub.post(f"{ADMIN}/explain", body)
    assert answer.status_code == status
    assert issue(answer)["details"]["text"]


async def test_a_change_is_explained_to_those_who_may_read_it(clients: Clients) -> None:
    lab = await clients.may("lab", "system/*.cruds")
    boss = await clients.may("boss", "hub/admin")
    await put(lab, "s")
    await lab.put("/Immunization/i", immunization("i"))
    body = {"subscription": "s", "reference": "Immunization/i/_history/1"}
    assert (await boss.post(f"{ADMIN}/explain", body)).status_code == 403
