"""AuditEvent over REST: read and search, in each FHIR version, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.access import Tenant
from subscriptions.audit import Act, Entry, Kind, Outcome
from subscriptions.codes import FhirVersion
from tests.hub.api.clients import Clients
from tests.hub.api.server import Hub, serving
from tests.hub.conftest import BASE, settings
from tests.processes import subscription

HOOK = "http://127.0.0.1:9/hook"
CREATED = Act(Kind.SUBSCRIPTION_CREATED, "lab", "Subscription/1", FhirVersion.R4)
DELETED = Act(Kind.SUBSCRIPTION_DELETED, "ward", "Subscription/1", FhirVersion.R4)
REFUSED = Act(Kind.REFUSED, "", outcome=Outcome.REFUSED, text="401")


async def record(hub: Hub, *acts: Act) -> list[Entry]:
    await hub.parts.audit.record("default", *acts)
    return [entry async for entries in hub.parts.audit.oldest("default") for entry in entries]


async def found(hub: Hub, query: str = "", version: str = "r4") -> list[str]:
    """The ids of all that a search finds, following its pages."""
    ids, url = [], f"{BASE}/fhir/{version}/AuditEvent?{query}"
    while url:
        bundle = (await hub.get(url)).json()
        ids += [e["resource"]["id"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    return ids


@pytest.mark.parametrize("version", FhirVersion)
async def test_read(hub: Hub, version: FhirVersion) -> None:
    """Each entry is an AuditEvent at the base of each FHIR version."""
    (entry,) = await record(hub, CREATED)
    answer = await hub.get(f"{BASE}/fhir/{version}/AuditEvent/{entry.id}")
    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"1"')
    event = answer.json()
    assert event["action"] == "C"
    reference = "Subscription/1" if version is FhirVersion.R4 else f"{BASE}/fhir/r4/Subscription/1"
    assert event["entity"][0]["what"] == {"reference": reference}


@pytest.mark.parametrize("id_", ["1-1", "a", "-", "+", "1-1-1", "x" * 70, "18446744073709551616-0"])
async def test_none(hub: Hub, id_: str) -> None:
    """What is no entry is not found, whatever its id is like."""
    await record(hub, CREATED)
    assert (await hub.get(f"/AuditEvent/{id_}")).status_code == 404


async def test_newest_first(hub: Hub) -> None:
    """All entries are found, page by page, the newest first; how many there are is told."""
    entries = await record(hub, *(replace(CREATED, entity=f"Subscription/{n}") for n in range(7)))
    newest = [entry.id for entry in reversed(entries)]
    assert await found(hub) == newest
    assert await found(hub, "_count=3") == newest
    assert await found(hub, "agent=lab&_count=2") == newest
    assert (await hub.get("/AuditEvent?_count=2")).json()["total"] == 7
    assert (await hub.get("/AuditEvent?_summary=count&entity=Subscription/3")).json()["total"] == 1


SEARCHES = [
    pytest.param("agent=lab", [0], id="agent by name"),
    pytest.param("agent=ward,lab", [1, 0], id="one of two agents"),
    pytest.param("agent=unknown", [2], id="nobody known"),
    pytest.param("agent=lab&action=C", [0], id="two parameters"),
    pytest.param("agent=lab&action=D", [], id="two of which one doesn't match"),
    pytest.param("entity=Subscription/1", [1, 0], id="entity"),
    pytest.param("outcome=4", [2], id="outcome"),
    pytest.param("type=rest", [1, 0], id="type"),
    pytest.param("subtype=refused", [2], id="subtype"),
    pytest.param("date=gt1970-01-01", [2, 1, 0], id="date from"),
    pytest.param("date=lt1970-01-02", [], id="date until"),
    pytest.param("date=lt1969-01-01", [], id="date before there were any"),
    pytest.param("date=gt2969-01-01", [], id="date in the future"),
    pytest.param("_lastUpdated=gt1970-01-01", [2, 1, 0], id="last update"),
]


@pytest.mark.parametrize(("query", "expected"), SEARCHES)
async def test_search(hub: Hub, query: str, expected: list[int]) -> None:
    """What searches find, in the order in which it comes."""
    entries = await record(hub, CREATED, DELETED, REFUSED)
    assert await found(hub, query) == [entries[i].id for i in expected]


async def test_search_by_id_form_and_time(hub: Hub) -> None:
    """By ids, by a form, and by the very time of an entry."""
    entries = await record(hub, CREATED, DELETED, REFUSED)
    ids = ",".join(entry.id for entry in entries[:2])
    assert await found(hub, f"_id={ids}") == [entries[1].id, entries[0].id]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await hub.client.post("/AuditEvent/_search", content="agent=ward", headers=form)
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == [entries[1].id]
    at = (await hub.get(f"/AuditEvent/{entries[0].id}")).json()["recorded"]
    assert entries[0].id in await found(hub, f"date={at}")
    assert entries[0].id not in await found(hub, f"date=lt{at}")
    assert entries[0].id not in await found(hub, f"date=gt{at}")


@pytest.mark.parametrize("query", ["date=x", "nonsense=1", "_cursor=x", "_sort=agent", "agent.name=x"])
async def test_bad_search(hub: Hub, query: str) -> None:
    """Parameters that can't be heeded are refused."""
    assert (await hub.get(f"/AuditEvent?{query}")).status_code == 400


