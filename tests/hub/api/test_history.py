"""`GET /{Type}/_history` and `GET /_history`: all changes that are kept, newest first, each once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.keys import Partition
from subscriptions.codes import FhirVersion
from tests.hub.api.bundles import ask, bundle, done, put, transaction
from tests.hub.api.pages import following
from tests.hub.api.server import FHIR, Hub, issue, patient, place, serving
from tests.hub.conftest import BASE, settings

VERSIONS = pytest.mark.parametrize("version", list(FhirVersion))


def told(answer: httpx.Response) -> list[str]:
    """`method Type/id version` of each entry, in their order."""
    assert answer.status_code == 200, answer.text
    assert (answer.json()["resourceType"], answer.json()["type"]) == ("Bundle", "history")
    return [_told(entry) for entry in answer.json().get("entry", [])]


def _told(entry: dict[str, Any]) -> str:
    name = "/".join(entry["fullUrl"].split("/")[-2:])
    if "resource" in entry:
        assert f"{entry['resource']['resourceType']}/{entry['resource']['id']}" == name
        assert f'W/"{entry["resource"]["meta"]["versionId"]}"' == entry["response"]["etag"]
    assert ("resource" in entry) is (entry["request"]["method"] != "DELETE")
    return f"{entry['request']['method']} {name} {entry['response']['etag'][3:-1]}"


async def all_told(hub: Hub, url: str) -> list[str]:
    found = []
    while url:
        answer = await hub.get(url)
        found += told(answer)
        url = following(answer)
    return found


def basic(id_: str) -> dict[str, Any]:
    return {"resourceType": "Basic", "id": id_, "code": {"text": "x"}}


@VERSIONS
async def test_the_histories_of_a_type_and_of_a_base_have_every_change(hub: Hub, version: str) -> None:
    """Those of other bases are not among them."""
    base = f"{BASE}/fhir/{version}"
    for other in set(FhirVersion) - {version}:
        await hub.put(f"{BASE}/fhir/{other}/Patient/other", patient("other"))
    await hub.put(f"{base}/Patient/a", patient("a"))
    await hub.put(f"{base}/Basic/b", basic("b"))
    await hub.put(f"{base}/Patient/a", patient("a", active=True))
    await hub.put(f"{base}/Patient/c", patient("c"))
    await hub.delete(f"{base}/Patient/a")
    await hub.put(f"{base}/Patient/a", patient("a"))
    of_type = ["POST Patient/a 4", "DELETE Patient/a 3", "POST Patient/c 1", "PUT Patient/a 2", "POST Patient/a 1"]
    answer = await hub.get(f"{base}/Patient/_history")
    assert sorted(told(answer)) == sorted(of_type)
    assert [line for line in told(answer) if "/a" in line] == [line for line in of_type if "/a" in line]
    assert answer.json()["total"] == 5
    assert {entry["fullUrl"] for entry in answer.json()["entry"]} == {f"{base}/Patient/a", f"{base}/Patient/c"}
    assert sorted(told(await hub.get(f"{base}/_history"))) == sorted([*of_type, "POST Basic/b 1"])
    assert told(await hub.get(f"{base}/Basic/_history")) == ["POST Basic/b 1"]
    assert told(await hub.get(f"{base}/Observation/_history")) == []
    assert (await hub.client.head(f"{base}/_history")).status_code == 200


async def test_a_batch_reads_histories_too(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    await hub.put("/Basic/b", basic("b"))
    for url, number in (
        ("_history", 2),
        ("Patient/_history", 1),
        ("Patient/_history?_count=0", 0),
        (f"{FHIR}/_history", 2),
    ):
        [entry] = await done(hub, bundle("batch", ask("GET", url)))
        assert len(entry["resource"].get("entry", [])) == number, url
    for url in ("Patient/", "/", "a1/_history", "Patient/a/_history/", "_history/1", "Patient/a/b", "Colour/_history"):
        [entry] = await done(hub, bundle("batch", ask("GET", url)))
        assert entry["response"]["status"][:2] == "40", url
    for method in ("POST", "PUT", "DELETE"):
        for url in ("_history", "Patient/_history"):
            [entry] = await done(hub, bundle("batch", ask(method, url)))
            assert entry["response"]["status"][:3] == "400", (method, url)
    [history, written] = await done(hub, transaction(ask("GET", "Patient/_history"), put(patient("c"))))
    assert [_told(entry) for entry in history["resource"]["entry"]] == ["POST Patient/c 1", "POST Patient/a 1"]
    assert written["response"]["status"] == "201 Created"


async def test_the_newest_come_first_over_all_partitions(hub: Hub) -> None:
    """In the order of the streams, which is that of time."""
    for number in range(40):
        await hub.put(f"/Patient/p{number}", patient(f"p{number}"))
    streams = [await hub.parts.changes.after(p, "0-0", count=100, wait_ms=1) for p in hub.parts.changes.partitions]
    assert sum(map(bool, streams)) > 1
    ordered = sorted((entry for stream in streams for entry in stream), key=lambda entry: _ms(entry.id), reverse=True)
    found = [line.split("/")[1].split()[0] for line in told(await hub.get("/_history"))]
    times = {entry.resource.id: _ms(entry.id) for entry in ordered}
    assert [times[id_] for id_ in found] == [_ms(entry.id) for entry in ordered]


def _ms(id_: str) -> int:
    return int(id_.partition("-")[0])


@pytest.mark.parametrize("count", [1, 3, 7, 100])
@pytest.mark.parametrize("path", ["/Patient/_history", "/_history"])
async def test_pages_hold_each_change_once_in_one_order(hub: Hub, path: str, count: int) -> None:
    for number in range(12):
        await hub.put(f"/Patient/p{number % 5}", patient(f"p{number % 5}"))
        await hub.put(f"/Basic/b{number}", basic(f"b{number}"))
    whole = await all_told(hub, f"{path}?_count=100")
    assert len(set(whole)) == (12 if "Patient" in path else 24)
    assert await all_told(hub, f"{path}?_count={count}") == whole


async def test_what_is_written_between_two_pages_moves_nothing(hub: Hub) -> None:
    for number in range(6):
        await hub.put(f"/Patient/p{number}", patient(f"p{number}"))
    whole = told(await hub.get("/Patient/_history"))
    first = await hub.get("/Patient/_history?_count=2")
    assert "total" not in first.json()
    for number in range(6):
        await hub.put(f"/Patient/p{number}", patient(f"p{number}"))
    assert told(first) + await all_told(hub, following(first)) == whole


async def test_a_history_begins_at_a_time(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    answer = await hub.put("/Patient/b", patient("b"))
    while answer.json()["meta"]["lastUpdated"] == (await hub.get("/Patient/a")).json()["meta"]["lastUpdated"]:
        answer = await hub.put("/Patient/b", patient("b"))
    since = answer.json()["meta"]["lastUpdated"]
    for path in ("/Patient/_history", "/_history"):
        found = told(await hub.get(f"{path}?_since={since}&_sort=-_lastUpdated"))
        assert any("Patient/b" in line for line in found)
        assert not any("Patient/a" in line for line in found)
        assert told(await hub.get(f"{path}?_since=2999-01-01T00:00:00Z")) == []
        assert len(told(await hub.get(f"{path}?_since=0001-01-01T00:00:00Z"))) > 1


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("_since=today", "_since"),
        ("_since=2020-01-01T00:00:00Z&_since=2021-01-01T00:00:00Z", "_since"),
        ("_at=2020", "_at"),
        ("_list=List/1", "_list"),
        ("_sort=_lastUpdated", "_sort"),
        ("_count=x", "_count"),
        ("_cursor=1", "_cursor"),
        ("_cursor=1-1.1x", "_cursor"),
        ("_summary=count", "_summary"),
        ("colour=red", "colour"),
    ],
)
@pytest.mark.parametrize("path", ["/Patient/_history", "/_history", "/Patient/a/_history"])
async def test_what_a_history_does_not_take_is_refused(hub: Hub, path: str, query: str, named: str) -> None:
    await hub.put("/Patient/a", patient("a"))
    if (path, query) == ("/Patient/a/_history", "_cursor=1"):
        query = "_cursor=x"
    answer = await hub.get(f"{path}?{query}")
    assert (answer.status_code, issue(answer)["expression"]) == (400, [named])


async def test_types_without_a_history_say_so(hub: Hub) -> None:
    for path in ("/Colour/_history", "/Subscription/_history", f"{BASE}/fhir/r5/SubscriptionTopic/_history"):
        answer = await hub.get(path)
        assert answer.status_code == 404
        issue(answer)
    for answer in (await hub.put("/Patient/_history", patient("_history")), await hub.delete("/Patient/_history")):
        assert 400 <= answer.status_code < 500
        issue(answer)
    assert await hub.changes() == []


@pytest.fixture
async def limited(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub that looks at no more than 10 changes for a page, and gives no more than 5."""
    wanted = settings(redis_url, tmp_path).model_copy(update={"max_search_scan": 10, "max_page": 5})
    async with serving(wanted) as found:
        yield found


