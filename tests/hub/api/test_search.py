"""`GET /{Type}`: what is found, in what order, on what pages; and that no parameter is ignored."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.write import Write
from tests.hub.api.pages import all_pages, following, ids
from tests.hub.api.server import FHIR, Hub, issue, patient, place, serving
from tests.hub.conftest import settings

LIMIT = 20


@pytest.fixture
async def limited(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub that looks at no more than LIMIT resources for a page, and gives no more than 10."""
    wanted = settings(redis_url, tmp_path).model_copy(update={"max_search_scan": LIMIT, "max_page": 10})
    async with serving(wanted) as found:
        yield found


async def store(hub: Hub, id_: str, *, at: int, **more: Any) -> None:
    """Store a Patient at a time of its own."""
    body = json.dumps(patient(id_, meta={"versionId": "?"}, **more)).encode()
    head, _, tail = body.partition(b"?")
    await hub.store.put(Write(place("Patient", id_), "update", at, head, tail))


async def test_the_newest_come_first(hub: Hub) -> None:
    for id_, at in (("b", 2000), ("c", 3000), ("a", 1000)):
        await store(hub, id_, at=at)
    answer = await hub.get("/Patient")
    assert (ids(answer), answer.json()["total"]) == (["c", "b", "a"], 3)
    await store(hub, "a", at=4000)
    assert ids(await hub.get("/Patient")) == ["a", "c", "b"]


async def test_deleted_resources_and_other_types_are_not_found(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a"))
    await hub.put("/Patient/b", patient("b"))
    await hub.delete("/Patient/a")
    assert ids(await hub.get("/Patient")) == ["b"]
    assert ids(await hub.get("/Patient?_id=a,b")) == ["b"]
    assert ids(await hub.get("/Observation")) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_id=a", {"a"}),
        ("_id=a,c", {"a", "c"}),
        ("_id=a&_id=c", set()),
        ("_id=Patient/a", {"a"}),
        ("identifier=urn:x|1", {"a"}),
        ("identifier=urn:x|1,urn:x|2", {"a", "b"}),
        ("identifier=urn:x|1&_id=b", set()),
        ("identifier=1", {"a", "c"}),
        ("identifier=urn:x|", {"a", "b"}),
        ("identifier=|1", {"c"}),
        ("identifier=urn:y|1", set()),
        ("family=doe", {"a", "b"}),
        ("family=doe&gender=male", {"b"}),
        ("gender=male,female", {"a", "b"}),
        ("birthdate=1980", {"a"}),
        ("active=true", {"c"}),
        ("_tag=http://t|x", {"c"}),
        ("organization=Organization/1", {"a"}),
        ("family=nobody", set()),
    ],
)
async def test_parameters_find_what_they_mean(hub: Hub, query: str, expected: set[str]) -> None:
    """Those with an index, those without, and both together."""
    doe = [{"family": "Doe"}]
    one, two = {"system": "urn:x", "value": "1"}, {"system": "urn:x", "value": "2"}
    organization = {"reference": "Organization/1"}
    await hub.put(
        "/Patient/a",
        patient(
            "a", identifier=[one], name=doe, gender="female", birthDate="1980-05-01", managingOrganization=organization
        ),
    )
    await hub.put("/Patient/b", patient("b", identifier=[two], name=doe, gender="male"))
    tag = {"tag": [{"system": "http://t", "code": "x"}]}
    await hub.put("/Patient/c", patient("c", identifier=[{"value": "1"}], active=True, meta=tag))
    for answer in (
        await hub.get(f"/Patient?{query}"),
        await hub.client.post(
            "/Patient/_search", content=query, headers={"Content-Type": "application/x-www-form-urlencoded"}
        ),
    ):
        assert set(ids(answer)) == expected
        assert answer.json()["total"] == len(expected)


async def test_an_update_moves_an_identifier(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a", identifier=[{"system": "urn:x", "value": "1"}]))
    await hub.put("/Patient/a", patient("a", identifier=[{"system": "urn:x", "value": "2"}]))
    assert ids(await hub.get("/Patient?identifier=urn:x|1")) == []
    assert ids(await hub.get("/Patient?identifier=urn:x|2")) == ["a"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_lastUpdated=2001", {"b", "c"}),
        ("_lastUpdated=2001-02-03", {"b"}),
        ("_lastUpdated=gt2001-02-03", {"c", "d"}),
        ("_lastUpdated=ge2001-02-03", {"b", "c", "d"}),
        ("_lastUpdated=lt2001-02-03", {"a"}),
        ("_lastUpdated=le2001-02-03", {"a", "b"}),
        ("_lastUpdated=eq2001-02-03T04:05:06.789Z", {"b"}),
        ("_lastUpdated=gt2001-02-03T04:05:06.788Z&_lastUpdated=lt2001-02-03T04:05:06.790Z", {"b"}),
        ("_lastUpdated=ne2001-02-03", {"a", "c", "d"}),
        ("_lastUpdated=sa2001-02-03", {"c", "d"}),
        ("_lastUpdated=eb2001-02-03", {"a"}),
        ("_lastUpdated=ap2001-02-02", {"b"}),
        ("_lastUpdated=ap2001-02-01", set()),
        ("_lastUpdated=ap2002", {"b", "c"}),
        ("_lastUpdated=le2001-02-03T15:05:06.789%2B11:00", {"a", "b"}),
        ("_lastUpdated=lt2001-01-01,gt2002-01-01", {"a", "d"}),
        ("_lastUpdated=ge2001&_lastUpdated=lt2002&family=doe", {"c"}),
    ],
)
async def test_last_updated_compares_times(hub: Hub, query: str, expected: set[str]) -> None:
    for id_, at in (("a", 946_684_800_000), ("b", 981_173_106_789), ("c", 1_000_000_000_000), ("d", 1_100_000_000_000)):
        await store(hub, id_, at=at, **({"name": [{"family": "Doe"}]} if id_ in "ac" else {}))
    assert set(ids(await hub.get(f"/Patient?{query}"))) == expected


