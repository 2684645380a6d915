"""The same parts on Redis Cluster, by a cluster client: every step keeps to one hash tag."""

import time
from pathlib import Path

import orjson

from hub.erasures import Order, Stage
from hub.keys import Index, ResourceId, SubscriptionKey
from hub.membership import Membership
from hub.stream import START
from hub.turn import Turn, Verb
from hub.wiring.erasing import erasing
from hub.wiring.parts import parts
from hub.write import Indexed, Put, Write
from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.versions.forms import FORMS
from subscriptions.versions.instant import read
from tests.dump import files
from tests.facts import eventually
from tests.hub.conftest import close, settings
from tests.processes import subscription
from tests.redis_server import RedisServer


async def test_the_trip_through_redis_works_on_a_cluster(redis_cluster_url: str, tmp_path: Path) -> None:
    """From put to owe to settle, with registry, leases and due work."""
    built = await parts(settings(redis_cluster_url, tmp_path).model_copy(update={"redis_cluster": True}))
    resource = ResourceId("default", FhirVersion.R4, "Immunization", "1")
    stored = await built.store.put(
        Write(resource, "create", 1, b'{"n":"', b'"}', indexed=(Indexed(Index.IDENTIFIERS, "s|1"),))
    )
    assert stored.outcome is Put.STORED
    assert await built.store.indexes.bearers("default", FhirVersion.R4, "Immunization", "s|1") == ["1"]
    assert [id_ async for _, id_ in built.store.indexes.newest("default", FhirVersion.R4, "Immunization")] == ["1"]

    key = await _subscribed(built.membership)
    assert await built.retention.measure() > 0
    await built.retention.keep(int(time.time() * 1000), 0)
    shard = built.due.shards[key.shard(len(built.due.shards))]
    (lease,) = (await built.due.claim(shard, most=10, milliseconds=5_000)).leases
    turn = await built.outboxes.take(key, lease.token)
    assert isinstance(turn, Turn)
    active = await built.outboxes.settle(
        key, lease.token, turn, Verb.ACTIVE, said="", ends=dict.fromkeys(range(4), START)
    )
    assert active is not None
    assert active.status is SubscriptionStatus.ACTIVE

    partition = built.changes.partitions[resource.partition(4)]
    (entry,) = await built.changes.after(partition, START, count=10, wait_ms=10)
    owed = await built.outboxes.owe(key, partition.number, [entry])
    assert owed is not None
    assert (owed.events, owed.send) == (1, True)
    await built.due.mark([key])
    await built.due.release(lease)
    assert [each.subscription for each in (await built.due.claim(shard, most=10, milliseconds=5_000)).leases] == [key]
    assert await built.membership.repair(now=int(time.time() * 1000)) == 0
    await close(built.client)


async def _subscribed(membership: Membership) -> SubscriptionKey:
    wanted = subscription("http://127.0.0.1:1/")
    parsed = FORMS[FhirVersion.R4].parse_subscription(wanted, now=read("2026-01-01T00:00:00Z"), allow_http=True)
    await membership.create("default", FhirVersion.R4, "a", parsed, orjson.dumps(wanted), now=1)
    member = await membership.find("default", FhirVersion.R4, "a")
    assert member is not None
    return member.key


async def test_erasing_on_a_cluster(redis_cluster_url: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """Every node is looked through for what is a patient's, and writes its files anew."""
    built = await parts(settings(redis_cluster_url, tmp_path).model_copy(update={"redis_cluster": True}))
    try:
        for number in range(20):
            resource = ResourceId("default", FhirVersion.R4, "Observation", f"o{number}")
            head = b'{"resourceType":"Observation","id":"o%d","subject":{"reference":"Patient/p"},"n":"' % number
            assert (await built.store.put(Write(resource, "create", 1, head, b'","note":"Quixlethorpe"}'))).version == 1
        assert b"Quixlethorpe" in files(redis_server.directory)
        erasure = await erasing(built).run(Order("default", FhirVersion.R4, "Patient", "p", True, "operator"))
        assert erasure.found
        assert (erasure.stage, erasure.files, erasure.found.resources) == (Stage.DONE, "", {"Observation": 20})
        await eventually(lambda: b"Quixlethorpe" not in files(redis_server.directory))
    finally:
        await close(built.client)
