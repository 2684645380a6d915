"""Matchers and deliverers in the process of the tests, and what they are fed with."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from time import time_ns
from typing import Any

import orjson

from hub.access import ANYBODY, DEFAULT
from hub.alerts import Alerting
from hub.breakers import Breakers
from hub.channels.clients import Clients
from hub.channels.origins import Origins
from hub.channels.rest_hook import RestHook
from hub.delivery import SLOW_LANES, Delivery
from hub.due import Due
from hub.fanout import Fanout
from hub.in_force import InForce
from hub.ingest import draft
from hub.keys import Partition, ResourceId, SubscriptionKey
from hub.membership import Member
from hub.outbox import Subscribed
from hub.presence import Presence
from hub.sender import Sender, lease_ms
from hub.state import State
from hub.store import Store
from hub.stream import Changes, Entry
from hub.turn import Turn, Verb
from hub.wiring.parts import Parts
from hub.wiring.workers import Engine
from hub.write import Put, Write
from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.retry import Policy
from subscriptions.versions.forms import FORMS
from tests.facts import eventually
from tests.processes import subscription

R4 = FhirVersion.R4
_names = count()


def now() -> int:
    return time_ns() // 1_000_000


def fanout(parts: Parts, *, changes: Changes | None = None, name: str = "", batch: int = 256) -> Fanout:
    return Fanout(
        changes=changes or parts.changes,
        store=parts.store,
        outboxes=parts.outboxes,
        due=parts.due,
        in_force=InForce(parts.registry, parts.tenancy, parts.access, parts.suppressions, parts.telling.standings),
        batch=batch,
        presence=Presence(parts.pipeline, "match", name or f"match-{next(_names)}"),
        telling=parts.telling,
        audit=parts.audit,
        meter=parts.meter,
    )


def sender(
    parts: Parts,
    *,
    changes: Changes | None = None,
    due: Due | None = None,
    store: Store | None = None,
    slots: int = 64,
    lanes: int = 300,
    timeout: float = 0,
    most_bytes: int = 0,
    name_servers: tuple[str, ...] = (),
    waits: tuple[float, ...] | None = None,
) -> Sender:
    clients = Clients(replace(parts.guard, name_servers=name_servers))
    origins, timeout = Origins(slots, SLOW_LANES * lanes), timeout or parts.settings.request_timeout
    return Sender(
        due=due or parts.due,
        outboxes=parts.outboxes,
        changes=changes or parts.changes,
        registry=parts.registry,
        keyring=parts.keyring,
        seal=parts.seal,
        channel=RestHook(clients),
        origins=origins,
        breakers=Breakers(parts.pipeline, origins, lease_ms(timeout), lambda: 0.0, now),
        hub=parts.foundation.epoch,
        tenancy=parts.tenancy,
        disclosure=replace(parts.disclosure, store=store or parts.store),
        audit=parts.audit,
        timeout=timeout,
        most_bytes=most_bytes or parts.settings.max_body_bytes,
        policy=Policy(parts.settings.retry_waits if waits is None else waits),
        telling=parts.telling,
        dice=lambda: 0.0,
        now=lambda: datetime.now(UTC),
        meter=parts.meter,
    )


def deliverer(
    parts: Parts, *, lanes: int = 300, last_seconds: float = 5, alerting: Alerting | None = None, **more: Any
) -> Delivery:
    presence = Presence(parts.pipeline, "deliver", f"deliver-{next(_names)}")
    return Delivery(sender(parts, lanes=lanes, **more), presence, lanes, last_seconds, alerting)


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator["asyncio.Task[None]"]:
    """The engine runs meanwhile; it must not end by itself."""
    task = asyncio.create_task(engine.run())
    try:
        yield task
        assert not task.done() or task.cancelled()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def delivering(parts: Parts, *, lanes: int = 300, **more: Any) -> AsyncIterator[Delivery]:
    delivery = deliverer(parts, lanes=lanes, **more)
    async with running(delivery):
        yield delivery


@dataclass
class Publisher:
    """Puts changes of Immunizations, each of a resource of its own unless an id is given."""

    parts: Parts
    numbers: "count[int]" = field(default_factory=count)

    async def put(self, id_: str = "", *, method: str = "update", status: str = "completed") -> ResourceId:
        resource = ResourceId("default", R4, "Immunization", id_ or f"i{next(self.numbers)}")
        head = b'{"resourceType":"Immunization","id":"%b","meta":{"versionId":"' % resource.id.encode()
        tail = b'"},"status":"%b"}' % status.encode()
        if method == "delete":
            head = tail = b""
        result = await self.parts.store.put(Write(resource, method, now(), head, tail))
        assert result.outcome is Put.STORED
        return resource

    async def put_broken(self, body: bytes) -> ResourceId:
        """Put a change whose JSON is then another one, as no ingest would let it in."""
        resource = await self.put()
        key = Partition(resource.partition(4)).resource(resource)
        await self.parts.pipeline.command("HSET", key, "b1", body)
        return resource

    async def put_in(self, partition: Partition) -> ResourceId:
        """Put a change of this partition."""
        while True:
            id_ = f"i{next(self.numbers)}"
            if ResourceId("default", R4, "Immunization", id_).partition(4) == partition.number:
                return await self.put(id_)


async def subscribe(parts: Parts, endpoint: str, *filters: str, id_: str = "s", **options: Any) -> SubscriptionKey:
    """A client creates a Subscription on Immunizations. `owner`: Who that is."""
    owner = options.pop("owner", ANYBODY.name)
    resource = subscription(endpoint, "Immunization", *filters, **options)
    wanted = FORMS[R4].parse_subscription(resource, now=datetime.now(UTC), allow_http=True)
    written = await parts.membership.create("default", R4, id_, wanted, orjson.dumps(resource), now=now(), owner=owner)
    assert written.outcome is Subscribed.CREATED
    return (await member(parts, id_)).key


async def active(parts: Parts, id_: str = "s", *filters: str, owner: str = ANYBODY.name) -> SubscriptionKey:
    """A subscription whose handshake was accepted, without anybody to deliver to it."""
    key = await subscribe(parts, "http://127.0.0.1/hook", *filters, id_=id_, owner=owner)
    await activate(parts, key)
    return key


async def activate(parts: Parts, key: SubscriptionKey) -> None:
    """As if its handshake were accepted."""
    turn = await parts.outboxes.take(key, "1")
    assert isinstance(turn, Turn)
    settled = await parts.outboxes.settle(key, "1", turn, Verb.ACTIVE, said="so", ends=await parts.changes.ends())
    assert settled is not None
    await parts.due.schedule(key, None, end=None)


async def publish(parts: Parts, resource: Mapping[str, Any]) -> None:
    """What a client does with a PUT."""
    found = draft(orjson.dumps(resource), FhirVersion.R4, max_nesting=64)
    at, base = now(), parts.tenancy.base(DEFAULT, R4)
    place = ResourceId("default", R4, found.type, found.id)
    write = Write(place, "update", at, *found.numbered(found.id, at), indexed=found.indexed(found.id, {base}))
    assert (await parts.store.put(write)).outcome is Put.STORED


async def rewrite(parts: Parts, endpoint: str, *filters: str, id_: str = "s", **options: Any) -> None:
    """A client changes it."""
    resource = subscription(endpoint, "Immunization", *filters, **options)
    wanted = FORMS[R4].parse_subscription(resource, now=datetime.now(UTC), allow_http=True)
    held = await member(parts, id_)
    written = await parts.membership.update(held, wanted, orjson.dumps(resource), expected="*", now=now())
    assert written.outcome is Subscribed.CHANGED


async def member(parts: Parts, id_: str = "s", version: FhirVersion = R4) -> Member:
    found = await parts.membership.find("default", version, id_)
    assert found is not None
    return found


async def state(parts: Parts, id_: str = "s") -> State:
    return (await member(parts, id_)).state


async def becomes(parts: Parts, status: SubscriptionStatus, id_: str = "s") -> None:
    """Wait for its status."""

    async def has() -> bool:
        return (await state(parts, id_)).status is status

    await eventually(has)


async def quiet(parts: Parts, key: SubscriptionKey) -> None:
    """Wait until nobody has anything to do for a subscription: it stands in none of the lists of due work."""
    shard = parts.due.shards[key.shard(len(parts.due.shards))]

    async def nowhere() -> bool:
        zsets = (shard.due, shard.wait, shard.lease)
        return not any(await parts.pipeline.all([("ZSCORE", zset, str(key)) for zset in zsets]))

    await eventually(nowhere)


async def delivered(parts: Parts, number: int) -> None:
    """Wait until what came up to this number is settled: what is not can't be asked for once more."""

    async def so() -> bool:
        return (await state(parts)).delivered >= number

    await eventually(so)


