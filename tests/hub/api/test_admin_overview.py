"""`/admin/overview`, `/admin/history` and `/admin/live`: what operators watch."""

import asyncio
import json
from itertools import count
from typing import Any

import pytest

from hub.api.admin.live import MOST
from hub.api.admin.shown import iso
from hub.families import ATTEMPTS, CHANGES_STORED, EVALUATIONS_FAILED, EVENTS_DELIVERED, EVENTS_DROPPED, TRIP
from hub.keys import CLOCK, EPOCH, meter, pumps
from hub.metering import Metering, Sampling
from hub.turn import Turn, Verb
from tests.facts import eventually
from tests.hub.api.callers import grant
from tests.hub.api.described import told
from tests.hub.api.server import Hub
from tests.hub.api.subscriptions import put
from tests.hub.api.test_admin_catalogue import TOPIC
from tests.hub.api.test_recovering import subscribed
from tests.hub.conftest import BASE
from tests.hub.engines import now

ADMIN = f"{BASE}/admin"
OF_HUB = {
    *("release", "matching", "workers", "leases", "origins", "redis", "transactions", "erasures", "declines"),
}


async def overview(hub: Hub, below: str = ADMIN) -> dict[str, Any]:
    said: dict[str, Any] = told(hub, "get", "/admin/overview", await hub.get(f"{below}/overview"))
    return said


async def counted(hub: Hub, tenant: str = "default") -> None:
    """Somebody has counted a little of everything."""
    meter = hub.parts.meter
    meter.count(CHANGES_STORED, tenant, "create", by=7)
    meter.count(EVENTS_DELIVERED, tenant, by=4)
    meter.count(ATTEMPTS, tenant, "events", "accepted", by=4)
    meter.count(ATTEMPTS, tenant, "events", "refused", by=2)
    meter.count(ATTEMPTS, tenant, "handshake", "unreachable", by=1)
    for seconds in (0.004, 0.02, 0.02, 5):
        meter.time(TRIP, seconds, tenant)
    await Metering(hub.parts.pipeline, meter).flush()


def events(text: str, name: str) -> list[dict[str, Any]]:
    """The data of a stream's events of a name."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block]
    return [json.loads(block["data"]) for block in blocks if block.get("event") == name]


async def test_how_all_of_it_stands(hub: Hub) -> None:
    """Counts, Subscriptions, Redis and partitions of a hub on which nothing runs; and what to do about that."""
    await subscribed(hub, "a", "b")
    await put(hub, "off", status="off")
    await counted(hub)
    said = await overview(hub)
    assert said.keys() >= OF_HUB
    assert said["tenant"] == "default"
    assert (said["totals"]["stored"], said["totals"]["attempts"], said["totals"]["failed"]) == (9, 7, 3)
    assert said["totals"]["owed"] == 2
    stands = said["subscriptions"]
    assert (stands["active"], stands["off"], stands["error"], stands["requested"]) == (1, 1, 0, 0)
    assert (stands["lagging"], stands["undelivered"]) == (1, 2)
    assert [each["id"] for each in stands["worst"]] == ["s"]
    assert (stands["oldest"]["id"], stands["oldest"]["at"]) == ("s", stands["worst"][0]["oldestAt"])
    assert [each["number"] for each in said["matching"]["partitions"]] == [0, 1, 2, 3]
    assert said["redis"]["usedBytes"] > 0
    assert said["redis"]["maxBytes"] > said["redis"]["usedBytes"]
    assert said["redis"]["appendonly"] is True
    assert said["declines"] is None
    texts = [each["text"] for each in said["problems"] if each["severity"] == "error"]
    assert [text.split(":")[0] for text in texts] == [
        "No match worker is at work", "No deliver worker is at work", "No clock is at work",
    ]  # fmt: skip


async def test_who_works(hub: Hub) -> None:
    """A partition's matcher is among the workers; nothing is wrong any more."""
    p = hub.parts.pipeline
    for kind in ("match", "deliver"):
        await p.command("ZADD", pumps(kind), now() + 60_000, f"{kind}er")
    await p.command("SET", CLOCK, "clock")
    await hub.parts.changes.hold(hub.parts.changes.partitions[2], "matcher", milliseconds=60_000)
    said = await overview(hub)
    assert said["workers"] == [
        {"kind": "match", "name": "matcher", "partitions": [2]},
        {"kind": "deliver", "name": "deliverer"},
        {"kind": "clock", "name": "clock"},
    ]
    assert said["matching"]["partitions"][2]["matcher"] == "matcher"
    assert said["matching"]["partitions"][0]["matcher"] is None
    assert said["problems"] == []