async def test_a_page_ends(hub: Hub) -> None:
    """A page looks at so many entries only, says so, and the next one goes on."""
    entries = await record(hub, CREATED, *(DELETED for _ in range(hub.parts.settings.max_search_scan)))
    bundle = (await hub.get("/AuditEvent?agent=lab")).json()
    assert [entry["search"]["mode"] for entry in bundle["entry"]] == ["outcome"]
    assert await found(hub, "agent=lab") == [entries[0].id]


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""), ("PUT", ""), ("PATCH", ""), ("DELETE", ""),
        ("POST", "/{id}"), ("PUT", "/{id}"), ("PATCH", "/{id}"), ("DELETE", "/{id}"),
        ("DELETE", "?agent=lab"), ("PUT", "?agent=lab"),
    ],
)  # fmt: skip
async def test_nobody_writes(hub: Hub, method: str, path: str, version: FhirVersion) -> None:
    """There is no way to write, change or remove an entry."""
    (entry,) = before = await record(hub, CREATED)
    body = {"resourceType": "AuditEvent", "id": entry.id}
    answer = await hub.client.request(method, f"{BASE}/fhir/{version}/AuditEvent{path.format(id=entry.id)}", json=body)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert "is not supported at" in answer.json()["issue"][0]["details"]["text"]
    assert await record(hub) == before


@pytest.mark.parametrize("type_", ["batch", "transaction"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nor_in_bundles(hub: Hub, type_: str, method: str) -> None:
    """Nor is there in a Bundle."""
    (entry,) = before = await record(hub, CREATED)
    url = "AuditEvent" if method == "POST" else f"AuditEvent/{entry.id}"
    written: dict[str, Any] = {"request": {"method": method, "url": url}}
    if method != "DELETE":
        written["resource"] = {"resourceType": "AuditEvent", "id": entry.id}
    answer = await hub.client.post("", json={"resourceType": "Bundle", "type": type_, "entry": [written]})
    status = answer.json()["entry"][0]["response"]["status"] if answer.status_code == 200 else str(answer.status_code)
    assert status.startswith("4")
    assert [entry for entry in await record(hub) if entry.act.kind is not Kind.REFUSED] == before


async def test_what_is_done_to_subscriptions(hub: Hub) -> None:
    """Each registration, change and end leaves one entry, by whoever did it."""
    wanted = subscription(HOOK)
    id_ = (await hub.post("/Subscription", wanted)).json()["id"]
    await hub.put(f"/Subscription/{id_}", wanted | {"id": id_, "reason": "another"})
    await hub.put(f"/Subscription/{id_}", wanted | {"id": id_}, if_match='W/"99"')
    await hub.delete(f"/Subscription/{id_}", if_match='W/"99"')
    await hub.delete(f"/Subscription/{id_}")
    await hub.delete(f"/Subscription/{id_}")
    assert [entry.act for entry in await record(hub)] == [
        Act(kind, "anonymous", f"Subscription/{id_}", FhirVersion.R4)
        for kind in (Kind.SUBSCRIPTION_CREATED, Kind.SUBSCRIPTION_CHANGED, Kind.SUBSCRIPTION_DELETED)
    ]


async def test_a_refused_one(hub: Hub) -> None:
    """What is refused leaves no entry."""
    assert (await hub.post("/Subscription", subscription(HOOK) | {"criteria": "nonsense"})).status_code >= 400
    assert await record(hub) == []


async def test_readyz_says_that_the_audit_is_full(redis_url: str, tmp_path: Path) -> None:
    """And how many entries are left out; the log has it when that begins."""
    async with serving(settings(redis_url, tmp_path).model_copy(update={"audit_entries": 1})) as full:
        assert "audit" not in (await full.get(f"{BASE}/readyz")).json()
        await record(full, CREATED, REFUSED, REFUSED, DELETED)
        said = (await full.get(f"{BASE}/readyz")).json()
        assert said["status"] == "ready"
        assert "2 entries are left out" in said["audit"]
        assert len(await record(full)) == 2


async def test_what_it_asks(clients: Clients) -> None:
    """The scope for it, by name: `*` doesn't mean it. What searches look at beside it needs its own."""
    auditor = await clients.may("auditor", "system/AuditEvent.rs")
    everything = await clients.may("lab", "system/*.cruds")
    half = await clients.may("half", "system/AuditEvent.s")
    (entry,) = await record(clients.hub, CREATED)
    for url in (f"/AuditEvent/{entry.id}", "/AuditEvent", "/AuditEvent?agent=lab"):
        assert (await auditor.get(url)).status_code == 200
        assert (await everything.get(url)).status_code == 403
        assert (await clients.hub.get(url)).status_code == 401
    assert (await half.get(f"/AuditEvent/{entry.id}")).status_code == 403
    assert (await auditor.get("/AuditEvent?patient:_in=Group/1")).status_code in (400, 403)


async def test_another_tenants(hub: Hub) -> None:
    """It has the tenant's own entries alone, with its own base in them."""
    await hub.parts.access.set(Tenant("ward"))
    await hub.parts.audit.record("ward", DELETED)
    first, last = await record(hub, CREATED, CREATED)
    bundle = (await hub.get(f"{BASE}/t/ward/fhir/r5/AuditEvent")).json()
    (event,) = [found["resource"] for found in bundle["entry"]]
    assert event["entity"][0]["what"]["reference"] == f"{BASE}/t/ward/fhir/r4/Subscription/1"
    other = next(entry for entry in (first, last) if entry.id != event["id"])  # they may be of the same millisecond
    assert (await hub.get(f"{BASE}/t/ward/fhir/r4/AuditEvent/{other.id}")).status_code == 404
    assert await found(hub) == [last.id, first.id]
