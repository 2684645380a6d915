"""`/admin/subscriptions`: how they stand, what happened to them, and what operators do."""

import pytest

from hub.api.admin.shown import iso
from hub.turn import Turn, Verb
from subscriptions.audit import Kind
from subscriptions.codes import Content, SubscriptionStatus
from tests.hub.api.clients import Clients
from tests.hub.api.described import told
from tests.hub.api.server import Hub, issue
from tests.hub.api.subscriptions import ENDPOINT, put
from tests.hub.api.test_recovering import happen, subscribed
from tests.hub.conftest import BASE
from tests.hub.engines import active, becomes, member, now, state
from tests.processes import subscription

ADMIN = f"{BASE}/admin/subscriptions"
PATH = "/admin/subscriptions"
ONE = f"{PATH}/{{version}}/{{id}}"
ORIGIN = "http://127.0.0.1:9"


async def listed(hub: Hub, query: str = "") -> list[str]:
    said = told(hub, "get", PATH, await hub.get(f"{ADMIN}?{query}"))
    assert said["total"] >= len(said["subscriptions"])
    return [each["id"] for each in said["subscriptions"]]


async def fails(hub: Hub) -> None:
    """The notification that is due for `s` is refused, and comes again."""
    held = await member(hub.parts)
    turn = await hub.parts.outboxes.take(held.key, "9")
    assert isinstance(turn, Turn)
    assert await hub.parts.outboxes.settle(
        held.key, "9", turn, Verb.AGAIN, said="HTTP 500", code="exception", again_at=now() + 60_000
    )


async def test_how_one_stands(hub: Hub) -> None:
    """Its counters, its last outcome, what waits and since when."""
    await subscribed(hub, "a", "b", "c")
    await fails(hub)
    before = now()
    said = told(hub, "get", ONE, await hub.get(f"{ADMIN}/r4/s"))
    assert said["status"] == "active"
    assert (said["events"], said["delivered"], said["undelivered"]) == (3, 0, 3)
    assert (said["attempt"], said["failing"], said["error"], said["code"]) == (1, True, "HTTP 500", "exception")
    assert said["outcome"] == "HTTP 500"
    assert said["origin"] == ORIGIN
    assert said["topic"].endswith("/immunization-change")
    assert said["sending"]["firstEvent"] == 1
    assert said["sending"]["attempt"] == 2
    assert said["resource"]["channel"]["endpoint"] == ENDPOINT
    (event,) = await hub.parts.outboxes.events((await member(hub.parts)).key, 1, 1)
    assert said["oldestAt"] == iso(event.at)
    assert said["nextAt"] > iso(before)


async def test_what_was_dropped_does_not_wait(hub: Hub) -> None:
    """It is counted apart; and what was dropped and passed by counts no more of what waits."""
    key = await subscribed(hub, "a", "b", "c", "d")
    await hub.parts.pipeline.command("HSET", key.subscription, "dropped_events", 2, "untold", "3-4/2")
    said = (await hub.get(f"{ADMIN}/r4/s")).json()
    assert (said["events"], said["undelivered"], said["dropped"]) == (4, 2, 2)
    await hub.parts.pipeline.command("HSET", key.subscription, "delivered", 4)
    assert (await hub.get(f"{ADMIN}/r4/s")).json()["undelivered"] == 0
    await hub.parts.pipeline.command("HSET", key.subscription, "delivered", 1, "untold", "1-4/3")
    assert (await hub.get(f"{ADMIN}/r4/s")).json()["undelivered"] == 1


async def test_what_is_asked_for(hub: Hub) -> None:
    """By status, topic, owner, origin, version, words and lag; each alone."""
    await subscribed(hub, "a")
    await put(hub, "other", reason="x")
    await hub.put(f"{BASE}/fhir/r4b/Subscription/b", subscription("http://127.0.0.1:8/x", "Patient") | {"id": "b"})
    assert sorted(await listed(hub)) == ["b", "other", "s"]
    assert await listed(hub, "status=active") == ["s"]
    assert sorted(await listed(hub, "status=requested,error")) == ["b", "other"]
    assert await listed(hub, "version=r4b") == ["b"]
    assert await listed(hub, "origin=http://127.0.0.1:8") == ["b"]
    assert sorted(await listed(hub, "owner=anonymous")) == ["b", "other", "s"]
    assert await listed(hub, "owner=lab") == []
    topic = (await hub.get(f"{ADMIN}/r4b/b")).json()["topic"]
    assert await listed(hub, f"topic={topic}|1.0.0") == ["b"]
    assert await listed(hub, "q=THE") == ["other"]
    assert await listed(hub, "lagging=true") == ["s"]
    assert await listed(hub, "missed=true") == []