async def test_what_is_wrong_with_subscriptions(hub: Hub) -> None:
    """One in `error` with events that are kept, and events that were dropped."""
    key = await subscribed(hub, "a", "b")
    turn = await hub.parts.outboxes.take(key, "9")
    assert isinstance(turn, Turn)
    assert await hub.parts.outboxes.settle(key, "9", turn, Verb.ERROR, said="so")
    hub.parts.meter.count(EVENTS_DROPPED, "default", by=3)
    hub.parts.meter.count(EVALUATIONS_FAILED, "evaluation")
    await Metering(hub.parts.pipeline, hub.parts.meter).flush()
    problems = {each["link"]: each["text"] for each in (await overview(hub))["problems"]}
    assert "1 Subscription in `error`, and 2 events kept" in problems["#/subscriptions?status=error"]
    assert "3 events dropped" in problems["#/withheld"]


async def test_a_topic_that_is_narrowed_under_its_subscriptions(hub: Hub) -> None:
    """Not one that nobody is on, nor the first version of one; nor is another tenant told."""
    place = f"{BASE}/fhir/r5/SubscriptionTopic"
    for id_ in ("done", "unused", "first"):
        url = f"https://t.example/{id_}"
        assert (await hub.put(f"{place}/{id_}", TOPIC | {"id": id_, "url": url})).status_code == 201
        if id_ != "unused":
            await put(hub, f"on-{id_}", criteria=url)
    for id_ in ("done", "unused"):
        trigger = {"resource": "Immunization", "supportedInteraction": ["delete"]}
        narrower = TOPIC | {"id": id_, "url": f"https://t.example/{id_}", "resourceTrigger": [trigger]}
        assert (await hub.put(f"{place}/{id_}", narrower)).status_code == 200

    async def changed() -> list[str]:
        return [each["text"] for each in (await overview(hub))["problems"] if each["link"] == "#/topics"]

    await eventually(changed)  # a look at the Subscriptions is believed for a while
    (said,) = await changed()
    assert said.startswith("Topic https://t.example/done was changed at ")
    await grant(hub, "ward", "default", "")
    assert (await overview(hub, f"{BASE}/t/ward/admin"))["problems"] == []


async def test_a_redis_that_is_another_one_is_told_of(hub: Hub) -> None:
    """It answers; and nothing is stored in it."""
    await hub.parts.pipeline.command("HSET", EPOCH, "id", "another")
    said = await overview(hub)
    (text,) = [each["text"] for each in said["problems"] if "Publishers get 503" in each["text"]]
    assert said["redis"]["volatile"] in text


async def test_another_tenant_sees_its_own(hub: Hub) -> None:
    """Nothing of the hub, and nothing of the others."""
    await grant(hub, "ward", "default", "")
    await subscribed(hub, "a")
    await counted(hub)
    hub.parts.meter.count(CHANGES_STORED, "ward", "create", by=2)
    hub.parts.meter.count(EVENTS_DROPPED, "default", by=3)
    await Metering(hub.parts.pipeline, hub.parts.meter).flush()
    said = await overview(hub, f"{BASE}/t/ward/admin")
    assert not OF_HUB & said.keys()
    assert (said["totals"]["stored"], said["totals"]["failed"]) == (2, 0)
    assert "setAside" not in said["totals"]
    assert said["subscriptions"]["active"] == 0
    assert said["latency"]["count"] == 0
    assert said["problems"] == []
    await Sampling(hub.parts.pipeline).sample(1.5, 3)
    answer = await hub.get(f"{BASE}/t/ward/admin/history")
    (point,) = told(hub, "get", "/admin/history", answer)["points"]
    assert "behindSeconds" not in point
    assert point["p50"] is None


async def test_rates_and_latencies(hub: Hub) -> None:
    """Of what was counted since the last sample; and with it of the samples before."""
    await Sampling(hub.parts.pipeline).sample(0, 0)
    await counted(hub)
    said = await overview(hub)
    assert said["rates"]["stored"] > 0
    assert said["rates"]["failed"] == pytest.approx(said["rates"]["attempts"] * 3 / 7, abs=0.02)
    latency = said["latency"]
    assert latency["count"] == 4
    assert 4 <= latency["p50"] <= 25
    assert latency["p50"] < latency["p95"] <= latency["p99"] <= 6_300


