"""What has labels beyond a client's clearance is, for its reads, as if it were not there."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hub.erasures import Order, Stage
from hub.wiring.erasing import erasing
from subscriptions.clearance import Clearance
from subscriptions.codes import Content, FhirVersion
from tests.hub.api.clients import Clients, telling_apart
from tests.hub.api.server import Hub, issue, patient
from tests.hub.conftest import settings
from tests.hub.engines import activate, fanout, matched, member, running
from tests.hub.rights import labelled
from tests.processes import subscription
from tests.receiver import parameters

EVERYTHING = "system/*.cruds"


@pytest.fixture
async def few(redis_url: str, tmp_path: Path) -> AsyncIterator[Clients]:
    """A hub whose searches look at three resources for a page."""
    wanted = settings(redis_url, tmp_path).model_copy(update={"max_search_scan": 3, "allow_chained_filters": True})
    async with telling_apart(wanted) as found:
        yield found


async def cleared(clients: Clients, clearance: str, name: str = "") -> Hub:
    name = name or clearance.split()[0]
    found = await clients.may(name, EVERYTHING)
    clients.gate.rights[name] = replace(clients.gate.rights[name], clearance=Clearance.parse(clearance))
    return found


@pytest.fixture
async def normal(clients: Clients) -> Hub:
    return await cleared(clients, "N")


@pytest.fixture
async def all_(clients: Clients) -> Hub:
    return await cleared(clients, "V *")


def ids(answer: Any) -> list[str]:
    entries = answer.json().get("entry", [])
    return [entry["resource"]["id"] for entry in entries if "id" in entry["resource"]]


async def put(hub: Hub, *codes: str, id_: str = "i") -> None:
    answer = await hub.put(f"/Immunization/{id_}", labelled(id_, *codes))
    assert answer.status_code in (200, 201)


async def test_read(normal: Hub, all_: Hub) -> None:
    """It answers to the letter what it does where nothing is."""
    await put(all_, "R")
    assert (await all_.get("/Immunization/i")).status_code == 200
    for path in ("/Immunization/{}", "/Immunization/{}/_history/1", "/Immunization/{}/_history"):
        hidden, absent = await normal.get(path.format("i")), await normal.get(path.format("x"))
        assert hidden.status_code == absent.status_code == 404
        assert hidden.text.replace("/i", "/x") == absent.text
    assert (await normal.client.head("/Immunization/i")).status_code == 404
    known = await normal.get("/Immunization/i", if_none_match='W/"1"')
    assert known.status_code == 404


async def test_raised(normal: Hub, all_: Hub) -> None:
    """What has become more confidential isn't read in its history either; lowered again, it is but for that version."""
    await put(all_)
    assert (await normal.get("/Immunization/i/_history/1")).status_code == 200
    await put(all_, "HIV")
    for path in ("/Immunization/i", "/Immunization/i/_history/1", "/Immunization/i/_history"):
        assert (await normal.get(path)).status_code == 404
    await put(all_)
    assert (await normal.get("/Immunization/i/_history/2")).status_code == 404
    history = (await normal.get("/Immunization/i/_history")).json()
    assert [entry["response"]["etag"] for entry in history["entry"]] == ['W/"3"', 'W/"1"']
    assert history["total"] == 2


@pytest.mark.parametrize(("codes", "status"), [((), 410), (("R",), 404)])
async def test_deleted(normal: Hub, all_: Hub, codes: tuple[str, ...], status: int) -> None:
    """That something was deleted is there for whoever was cleared for it."""
    await put(all_, *codes)
    await all_.delete("/Immunization/i")
    assert (await normal.get("/Immunization/i")).status_code == status
    assert (await normal.get("/Immunization/i/_history")).status_code == (200 if status == 410 else 404)
    assert (await all_.get("/Immunization/i")).status_code == 410


async def test_histories(normal: Hub, all_: Hub) -> None:
    """Those of a type and of the base leave it out, and don't count it."""
    await put(all_, id_="a")
    await put(all_, "R", id_="b")
    await put(all_, id_="c")
    await put(all_, "R", id_="c")
    for path in ("/Immunization/_history", "/_history"):
        found = (await normal.get(path)).json()
        assert [entry["resource"]["id"] for entry in found["entry"]] == ["a"]
        assert found["total"] == 1
        assert (await all_.get(path)).json()["total"] == 4


