"""Create, read, vread, update, delete and history of single resources, and the headers that guard them."""

import json

import pytest

from tests.hub.api.server import FHIR, Hub, issue, patient
from tests.processes import subscription

JOHN = patient(name=[{"family": "Doe"}])


async def test_a_created_resource_is_told_and_read_back(hub: Hub) -> None:
    created = await hub.post("/Patient", JOHN)
    id_ = created.json()["id"]
    assert created.status_code == 201
    assert created.headers["Location"] == f"{FHIR}/Patient/{id_}/_history/1"
    assert created.headers["ETag"] == 'W/"1"'
    assert created.headers["Last-Modified"].endswith("GMT")
    assert created.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    read = await hub.get(f"/Patient/{id_}")
    assert (read.status_code, read.content, read.headers["ETag"]) == (200, created.content, 'W/"1"')
    assert await hub.changes() == [(f"Patient/{id_}", 1, "create")]


async def test_the_clients_id_means_nothing_when_it_creates(hub: Hub) -> None:
    created = await hub.post("/Patient", patient("mine"))
    assert created.json()["id"] != "mine"
    assert (await hub.get("/Patient/mine")).status_code == 404


async def test_put_creates_then_updates_and_every_version_is_kept(hub: Hub) -> None:
    first = await hub.put("/Patient/a", patient("a", active=True))
    second = await hub.put("/Patient/a", patient("a", active=False))
    assert (first.status_code, first.headers["Location"]) == (201, f"{FHIR}/Patient/a/_history/1")
    assert (second.status_code, second.headers["ETag"]) == (200, 'W/"2"')
    assert (await hub.get("/Patient/a")).json()["active"] is False
    assert (await hub.get("/Patient/a/_history/1")).content == first.content
    assert (await hub.get("/Patient/a/_history/2")).content == second.content
    assert (await hub.get("/Patient/a/_history/3")).status_code == 404
    assert await hub.changes() == [("Patient/a", 1, "create"), ("Patient/a", 2, "update")]


@pytest.mark.parametrize("body", [patient(), patient("b")], ids=["missing", "another"])
async def test_put_wants_the_id_of_the_url_in_the_body(hub: Hub, body: dict[str, str]) -> None:
    answer = await hub.put("/Patient/a", body)
    assert (answer.status_code, issue(answer)["expression"]) == (400, ["Patient.id"])
    assert await hub.keys() == set()


