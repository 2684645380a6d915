"""What is done leaves one entry in the audit each: what it was, by whom, and what to."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pytest

from hub.access import DEFAULT, Client, Key
from hub.errors import Unavailable
from hub.operating import Operating
from subscriptions.audit import OPERATOR, Act, Kind
from subscriptions.codes import FhirVersion
from subscriptions.rights import Rights
from subscriptions.scopes import Scopes
from tests.hub.api.clients import Clients
from tests.hub.api.server import Hub
from tests.hub.api.test_topics import small
from tests.hub.conftest import BASE
from tests.hub.engines import Publisher, activate, fanout, matched, running
from tests.processes import subscription

R4, R5 = FhirVersion.R4, FhirVersion.R5
HOOK = "http://127.0.0.1:9/hook"
TOPIC = small("https://a.example/t")
SCOPES = Scopes.parse("system/Patient.rs")
LAB = Client("lab", DEFAULT, Rights(SCOPES))
ALL = "system/Subscription.cruds system/SubscriptionTopic.cruds system/Immunization.cruds hub/admin"


async def acts(hub: Hub, tenant: str = DEFAULT) -> list[Act]:
    return [entry.act async for entries in hub.parts.audit.oldest(tenant) for entry in entries]


async def topic(hub: Hub) -> httpx.Response:
    return await hub.put(f"{BASE}/fhir/r5/SubscriptionTopic/t", TOPIC | {"id": "t"})


async def subscribed(hub: Hub) -> None:
    """An active Subscription with an event."""
    assert (await hub.put("/Subscription/s", subscription(HOOK) | {"id": "s"})).status_code == 201
    found = await hub.parts.membership.find(DEFAULT, R4, "s")
    assert found
    await activate(hub.parts, found.key)
    await Publisher(hub.parts).put("a")
    async with running(fanout(hub.parts)):
        await matched(hub.parts)


@dataclass(frozen=True)
class Case:
    """
    Something that is done.

    before: What makes it possible.
    does: What it is; it succeeds.
    leaves: What the audit has of it.
    """

    does: Callable[[Hub], Awaitable[object]]
    leaves: Act
    before: Callable[[Hub], Awaitable[object]] | None = None


def operating(hub: Hub) -> Operating:
    return Operating(hub.parts.access, hub.parts.audit)


def on_s(kind: Kind, text: str = "") -> Act:
    return Act(kind, "boss", "Subscription/s", R4, text=text)


CASES = {
    "registered": Case(
        lambda hub: hub.put("/Subscription/s", subscription(HOOK) | {"id": "s"}), on_s(Kind.SUBSCRIPTION_CREATED)
    ),
    "patched": Case(
        lambda hub: hub.client.patch(
            "/Subscription/s",
            content='[{"op": "replace", "path": "/reason", "value": "x"}]',
            headers={"Content-Type": "application/json-patch+json"},
        ),
        on_s(Kind.SUBSCRIPTION_CHANGED),
        subscribed,
    ),
    "turned off": Case(
        lambda hub: hub.put("/Subscription/s", subscription(HOOK) | {"id": "s", "status": "off"}),
        on_s(Kind.SUBSCRIPTION_CHANGED),
        subscribed,
    ),
    "ended": Case(lambda hub: hub.delete("/Subscription/s"), on_s(Kind.SUBSCRIPTION_DELETED), subscribed),
    "tested": Case(lambda hub: hub.post("/Subscription/s/$test", {}), on_s(Kind.TESTED), subscribed),
    "sent again": Case(
        lambda hub: hub.client.post("/Subscription/s/$resend?eventsSinceNumber=1"),
        on_s(Kind.RESENT, "events 1 to 1"),
        subscribed,
    ),
    "sent again by an operator": Case(
        lambda hub: hub.post(f"{BASE}/admin/subscriptions/r4/s/redeliver", {"from": 1}),
        on_s(Kind.REDELIVERED, "events 1 to 1"),
        subscribed,
    ),
    "turned off by an operator": Case(
        lambda hub: hub.post(f"{BASE}/admin/subscriptions/r4/s/off", {}),
        on_s(Kind.SUBSCRIPTION_OFF, "it was turned off by the hub's operator"),
        subscribed,
    ),
    "resumed": Case(
        lambda hub: hub.post(f"{BASE}/admin/subscriptions/r4/s/resume", {}),
        on_s(Kind.SUBSCRIPTION_RESUMED),
        lambda hub: hub.put("/Subscription/s", subscription(HOOK) | {"id": "s", "status": "off"}),
    ),
    "origin": Case(
        lambda hub: hub.parts.draining.resume("http://a.example:80", agent="boss"),
        Act(Kind.ORIGIN_RESUMED, "boss", "origin/http://a.example:80"),
        lambda hub: hub.parts.draining.drain("http://a.example:80", now=0, milliseconds=60_000, agent="boss"),
    ),
    "secret": Case(
        lambda hub: hub.client.post("/Subscription/s/$rotate-secret"), on_s(Kind.SECRET_ROTATED), subscribed
    ),
    "credentials": Case(
        lambda hub: hub.post("/Subscription/s/$credentials", {"resourceType": "Parameters"}),
        on_s(Kind.CREDENTIALS_CHANGED),
        subscribed,
    ),
    "topic": Case(topic, Act(Kind.TOPIC_CREATED, "boss", "SubscriptionTopic/t", R5)),
    "topic changed": Case(topic, Act(Kind.TOPIC_CHANGED, "boss", "SubscriptionTopic/t", R5), topic),
    "topic deleted": Case(
        lambda hub: hub.delete(f"{BASE}/fhir/r5/SubscriptionTopic/t"),
        Act(Kind.TOPIC_DELETED, "boss", "SubscriptionTopic/t", R5),
        topic,
    ),
    "client": Case(
        lambda hub: operating(hub).set_client(LAB),
        Act(Kind.CLIENT_CHANGED, OPERATOR, "client/lab", text="system/Patient.rs; content id-only; clearance N"),
    ),
    "client off": Case(
        lambda hub: operating(hub).turn_off("lab"),
        Act(Kind.CLIENT_CHANGED, OPERATOR, "client/lab", text="system/Patient.rs; content id-only; clearance N; off"),
        lambda hub: operating(hub).set_client(LAB),
    ),
    "client removed": Case(
        lambda hub: operating(hub).remove_client("lab"),
        Act(Kind.CLIENT_REMOVED, OPERATOR, "client/lab", text="removed, with 0 keys"),
        lambda hub: operating(hub).set_client(LAB),
    ),
    "key revoked": Case(
        lambda hub: operating(hub).revoke_key("k"),
        Act(Kind.KEY_REVOKED, OPERATOR, "key/k", text="of lab"),
        lambda hub: hub.parts.access.set(Key("k", "lab", "digest", SCOPES, 0)),
    ),
    "grant": Case(
        lambda hub: operating(hub).grant(DEFAULT, "ward", SCOPES),
        Act(Kind.TENANT_CHANGED, OPERATOR, "tenant/default", text="grants ward: system/Patient.rs"),
        lambda hub: operating(hub).make_tenant("ward"),
    ),
}


@pytest.fixture
async def boss(clients: Clients) -> Hub:
    await clients.register("boss", ALL, LAB.rights.content)
    return await clients.may("boss", ALL)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_each_leaves_one_entry(boss: Hub, case: Case) -> None:
    """Whatever is done, one entry says what it was, by whom and what to."""
    if case.before:
        await case.before(boss)
    before = await acts(boss)
    done = await case.does(boss)
    assert getattr(done, "status_code", 200) < 300, done
    assert (await acts(boss))[len(before) :] == [case.leaves]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_nothing_is_done_that_can_not_be_recorded(boss: Hub, case: Case) -> None:
    """The audit's key holds what it can't be appended to: a 503, or Unavailable; and nothing is as if it were done."""
    if case.before:
        await case.before(boss)
    await boss.parts.pipeline.command("DEL", "hub:{audit:default}:log")
    await boss.parts.pipeline.command("SET", "hub:{audit:default}:log", "no stream")
    before = await everything(boss)
    status = 503
    with suppress(Unavailable):
        status = getattr(await case.does(boss), "status_code", 200)
    assert status == 503
    assert await everything(boss) == before


async def everything(hub: Hub) -> dict[bytes, bytes]:
    """What Redis holds, but how far the keys' times and tokens have come."""
    found = {}
    for key in sorted(await hub.parts.pipeline.command("KEYS", "*")):
        if not key.endswith((b":epoch", b":locks", b":sealers")) and b"{due:" not in key:
            found[key] = await hub.parts.pipeline.command("DUMP", key)
    return found