@pytest.mark.parametrize("path", ["/Immunization/_history", "/_history"])
@pytest.mark.parametrize("count", [1, 2, 10])
@pytest.mark.parametrize("order", ["shhhhs", "hhsshh", "hhhh", "shshsh"])
async def test_pages_of_histories(normal: Hub, all_: Hub, path: str, count: int, order: str) -> None:
    """They are those that there would be without what is hidden: none tells when that was written."""
    for number, kind in enumerate(order):
        await put(all_, *(() if kind == "s" else ("R",)), id_=f"{kind}{number}")
    found, url, pages = list[str](), f"{path}?_count={count}", 0
    while url:
        answer = await normal.get(url)
        found += ids(answer)
        links = {each["relation"]: each["url"] for each in answer.json()["link"]}
        following = urlsplit(links.get("next", ""))
        url, pages = f"{path}?{following.query}" if following.query else "", pages + 1
    shown = [f"s{number}" for number, kind in enumerate(order) if kind == "s"]
    assert found == shown[::-1]
    assert pages == max(1, -(-len(shown) // count))


async def test_search(normal: Hub, all_: Hub) -> None:
    """A search neither finds nor counts it, by whatever it is looked for."""
    await put(all_, id_="a")
    await put(all_, "R", id_="b")
    for query in ("", "_id=a,b", "patient=Patient/1", "_lastUpdated=ge2020", "_security=R,N", "_total=accurate"):
        found = await normal.get(f"/Immunization?{query}")
        assert (ids(found), found.json()["total"]) == (([], 0) if "_security" in query else (["a"], 1))
        assert len(ids(await all_.get(f"/Immunization?{query}"))) == (1 if "_security" in query else 2)
    assert (await normal.get("/Immunization?_summary=count")).json()["total"] == 1
    assert (await normal.client.post("/Immunization/_search", data={"_id": "b"}, headers=FORM)).json()["total"] == 0


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("order", ["shhhhhs", "hhhhhhss", "shshshsh", "hhhh", "shhhhhhh"])
@pytest.mark.parametrize("count", [1, 2, 10])
async def test_pages(few: Clients, order: str, count: int) -> None:
    """All that is there is found once, page by page, and no link names what isn't: `s` is shown, `h` is hidden."""
    normal, all_ = await cleared(few, "N"), await cleared(few, "V *")
    for number, kind in enumerate(order):
        await put(all_, *(() if kind == "s" else ("R",)), id_=f"{kind}{number}")
    found, url, pages = list[str](), f"/Immunization?_count={count}", 0
    while url:
        answer = await normal.get(url)
        found += ids(answer)
        links = {each["relation"]: each["url"] for each in answer.json()["link"]}
        assert not any(f".h{number}" in link for link in links.values() for number in range(len(order)))
        following = urlsplit(links.get("next", ""))
        url, pages = f"/Immunization?{following.query}" if following.query else "", pages + 1
        assert pages < 30
    assert sorted(found) == sorted(f"s{number}" for number, kind in enumerate(order) if kind == "s")


async def test_chained_search(few: Clients) -> None:
    """Nobody learns by a search what a resource holds that is not there for him."""
    normal, all_ = await cleared(few, "N"), await cleared(few, "V *")
    restricted = labelled("", "R")["meta"]
    await all_.put("/Patient/1", patient("1", active=True, meta=restricted))
    await put(all_)
    assert ids(await all_.get("/Immunization?patient.active=true")) == ["i"]
    assert ids(await normal.get("/Immunization?patient.active=true")) == []
    assert ids(await normal.get("/Patient?_has:Immunization:patient:status=completed")) == []
    assert ids(await all_.get("/Patient?_has:Immunization:patient:status=completed")) == ["1"]


@pytest.mark.parametrize("hidden", ["/Group/1", "/Patient/2"])
async def test_search_by_a_group(normal: Hub, all_: Hub, hidden: str) -> None:
    """Nobody learns by a search who is in a Group that is not there for him, or one with whom by such a Patient."""
    link = {"other": {"reference": "Patient/1"}, "type": "replaces"}
    held: dict[str, dict[str, Any]] = {
        "/Group/1": {
            "resourceType": "Group",
            "id": "1",
            "type": "person",
            "actual": True,
            "member": [{"entity": {"reference": "Patient/2"}}],
        },
        "/Patient/2": patient("2", link=[link]),
    }
    held[hidden]["meta"] = labelled("", "R")["meta"]
    for url, resource in held.items():
        assert (await all_.put(url, resource)).status_code == 201
    await all_.put("/Patient/1", patient("1"))
    await put(all_)
    for query in ("/Patient?_in=Group/1&_id=1", "/Immunization?patient._in=Group/1"):
        assert len(ids(await all_.get(query))) == 1
        assert ids(await normal.get(query)) == []


async def test_conditional_writes(normal: Hub, all_: Hub) -> None:
    """A condition doesn't find it."""
    await put(all_, "R")
    patch = [{"op": "replace", "path": "/lotNumber", "value": "2"}]
    headers = {"Content-Type": "application/json-patch+json"}
    for url in ("/Immunization/i", "/Immunization?_id=i"):
        answer = await normal.client.patch(url, json=patch, headers=headers)
        assert answer.status_code == 404
        assert issue(answer)["code"] == "not-found"
    assert (await normal.delete("/Immunization?_id=i")).status_code == 204
    assert (await all_.get("/Immunization/i")).status_code == 200
    created = await normal.post("/Immunization", labelled(""), if_none_exist="_id=i")
    assert created.status_code == 201


async def test_batch(normal: Hub, all_: Hub) -> None:
    """The entries of a batch see no more than requests."""
    await put(all_, "R")
    urls = ("Immunization/i", "Immunization?_id=i", "Immunization/i/_history", "Immunization/_history")
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    answer = await normal.post("/", {"resourceType": "Bundle", "type": "batch", "entry": entries})
    statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
    assert statuses == ["404", "200", "404", "200"]
    assert "lotNumber" not in answer.text


async def test_several_at_once(clients: Clients) -> None:
    """Whoever asks at the same time is not taken for another."""
    normal, all_ = await cleared(clients, "N"), await cleared(clients, "V *")
    await put(all_, "R")
    answers = await asyncio.gather(*(hub.get("/Immunization/i") for _ in range(20) for hub in (normal, all_)))
    assert [answer.status_code for answer in answers] == [404, 200] * 20


async def test_nobody_told_apart(hub: Hub) -> None:
    """With HUB_AUTH=none everything is there."""
    await put(hub, "V", "HIV")
    assert (await hub.get("/Immunization/i")).status_code == 200
    assert (await hub.get("/Immunization")).json()["total"] == 1


async def test_events(clients: Clients) -> None:
    """What was told and may not be any more is not told again to whoever asks for it."""
    await clients.register("N", EVERYTHING, Content.FULL_RESOURCE)
    normal, all_ = await cleared(clients, "N"), await cleared(clients, "V *")
    wanted = subscription("http://127.0.0.1/hook", content="full-resource") | {"id": "s"}
    assert (await normal.put("/Subscription/s", wanted)).status_code == 201
    await activate(clients.hub.parts, (await member(clients.hub.parts)).key)
    async with running(fanout(clients.hub.parts)):
        await put(all_)
        await matched(clients.hub.parts)
    told = await normal.get("/Subscription/s/$events")
    assert "Immunization/i" in told.text
    await put(all_, "R")
    told = await normal.get("/Subscription/s/$events")
    assert told.status_code == 200
    assert "Immunization" not in told.text.replace("immunization-change", "")
    assert "not everything may be told any more: event 1" in told.text
    assert parameters(told.json()["entry"][0]["resource"])["notification-event"][0]["event-number"] == "1"
    clients.gate.rights["N"] = replace(clients.gate.rights["N"], clearance=Clearance.parse("R"))
    assert "Immunization/i" in (await normal.get("/Subscription/s/$events")).text


async def test_explained(clients: Clients) -> None:
    """Nor is a change explained whose resource has become more confidential since."""
    normal, all_ = await cleared(clients, "N"), await cleared(clients, "V *")
    wanted = subscription("http://127.0.0.1/hook") | {"id": "s"}
    assert (await normal.put("/Subscription/s", wanted)).status_code == 201
    await put(all_)

    async def explained() -> int:
        parameter = [{"name": "reference", "valueString": "Immunization/i/_history/1"}]
        given = {"resourceType": "Parameters", "parameter": parameter}
        return (await normal.post("/Subscription/s/$explain", given)).status_code

    assert await explained() == 200
    await put(all_, "PSY")
    assert await explained() == 404
    await all_.delete("/Immunization/i")
    assert await explained() == 404


async def test_what_was_erased(normal: Hub, all_: Hub) -> None:
    """Nobody can judge it any more: whoever may see everything is told, and others nothing; nor of its next life."""
    await put(all_, "R")
    order = Order("default", FhirVersion.R4, "Immunization", "i", False, "operator")
    assert (await erasing(all_.parts).run(order)).stage is Stage.DONE
    for url in ("/Immunization/i", "/Immunization/i/_history/1"):
        assert [(await hub.get(url)).status_code for hub in (normal, all_)] == [404, 410]
    assert [(await hub.get("/Immunization/i/_history")).status_code for hub in (normal, all_)] == [404, 200]
    await put(all_, "R")
    assert [(await hub.get("/Immunization/i")).status_code for hub in (normal, all_)] == [404, 200]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("around", ["", "batch", "transaction"])
async def test_an_expectation(normal: Hub, all_: Hub, method: str, around: str) -> None:
    """A write that expects another version is refused as where nothing is; who sees it is told which one there is."""
    await put(all_, "R")
    await put(all_, "R")

    async def told(hub: Hub, id_: str) -> tuple[int, str]:
        resource = labelled(id_) if method == "PUT" else None
        if around:
            request = {"method": method, "url": f"Immunization/{id_}", "ifMatch": 'W/"7"'}
            entry = {"request": request} | ({"resource": resource} if resource else {})
            answer = await hub.post("", {"resourceType": "Bundle", "type": around, "entry": [entry]})
        else:
            headers = {"If-Match": 'W/"7"'}
            answer = await hub.client.request(method, f"/Immunization/{id_}", json=resource, headers=headers)
        return answer.status_code, answer.text.replace(f"/{id_}", "/x")

    assert await told(normal, "i") == await told(normal, "x")
    assert "Immunization/x is at version 2" in (await told(all_, "i"))[1]
    await put(all_)
    assert "Immunization/x is at version 3" in (await told(normal, "i"))[1]
