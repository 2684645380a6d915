"""`GET /Subscription`: the same pages and parameters as a search in any other type, on the status in force."""

import asyncio

import pytest

from hub.turn import Turn, Verb
from subscriptions.codes import FhirVersion
from tests.hub.api.pages import all_pages, following, ids
from tests.hub.api.server import FHIR, Hub, issue
from tests.hub.api.subscriptions import ENDPOINT, put
from tests.processes import TOPIC


@pytest.fixture
async def five(hub: Hub) -> Hub:
    """A hub with five Subscriptions, two of them off."""
    for number in range(5):
        await put(hub, f"s{number}", status="off" if number % 2 else "requested")
    return hub


async def activate(hub: Hub, id_: str) -> None:
    """Accept the handshake of a Subscription, which makes another version of it."""
    member = await hub.parts.membership.find("default", FhirVersion.R4, id_)
    assert member is not None
    turn = await hub.parts.outboxes.take(member.key, "1")
    assert isinstance(turn, Turn)
    await hub.parts.outboxes.settle(member.key, "1", turn, Verb.ACTIVE, said="active")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"s0", "s1", "s2", "s3", "s4"}),
        ("status=off", {"s1", "s3"}),
        ("status=active", {"s0"}),
        ("status=active,off", {"s0", "s1", "s3"}),
        (f"url={ENDPOINT}&status=requested", {"s2", "s4"}),
        ("url=http://127.0.0.1:9/elsewhere", set()),
        (f"criteria={TOPIC.format('immunization')}", {"s0", "s1", "s2", "s3", "s4"}),
        (f"criteria={TOPIC.format('flag')}", set()),
        ("_id=s1,s4,none", {"s1", "s4"}),
        ("_id=s1,s4&status=off", {"s1"}),
        ("_id=none", set()),
        ("_lastUpdated=gt2020-01-01", {"s0", "s1", "s2", "s3", "s4"}),
        ("_lastUpdated=lt2020-01-01", set()),
        ("_lastUpdated=gt2020-01-01&_lastUpdated=lt2021", set()),
    ],
)
async def test_parameters_find_what_they_mean(five: Hub, query: str, found: set[str]) -> None:
    await activate(five, "s0")
    answer = await five.get(f"/Subscription?{query}")
    assert (set(ids(answer)), answer.json()["total"]) == (found, len(found))


async def test_last_updated_is_the_time_of_the_version_in_force(five: Hub) -> None:
    meta = (await five.get("/Subscription/s3")).json()["meta"]
    assert "s3" in ids(await five.get(f"/Subscription?_lastUpdated={meta['lastUpdated'].replace('+', '%2B')}"))


async def test_pages_hold_everything_once_and_tell_the_total(five: Hub) -> None:
    for query, found in (("_count=2", ["s0", "s1", "s2", "s3", "s4"]), ("_count=1&status=off", ["s1", "s3"])):
        assert await all_pages(five, f"/Subscription?{query}") == found
        first = await five.get(f"/Subscription?{query}")
        for page in (first, await five.get(following(first))):
            assert page.json()["total"] == len(found)
    whole = await five.get("/Subscription?_count=5")
    assert (len(ids(whole)), following(whole)) == (5, "")


async def test_a_change_of_status_moves_nothing_from_page_to_page(five: Hub) -> None:
    first = await five.get("/Subscription?_count=2")
    await activate(five, "s4")
    await five.delete("/Subscription/s1")
    assert ids(first) + await all_pages(five, following(first)) == ["s0", "s1", "s2", "s3", "s4"]


async def test_count_0_asks_for_the_total(five: Hub) -> None:
    bundle = (await five.get("/Subscription?_count=0&status=off")).json()
    assert (bundle["total"], bundle.get("entry")) == (2, None)
    assert bundle["link"] == [{"relation": "self", "url": f"{FHIR}/Subscription?_count=0&status=off"}]


async def test_a_form_asks_for_the_same(five: Hub) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await five.client.post("/Subscription/_search?_count=1", content="status=off", headers=form)
    assert (ids(answer), answer.json()["total"]) == (["s1"], 2)
    assert ids(await five.get(following(answer))) == ["s3"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("colour=red&_sort=status", {"colour", "_sort"}),
        ("_count=-1", {"_count"}),
        ("_cursor=a_b", {"_cursor"}),
        ("_lastUpdated=yesterday", {"_lastUpdated"}),
    ],
)
async def test_what_is_not_understood_is_named(hub: Hub, query: str, named: set[str]) -> None:
    answer = await hub.get(f"/Subscription?{query}")
    assert answer.status_code == 400
    issue(answer)
    assert {each["expression"][0] for each in answer.json()["issue"]} == named


@pytest.mark.parametrize("path", ["?status=active", "/$status"])
async def test_a_look_at_all_leaves_room_for_others(hub: Hub, path: str) -> None:
    await asyncio.gather(*(put(hub, f"s{number}") for number in range(600)))
    asked = asyncio.create_task(hub.get(f"/Subscription{path}"))
    reads = 0
    while not asked.done():
        assert (await hub.get("/Subscription/s1")).status_code == 200
        reads += 1
    assert (await asked).status_code == 200
    assert reads > 4