async def test_a_page_looks_at_so_many_changes_and_links_to_the_next(limited: Hub) -> None:
    """A page may be empty; following the links finds all there is."""
    await limited.put("/Patient/a", patient("a"))
    for number in range(25):
        await limited.put(f"/Basic/b{number}", basic(f"b{number}"))
    await limited.put("/Patient/b", patient("b"))
    first = await limited.get("/Patient/_history")
    assert told(first) == ["POST Patient/b 1"]
    assert "total" not in first.json()
    second = await limited.get(following(first))
    assert (told(second), bool(following(second))) == ([], True)
    assert await all_told(limited, "/Patient/_history") == ["POST Patient/b 1", "POST Patient/a 1"]
    assert len(told(await limited.get("/_history?_count=100"))) == 5
    assert len(await all_told(limited, "/_history")) == 27
    assert told(await limited.get("/_history?_count=0")) == []


async def test_what_is_not_kept_any_more_is_left_out(hub: Hub) -> None:
    """Once retention has removed the change, or just the body of a version in this moment."""
    for _ in range(3):
        await hub.put("/Patient/a", patient("a"))
    await hub.parts.pipeline.command("HDEL", _partition(hub).resource(place("Patient", "a")), "m2", "b2")
    assert told(await hub.get("/Patient/_history")) == ["PUT Patient/a 3", "POST Patient/a 1"]
    await hub.parts.pipeline.command("XTRIM", _partition(hub).changes, "MAXLEN", 1)
    assert told(await hub.get("/_history")) == ["PUT Patient/a 3"]


def _partition(hub: Hub) -> Partition:
    """Where Patient/a is at the base of R4."""
    return Partition(place("Patient", "a").partition(len(hub.parts.changes.partitions)))
