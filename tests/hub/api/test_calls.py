"""Calls in the audit: whoever is refused, without a flood of them; and at level `all` whoever reads."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.access import DEFAULT, Tenant
from hub.refusals import SINGLE, Refusals
from hub.wiring.parts import Parts
from subscriptions.audit import Act, Kind, Level, Outcome
from subscriptions.codes import FhirVersion
from tests.hub.api.callers import guarded, key
from tests.hub.api.clients import Clients
from tests.hub.api.server import Hub, patient, serving
from tests.hub.api.test_audited import acts
from tests.hub.conftest import BASE, settings

R4 = FhirVersion.R4


def refused(agent: str, text: str) -> Act:
    return Act(Kind.REFUSED, agent, outcome=Outcome.REFUSED, text=text)


async def test_who_is_refused(clients: Clients) -> None:
    """Somebody unknown, and a client that lacks a scope, are in the audit with the route, and not with the URL."""
    lab = await clients.may("lab", "system/Patient.c")
    assert (await clients.hub.get("/Patient/nhi-ZAA0001")).status_code == 401
    assert (await lab.get("/Patient/nhi-ZAA0001?name=Smith")).status_code == 403
    assert (await lab.get("/metadata?nonsense")).status_code == 200
    route = "GET /fhir/r4/{type}/{id} from 127.0.0.1"
    assert await acts(clients.hub) == [refused("", f"401: {route}"), refused("lab", f"403: {route}")]


async def test_what_is_not_refused(clients: Clients) -> None:
    """What is wrong with a request for other reasons is no matter of rights."""
    lab = await clients.may("lab", "system/Patient.cruds")
    assert (await lab.get("/Patient/1")).status_code == 404
    assert (await lab.post("/Patient", {"resourceType": "Group"})).status_code == 400
    assert (await clients.hub.get("/metadata", accept="text/html")).status_code == 406
    assert await acts(clients.hub) == []


async def test_at_another_tenants(redis_url: str, tmp_path: Path) -> None:
    """A client that isn't let into another tenant is in that tenant's audit, though there is nothing there for it."""
    async with guarded(redis_url, tmp_path, auth="keys") as hub:
        await hub.parts.access.set(Tenant("ward"))
        _, text = await key(hub)
        there, nowhere = [
            await hub.get(f"{BASE}/t/{tenant}/fhir/r4/Patient/1", authorization=f"Bearer {text}")
            for tenant in ("ward", "east")
        ]
        assert there.status_code == nowhere.status_code == 404
        assert there.text.replace("/t/ward/", "/t/east/") == nowhere.text
        assert there.headers.keys() == nowhere.headers.keys()
        (act,) = await acts(hub, "ward")
        assert act.text.startswith("404: GET /fhir/r4/")
        assert await acts(hub) == []


async def test_a_flood(parts: Parts) -> None:
    """Of many refusals the first are told of one by one, and how many there were of the others; then it begins anew."""
    refusals = Refusals(parts.audit)
    for _ in range(2):
        for _ in range(1_000):
            await refusals.note(DEFAULT, "", "401")
        await refusals.note("ward", "", "401")
        await refusals.flush()
    texts = [entry.act.text async for entries in parts.audit.oldest(DEFAULT) for entry in entries]
    assert texts == [*["401"] * SINGLE, f"{1_000 - SINGLE} more calls were refused within a minute"] * 2
    assert await parts.audit.count("ward") == 2


async def test_a_refusal_that_can_not_be_recorded(clients: Clients) -> None:
    """It is a refusal all the same."""
    await clients.hub.parts.pipeline.command("SET", "hub:{audit:default}:log", "no stream")
    assert (await clients.hub.get("/Patient/1")).status_code == 401


@pytest.fixture
async def telling_all(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    async with serving(settings(redis_url, tmp_path).model_copy(update={"audit": Level.ALL})) as found:
        yield found


READS = [
    pytest.param("/Patient/1", Act(Kind.READ, "anonymous", "Patient/1", R4), id="read"),
    pytest.param("/Patient/1/_history/1", Act(Kind.READ, "anonymous", "Patient/1/_history/1", R4), id="vread"),
    pytest.param("/Patient/1/_history", Act(Kind.READ, "anonymous", "Patient/1", R4), id="history"),
    pytest.param("/Patient?name=Smith", Act(Kind.SEARCHED, "anonymous", "type/Patient", R4), id="search"),
    pytest.param("/AuditEvent?agent=lab", Act(Kind.SEARCHED, "anonymous", "type/AuditEvent", R4), id="of the audit"),
]


@pytest.mark.parametrize(("url", "act"), READS)
async def test_reads(telling_all: Hub, url: str, act: Act) -> None:
    """At level `all` each read and each search is there, without its parameters."""
    await telling_all.put("/Patient/1", patient("1"))
    assert (await telling_all.get(url)).status_code == 200
    (found,) = await acts(telling_all)
    assert replace(found, text="") == act
    assert "Smith" not in found.text


async def test_nothing_is_told_that_can_not_be_recorded(telling_all: Hub) -> None:
    """At level `all` what the audit can't have is not told: 503."""
    await telling_all.put("/Patient/1", patient("1"))
    await telling_all.parts.pipeline.command("SET", "hub:{audit:default}:log", "no stream")
    assert (await telling_all.get("/Patient/1")).status_code == 503


async def test_no_reads(hub: Hub) -> None:
    """By default reads are not audited."""
    await hub.put("/Patient/1", patient("1"))
    await hub.get("/Patient/1")
    assert await acts(hub) == []


def batch(*urls: str) -> dict[str, object]:
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


async def test_reads_in_a_batch(telling_all: Hub) -> None:
    """What the entries of a Bundle tell is there too, and what they don't find is not."""
    await telling_all.put("/Patient/1", patient("1"))
    await telling_all.post("", batch("Patient/1", "Patient/2", "Patient?name=Smith"))
    found = await acts(telling_all)
    assert {(act.kind, act.entity) for act in found} == {(Kind.READ, "Patient/1"), (Kind.SEARCHED, "type/Patient")}
    assert len(found) == 2
    assert "Smith" not in str(found)


async def test_refusals_in_a_batch(clients: Clients) -> None:
    """So is what a client may not; by default no read is."""
    lab = await clients.may("lab", "system/Patient.rs")
    await lab.post("", batch("Patient", "Group", "Group/1"))
    found = await acts(clients.hub)
    assert [(act.kind, act.agent, act.text) for act in found] == [
        (Kind.REFUSED, "lab", "403: POST, an entry of a Bundle")
    ] * 2