async def test_a_deleted_resource_is_gone_and_its_versions_are_not(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    deleted = await hub.delete("/Patient/a")
    assert (deleted.status_code, deleted.headers["ETag"], deleted.content) == (204, 'W/"2"', b"")
    gone = await hub.get("/Patient/a")
    assert (gone.status_code, issue(gone)["code"], gone.headers["ETag"]) == (410, "deleted", 'W/"2"')
    assert (await hub.get("/Patient/a/_history/2")).status_code == 410
    assert (await hub.get("/Patient/a/_history/1")).status_code == 200
    again = await hub.put("/Patient/a", patient("a"))
    assert (again.status_code, again.headers["ETag"]) == (201, 'W/"3"')


async def test_deleting_what_is_not_there_succeeds_and_is_no_change(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    await hub.delete("/Patient/a")
    assert (await hub.delete("/Patient/a")).status_code == 204
    assert (await hub.delete("/Patient/never")).status_code == 204
    assert len(await hub.changes()) == 2


async def test_if_match_lets_only_the_version_in_force_be_changed(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    await hub.put("/Patient/a", patient("a"))
    for method in ("PUT", "DELETE"):
        answer = await hub.client.request(method, "/Patient/a", json=patient("a"), headers={"If-Match": 'W/"1"'})
        assert (answer.status_code, issue(answer)["code"]) == (412, "conflict")
    assert (await hub.put("/Patient/a", patient("a"), if_match='W/"2"')).status_code == 200
    assert (await hub.delete("/Patient/a", if_match='"3"')).status_code == 204
    assert (await hub.delete("/Patient/a", if_match='W/"3"')).status_code == 412
    assert (await hub.put("/Patient/none", patient("none"), if_match='W/"1"')).status_code == 412
    assert (await hub.put("/Patient/a", patient("a"), if_match="3")).status_code == 400


async def test_if_none_match_star_only_creates(hub: Hub) -> None:
    assert (await hub.put("/Patient/a", patient("a"), if_none_match="*")).status_code == 201
    assert (await hub.put("/Patient/a", patient("a"), if_none_match="*")).status_code == 412
    await hub.delete("/Patient/a")
    assert (await hub.put("/Patient/a", patient("a"), if_none_match="*")).status_code == 201


@pytest.mark.parametrize(
    ("known", "status"), [('W/"1"', 304), ('"1"', 304), ('W/"7", W/"1"', 304), ("*", 304), ('W/"2"', 200)]
)
async def test_what_a_client_has_already_is_not_sent_again(hub: Hub, known: str, status: int) -> None:
    await hub.put("/Patient/a", patient("a"))
    answer = await hub.get("/Patient/a", if_none_match=known)
    assert (answer.status_code, answer.headers["ETag"]) == (status, 'W/"1"')
    assert (answer.content == b"") is (status == 304)


@pytest.mark.parametrize(
    ("prefer", "type_"),
    [
        ("return=minimal", None),
        ("return=representation", "Patient"),
        ("return=OperationOutcome", "OperationOutcome"),
        ("", "Patient"),
    ],
)
async def test_prefer_decides_what_comes_back(hub: Hub, prefer: str, type_: str | None) -> None:
    for answer in (
        await hub.post("/Patient", JOHN, prefer=prefer),
        await hub.put("/Patient/a", patient("a"), prefer=prefer),
    ):
        assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"1"')
        assert (json.loads(answer.content)["resourceType"] if answer.content else None) == type_


@pytest.mark.parametrize(
    ("accept", "sent"),
    [
        ("application/json", "application/json; charset=utf-8"),
        ("application/fhir+json", "application/fhir+json; charset=utf-8"),
        ("text/html,application/xml;q=0.9,*/*;q=0.8", "application/fhir+json; charset=utf-8"),
        ("application/fhir+xml;q=1, application/json;q=0.5", "application/json; charset=utf-8"),
    ],
)
async def test_json_of_either_name_is_answered(hub: Hub, accept: str, sent: str) -> None:
    await hub.put("/Patient/a", patient("a"))
    assert (await hub.get("/Patient/a", accept=accept)).headers["Content-Type"] == sent


async def test_format_overrules_accept(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    assert (await hub.get("/Patient/a?_format=json&_pretty=true", accept="application/fhir+xml")).status_code == 200
    assert (await hub.get("/Patient/a?_format=application/fhir%2Bxml")).status_code == 406


async def test_head_is_get_without_a_body_to_speak_of(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    answer = await hub.client.head("/Patient/a")
    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"1"')
    assert (await hub.client.head("/Patient/b")).status_code == 404


async def test_what_tells_of_subscriptions_and_acts_is_no_resource_like_others(hub: Hub) -> None:
    """Nobody publishes the hub's own AuditEvents, nor what is kept apart from resources, and none of it is a change."""
    for type_ in ("SubscriptionTopic", "SubscriptionStatus"):
        assert (await hub.post(f"/{type_}", {"resourceType": type_})).status_code == 404
    assert (await hub.post("/AuditEvent", {"resourceType": "AuditEvent"})).status_code == 405
    assert (await hub.post("/Subscription", subscription("http://127.0.0.1:9/hook"))).status_code == 201
    assert await hub.changes() == []


async def test_a_history_tells_each_version_newest_first(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    await hub.put("/Patient/a", patient("a", active=True))
    await hub.delete("/Patient/a")
    answer = await hub.get("/Patient/a/_history")
    bundle = answer.json()
    assert (bundle["type"], bundle["total"]) == ("history", 3)
    assert {entry["fullUrl"] for entry in bundle["entry"]} == {f"{FHIR}/Patient/a"}
    told = [(e["request"]["method"], e["response"]["status"], e["response"]["etag"]) for e in bundle["entry"]]
    assert told == [
        ("DELETE", "204 No Content", 'W/"3"'),
        ("PUT", "200 OK", 'W/"2"'),
        ("POST", "201 Created", 'W/"1"'),
    ]
    assert ["resource" in entry for entry in bundle["entry"]] == [False, True, True]
    assert (await hub.get("/Patient/never/_history")).status_code == 404


async def test_the_pages_of_a_history_hold_each_version_once(hub: Hub) -> None:
    for _ in range(7):
        await hub.put("/Patient/a", patient("a"))
    etags, url = [], "/Patient/a/_history?_count=3"
    while url:
        bundle = (await hub.get(url)).json()
        etags += [entry["response"]["etag"] for entry in bundle["entry"]]
        assert ("total" in bundle) is False
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert etags == [f'W/"{number}"' for number in (7, 6, 5, 4, 3, 2, 1)]


async def test_a_history_can_begin_at_a_time(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    since = (await hub.put("/Patient/a", patient("a"))).json()["meta"]["lastUpdated"]
    versions = {
        entry["response"]["etag"] for entry in (await hub.get(f"/Patient/a/_history?_since={since}")).json()["entry"]
    }
    assert 'W/"2"' in versions
    assert (await hub.get("/Patient/a/_history?_since=2999-01-01T00:00:00Z")).json().get("entry") is None
    for query in ("_since=today", "_at=2020", "_since=2020-01-01T00:00:00Z&_since=2021-01-01T00:00:00Z"):
        assert (await hub.get(f"/Patient/a/_history?{query}")).status_code == 400


async def test_the_capability_statement_tells_what_is_there(hub: Hub) -> None:
    """Every type of the store, what can be searched for, and every topic; valid as R4."""
    answer = await hub.get("/metadata")
    statement = answer.json()
    resources = {entry["type"]: entry for entry in statement["rest"][0]["resource"]}
    assert (statement["fhirVersion"], statement["kind"], len(resources)) == ("4.0.1", "instance", 146)
    codes = {entry["code"] for entry in statement["rest"][0]["interaction"]}
    assert codes == {"batch", "transaction", "history-system"}
    assert {"_id", "_lastUpdated", "identifier", "name"} <= {one["name"] for one in resources["Patient"]["searchParam"]}
    topics = {extension["valueCanonical"] for extension in resources["Subscription"]["extension"]}
    assert "https://fhir-event-hub.example/SubscriptionTopic/immunization-change" in topics
    assert "url" in {one["name"] for one in resources["Subscription"]["searchParam"]}
    assert [one["name"] for one in resources["Subscription"]["operation"]] == ["status", "events", "resend", "validate"]
    assert "vread" in {one["code"] for one in resources["Subscription"]["interaction"]}
    assert resources["Subscription"]["readHistory"] is False
    assert (await hub.post("/CapabilityStatement", statement)).status_code == 201


async def test_what_the_capability_statement_promises_of_searches_holds(hub: Hub) -> None:
    """Each parameter that it lists for a few types is accepted with a value of its type."""
    values = {"token": "true", "reference": "1", "string": "x", "uri": "http://x", "date": "2020"}
    values |= {"quantity": "1", "number": "1", "composite": "true$2020"}
    statement = (await hub.get("/metadata")).json()
    for entry in statement["rest"][0]["resource"]:
        if entry["type"] in (
            "Patient",
            "Observation",
            "Immunization",
            "Encounter",
            "DocumentReference",
            "Subscription",
        ):
            for parameter in entry["searchParam"]:
                url = f"/{entry['type']}?{parameter['name']}={values[parameter['type']]}"
                assert (await hub.get(url)).status_code == 200, url
