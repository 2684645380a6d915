"""`/admin`: what operators ask."""

from typing import Any

import pytest

from hub.turn import Sent, Turn, Verb
from subscriptions.codes import FhirVersion
from tests.hub.api.server import Hub
from tests.hub.api.subscriptions import put
from tests.hub.conftest import BASE

SECRET = "what the endpoint said"


async def tried(hub: Hub) -> None:
    """A handshake that is refused once, then accepted, of a Subscription `s`."""
    member = await hub.parts.membership.find("default", FhirVersion.R4, "s")
    assert member is not None
    outboxes, key = hub.parts.outboxes, member.key
    await hub.parts.pipeline.command("HDEL", key.subscription, "next")
    for token, verb, again_at in (("1", Verb.AGAIN, 1), ("2", Verb.ACTIVE, None)):
        turn = await outboxes.take(key, token)
        assert isinstance(turn, Turn)
        sent = Sent(12, 345, SECRET)
        settled = await outboxes.settle(key, token, turn, verb, said="so", code="c", again_at=again_at, sent=sent)
        assert settled is not None


async def test_the_attempts_of_a_subscription(hub: Hub) -> None:
    await put(hub, "s")
    assert (await hub.get(f"{BASE}/admin/subscriptions/r4/s/attempts")).json() == {"attempts": []}
    await tried(hub)
    answer = await hub.get(f"{BASE}/admin/subscriptions/r4/s/attempts")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    last, first = answer.json()["attempts"]
    assert first.pop("at") <= last.pop("at")
    common: dict[str, Any] = {"kind": "handshake", "firstEvent": None, "lastEvent": None, "said": "so"}
    common |= {"milliseconds": 12, "bytes": 345, "answer": SECRET}
    assert first == common | {"attempt": 1, "decision": "again"}
    assert last == common | {"attempt": 2, "decision": "active"}


async def test_what_an_endpoint_said_is_told_to_nobody_else(hub: Hub) -> None:
    await put(hub, "s")
    await tried(hub)
    for url in ("/Subscription/s", "/Subscription/s/$status", "/Subscription/$status", "/Subscription"):
        answer = await hub.get(url)
        assert answer.status_code == 200
        assert SECRET not in answer.text


@pytest.mark.parametrize("path", ["r4/unknown", "r5/s", "r3/s"])
async def test_a_subscription_that_there_is_not(hub: Hub, path: str) -> None:
    await put(hub, "s")
    answer = await hub.get(f"{BASE}/admin/subscriptions/{path}/attempts")
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_each_route_is_documented(hub: Hub) -> None:
    said = (await hub.get(f"{BASE}/openapi.json")).json()
    operation = said["paths"]["/admin/subscriptions/{version}/{id}/attempts"]["get"]
    assert [each["name"] for each in operation["parameters"]] == ["version", "id"]
    assert operation["tags"] == ["administration"]
    assert operation["responses"]["200"]["content"].keys() == {"application/json"}
