"""`/admin/subscriptions/…/events`: what became events, and one event's whole trace."""

from typing import Any

import pytest

from hub.turn import Sent, Turn, Verb
from subscriptions.codes import Content
from tests.fhir import immunization
from tests.hub.api.callers import grant
from tests.hub.api.clients import Clients
from tests.hub.api.described import told
from tests.hub.api.server import Hub
from tests.hub.api.subscriptions import put
from tests.hub.api.test_recovering import happen, subscribed
from tests.hub.conftest import BASE
from tests.hub.engines import active, fanout, matched, member, running

PATH = "/admin/subscriptions/{version}/{id}/events"
EVENTS = f"{BASE}/admin/subscriptions/r4/s/events"


async def page(hub: Hub, url: str = EVENTS) -> dict[str, Any]:
    said: dict[str, Any] = told(hub, "get", PATH, await hub.get(url))
    return said


async def trace(hub: Hub, number: int) -> dict[str, Any]:
    said: dict[str, Any] = told(hub, "get", f"{PATH}/{{event}}", await hub.get(f"{EVENTS}/{number}"))
    return said


async def settled(hub: Hub, verb: Verb, lease: str = "9", **more: Any) -> None:
    """What became of the notification that is due for `s`."""
    key = (await member(hub.parts)).key
    await hub.parts.pipeline.command("HDEL", key.subscription, "next")
    turn = await hub.parts.outboxes.take(key, lease)
    assert isinstance(turn, Turn)
    sent = Sent(12, 345, "what it said")
    assert await hub.parts.outboxes.settle(key, lease, turn, verb, said="so", sent=sent, **more)


async def test_events_and_what_became_of_them(hub: Hub) -> None:
    """Newest first, page by page, every number once."""
    await subscribed(hub, "a", "b", "-a", "c", "d")
    await settled(hub, Verb.DELIVERED)
    first = await page(hub, f"{EVENTS}?count=2")
    assert [(each["number"], each["id"], each["state"]) for each in first["events"]] == [
        (5, "d", "waiting"),
        (4, "c", "waiting"),
    ]
    second = await page(hub, first["next"])
    assert [each["interaction"] for each in second["events"]] == ["delete", "create"]
    last = await page(hub, second["next"])
    assert [(each["number"], each["type"]) for each in last["events"]] == [(1, "Immunization")]
    assert last["next"] is None


async def test_no_events_yet(hub: Hub) -> None:
    await put(hub, "s")
    assert await page(hub) == {"events": [], "next": None}


@pytest.mark.parametrize("query", ["before=0", "before=x", "count=0", "after=1"])
async def test_what_cannot_be_asked(hub: Hub, query: str) -> None:
    await put(hub, "s")
    assert (await hub.get(f"{EVENTS}?{query}")).status_code == 400


async def test_what_is_kept_and_not_sent(hub: Hub) -> None:
    """In `error` events are kept; on activation they are skipped. What was dropped has its number still."""
    key = await subscribed(hub, "a", "b", "c")
    await settled(hub, Verb.ERROR)
    assert [each["state"] for each in (await page(hub))["events"]] == ["kept"] * 3
    await hub.parts.pipeline.command("HSET", key.subscription, "delivered", 3, "skipped", "2-3", "dropped", "1-1")
    await hub.parts.pipeline.command("XDEL", key.outbox, "1-0")
    said = (await page(hub))["events"]
    assert [each["state"] for each in said] == ["skipped", "skipped", "dropped"]
    subscription = (await hub.get(EVENTS.removesuffix("/events"))).json()
    assert subscription["missed"] == [{"first": 2, "last": 3}]
    assert said[2] == {
        **dict.fromkeys(("type", "id", "versionId", "interaction", "at", "tenant")),
        "number": 1,
        "state": "dropped",
    }
    await hub.parts.pipeline.command("HDEL", key.subscription, "dropped")
    assert (await page(hub))["events"][2]["state"] == "gone"
    assert "not kept any more" in (await trace(hub, 1))["outcome"]