async def waiting(parts: Parts, key: SubscriptionKey) -> None:
    """Wait until a subscription waits for its time, and nobody serves it."""
    shard = parts.due.shards[key.shard(len(parts.due.shards))]

    async def so() -> bool:
        waits, leased = await parts.pipeline.all([("ZSCORE", zset, str(key)) for zset in (shard.wait, shard.lease)])
        return waits is not None and leased is None

    await eventually(so)


async def time_passes(parts: Parts, key: SubscriptionKey) -> None:
    """Let whatever a subscription waits for be over: its back-off, or the lease of whoever died."""
    shard = parts.due.shards[key.shard(len(parts.due.shards))]
    await parts.pipeline.command("HDEL", key.subscription, "next")
    for zset in (shard.wait, shard.lease):
        await parts.pipeline.command("ZADD", zset, "XX", 1, str(key))
    await parts.pipeline.command("XADD", shard.wake, "*", "at", 1)


async def matched(parts: Parts) -> None:
    """Wait until all changes that were put have been matched."""

    async def all_of_them() -> bool:
        ends = await parts.changes.ends()
        return all([ends[p.number] == await parts.changes.matched(p) for p in parts.changes.partitions])

    await eventually(all_of_them)


async def events(parts: Parts, key: SubscriptionKey) -> list[str]:
    """The ids of the resources of all its events, in the order of their numbers, which are contiguous from 1."""
    owed = await parts.outboxes.events(key, 1, 100_000)
    assert [event.number for event in owed] == list(range(1, len(owed) + 1))
    return [event.id for event in owed]


async def entries(parts: Parts, partition: Partition) -> list[Entry]:
    """All changes of a partition."""
    return await parts.changes.after(partition, "0-0", count=100_000, wait_ms=1)
