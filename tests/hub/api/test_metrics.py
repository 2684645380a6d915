"""`/metrics`: what Prometheus reads, and who may."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.access import Tenant
from hub.families import BUCKETS, FAMILIES, REASONS
from hub.keys import FAILING, OPEN
from subscriptions.codes import SubscriptionStatus
from subscriptions.scopes import ALL
from tests.facts import eventually
from tests.guide import OPERATOR, section
from tests.hub.api.callers import bearing, client, key
from tests.hub.api.server import Hub, issue, patient, serving
from tests.hub.conftest import BASE, settings
from tests.hub.engines import Publisher, active, becomes, delivering, fanout, matched, now, running, subscribe
from tests.receiver import Receiver

TOKEN = "a-token-for-the-metrics"
METRICS = f"{BASE}/metrics"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(hub: Hub) -> Samples:
    """All samples by name and labels, after what this process has counted is known to all."""
    await hub.parts.metering.flush()
    answer = await hub.get(METRICS)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def one(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


@pytest.fixture
async def keys(redis_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    wanted = settings(redis_url, tmp_path).model_copy(update={"auth": "keys", "metrics_token": TOKEN})
    async with serving(wanted) as hub:
        yield hub


async def test_what_was_counted(hub: Hub, receiver: Receiver) -> None:
    """A change, its event, the notification of it and how long that took, and the requests."""
    parts = hub.parts
    await subscribe(parts, receiver.url)
    async with running(fanout(parts)), delivering(parts):
        await becomes(parts, SubscriptionStatus.ACTIVE)
        assert (await hub.put("/Immunization/a", {"resourceType": "Nonsense"})).status_code == 400
        await Publisher(parts).put()

        async def delivered() -> bool:
            return ("hub_events_delivered_total", frozenset({("tenant", "default")})) in await scraped(hub)

        await eventually(delivered)
    found = await scraped(hub)
    assert one(found, "hub_changes_stored_total", tenant="default", interaction="create") == 1
    assert one(found, "hub_events_owed_total", tenant="default") == 1
    assert one(found, "hub_notifications_delivered_total", tenant="default", kind="events") == 1
    assert one(found, "hub_attempts_total", tenant="default", kind="handshake", outcome="accepted") == 1
    assert one(found, "hub_http_requests_total", method="PUT", status="400") == 1
    assert one(found, "hub_trip_seconds_count", tenant="default") == 1
    assert one(found, "hub_trip_seconds_bucket", tenant="default", le="+Inf") == 1
    assert 0 < one(found, "hub_trip_seconds_sum", tenant="default") < 30
    assert one(found, "hub_request_seconds_count") >= 1


async def test_what_must_not_happen_is_there_before_it_does(hub: Hub) -> None:
    """As 0, for each tenant and reason: an increase from nothing to something is seen by nobody."""
    await hub.parts.access.set(Tenant("south"))
    found = await scraped(hub)
    for tenant in ("default", "south"):
        assert one(found, "hub_events_dropped_total", tenant=tenant) == 0
    for reason in REASONS:
        assert one(found, "hub_evaluations_failed_total", reason=reason) == 0


async def test_buckets_are_cumulative(hub: Hub) -> None:
    """Each has those of the ones before it, the last one all."""
    for _ in range(5):
        await hub.get("/Patient/none")
    answer = await scraped(hub)
    rows = [one(answer, "hub_request_seconds_bucket", le=str(bound)) for bound in BUCKETS]
    assert rows == sorted(rows)
    assert one(answer, "hub_request_seconds_bucket", le="+Inf") == one(answer, "hub_request_seconds_count") >= 5


async def test_how_it_stands(hub: Hub) -> None:
    """Subscriptions by status, what waits and for how long, what is behind, who works, and the store."""
    parts = hub.parts
    await active(parts, "a")
    await subscribe(parts, "http://127.0.0.1/hook", id_="b")
    async with running(fanout(parts)):
        await Publisher(parts).put()
        await matched(parts)
        found = await scraped(hub)
    await parts.pipeline.command("ZADD", OPEN, now() + 60_000, "http://127.0.0.1:80")
    place = {"tenant": "default", "version": "r4"}
    assert one(found, "hub_subscriptions", **place, status="active") == 1
    assert one(found, "hub_subscriptions", **place, status="requested") == 1
    assert one(found, "hub_subscriptions", **place, status="error") == 0
    assert one(found, "hub_undelivered_events", **place) == 1
    assert one(found, "hub_lagging_subscriptions", **place) == 1
    assert 0 <= one(found, "hub_oldest_undelivered_event_seconds", **place) < 60
    assert one(found, "hub_unmatched_changes", partition="0") == 0
    assert one(found, "hub_matching_behind_seconds", partition="3") == 0
    assert one(found, "hub_pumps", kind="match") == 1
    assert one(found, "hub_pumps", kind="deliver") == 0
    assert one(found, "hub_pumps", kind="clock") == 0
    assert one(found, "hub_redis_used_bytes") > 100_000
    assert one(found, "hub_declining") == 0
    assert one(await scraped(hub), "hub_origins", state="open") == 1
    assert [name for name, _ in found if name == "hub_info"]


async def test_origins_by_how_they_stand(hub: Hub) -> None:
    """Each is in one state: what is drained counts as that, though connections fail; what isn't any more does not."""
    pipeline, draining = hub.parts.pipeline, hub.parts.draining
    names = [f"http://{each}.example:80" for each in "abcd"]
    for key_, which in ((FAILING, names), (OPEN, names[1:])):
        for name in which:
            await pipeline.command("ZADD", key_, now() + 60_000, name)
    await draining.drain(names[2], now=now(), milliseconds=60_000, agent="boss")
    await draining.drain(names[3], now=now() - 60_000, milliseconds=1_000, agent="boss")
    found = await scraped(hub)
    assert {state: one(found, "hub_origins", state=state) for state in ("failing", "open", "drained")} == {
        "failing": 1,
        "open": 2,
        "drained": 1,
    }


