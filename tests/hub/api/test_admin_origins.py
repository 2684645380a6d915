"""`/admin/origins`: what operators have drained, and how it stands with origins."""

from typing import Any

import pytest

from subscriptions.audit import Kind
from tests.hub.api.callers import grant
from tests.hub.api.clients import Clients
from tests.hub.api.described import told
from tests.hub.api.server import Hub, issue
from tests.hub.api.subscriptions import put
from tests.hub.conftest import BASE

ORIGINS = f"{BASE}/admin/origins"
HERE = "http://127.0.0.1:9"


async def shown(hub: Hub) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = told(hub, "get", "/admin/origins", await hub.get(ORIGINS))["origins"]
    return said


async def test_drained_and_resumed(hub: Hub) -> None:
    """It says until when; another drain takes its place; it can be ended once."""
    await put(hub, "s")
    assert await shown(hub) == []
    for minutes in (5, 60):
        answer = await hub.post(f"{ORIGINS}/drain", {"origin": f"{HERE}/", "minutes": minutes})
        said = told(hub, "post", "/admin/origins/drain", answer)
        assert said["origin"] == HERE
        assert said["until"] in said["text"]
    (one,) = await shown(hub)
    assert (one["origin"], one["state"], one["until"], one["by"]) == (HERE, "drained", said["until"], "anonymous")
    answer = await hub.post(f"{ORIGINS}/resume", {"origin": HERE})
    assert told(hub, "post", "/admin/origins/resume", answer)["origin"] == HERE
    assert await shown(hub) == []
    assert (await hub.post(f"{ORIGINS}/resume", {"origin": HERE})).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({"minutes": 5}, 400, "origin"),
        ({"origin": "ward", "minutes": 5}, 400, "origin"),
        ({"origin": 5, "minutes": 5}, 400, "origin"),
        ({"origin": "ftp://127.0.0.1:9", "minutes": 5}, 400, "origin"),
        ({"origin": "http://127.0.0.1:x", "minutes": 5}, 400, "origin"),
        ({"origin": f"{HERE}/hook", "minutes": 5}, 400, "origin"),
        ({"origin": "http://[::1", "minutes": 5}, 400, "origin"),
        ({"origin": HERE}, 400, "minutes"),
        ({"origin": HERE, "minutes": 0}, 400, "minutes"),
        ({"origin": HERE, "minutes": 10_081}, 400, "minutes"),
        ({"origin": HERE, "minutes": True}, 400, "minutes"),
        ({"origin": HERE, "minutes": 5, "why": "x"}, 400, "why"),
        ({"origin": "http://127.0.0.1:10", "minutes": 5}, 404, "origin"),
    ],
)
async def test_what_cannot_be_drained(hub: Hub, body: dict[str, Any], status: int, where: str) -> None:
    await put(hub, "s")
    answer = await hub.post(f"{ORIGINS}/drain", body)
    assert answer.status_code == status
    assert issue(answer)["expression"] == [where]
    assert await shown(hub) == []


async def test_origins_are_the_hubs(hub: Hub) -> None:
    """Tenants share them: another tenant's operators neither see nor drain any."""
    await put(hub, "s")
    await grant(hub, "ward", "default", "")
    for method, path in (("GET", ""), ("POST", "/drain"), ("POST", "/resume")):
        answer = await hub.client.request(method, f"{BASE}/t/ward/admin/origins{path}", json={"origin": HERE})
        assert answer.status_code == 404


async def test_the_audit_says_who_drained(clients: Clients) -> None:
    lab, boss = await clients.may("lab", "system/*.cruds"), await clients.may("boss", "hub/admin")
    await put(lab, "s")
    assert (await lab.post(f"{ORIGINS}/drain", {"origin": HERE, "minutes": 5})).status_code == 403
    assert (await boss.post(f"{ORIGINS}/drain", {"origin": HERE, "minutes": 5})).status_code == 200
    acts = [entry.act async for entries in boss.parts.audit.newest("default") for entry in entries]
    assert [(act.kind, act.agent) for act in acts if act.kind is Kind.ORIGIN_DRAINED] == [(Kind.ORIGIN_DRAINED, "boss")]
