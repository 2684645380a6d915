"""
Tenants are walls: what is answered at a tenant's base is the same, to the letter, whether there are others or not.

Each tenant tells the same story: the same ids, identifiers, canonicals, endpoints and keys. Only its name stands in
what it writes.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from starlette.routing import Match, Route

from hub.access import Tenant
from hub.api.routes import Application
from tests.hub.api.server import Hub, issue, serving
from tests.hub.api.storyteller import Storyteller
from tests.hub.api.subscriptions import ENDPOINT
from tests.hub.conftest import BASE, settings

#: What names no tenant: what all have in common, and ids of nothing that is told.
_OF_NOBODY = re.compile(
    rb"hub:\{(?:registry|access|pumps|origins|transactions|alerts|clock|erasures|due:\d+|tx:[0-9a-f-]+)\}:\S+"
    rb"|hub:\{\d+\}:(?:changes|matched|matcher|passed|trimmed|superseded|locks|filling|lock:[0-9a-f]+)"
)

#: What the default tenant's operators alone have, since it is about the whole hub.
OF_HUB = {("GET", "/metrics"), ("POST", "/admin/origins/drain"), ("POST", "/admin/origins/resume")}


@pytest.fixture
async def hub(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    """An api process that keeps secrets, with three tenants beside the default one."""
    more = {"secrets_key": Fernet.generate_key().decode(), "allow_chained_filters": True}
    wanted = settings(redis_url, tmp_path).model_copy(update=more)
    async with serving(wanted) as found:
        for tenant in ("north", "south", "west"):
            await found.parts.access.set(Tenant(tenant))
        yield found


async def test_every_answer_is_as_if_there_were_nobody_else(hub: Hub) -> None:
    """The first one is alone; the others tell at the same time, chapter by chapter, when all of its is there."""
    alone, *tellers = (Storyteller(hub, tenant) for tenant in ("north", "default", "south"))
    await alone.tell()
    for chapters in zip(*(each.chapters for each in tellers), strict=True):
        for tell in chapters:
            await tell()
    first = alone.answers
    assert {status for _, status, _ in first} >= {200, 201, 204, 400, 404, 409, 410, 412, 422}
    for each in tellers:
        unlike = [(mine, theirs) for mine, theirs in zip(each.answers, first, strict=True) if mine != theirs]
        assert unlike == [], each.tenant


async def test_the_story_comes_to_every_route(hub: Hub) -> None:
    """
    A route that it lacks fails this: then nobody has looked whether it tells of others.

    What operators read is looked at in test_admin_tenants; and some routes no other tenant has.
    """
    teller = Storyteller(hub, "default")
    await teller.tell()
    assert isinstance(hub.app, Application)
    served = [route for route in hub.app.routes if isinstance(route, Route)]
    reached = set[tuple[str, str]]()
    for asked, _, _ in teller.answers:
        method, path = asked.split("?")[0].split(" ")
        path = path if path.startswith(("/fhir/r5", "/admin")) else f"/fhir/r4{path}"
        scope = {"type": "http", "method": method, "path": path}
        found = next((each.path for each in served if each.matches(scope)[0] is Match.FULL), "")
        reached.add((method, re.sub("^/fhir/r[45]b?", "", found)))
    described = {(route.method, route.path) for route in hub.app.described}
    read = {(method, path) for method, path in described if method == "GET" and path.startswith("/admin")}
    assert described > OF_HUB
    assert described - reached - read - OF_HUB == set()


@pytest.mark.parametrize(("method", "path"), sorted(OF_HUB))
async def test_what_is_the_whole_hubs_is_at_no_tenant(hub: Hub, method: str, path: str) -> None:
    answer = await hub.client.request(method, f"{BASE}/t/north{path}", json={"origin": ENDPOINT, "minutes": 1})
    assert answer.status_code == 404


async def test_every_key_in_redis_names_its_tenant_or_nobody(hub: Hub) -> None:
    before = set(await hub.parts.pipeline.command("KEYS", "*"))
    await Storyteller(hub, "south").tell()
    made = set(await hub.parts.pipeline.command("KEYS", "*")) - before
    assert any(b":south/" in key for key in made)
    assert {key for key in made if not re.search(rb"[:{]south\b", key) and not _OF_NOBODY.fullmatch(key)} == set()
    for place in (b"subscriptions", b"topics", b"canonicals", b"terminology", b"users", b"joins", b"joined", b"places"):
        key = b"hub:{registry}:" + place
        kind = await hub.parts.pipeline.command("TYPE", key)
        names = await hub.parts.pipeline.command(*(("ZRANGE", key, 0, -1) if kind == b"zset" else ("HKEYS", key)))
        assert {name for name in names if name and not name.startswith(b"south/")} == set(), place


@pytest.mark.parametrize(
    "path", ["/t/nobody/fhir/r4/Patient", "/t/default/fhir/r4/Patient", "/t/North/fhir/r4/Patient", "/t/north", "/t/",
             "/t/north/t/south/fhir/r4/Patient", "/t/north/healthz", "/t/north/docs", "/t/north/openapi.json",
             "/t/north/guide", "/t/north/guide/operator", "/t/north/signing-keys", "/t//fhir/r4/Patient"]
)  # fmt: skip
async def test_there_is_nothing_below_what_is_no_tenant(hub: Hub, path: str) -> None:
    answer = await hub.get(BASE + path)
    assert answer.status_code == 404
    assert issue(answer)["details"]["text"] == f"There is nothing at {answer.request.url.path}."


async def test_a_tenant_that_comes_later_is_there_without_a_restart(hub: Hub) -> None:
    url = f"{BASE}/t/late/fhir/r4/metadata"
    assert (await hub.get(url)).status_code == 404
    await hub.parts.access.set(Tenant("late"))
    answer = await hub.get(url)
    assert answer.json()["implementation"]["url"] == f"{BASE}/t/late/fhir/r4"


async def test_a_reference_to_another_tenants_base_is_to_somewhere_else(hub: Hub) -> None:
    """Neither an index nor a filter takes it for an own one."""
    north, south = Storyteller(hub, "north"), Storyteller(hub, "south")
    await south.ask(
        "PUT", "/Immunization/i", south.vaccination("i", patient={"reference": f"{north.root}/fhir/r4/Patient/1"})
    )
    await south.ask("PUT", "/Patient/1", south.person())
    found = await south.ask("GET", "/Patient?_has:Immunization:patient:status=completed")
    assert found.json()["total"] == 0
    assert (await south.ask("GET", "/Immunization?patient=Patient/1")).json()["total"] == 0
    found = await south.ask("GET", f"/Immunization?patient={north.root}/fhir/r4/Patient/1")
    assert found.json()["total"] == 1


async def test_a_link_of_one_tenants_search_leads_nowhere_at_another(hub: Hub) -> None:
    """Else whoever found one could see by his own resources what was asked there."""
    north, south = Storyteller(hub, "north"), Storyteller(hub, "south")
    await north.ask("PUT", "/Patient/1", north.person())
    form = {"content_type": "application/x-www-form-urlencoded"}
    answer = await north.ask("POST", "/Patient/_search", "identifier=urn:ids|1", **form)
    link = answer.json()["link"][0]["url"].removeprefix(f"{north.root}/fhir/r4")
    assert (await north.ask("GET", link)).json()["total"] == 1
    assert (await south.ask("GET", link)).status_code == 400