async def test_who_has_missed_events(hub: Hub) -> None:
    """Until they are sent once more."""
    key = await subscribed(hub, "a", "b")
    await hub.parts.pipeline.command("HSET", key.subscription, "delivered", 2, "skipped", "2-2")
    assert await listed(hub, "missed=true") == ["s"]


@pytest.mark.parametrize(
    "query",
    [
        "status=on",
        "version=r3",
        "lagging=1",
        "missed=1",
        "sort=size",
        "count=0",
        "count=x",
        "page=1",
        "ward=7",
        "q=a&q=b",
    ],
)
async def test_what_cannot_be_asked(hub: Hub, query: str) -> None:
    answer = await hub.get(f"{ADMIN}?{query}")
    assert answer.status_code == 400
    assert issue(answer)["details"]["text"]


@pytest.mark.parametrize("sort", ["lag", "updated", "id"])
async def test_pages_have_each_once(hub: Hub, sort: str) -> None:
    for number in range(7):
        await put(hub, f"s{number}")
    url, found = f"{ADMIN}?sort={sort}&count=3&status=requested", []
    while url:
        said = told(hub, "get", PATH, await hub.get(url))
        assert said["total"] == 7
        found += [each["id"] for each in said["subscriptions"]]
        url = said["next"]
    assert len(found) == 7
    assert sorted(found) == sorted(set(found))
    assert sort != "id" or found == sorted(found)


async def test_whoever_waits_longest_comes_first(hub: Hub) -> None:
    await active(hub.parts, "late")
    await happen(hub, "a")
    await active(hub.parts, "later")
    await happen(hub, "b")
    await active(hub.parts, "idle")
    assert await listed(hub) == ["late", "later", "idle"]


async def test_what_happened_to_it(hub: Hub) -> None:
    """Newest first: by whom, and how."""
    await put(hub, "s")
    await hub.put("/Subscription/s", subscription(ENDPOINT) | {"id": "s", "reason": "y"})
    await hub.post(f"{ADMIN}/r4/s/off", {})
    await put(hub, "another")
    said = told(hub, "get", ONE, await hub.get(f"{ADMIN}/r4/s"))
    assert [each["what"] for each in said["timeline"]] == [
        "subscription-off",
        "subscription-changed",
        "subscription-created",
    ]
    assert {each["by"] for each in said["timeline"]} == {"anonymous"}
    assert said["timeline"][0]["text"] == "it was turned off by the hub's operator"
    unasked = told(hub, "get", ONE, await hub.get(f"{ADMIN}/r4/s?timeline=false"))
    assert unasked == said | {"timeline": None}
    assert (await hub.get(f"{ADMIN}/r4/s?timeline=no")).status_code == 400


async def test_off_and_resumed(hub: Hub) -> None:
    """Nothing is numbered in between, and then its endpoint is asked anew; each but once."""
    key = await active(hub.parts, "s")
    said = told(hub, "post", f"{ONE}/off", await hub.post(f"{ADMIN}/r4/s/off", {}))
    assert "off" in said["text"]
    await becomes(hub.parts, SubscriptionStatus.OFF)
    assert (await hub.get(f"{ADMIN}/r4/s")).json()["nextAt"] is None
    assert (await hub.post(f"{ADMIN}/r4/s/off", {})).status_code == 409
    await happen(hub, "a")
    assert (await state(hub.parts)).events == 0
    held = await hub.parts.pipeline.command("HGET", key.subscription, "alerts")
    assert b"turned off by the hub's operator" in held, "its owner is told"
    told(hub, "post", f"{ONE}/resume", await hub.post(f"{ADMIN}/r4/s/resume", {}), 202)
    assert (await state(hub.parts)).status is SubscriptionStatus.REQUESTED
    answer = await hub.post(f"{ADMIN}/r4/s/resume", {})
    assert answer.status_code == 409
    assert "requested" in issue(answer)["details"]["text"]
    turn = await hub.parts.outboxes.take(key, "99")
    assert isinstance(turn, Turn)
    assert turn.sending
    assert turn.sending.handshake


async def test_what_its_client_turned_off_can_be_resumed(hub: Hub) -> None:
    """With everything in it but the status as the client sent it, its headers too."""
    await put(hub, "s", status="off")
    assert (await hub.post(f"{ADMIN}/r4/s/resume", {})).status_code == 202
    read = (await hub.get("/Subscription/s")).json()
    sent = subscription(ENDPOINT) | {"id": "s", "status": "requested"}
    assert {name: value for name, value in read.items() if name != "meta"} == {
        name: value for name, value in sent.items() if name != "meta"
    }