async def test_changes_that_wait_to_be_matched(hub: Hub) -> None:
    """In the partition in which they are, and since when."""
    for number in range(8):
        await hub.put(f"/Patient/{number}", patient(str(number)))
    found = await scraped(hub)
    waiting = [one(found, "hub_unmatched_changes", partition=str(number)) for number in range(4)]
    assert sum(waiting) == 8
    behind = [one(found, "hub_matching_behind_seconds", partition=str(number)) for number in range(4)]
    assert [seconds > 0 for seconds in behind] == [number > 0 for number in waiting]


async def test_labels_are_bounded(hub: Hub) -> None:
    """Nothing that a client has chosen is a label: no id, no URL, no method that there isn't."""
    await active(hub.parts, "an-id-of-a-client")
    await hub.client.request("BREW", "/Patient/an-id-of-a-client")
    text = (await hub.get(METRICS)).text
    found = await scraped(hub)
    assert "an-id-of-a-client" not in text
    assert "127.0.0.1" not in text
    assert one(found, "hub_http_requests_total", method="other", status="405") == 1
    allowed = {
        "tenant",
        "version",
        "status",
        "kind",
        "outcome",
        "partition",
        "reason",
        "interaction",
        "method",
        "state",
    }
    assert {label for _, labels in found for label, _ in labels} <= allowed | {"le", "release"}


async def test_names(hub: Hub) -> None:
    """Each is ours, has a help, and says its unit."""
    text = (await hub.get(METRICS)).text
    helps = re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE)
    assert {name.removesuffix("_total") for name, _ in helps} >= {family.metric for family in FAMILIES}
    assert all(name.startswith("hub_") and about.endswith(".") for name, about in helps)


async def test_the_guide_has_all(hub: Hub) -> None:
    """Each name with its labels, and no other."""
    await active(hub.parts)
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", (await hub.get(METRICS)).text, re.MULTILINE))
    rows = re.findall(r"^\| (`hub_.*?) \| (.*?) ?\|", section(OPERATOR, "Metrics"), re.MULTILINE)
    assert sorted(types) == sorted(name for names, _ in rows for name in re.findall(r"`(\S+)`", names))
    told = {name: labels for names, labels in rows for name in re.findall(r"`(\S+)`", names)}
    for family in FAMILIES:
        assert told[family.metric + ("" if family.timed else "_total")] == ", ".join(family.labels)


async def test_operators_may(keys: Hub) -> None:
    """By a key with their scope; others of the tenant may not, and nobody knows strangers."""
    await client(keys, "ops", str(ALL))
    await client(keys, "lab", "system/*.cruds")
    operator, other = (await key(keys, "ops"))[1], (await key(keys, "lab"))[1]
    assert (await keys.client.get(METRICS, headers=bearing(operator))).status_code == 200
    assert (await keys.client.get(METRICS, headers=bearing(other))).status_code == 403
    refusal = await keys.client.get(METRICS)
    assert refusal.status_code == 401
    assert issue(refusal)["code"] == "login"


async def test_who_bears_the_token_may(keys: Hub) -> None:
    """This, and nothing else; not with another one, nor with two."""
    assert (await keys.client.get(METRICS, headers=bearing(TOKEN))).status_code == 200
    assert (await keys.client.get(METRICS, headers=bearing(TOKEN + "x"))).status_code == 401
    assert (await keys.client.get(METRICS, headers=bearing(TOKEN[:-1]))).status_code == 401
    twice = httpx.Headers([("Authorization", f"Bearer {TOKEN}")] * 2)
    assert (await keys.client.get(METRICS, headers=twice)).status_code == 401
    for url in ("/Patient", f"{BASE}/admin/subscriptions", f"{METRICS}/"):
        assert (await keys.client.get(url, headers=bearing(TOKEN))).status_code in (401, 404)


async def test_without_a_token_none_is_enough(redis_url: str, tmp_path: Path) -> None:
    """An empty one least of all."""
    async with serving(settings(redis_url, tmp_path).model_copy(update={"auth": "keys"})) as hub:
        for headers in ({}, {"Authorization": "Bearer "}, bearing("x")):
            assert (await hub.client.get(METRICS, headers=headers)).status_code == 401


async def test_another_tenant_has_none(hub: Hub) -> None:
    """They are the whole hub's."""
    await hub.parts.access.set(Tenant("ward"))
    assert (await hub.client.get(f"{BASE}/t/ward/metrics")).status_code == 404


async def test_while_redis_is_away(hub: Hub) -> None:
    """There is nothing to be told: 503, and Prometheus knows by that."""
    hub.parts.memory.lost = "away"
    answer = await hub.client.get(METRICS)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