async def test_how_it_went(hub: Hub) -> None:
    """The oldest first, of the time that is asked for."""
    await counted(hub)
    before = ("at", now() - 60_001, "ms", 10_000, "behind", 0, "unmatched", 0, "counts", "")
    await hub.parts.pipeline.command("XADD", meter("history"), "1-0", *before)
    await Sampling(hub.parts.pipeline).sample(1.5, 3)
    said = told(hub, "get", "/admin/history", await hub.get(f"{ADMIN}/history?minutes=1"))
    (point,) = said["points"]
    assert said["step"] == 10
    assert (point["stored"], point["delivered"]) == (0.7, 0.4)
    assert (point["behindSeconds"], point["unmatched"]) == (1.5, 3)
    assert point["p99"] > point["p50"]
    assert point["at"] <= str(iso(now()))


@pytest.mark.parametrize("query", ["minutes=0", "minutes=x", "hours=1"])
async def test_what_cannot_be_asked_of_history(hub: Hub, query: str) -> None:
    assert (await hub.get(f"{ADMIN}/history?{query}")).status_code == 400


async def test_figures_each_second(hub: Hub) -> None:
    """And how the Subscriptions stand: at first, and when that is otherwise."""

    async def busy() -> None:
        while True:
            await counted(hub)
            await asyncio.sleep(0.3)

    working = asyncio.create_task(busy())
    answer = await hub.get(f"{ADMIN}/live?seconds=6")  # one may come late, and stand for two
    working.cancel()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    figures = events(answer.text, "figures")
    assert len(figures) >= 2
    assert all(each["stored"] > 0 for each in figures)
    assert figures[0]["subscriptions"]["active"] == 0
    assert "subscriptions" not in figures[1]
    assert figures[0]["unmatched"] == 0
    assert events(answer.text, "step") == []


async def test_steps_as_they_happen(hub: Hub) -> None:
    """Each tenant's own, with the ids of the trip; only for whoever asks."""
    await grant(hub, "ward", "default", "")
    both = [
        asyncio.create_task(hub.get(f"{below}/live?seconds=3&tail=true")) for below in (ADMIN, f"{BASE}/t/ward/admin")
    ]
    metering, numbers = Metering(hub.parts.pipeline, hub.parts.meter), count(1)
    while not all(each.done() for each in both):  # neither of them need have come when the first happens
        number = next(numbers)
        for tenant in ("default", "ward"):
            hub.parts.meter.tell("change.stored", tenant, {"resource": f"{tenant}/r4/Patient/1", "number": number})
        await metering.flush()
        await asyncio.sleep(0.1)
    own, others = [events(answer.text, "step") for answer in await asyncio.gather(*both)]
    for steps, resource in ((own, "default/r4/Patient/1"), (others, "ward/r4/Patient/1")):
        first = steps[0]["number"]
        assert [(each["resource"], each["number"]) for each in steps] == [
            (resource, number) for number in range(first, first + len(steps))
        ]
    assert own[0]["at"].endswith("+00:00")
    # Nobody follows when nobody watches.
    await eventually(lambda: not any("_follow" in repr(task) for task in asyncio.all_tasks()))


async def test_as_many_watch_as_may(hub: Hub) -> None:
    """One more is told to come back; when they have gone there is room again."""
    watching = [asyncio.create_task(hub.get(f"{ADMIN}/live?seconds=8")) for _ in range(MOST)]

    async def full() -> bool:
        return (await hub.client.head(f"{ADMIN}/live")).status_code == 503

    await eventually(full)
    answer = await hub.get(f"{ADMIN}/live?seconds=1")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert all(each.status_code == 200 for each in await asyncio.gather(*watching))
    assert (await hub.get(f"{ADMIN}/live?seconds=1")).status_code == 200


async def test_no_more_watch_than_may_when_all_come_at_once(hub: Hub) -> None:
    """As all pages do when a hub is back."""
    answers = await asyncio.gather(*(hub.get(f"{ADMIN}/live?seconds=5") for _ in range(MOST + 2)))
    assert sorted(answer.status_code for answer in answers) == [200] * MOST + [503] * 2


@pytest.mark.parametrize("query", ["tail=1", "seconds=0", "seconds=x", "tenant=ward"])
async def test_what_cannot_be_watched(hub: Hub, query: str) -> None:
    assert (await hub.get(f"{ADMIN}/live?{query}")).status_code == 400