async def test_what_would_not_be_accepted_is_not_resumed(hub: Hub) -> None:
    """Its `end` has passed meanwhile: the answer says so, and nothing is done."""
    await put(hub, "s", status="off")
    held = await member(hub.parts)
    ended = held.state.resource.replace(b'"status"', b'"end":"2020-01-01T00:00:00Z","status"')
    await hub.parts.pipeline.command("HSET", held.key.subscription, "resource", ended)
    answer = await hub.post(f"{ADMIN}/r4/s/resume", {})
    assert answer.status_code == 400
    assert "end" in issue(answer)["details"]["text"]
    assert (await state(hub.parts)).status is SubscriptionStatus.OFF


async def test_a_test_notification(hub: Hub) -> None:
    key = await active(hub.parts, "s")
    told(hub, "post", f"{ONE}/test", await hub.post(f"{ADMIN}/r4/s/test", {}), 202)
    assert await hub.parts.pipeline.command("HGET", key.subscription, "test") == b"1"


async def test_a_new_secret_is_shown_once(sealing: Hub) -> None:
    await put(sealing, "s")
    answer = await sealing.post(f"{ADMIN}/r4/s/rotate-secret", {})
    first = told(sealing, "post", f"{ONE}/rotate-secret", answer)
    assert first["secret"].startswith("whsec_")
    assert answer.headers["Cache-Control"] == "no-store"
    second = (await sealing.post(f"{ADMIN}/r4/s/rotate-secret", {})).json()
    assert second["secret"] != first["secret"]
    assert second["previousUntil"] in second["text"]
    assert first["secret"] not in (await sealing.get(f"{ADMIN}/r4/s")).text


@pytest.mark.parametrize("action", ["test", "resume", "off", "rotate-secret"])
async def test_actions_take_nothing(hub: Hub, action: str) -> None:
    await put(hub, "s")
    assert (await hub.post(f"{ADMIN}/r4/s/{action}", {"why": "x"})).status_code == 400
    assert (await hub.post(f"{ADMIN}/r4/s/{action}?why=x", {})).status_code == 400
    assert (await hub.post(f"{ADMIN}/r4/none/{action}", {})).status_code == 404


async def test_the_audit_says_who_did_it(clients: Clients) -> None:
    """With the operator's name, and how it is called."""
    lab = await clients.may("lab", "system/*.cruds")
    await clients.register("lab", "system/*.cruds", Content.FULL_RESOURCE)
    boss = await clients.may("boss", "hub/admin")
    await put(lab, "s")
    for action, status in (("off", 200), ("resume", 202), ("rotate-secret", 200)):
        answer = await boss.post(f"{ADMIN}/r4/s/{action}", {})
        assert answer.status_code == status, answer.text
    assert (await lab.post(f"{ADMIN}/r4/s/off", {})).status_code == 403
    found = [entry.act async for entries in boss.parts.audit.newest("default") for entry in entries]
    done = [(act.kind, act.agent) for act in found if act.agent == "boss"]
    assert done == [
        (Kind.SECRET_ROTATED, "boss"),
        (Kind.SUBSCRIPTION_RESUMED, "boss"),
        (Kind.SUBSCRIPTION_OFF, "boss"),
    ]
    assert (await boss.get(f"{ADMIN}/r4/s")).json()["owner"] == "lab"


async def test_its_owner_may_not_be_given_more_by_an_operator(clients: Clients) -> None:
    """What its owner lost the right to is not begun again."""
    lab = await clients.may("lab", "system/*.cruds")
    boss = await clients.may("boss", "hub/admin")
    await put(lab, "s", status="off")
    answer = await boss.post(f"{ADMIN}/r4/s/resume", {})
    assert answer.status_code == 403
    assert "since its client is not known here any more" in issue(answer)["details"]["text"]
    assert (await state(boss.parts)).status is SubscriptionStatus.OFF


async def test_what_its_owner_got_back_counts_at_once(clients: Clients) -> None:
    """Nobody who mends it has to wait until each process has seen it."""
    lab = await clients.may("lab", "system/*.cruds")
    boss = await clients.may("boss", "hub/admin")
    await put(lab, "s", status="off")
    assert (await boss.post(f"{ADMIN}/r4/s/resume", {})).status_code == 403
    await clients.register("lab", "system/*.cruds", Content.FULL_RESOURCE)
    assert (await boss.post(f"{ADMIN}/r4/s/resume", {})).status_code == 202


async def test_what_the_survey_reads_is_reused_for_a_while(hub: Hub) -> None:
    """It costs the same however many ask; one by itself is read anew."""
    await put(hub, "s")
    assert await listed(hub) == ["s"]
    await put(hub, "t")
    assert await listed(hub) == ["s"]
    assert (await hub.get(f"{ADMIN}/r4/t")).status_code == 200