async def test_one_events_trace(hub: Hub) -> None:
    """The change, the clause, the attempts, and how it stands."""
    await active(hub.parts, "s", "lot-number=L1")
    async with running(fanout(hub.parts)):
        answer = await hub.put("/Immunization/i", immunization("i", lot="L1"))
        assert answer.status_code == 201, answer.text
        await matched(hub.parts)
    await settled(hub, Verb.AGAIN, again_at=1)
    await settled(hub, Verb.DELIVERED, "10")
    said = await trace(hub, 1)
    assert said["event"]["state"] == "delivered"
    assert (said["change"]["type"], said["change"]["id"], said["change"]["versionId"]) == ("Immunization", "i", 1)
    assert said["change"]["publisher"] == "anonymous"
    assert said["change"]["stillKept"] is True
    assert said["matched"]["matched"] is True
    (only,) = said["matched"]["filters"]
    assert "lot-number=L1" in only["filter"]
    assert only["matched"] is True
    assert "L1" in only["found"][0]
    assert said["matched"]["trigger"][0]["fired"] is True
    assert [each["decision"] for each in said["attempts"]] == ["delivered", "again"]
    assert said["outcome"] == "Event 1 was delivered."


async def test_attempts_at_other_events_are_not_in_it(hub: Hub) -> None:
    await subscribed(hub, "a", "b")
    await settled(hub, Verb.DELIVERED)
    assert len((await trace(hub, 1))["attempts"]) == 1
    assert (await trace(hub, 2))["attempts"] == []


async def test_the_last_error_is_in_the_outcome(hub: Hub) -> None:
    await subscribed(hub, "a")
    await settled(hub, Verb.AGAIN, again_at=1)
    assert (await trace(hub, 1))["outcome"] == "Event 1: it is still to be sent. The last attempt: so."


@pytest.mark.parametrize("number", ["0", "2", "x", "1" * 20])
async def test_there_is_no_such_event(hub: Hub, number: str) -> None:
    await subscribed(hub, "a")
    assert (await hub.get(f"{EVENTS}/{number}")).status_code == 404


async def test_a_version_that_is_not_kept_any_more(hub: Hub) -> None:
    """There is nothing to explain; the rest is told."""
    await subscribed(hub, "a")
    for key in await hub.parts.pipeline.command("KEYS", "hub:*:resource:*"):
        await hub.parts.pipeline.command("DEL", key)
    said = await trace(hub, 1)
    assert said["change"]["stillKept"] is False
    assert said["matched"]["matched"] is None
    assert said["matched"]["text"]


async def test_what_is_in_a_resource_is_for_those_who_may_read_it(clients: Clients) -> None:
    """An operator who may not read the type is told that a filter matched, and nothing that stands there."""
    lab = await clients.may("lab", "system/*.cruds")
    await clients.register("lab", "system/*.cruds", Content.FULL_RESOURCE)
    boss, reader = await clients.may("boss", "hub/admin"), await clients.may("reader", "hub/admin system/*.r")
    await active(lab.parts, "s", "lot-number=L1,SECRET", owner="lab")
    async with running(fanout(lab.parts)):
        await lab.put("/Immunization/i", immunization("i", lot="SECRET"))
        await matched(lab.parts)
    shut, open_ = await trace(boss, 1), await trace(reader, 1)
    assert shut["matched"]["matched"] is open_["matched"]["matched"] is True
    assert shut["matched"]["filters"][0]["matched"] is True
    assert shut["matched"]["filters"][0]["found"] == []
    assert "SECRET" in open_["matched"]["filters"][0]["found"][0]
    assert open_["change"]["publisher"] == "lab"


async def test_of_another_tenants_resource_only_what_is_granted(hub: Hub) -> None:
    """When the grant is withdrawn the event keeps its number and its time."""
    key = await active(hub.parts, "s")
    await grant(hub, "ward", "default", "system/Immunization.r")
    async with running(fanout(hub.parts)):
        answer = await hub.put(f"{BASE}/t/ward/fhir/r4/Immunization/i", immunization("i"))
        assert answer.status_code == 201, answer.text
        await matched(hub.parts)
    (event,) = (await page(hub))["events"]
    assert (event["tenant"], event["id"]) == ("ward", "i")
    said = await trace(hub, 1)
    assert said["matched"]["matched"] is True
    await grant(hub, "ward", "default", "")
    await hub.parts.access.refresh()
    (event,) = (await page(hub))["events"]
    assert (event["number"], event["tenant"], event["id"]) == (1, None, None)
    said = await trace(hub, 1)
    assert said["change"] is said["matched"] is None
    assert (await hub.parts.outboxes.events(key, 1, 1))[0].id == "i"


async def test_another_tenants_operator_sees_none_of_it(hub: Hub) -> None:
    await grant(hub, "ward", "default", "system/Immunization.r")
    await subscribed(hub, "a")
    await happen(hub, "b")
    below = f"{BASE}/t/ward/admin/subscriptions"
    assert (await hub.get(below)).json()["total"] == 0
    for rest in ("", "/events", "/events/1", "/attempts"):
        assert (await hub.get(f"{below}/r4/s{rest}")).status_code == 404