@pytest.mark.parametrize("chunk", [1, 3, 7])
async def test_pages_hold_everything_once_in_one_order(hub: Hub, chunk: int) -> None:
    """Many share their time of update: it is the id that orders these."""
    for number in range(20):
        await store(hub, f"p{number:02}", at=1000 + number // 6)
    whole = ids(await hub.get("/Patient?_count=100"))
    assert sorted(whole) == [f"p{number:02}" for number in range(20)]
    assert await all_pages(hub, f"/Patient?_count={chunk}") == whole


async def test_a_page_is_empty_behind_the_last_one_but_never_announced(hub: Hub) -> None:
    for number in range(4):
        await store(hub, f"p{number}", at=1000 + number)
    second = await hub.get(following(await hub.get("/Patient?_count=2")))
    assert (ids(second), following(second)) == (["p1", "p0"], "")


async def test_whoever_pages_misses_nothing_that_stood_still(hub: Hub) -> None:
    """While others are written and deleted between the pages, and within one."""
    for number in range(12):
        await store(hub, f"p{number:02}", at=1000 + number)
    seen, url = [], "/Patient?_count=2"
    for turn in range(20):
        answer = await hub.get(url)
        seen += ids(answer)
        await store(hub, "p01", at=5000 + turn)
        await store(hub, f"new{turn}", at=6000 + turn)
        await hub.delete(f"/Patient/p{11 - turn:02}" if turn < 3 else "/Patient/none")
        url = following(answer)
        if not url:
            break
    assert [id_ for id_ in seen if id_ in {f"p{n:02}" for n in (0, *range(2, 9))}] == [
        f"p{n:02}" for n in (*range(8, 1, -1), 0)
    ]


async def test_listing_goes_on_by_time_although_ranks_move_meanwhile(hub: Hub) -> None:
    for number in range(30):
        await store(hub, f"p{number:02}", at=1000 + number // 4)
    seen = []
    async for _, id_ in hub.store.indexes.newest("default", place("Patient", "x").version, "Patient", chunk=3):
        seen.append(id_)
        if len(seen) == 10:
            for gone in seen[:8]:
                await hub.delete(f"/Patient/{gone}")
    assert sorted(seen) == [f"p{number:02}" for number in range(30)]


async def test_count_limits_a_page_and_0_asks_for_the_total(limited: Hub) -> None:
    for number in range(12):
        await store(limited, f"p{number:02}", at=1000 + number, name=[{"family": "Doe" if number % 2 else "Roe"}])
    assert len(ids(await limited.get("/Patient?_count=99"))) == 10
    for query, total in (("", 12), ("&family=doe", 6), ("&_id=p01,p02,none", 2)):
        bundle = (await limited.get(f"/Patient?_count=0{query}")).json()
        assert (bundle["total"], bundle.get("entry"), [link["relation"] for link in bundle["link"]]) == (
            total,
            None,
            ["self"],
        )


async def test_total_is_told_only_when_it_is_known(limited: Hub) -> None:
    for number in range(12):
        await store(limited, f"p{number:02}", at=1000 + number, name=[{"family": "Doe"}])
    assert (await limited.get("/Patient?_count=5")).json()["total"] == 12
    first = await limited.get("/Patient?family=doe&_count=5")
    assert "total" not in first.json()
    assert "total" not in (await limited.get(following(first))).json()
    assert (await limited.get("/Patient?family=doe&_id=p01")).json()["total"] == 1


async def test_a_search_that_looks_at_too_much_says_so_and_goes_on(limited: Hub) -> None:
    """A page ends at the limit, with or without matches, and the next links find all there is."""
    for number in range(3 * LIMIT):
        await store(limited, f"p{number:02}", at=1000 + number, name=[{"family": "Doe" if number % 25 == 0 else "Roe"}])
    first = await limited.get("/Patient?family=doe")
    remarks = [entry for entry in first.json()["entry"] if entry["search"]["mode"] == "outcome"]
    assert [entry["resource"]["issue"][0]["severity"] for entry in remarks] == ["information"]
    assert following(first)
    assert await all_pages(limited, "/Patient?family=doe") == ["p50", "p25", "p00"]
    counted = (await limited.get("/Patient?family=doe&_count=0")).json()
    assert "total" not in counted
    assert counted["entry"][0]["search"]["mode"] == "outcome"


async def test_a_condition_that_would_look_at_too_much_is_refused(limited: Hub) -> None:
    for number in range(LIMIT + 1):
        await store(limited, f"p{number}", at=1000 + number)
    answer = await limited.post("/Patient", patient(name=[{"family": "Doe"}]), if_none_exist="family=doe")
    assert (answer.status_code, issue(answer)["code"]) == (412, "too-costly")
    cheap = patient(identifier=[{"system": "urn:x", "value": "1"}])
    assert (await limited.post("/Patient", cheap, if_none_exist="identifier=urn:x|1")).status_code == 201


async def test_every_refused_parameter_is_named(hub: Hub) -> None:
    answer = await hub.get("/Patient?_sort=name&colour=red&name:above=x&family=doe&_text=x&birthdate=gt20")
    assert answer.status_code == 400
    named = {issue["expression"][0] for issue in answer.json()["issue"]}
    assert named == {"_sort", "colour", "name:above", "_text", "birthdate"}


async def test_links_lead_back_to_the_same_search(hub: Hub) -> None:
    await hub.put("/Patient/a", patient("a", identifier=[{"system": "urn:x", "value": "a&b"}]))
    answer = await hub.get("/Patient?identifier=urn:x%7Ca%26b&_format=json")
    assert ids(answer) == ["a"]
    assert ids(await hub.get(answer.json()["link"][0]["url"])) == ["a"]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_links_of_a_search_by_post_show_nothing_of_it(hub: Hub) -> None:
    """Neither what was searched for nor where; they lead through all pages, and so do those of the pages."""
    for n in range(5):
        await hub.put(f"/Patient/p{n}", patient(f"p{n}", name=[{"family": "Wharerau"}]))
    await hub.put("/Patient/other", patient("other", name=[{"family": "Ngata"}]))
    found, urls = list[str](), list[str]()
    answer = await hub.client.post("/Patient/_search", content="family=Wharerau&_count=2&_format=json", headers=FORM)
    while True:
        found += ids(answer)
        urls += [link["url"] for link in answer.json()["link"]]
        assert ids(await hub.get(urls[-1] if len(answer.json()["link"]) == 1 else urls[-2])) == ids(answer), "self"
        if not (url := following(answer)):
            break
        answer = await hub.get(url)
    assert sorted(found) == [f"p{n}" for n in range(5)]
    assert len(urls) == 5
    assert not [url for url in urls if "Wharerau" in url or "family" in url or ".p" in url]


async def test_links_of_a_search_in_a_batch_show_nothing_of_it(hub: Hub) -> None:
    """What is in a body is not in a URL; and what was hidden can be asked for in a batch as well."""
    for n in range(3):
        await hub.put(f"/Patient/p{n}", patient(f"p{n}", name=[{"family": "Wharerau"}]))

    async def batch(url: str) -> httpx.Response:
        entry = {"request": {"method": "GET", "url": url}}
        answer = await hub.post("", {"resourceType": "Bundle", "type": "batch", "entry": [entry]})
        return httpx.Response(200, json=answer.json()["entry"][0]["resource"])

    first = await batch("Patient?family=Wharerau&_count=2")
    assert "family" not in following(first)
    second = await batch(following(first).removeprefix(f"{FHIR}/"))
    assert sorted(ids(first) + ids(second)) == ["p0", "p1", "p2"]


@pytest.mark.parametrize("cursor", ["~", "~AAAA", "~not-base64!", "~" + "A" * 200])
async def test_a_veil_that_is_none_of_ours(hub: Hub, cursor: str) -> None:
    answer = await hub.client.get("/Patient", params={"_cursor": cursor})
    assert (answer.status_code, issue(answer)["expression"]) == (400, ["_cursor"])


async def test_a_veil_is_good_at_its_place_alone(hub: Hub) -> None:
    """What was hidden of one type's search is nothing at another's."""
    for n in range(2):
        await hub.put(f"/Patient/p{n}", patient(f"p{n}"))
    answer = await hub.client.post("/Patient/_search", content="_count=1", headers=FORM)
    assert (await hub.get(following(answer))).status_code == 200
    assert (await hub.get(following(answer).replace("/Patient?", "/Observation?"))).status_code == 400


async def test_a_found_resource_has_its_very_bytes(hub: Hub) -> None:
    body = b'{"resourceType":"Patient","id":"a","extension":[{"url":"http://a","valueDecimal":1.10}]}'
    stored = (await hub.client.put("/Patient/a", content=body)).content
    assert stored in (await hub.get("/Patient?_id=a")).content


async def test_searches_leave_room_for_others(hub: Hub) -> None:
    """A long search is no reason for a read to wait until its end."""
    await asyncio.gather(*(store(hub, f"p{n}", at=1000 + n, name=[{"family": "Roe"}]) for n in range(2000)))
    search = asyncio.create_task(hub.get("/Patient?family=doe"))
    reads = 0
    while not search.done():
        assert (await hub.get("/Patient/p1")).status_code == 200
        reads += 1
    assert ids(await search) == []
    assert reads > 5
