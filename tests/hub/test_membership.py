"""A Subscription's way in and out, and what becomes of one that a crash left half-way."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from hub.due import Claimed
from hub.keys import Shard, SubscriptionKey
from hub.membership import ABANDONED, LISTED, Member, Membership, Written
from hub.outbox import Outboxes, Subscribed
from hub.registered import Registered
from hub.registry import On, Registry
from hub.scanning import Scanning
from hub.turn import Turn, Verb
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from subscriptions.pace import Pace
from subscriptions.subscription import Subscription
from subscriptions.versions.forms import FORMS
from tests.hub.life import R4, entry
from tests.processes import subscription

#: ms since 1970 by Redis' clock, or nearly.
NOW = int(datetime.now(UTC).timestamp() * 1000)


def wanted(status: str = "requested", **more: Any) -> tuple[Subscription, bytes]:
    resource = subscription("http://127.0.0.1/hook", status=status) | more
    parsed = FORMS[R4].parse_subscription(resource, now=datetime.now(UTC), allow_http=True)
    return parsed, orjson.dumps(resource)


async def create(membership: Membership, id_: str = "s", **more: Any) -> Written:
    return await membership.create("default", R4, id_, *wanted(**more), now=NOW)


async def found(membership: Membership, id_: str = "s") -> Member:
    member = await membership.find("default", R4, id_)
    assert member is not None
    return member


async def due(parts: Parts, shard: Shard) -> Claimed:
    return await parts.due.claim(shard, most=9, milliseconds=60_000)


async def claimed(parts: Parts) -> list[SubscriptionKey]:
    """Who is due now."""
    return [lease.subscription for shard in parts.due.shards for lease in (await due(parts, shard)).leases]


async def active(parts: Parts, key: SubscriptionKey) -> None:
    """Accept its handshake."""
    turn = await parts.outboxes.take(key, "1")
    assert isinstance(turn, Turn)
    await parts.outboxes.settle(key, "1", turn, Verb.ACTIVE, said="active")


async def test_a_created_subscription_is_registered_requested_and_due_for_its_handshake(parts: Parts) -> None:
    assert await create(parts.membership) == Written(Subscribed.CREATED, 1)
    member = await found(parts.membership)
    assert (member.state.status, member.state.revision) == (SubscriptionStatus.REQUESTED, 1)
    registered = await parts.registry.find("default", R4, "s")
    assert registered is not None
    assert (registered.key, registered.on, registered.resource) == (member.key, True, member.state.resource)
    assert await claimed(parts) == [member.key]


async def test_the_handshake_waits_until_the_answer_has_left(parts: Parts) -> None:
    patient = Membership(parts.registry, parts.outboxes, parts.due, 3_600_000, parts.seal, parts.audit)
    await create(patient)
    assert await claimed(parts) == []


async def test_of_many_that_create_the_same_id_at_once_one_succeeds(parts: Parts) -> None:
    results = await asyncio.gather(*(create(parts.membership) for _ in range(8)))
    assert sorted(result.outcome for result in results) == [Subscribed.CONFLICT] * 7 + [Subscribed.CREATED]
    member = await found(parts.membership)
    assert [each async for each in parts.registry.all()] == [
        Registered(member.key, True, 1, NOW, member.state.resource)
    ]


async def test_an_update_at_another_revision_changes_nothing(parts: Parts) -> None:
    await create(parts.membership)
    member = await found(parts.membership)
    said = await parts.membership.update(member, *wanted("off"), expected="7", now=NOW)
    assert said == Written(Subscribed.CONFLICT, 1)
    assert await found(parts.membership) == member


async def test_off_and_on_again(parts: Parts) -> None:
    """Off: nothing is due, and it leaves the index. On again: another handshake."""
    await create(parts.membership, status="off")
    member = await found(parts.membership)
    assert member.state.status is SubscriptionStatus.OFF
    assert await claimed(parts) == []
    await parts.membership.update(member, *wanted(), expected="1", now=NOW)
    assert await claimed(parts) == [member.key]
    await parts.membership.update(member, *wanted("off"), expected="*", now=NOW)
    registered = await parts.registry.find("default", R4, "s")
    assert registered is not None
    assert not registered.on


async def test_a_deleted_subscription_is_gone_and_a_later_one_has_nothing_of_it(parts: Parts) -> None:
    await create(parts.membership)
    old = await found(parts.membership)
    await active(parts, old.key)
    await parts.outboxes.owe(old.key, 0, [entry(0, 1)])
    assert await parts.membership.delete(old, expected="7") == Written(Subscribed.CONFLICT, 2)
    assert await parts.membership.delete(old, expected="*") == Written(Subscribed.DELETED, 2)
    assert await parts.membership.find("default", R4, "s") is None
    assert await claimed(parts) == []
    await create(parts.membership)
    new = await found(parts.membership)
    assert new.key.incarnation != old.key.incarnation
    assert (new.state.events, new.state.revision) == (0, 1)
    assert await parts.outboxes.events(new.key, 1, 9) == []
    assert await parts.membership.delete(old, expected="*") == Written(Subscribed.MISSING, 0)
    assert await found(parts.membership) == new


async def test_its_end_turns_it_off(parts: Parts) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    await create(parts.membership, end=end.isoformat())
    key = (await found(parts.membership)).key
    at = int(end.timestamp() * 1000)
    ended = [key for shard in parts.due.shards for key in await parts.due.ended(shard, at)]
    assert ended == [key]
    await parts.membership.turn_off(key, now=at)
    member = await found(parts.membership)
    assert (member.state.status, member.state.revision) == (SubscriptionStatus.OFF, 2)
    assert [key for shard in parts.due.shards for key in await parts.due.ended(shard, at)] == []
    turn = await parts.outboxes.take(key, "1")
    assert isinstance(turn, Turn)
    assert turn.sending is None


async def test_listing_is_by_tenant_and_id(parts: Parts) -> None:
    for id_ in ("b", "a", "c"):
        await create(parts.membership, id_)
    await parts.membership.create("other", R4, "d", *wanted(), now=NOW)
    for ids, listed in ((None, ["a", "b", "c"]), (["c", "a", "none", "d"], ["a", "c"]), ([], [])):
        assert [member.key.id async for member in parts.membership.all("default", R4, ids)] == listed


async def test_others_run_between_the_chunks_of_a_listing(parts: Parts) -> None:
    await asyncio.gather(*(create(parts.membership, f"s{number}") for number in range(3 * LISTED)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    at_turn = Counter([turns async for _ in parts.membership.all("default", R4)])
    task.cancel()
    assert at_turn.total() == 3 * LISTED
    assert max(at_turn.values()) <= LISTED


async def test_a_crash_between_registry_and_state_is_taken_over_by_the_next_create(parts: Parts) -> None:
    key = SubscriptionKey("default", R4, "s", "left")
    await parts.registry.enter(Registered(key, True, 1, NOW, b"{}"))
    assert await parts.membership.find("default", R4, "s") is None
    assert await create(parts.membership) == Written(Subscribed.CREATED, 1)
    member = await found(parts.membership)
    assert member.key.incarnation != key.incarnation
    registered = await parts.registry.find("default", R4, "s")
    assert registered is not None
    assert registered.resource == member.state.resource


async def test_a_registration_without_a_state_is_removed_when_it_is_old(parts: Parts) -> None:
    """A younger one may be under way."""
    key = SubscriptionKey("default", R4, "s", "left")
    await parts.registry.enter(Registered(key, True, 1, NOW, b"{}"))
    assert await parts.membership.repair(now=NOW + ABANDONED - 1) == 0
    assert await parts.registry.find("default", R4, "s") is not None
    assert await parts.membership.repair(now=NOW + ABANDONED) == 1
    assert await parts.registry.find("default", R4, "s") is None


async def written(outboxes: Outboxes, key: SubscriptionKey, status: SubscriptionStatus, expected: str) -> None:
    """The first half of a write: the state, without what follows it."""
    _, resource = wanted("off" if status is SubscriptionStatus.OFF else "requested", reason="changed")
    await outboxes.write(key, expected=expected, status=status, resource=resource, pace=Pace(), now=NOW, not_before=NOW)


@pytest.mark.parametrize("status", [SubscriptionStatus.REQUESTED, SubscriptionStatus.OFF])
async def test_a_crash_between_a_changed_state_and_the_registry_is_repaired(
    parts: Parts, status: SubscriptionStatus
) -> None:
    await create(parts.membership)
    key = (await found(parts.membership)).key
    await active(parts, key)
    assert await claimed(parts) == [key]
    await written(parts.outboxes, key, status, "*")
    assert await parts.membership.repair(now=NOW) == 1
    state = (await found(parts.membership)).state
    registered = await parts.registry.find("default", R4, "s")
    assert registered is not None
    assert (registered.on, registered.resource) == (status is not SubscriptionStatus.OFF, state.resource)
    assert await parts.membership.repair(now=NOW) == 0


async def test_a_crash_before_the_handshake_was_scheduled_does_not_leave_it_requested_for_ever(parts: Parts) -> None:
    """Registry and state agree; only nobody would ever look after it."""
    key = SubscriptionKey("default", R4, "s", "left")
    _, resource = wanted(reason="changed")
    await parts.registry.enter(Registered(key, True, 1, NOW, resource))
    await written(parts.outboxes, key, SubscriptionStatus.REQUESTED, "")
    assert await claimed(parts) == []
    await parts.membership.repair(now=NOW)
    assert await claimed(parts) == [key]


async def test_an_active_one_with_events_that_nobody_looks_after_is_marked(parts: Parts) -> None:
    await create(parts.membership)
    key = (await found(parts.membership)).key
    await active(parts, key)
    await parts.due.schedule(key, None, end=None)
    await parts.outboxes.owe(key, 0, [entry(0, 1)])
    assert await claimed(parts) == []
    await parts.membership.repair(now=NOW)
    assert await claimed(parts) == [key]


async def test_what_is_whole_is_left_alone(parts: Parts) -> None:
    await create(parts.membership, "a")
    await create(parts.membership, "b", status="off")
    before = [each async for each in parts.registry.all()]
    assert await parts.membership.repair(now=NOW + 2 * ABANDONED) == 0
    assert [each async for each in parts.registry.all()] == before


class Meanwhile(Registry):
    """A registry at which something happens right before it is changed: once, and only by `put` or `remove`."""

    def __init__(self, parts: Parts, happening: Callable[[], Awaitable[object]]) -> None:
        super().__init__(parts.pipeline, Scanning(parts.tenancy, 9))
        self.happening: Callable[[], Awaitable[object]] | None = happening

    async def put(self, registered: Registered, *, on: On | None = None, joined: str = "") -> bool:
        await self._let_it_happen()
        return await super().put(registered, on=on, joined=joined)

    async def remove(self, key: SubscriptionKey) -> None:
        await self._let_it_happen()
        await super().remove(key)

    async def _let_it_happen(self) -> None:
        happening, self.happening = self.happening, None
        if happening is not None:
            await happening()


def interrupted(parts: Parts, happening: Callable[[], Awaitable[object]]) -> Membership:
    return Membership(Meanwhile(parts, happening), parts.outboxes, parts.due, 0, parts.seal, parts.audit)


async def ends(parts: Parts) -> list[int]:
    """When any of them ends, as it is noted."""
    noted = await parts.pipeline.all([("ZRANGE", shard.end, 0, -1, "WITHSCORES") for shard in parts.due.shards])
    return [int(score) for rows in noted for _, score in rows]


async def test_one_that_is_created_again_while_its_delete_is_under_way_has_nothing_of_it(parts: Parts) -> None:
    """The delete has removed its state and not yet its registration: it takes only its own away."""
    await create(parts.membership)
    old = await found(parts.membership)
    await interrupted(parts, lambda: create(parts.membership)).delete(old, expected="*")
    new = await found(parts.membership)
    assert new.key.incarnation != old.key.incarnation
    assert await parts.membership.repair(now=NOW) == 0
    assert await claimed(parts) == [new.key]


async def test_one_that_is_created_while_another_create_is_under_way_is_the_only_one(parts: Parts) -> None:
    """The earlier one has written its state when the later one takes its place: it leaves nothing behind."""
    key = SubscriptionKey("default", R4, "s", "later")

    async def later() -> None:
        registered = await parts.registry.find("default", R4, "s")
        assert registered is not None
        assert await parts.registry.enter(Registered(key, True, 1, NOW, b"{}"), instead_of=registered.key.incarnation)

    assert await create(interrupted(parts, later)) == Written(Subscribed.CONFLICT, 1)
    assert [each.key async for each in parts.registry.all()] == [key]
    assert [name async for name in parts.client.scan_iter("*:subscription")] == []
    assert await claimed(parts) == []


async def test_of_two_updates_the_one_with_the_higher_revision_stands_in_registry_and_end(parts: Parts) -> None:
    """The earlier one comes last with what follows its state. Its end is no end any more."""
    await create(parts.membership)
    member, soon = await found(parts.membership), datetime.now(UTC) + timedelta(hours=1)

    async def later() -> None:
        await parts.membership.update(member, *wanted(reason="later"), expected="*", now=NOW)

    await interrupted(parts, later).update(member, *wanted(end=soon.isoformat()), expected="*", now=NOW)
    state, registered = (await found(parts.membership)).state, await parts.registry.find("default", R4, "s")
    assert registered is not None
    assert (registered.resource, registered.revision) == (state.resource, state.revision) == (state.resource, 3)
    at = int(soon.timestamp() * 1000)
    await parts.membership.turn_off(member.key, now=at)
    assert (await found(parts.membership)).state.status is SubscriptionStatus.REQUESTED
    assert await ends(parts) == []


async def test_an_end_that_was_put_off_when_the_clock_had_just_looked_is_not_now(parts: Parts) -> None:
    soon, later = (datetime.now(UTC) + timedelta(hours=hours) for hours in (1, 2))
    await create(parts.membership, end=soon.isoformat())
    member = await found(parts.membership)
    await parts.membership.update(member, *wanted(end=later.isoformat()), expected="*", now=NOW)
    await parts.membership.turn_off(member.key, now=int(soon.timestamp() * 1000))
    assert (await found(parts.membership)).state.status is SubscriptionStatus.REQUESTED
    assert await ends(parts) == [int(later.timestamp() * 1000)]


async def test_one_that_is_turned_on_again_while_it_is_turned_off_is_on_and_ends_later(parts: Parts) -> None:
    soon, later = (datetime.now(UTC) + timedelta(hours=hours) for hours in (1, 2))
    await create(parts.membership, end=soon.isoformat())
    member = await found(parts.membership)

    async def on_again() -> None:
        await parts.membership.update(member, *wanted(end=later.isoformat()), expected="*", now=NOW)

    await interrupted(parts, on_again).turn_off(member.key, now=int(soon.timestamp() * 1000))
    registered = await parts.registry.find("default", R4, "s")
    assert registered is not None
    assert registered.on
    assert await claimed(parts) == [member.key]
    await parts.membership.repair(now=NOW)
    assert await ends(parts) == [int(later.timestamp() * 1000)]


async def test_a_crash_behind_the_state_leaves_neither_the_handshake_nor_the_end_undone(parts: Parts) -> None:
    """It was in a long back-off before: nobody would ask its endpoint for hours."""
    end = datetime.now(UTC) + timedelta(hours=1)
    await create(parts.membership)
    key = (await found(parts.membership)).key
    (lease,) = [lease for shard in parts.due.shards for lease in (await due(parts, shard)).leases]
    await parts.due.release(lease, wait_until=NOW + 12 * 3_600_000)
    await parts.outboxes.write(
        key,
        expected="*",
        status=SubscriptionStatus.REQUESTED,
        resource=wanted(end=end.isoformat())[1],
        pace=Pace(),
        now=NOW,
        not_before=NOW,
        end=int(end.timestamp() * 1000),
    )
    await parts.membership.repair(now=NOW)
    assert await claimed(parts) == [key]
    assert await ends(parts) == [int(end.timestamp() * 1000)]
