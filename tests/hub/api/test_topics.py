"""Topics as resources: written at the bases of R4B and R5, read in R4 too, and safe for who is on them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.access import DEFAULT
from hub.errors import NotTheHub
from hub.instants import now_ms
from hub.keys import SubscriptionKey
from hub.publication import Publication
from hub.registered import Registered
from hub.registry import On, TopicChanged
from hub.topics_dir import load
from subscriptions.codes import FhirVersion
from tests.hub.api.bundles import ask, done, post
from tests.hub.api.server import Hub, issue
from tests.hub.conftest import BASE
from tests.processes import subscription

FIXTURES = Path(__file__).parents[3] / "fixtures" / "topics"
R5, R4B = f"{BASE}/fhir/r5", f"{BASE}/fhir/r4b"
URL = "https://topics.example/SubscriptionTopic/immunisation-administered"
BUILT_IN = "immunization-change"
BASIC = "http://hl7.org/fhir/fhir-types|SubscriptionTopic"

Json = dict[str, Any]


def topic(**more: Any) -> Json:
    loaded: Json = json.loads((FIXTURES / "immunisation-administered.json").read_bytes())
    return loaded | {"id": "given"} | more


def small(url: str, **more: Any) -> Json:
    trigger = {"resource": "Immunization", "supportedInteraction": ["create"]}
    written = {"resourceType": "SubscriptionTopic", "url": url, "status": "active", "resourceTrigger": [trigger]}
    return written | {"title": url.rpartition("/")[2]} | more


def on(url: str, *filters: str) -> Json:
    return subscription("http://127.0.0.1:9/hook", "Immunization", *filters) | {"criteria": url}


async def put(hub: Hub, resource: Json, base: str = R5, **headers: str) -> httpx.Response:
    return await hub.put(f"{base}/SubscriptionTopic/{resource['id']}", resource, **headers)


async def published(hub: Hub, resource: Json) -> None:
    assert (await put(hub, resource)).status_code in (200, 201)


async def ids(hub: Hub, url: str) -> list[str]:
    answer = await hub.get(url)
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", [])]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_write_takes_no_parameters(hub: Hub, method: str) -> None:
    """None would be heeded; nothing is done of which a part was not."""
    await published(hub, topic())
    url = f"{R5}/SubscriptionTopic/given"
    answer = await hub.client.request(method, f"{url}?status=draft", json=topic(title="another"))
    assert (answer.status_code, issue(answer)["code"]) == (400, "not-supported")
    assert "`status`: this interaction takes no parameters" in issue(answer)["details"]["text"]
    assert (await hub.get(url)).headers["ETag"] == 'W/"1"'


async def test_a_topic_is_created_under_an_id_of_the_hubs_and_read_back_as_it_was_sent(hub: Hub) -> None:
    sent = topic()
    answer = await hub.post(f"{R5}/SubscriptionTopic", sent, prefer="return=representation")
    assert answer.status_code == 201
    id_ = answer.json()["id"]
    assert id_ != "given"
    assert answer.headers["Location"] == f"{R5}/SubscriptionTopic/{id_}/_history/1"
    read = (await hub.get(f"{R5}/SubscriptionTopic/{id_}")).json()
    assert {**read, "id": "given"} == sent | {"meta": read["meta"]}
    assert (await hub.get(f"{R5}/SubscriptionTopic/{id_}/_history/1")).json() == read
    assert (await hub.get(f"{R5}/SubscriptionTopic/{id_}/_history/2")).status_code == 404


async def test_a_topic_of_r5_is_read_in_r4b_and_as_basic_in_r4(hub: Hub) -> None:
    await published(hub, topic())
    in_r4b = (await hub.get(f"{R4B}/SubscriptionTopic/given")).json()
    in_r4 = (await hub.get("/Basic/given")).json()
    assert (in_r4b["resourceType"], in_r4b["url"]) == ("SubscriptionTopic", URL)
    assert (in_r4["resourceType"], in_r4["code"]["coding"][0]["code"]) == ("Basic", "SubscriptionTopic")
    assert (await hub.get("/Basic/given/_history/1")).json() == in_r4
    assert "given" in await ids(hub, f"/Basic?code={BASIC}&_count=1000")


async def test_other_basics_are_kept_as_ever(hub: Hub) -> None:
    await published(hub, topic())
    basic = {"resourceType": "Basic", "id": "note", "code": {"text": "A note"}}
    assert (await hub.put("/Basic/note", basic)).status_code == 201
    assert (await hub.get("/Basic/note")).json()["code"] == basic["code"]
    assert (await hub.get("/Basic/note/_history/1")).json()["id"] == "note"
    assert await ids(hub, "/Basic") == ["note"]
    assert (await hub.delete("/Basic/note")).status_code == 204


async def test_a_topic_does_not_take_the_place_of_a_basic(hub: Hub) -> None:
    """It needs another id, unless the Basic was deleted."""
    basic = {"resourceType": "Basic", "id": "given", "code": {"text": "A note"}}
    assert (await hub.put("/Basic/given", basic)).status_code == 201
    answer = await put(hub, topic())
    assert (answer.status_code, issue(answer)["code"]) == (409, "duplicate")
    assert "Basic/given is there already" in issue(answer)["diagnostics"]
    assert (await hub.get("/Basic/given")).json()["code"] == basic["code"]
    assert (await hub.get(f"{R5}/SubscriptionTopic/given")).status_code == 404
    assert (await hub.delete("/Basic/given")).status_code == 204
    assert (await put(hub, topic())).status_code == 201
    assert (await put(hub, topic(title="another"))).status_code == 200


@pytest.mark.parametrize("type_", ["batch", "transaction"])
async def test_a_bundle_of_r4_reads_topics_as_a_request_of_its_own_does(hub: Hub, type_: str) -> None:
    await published(hub, topic())
    urls = (
        "Basic/given",
        "Basic/given/_history/1",
        "Basic/given?_elements=code",
        f"Basic/{BUILT_IN}",
        f"Basic?code={BASIC}&_count=3",
        "Basic",
    )
    read = [(await hub.get(f"/{url}")).json() for url in urls]
    entries = await done(hub, {"resourceType": "Bundle", "type": type_, "entry": [ask("GET", url) for url in urls]})
    assert [entry["response"]["status"] for entry in entries] == ["200 OK"] * len(urls)
    for entry, alone in zip(entries, read, strict=True):
        found = {name: entry["resource"].get(name) for name in ("id", "code", "total", "entry")}
        assert found == {name: alone.get(name) for name in found}
    known = [ask("GET", "Basic/given", ifNoneMatch='W/"1"'), ask("GET", "Basic/given/_history/2")]
    batch = await done(hub, {"resourceType": "Bundle", "type": "batch", "entry": known})
    assert [entry["response"]["status"][:3] for entry in batch] == ["304", "404"]


async def test_topics_are_not_written_in_r4(hub: Hub) -> None:
    await published(hub, topic())
    as_basic = (await hub.get("/Basic/given")).json()
    plain = {"resourceType": "Basic", "id": "given", "code": {"text": "no topic"}}
    in_batch = await done(hub, {"resourceType": "Bundle", "type": "batch", "entry": [post(as_basic)]})
    assert in_batch[0]["response"]["status"].startswith("400")
    for answer, status in (
        (await hub.delete("/Basic/given"), 405),
        (await hub.put("/Basic/given", as_basic), 405),
        (await hub.put("/Basic/given", plain), 405),
        (await hub.put("/Basic/another", as_basic | {"id": "another"}), 400),
        (await hub.post("/Basic", as_basic), 400),
    ):
        assert answer.status_code == status
        assert "/fhir/r5" in issue(answer)["diagnostics"]


async def test_built_in_topics_are_found_and_can_be_neither_changed_nor_deleted(hub: Hub) -> None:
    read = (await hub.get(f"{R5}/SubscriptionTopic/{BUILT_IN}")).json()
    listed = {each["filterParameter"] for each in read["canFilterBy"]}
    assert {"patient", "status", "vaccine-code", "date", "_id", "_lastUpdated"} <= listed
    for answer in (
        await put(hub, read),
        await put(hub, topic(url=read["url"])),
        await hub.delete(f"{R5}/SubscriptionTopic/{BUILT_IN}"),
    ):
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert issue(answer)["code"] == "not-supported"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("url=https://t.example/SubscriptionTopic/a", ["a"]),
        ("title=fir", ["a"]),
        ("status=retired", ["b"]),
        ("resource=Immunization&status=retired", ["b"]),
        ("resource=http://hl7.org/fhir/StructureDefinition/Immunization&status=retired", ["b"]),
        ("resource=Patient&status=retired", []),
        ("derived-or-self=https://t.example/SubscriptionTopic/a", ["a", "b"]),
        ("trigger-description=vaccination", ["a"]),
        ("_id=b,a", ["a", "b"]),
        ("_id=a&status=retired", []),
    ],
)
async def test_search(hub: Hub, query: str, found: list[str]) -> None:
    first = small("https://t.example/SubscriptionTopic/a", id="a", title="First")
    first["resourceTrigger"][0]["description"] = "Vaccination told"
    await published(hub, first)
    derived = ["https://t.example/SubscriptionTopic/a"]
    await published(hub, small("https://t.example/SubscriptionTopic/b", id="b", status="retired", derivedFrom=derived))
    for base in (R5, R4B):
        assert await ids(hub, f"{base}/SubscriptionTopic?{query}") == found


async def test_a_search_has_pages(hub: Hub) -> None:
    first = (await hub.get(f"{R5}/SubscriptionTopic?_count=100")).json()
    [following] = [link["url"] for link in first["link"] if link["relation"] == "next"]
    rest = (await hub.get(f"{following.replace('_count=100', '_count=1000')}")).json()
    assert first["total"] == len(first["entry"]) + len(rest["entry"]) == 154  # R5 has 158 types
    assert (await hub.get(f"{R5}/SubscriptionTopic?colour=red")).status_code == 400


@pytest.mark.parametrize(
    ("fault", "expression"),
    [
        ({"url": None}, "SubscriptionTopic.url"),
        ({"status": "ready"}, "SubscriptionTopic.status"),
        ({"resourceTrigger": []}, "SubscriptionTopic.resourceTrigger"),
    ],
)
async def test_a_topic_that_can_do_nothing_is_refused_with_the_element(hub: Hub, fault: Json, expression: str) -> None:
    sent = {name: value for name, value in (topic() | fault).items() if value is not None}
    answer = await put(hub, sent)
    assert answer.status_code == 400
    assert expression in [each["expression"][0] for each in answer.json()["issue"]]
    assert (await hub.get(f"{R5}/SubscriptionTopic/given")).status_code == 404


async def test_what_is_warned_of_is_told_to_whom_asks_for_it(hub: Hub) -> None:
    sent = small("https://t.example/SubscriptionTopic/w", id="w")
    sent["resourceTrigger"][0]["queryCriteria"] = {"current": "status=completed", "requireBoth": True}
    answer = await put(hub, sent, prefer="return=OperationOutcome")
    assert answer.status_code == 201
    assert [each["severity"] for each in answer.json()["issue"]] == ["warning"]
    assert "`requireBoth` has no effect" in answer.json()["issue"][0]["diagnostics"]


async def test_a_topic_that_only_another_version_can_evaluate_is_warned_of(hub: Hub) -> None:
    """It is of use there; and one that none can is refused with what is against it where it is published."""
    sent = small("https://t.example/SubscriptionTopic/v", id="v")
    sent["resourceTrigger"][0] |= {"resource": "Encounter", "queryCriteria": {"current": "date-start=ge2026"}}
    warned = await put(hub, sent, R4B, prefer="return=OperationOutcome")
    assert warned.status_code == 201
    assert "in FHIR R4B, where it is published" in warned.json()["issue"][0]["diagnostics"]
    sent["resourceTrigger"][0] = {"resource": "Transport", "queryCriteria": {"current": "nope=1"}}
    refused = await put(hub, sent)
    assert refused.status_code == 400
    assert "`nope`" in issue(refused)["diagnostics"]


async def test_versions_are_guarded(hub: Hub) -> None:
    assert (await put(hub, topic(), if_none_match="*")).status_code == 201
    assert (await put(hub, topic(), if_none_match="*")).status_code == 412
    assert (await put(hub, topic(title="New"), if_match='W/"2"')).status_code == 412
    changed = await put(hub, topic(title="New"), if_match='W/"1"')
    assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
    assert (await hub.delete(f"{R5}/SubscriptionTopic/given", if_match='W/"1"')).status_code == 412
    assert (await hub.delete(f"{R5}/SubscriptionTopic/given", if_match='W/"2"')).headers["ETag"] == 'W/"3"'
    assert (await hub.get(f"{R5}/SubscriptionTopic/given")).status_code == 410
    assert (await put(hub, topic())).headers["ETag"] == 'W/"4"'


async def test_a_canonical_names_one_topic(hub: Hub) -> None:
    await published(hub, topic())
    answer = await put(hub, topic(id="another"))
    assert (answer.status_code, issue(answer)["code"]) == (409, "duplicate")
    assert "SubscriptionTopic/given" in issue(answer)["diagnostics"]


async def test_a_topic_can_be_subscribed_to_through_any_process_at_once(hub: Hub, other: Hub) -> None:
    assert (await other.post("/Subscription", on(URL))).status_code == 400
    await published(hub, topic())
    assert (await other.post("/Subscription", on(f"{URL}|1.0.0"))).status_code == 201
    listed = (await other.get("/metadata")).json()["rest"][0]["resource"]
    [own] = [each for each in listed if each["type"] == "Subscription"]
    assert URL in [each["valueCanonical"] for each in own["extension"]]


async def test_filters_are_those_that_the_topic_lists(hub: Hub) -> None:
    await published(hub, topic())
    assert (await hub.post("/Subscription", on(URL, "nhi=ZZZ0008"))).status_code == 201
    answer = await hub.post("/Subscription", on(URL, "lot-number=1"))
    assert answer.status_code == 400
    assert "no filter `lot-number`" in issue(answer)["diagnostics"]


async def test_a_topic_in_use_can_be_retired_but_not_deleted(hub: Hub) -> None:
    await published(hub, topic())
    id_ = (await hub.post("/Subscription", on(URL))).json()["id"]
    answer = await hub.delete(f"{R5}/SubscriptionTopic/given")
    assert answer.status_code == 409
    assert issue(answer)["diagnostics"].startswith("1 Subscriptions are on SubscriptionTopic/given")
    assert (await put(hub, topic(url=f"{URL}-2"))).status_code == 409
    await published(hub, topic(status="retired"))
    answer = await hub.post("/Subscription", on(URL))
    assert "is retired" in issue(answer)["diagnostics"]
    assert (await hub.get(f"/Subscription/{id_}")).json()["status"] == "requested"
    await hub.delete(f"/Subscription/{id_}")
    gone = await hub.delete(f"{R5}/SubscriptionTopic/given")
    assert gone.status_code == 204
    read = await hub.get(f"{R5}/SubscriptionTopic/given")
    assert (read.status_code, read.headers["ETag"]) == (410, gone.headers["ETag"])


@pytest.mark.parametrize("header", ["if_none_exist", "idempotency_key"])
async def test_a_header_that_means_nothing_for_topics_is_refused(hub: Hub, header: str) -> None:
    answer = await hub.post(f"{R5}/SubscriptionTopic", topic(), **{header: "url=x"})
    assert answer.status_code == 400
    assert header.replace("_", "-") in issue(answer)["details"]["text"]


async def test_a_topic_is_not_changed_under_filters_that_it_would_not_allow_any_more(hub: Hub) -> None:
    await published(hub, topic())
    id_ = (await hub.post("/Subscription", on(URL, "nhi=ZZZ0008"))).json()["id"]
    without = [each for each in topic()["canFilterBy"] if each["filterParameter"] != "nhi"]
    answer = await put(hub, topic(canFilterBy=without))
    assert answer.status_code == 409
    assert f"Subscription/{id_}" in issue(answer)["diagnostics"]
    assert "`nhi`" in issue(answer)["diagnostics"]
    assert (await put(hub, topic(title="Only the title"))).status_code == 200


async def test_a_subscription_that_changes_its_topic_is_on_the_new_one_alone(hub: Hub) -> None:
    for name in "ab":
        await published(hub, small(f"https://t.example/SubscriptionTopic/{name}", id=name))
    wanted = on("https://t.example/SubscriptionTopic/a") | {"id": "s"}
    assert (await hub.put("/Subscription/s", wanted)).status_code == 201
    wanted |= {"criteria": "https://t.example/SubscriptionTopic/b"}
    assert (await hub.put("/Subscription/s", wanted)).status_code == 200
    assert (await hub.delete(f"{R5}/SubscriptionTopic/b")).status_code == 409
    assert (await hub.delete(f"{R5}/SubscriptionTopic/a")).status_code == 204
    wanted |= {"criteria": subscription("http://127.0.0.1:9/hook")["criteria"]}
    assert (await hub.put("/Subscription/s", wanted)).status_code == 200
    assert (await hub.delete(f"{R5}/SubscriptionTopic/b")).status_code == 204


async def test_a_registration_and_a_delete_that_race_never_both_succeed(hub: Hub, other: Hub) -> None:
    for n in range(20):
        await published(hub, small(f"https://t.example/SubscriptionTopic/{n}", id=f"r{n}"))
        subscribed, gone = await asyncio.gather(
            other.post("/Subscription", on(f"https://t.example/SubscriptionTopic/{n}")),
            hub.delete(f"{R5}/SubscriptionTopic/r{n}"),
        )
        assert (subscribed.status_code == 201) != (gone.status_code == 204)


async def test_a_registration_judged_by_an_earlier_version_of_its_topic_is_not_made(hub: Hub) -> None:
    await published(hub, topic())
    judged = On(f"default/{URL}", "default/given", "1")
    await published(hub, topic(title="Second"))
    registry, key = hub.parts.registry, SubscriptionKey("default", FhirVersion.R4, "s", "i1")
    with pytest.raises(TopicChanged):
        await registry.enter(Registered(key, True, 1, now_ms(), b"{}"), on=judged)
    assert await registry.find(key.tenant, FhirVersion.R4, key.id) is None


async def loaded(hub: Hub, directory: Path) -> None:
    await load(
        directory,
        Publication(hub.parts.tenancy.topics(DEFAULT), hub.parts.registry, hub.parts.audit, hub.parts.store),
        now=now_ms(),
        max_nesting=64,
    )


async def test_topics_of_a_directory_are_stored_when_they_are_new_or_changed(hub: Hub, tmp_path: Path) -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": topic()}]}
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "bundle.json").write_text(json.dumps(bundle))
    (tmp_path / "topics" / "w.json").write_text(json.dumps(small("https://t.example/SubscriptionTopic/w")))
    for _ in range(2):
        await loaded(hub, tmp_path / "topics")
    assert (await hub.get(f"{R5}/SubscriptionTopic/given")).headers["ETag"] == 'W/"1"'
    (tmp_path / "topics" / "bundle.json").write_text(json.dumps(topic(title="New")))
    await loaded(hub, tmp_path / "topics")
    assert (await hub.get(f"{R5}/SubscriptionTopic/given")).headers["ETag"] == 'W/"2"'
    assert len(await ids(hub, f"{R5}/SubscriptionTopic?url=https://t.example/SubscriptionTopic/w")) == 1


async def test_a_topic_of_a_directory_that_a_client_has_published_is_the_same_one(hub: Hub, tmp_path: Path) -> None:
    created = await hub.post(f"{R5}/SubscriptionTopic", topic())
    (tmp_path / "t.json").write_text(json.dumps(topic(title="New")))
    for _ in range(2):
        await loaded(hub, tmp_path)
    assert await ids(hub, f"{R5}/SubscriptionTopic?url={URL}") == [created.json()["id"]]
    read = await hub.get(f"{R5}/SubscriptionTopic/{created.json()['id']}")
    assert (read.json()["title"], read.headers["ETag"]) == ("New", 'W/"2"')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "bad.json"),
        ("[" * 100_000, "Nested more than 64 levels deep"),
        ('{"resourceType": ["ValueSet"]}', "SubscriptionTopic"),
        ('{"resourceType": "Bundle", "entry": 5}', "An entry of the Bundle has no resource."),
        (json.dumps(topic()).replace("{", '{"url": "urn:other", ', 1), "stands more than once"),
        ('{"resourceType": "Patient"}', "A topic of FHIR R5 is a SubscriptionTopic, not a Patient"),
        (json.dumps(small("https://t.example/SubscriptionTopic/w") | {"status": "x"}), "status"),
    ],
)
async def test_a_bad_file_is_named_in_one_line(hub: Hub, tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(NotTheHub) as caught:
        await loaded(hub, tmp_path)
    assert reason in str(caught.value)
    assert str(tmp_path / "bad.json") in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_subscription_joins_a_topic_though_it_was_written_meanwhile(hub: Hub) -> None:
    """By whoever read it before: until the write is over, the topic can't go away under it."""
    await published(hub, topic())
    registry, key = hub.parts.registry, SubscriptionKey("default", FhirVersion.R4, "s", "i1")
    read = Registered(key, True, 1, now_ms(), b"{}")
    await registry.enter(read)
    await registry.put(Registered(key, True, 2, now_ms(), b'{"later": 1}'))
    await registry.join(read, On(f"default/{URL}", "default/given", "1"), read)
    found = await registry.find("default", FhirVersion.R4, "s")
    assert found is not None
    assert found.revision == 2
    assert (await hub.delete(f"{R5}/SubscriptionTopic/given")).status_code == 409
