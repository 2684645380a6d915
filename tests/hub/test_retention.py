"""What is kept, how long, and how it is told what is not: events, changes, and versions of resources."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.keys import Partition, ResourceId, SubscriptionKey
from hub.outbox import Outboxes
from hub.resending import note
from hub.retention import STEP
from hub.stream import Entry
from hub.turn import Kind, Turn, Verb
from hub.wire import Argument
from hub.wiring.parts import Parts
from hub.write import Put, Write
from subscriptions.codes import Interaction, SubscriptionStatus
from subscriptions.ranges import Dropped, Range
from tests.hub.engines import Publisher, active, entries, fanout, matched, now, running, state
from tests.hub.life import R4, Life

_examples = count()


def entries_at(times: Iterable[int], *, first: int = 1) -> list[Entry]:
    """A change at each of these times (ms)."""
    return [
        Entry(f"{1_700_000_000_000 + n}-0", ResourceId("default", R4, "Patient", f"p{n}"), 1, Interaction.CREATE, at)
        for n, at in enumerate(times, first)
    ]


async def kept(parts: Parts, key: SubscriptionKey) -> list[int]:
    return [event.number for event in await parts.outboxes.events(key, 1, 10**9)]


def born(parts: Parts) -> Life:
    return Life(parts.outboxes, SubscriptionKey("default", R4, "s", f"i{next(_examples)}"))


@given(
    times=st.lists(st.integers(1, 50), min_size=1, max_size=12),
    horizon=st.integers(0, 60),
    delivered=st.integers(0, 12),
    again=st.none() | st.integers(1, 12),
    pinned=st.booleans(),
)
@settings(max_examples=300)
async def test_the_oldest_events_go_and_what_was_not_sent_is_counted(
    lasting: Parts, times: list[int], horizon: int, delivered: int, again: int | None, pinned: bool
) -> None:
    """As many as lie before the horizon, one after the other; none of what is being sent once more."""
    life = born(lasting)
    await life.active({0: "0-0"})
    await lasting.outboxes.owe(life.key, 0, entries_at(times))
    delivered = min(delivered, len(times))
    hash_ = life.key.subscription
    await lasting.pipeline.command("HSET", hash_, "delivered", delivered)
    if again is not None and delivered:
        again = min(again, delivered)
        assert await note(lasting.pipeline, life.key, Range(again, delivered)) == Range(again, delivered)
    else:
        again = None
    before = (await life.turn()).sending if pinned else None
    gone = 0
    while gone < len(times) and times[gone] < horizon and (again is None or gone + 1 < again):
        gone += 1
    assert await lasting.retention.retain(life.key, horizon) == gone
    assert await lasting.retention.retain(life.key, horizon) == 0
    assert await kept(lasting, life.key) == list(range(gone + 1, len(times) + 1))
    held = await lasting.outboxes.read(life.key)
    assert held is not None
    dropped = max(gone - delivered, 0)
    assert (held.events, held.delivered, held.dropped_events) == (len(times), max(delivered, gone), dropped)
    assert held.untold == (Dropped(Range(delivered + 1, gone), dropped) if dropped else None)
    after = (await life.turn()).sending
    if before is not None and not dropped:
        assert after == before
    elif after is not None and after.kind is Kind.EVENTS:
        assert (after.first, after.dropped) == (held.delivered + 1, held.untold)


async def test_the_next_notification_tells_what_was_dropped_until_one_is_delivered(parts: Parts) -> None:
    """Its repeats too; and what had failed goes on to be counted."""
    life = born(parts)
    await life.active({0: "0-0"})
    await parts.outboxes.owe(life.key, 0, entries_at([10, 10, 10, 20, 20, 20, 30]))
    turn = await life.turn()
    await parts.outboxes.settle(life.key, str(life.token), turn, Verb.AGAIN, said="so", again_at=1)
    assert await parts.retention.retain(life.key, 15) == 3
    assert await parts.retention.retain(life.key, 25) == 3
    turn = await life.turn()
    assert turn.sending is not None
    assert (turn.sending.first, turn.sending.last, turn.attempt) == (7, 7, 1)
    assert turn.sending.dropped == Dropped(Range(1, 6), 6)
    again = await life.turn()
    assert again.sending == turn.sending
    await parts.outboxes.owe(life.key, 0, entries_at([40], first=8))
    following = await life.settle(again, Verb.DELIVERED)
    assert following.sending is not None
    assert (following.sending.first, following.sending.dropped) == (8, None)
    held = await parts.outboxes.read(life.key)
    assert held is not None
    assert (held.untold, held.dropped_events) == (None, 6)


async def test_a_heartbeat_that_waits_for_its_repeat_is_not_changed_by_what_is_dropped(parts: Parts) -> None:
    """It holds no events: its repeat has the same bytes, what has failed stays counted, and what is left follows."""
    life = born(parts)
    await life.active({0: "0-0"})
    await parts.pipeline.command("HSET", life.key.subscription, "test", "1")
    turn = await life.turn()
    assert turn.sending is not None
    assert turn.sending.kind is Kind.HEARTBEAT
    await parts.outboxes.settle(life.key, str(life.token), turn, Verb.AGAIN, said="so", again_at=1)
    await parts.outboxes.owe(life.key, 0, entries_at([10, 10, 20]))
    assert await parts.retention.retain(life.key, 15) == 2
    again = await life.turn()
    assert (again.sending, again.attempt) == (turn.sending, 1)
    following = await life.settle(again, Verb.DELIVERED)
    assert following.sending is not None
    assert (following.sending.first, following.sending.dropped) == (3, Dropped(Range(1, 2), 2))


async def test_in_error_what_goes_is_counted_as_dropped_and_not_as_skipped(parts: Parts) -> None:
    life = born(parts)
    turn = await life.active({0: "0-0"})
    await parts.outboxes.owe(life.key, 0, entries_at([10, 10, 20]))
    await life.settle(await life.turn(), Verb.ERROR)
    assert await parts.retention.retain(life.key, 15) == 2
    await life.write(SubscriptionStatus.REQUESTED)
    turn = await life.settle(await life.turn(), Verb.ACTIVE, {0: "0-0"})
    assert turn.sending is None
    await parts.outboxes.owe(life.key, 0, entries_at([30], first=4))
    held = await parts.outboxes.read(life.key)
    assert held is not None
    assert (held.delivered, held.dropped_events, held.skipped_events) == (3, 2, 1)
    turn = await life.turn()
    assert turn.sending is not None
    assert (turn.sending.first, turn.sending.dropped) == (4, Dropped(Range(1, 2), 2))


async def test_what_was_missed_and_goes_can_not_be_asked_for_any_more(parts: Parts) -> None:
    """It stays counted."""
    life = born(parts)
    await life.active({0: "0-0"})
    await parts.outboxes.owe(life.key, 0, entries_at([10, 10, 20]))
    await life.settle(await life.turn(), Verb.ERROR)
    await life.write(SubscriptionStatus.REQUESTED)
    await life.settle(await life.turn(), Verb.ACTIVE, {0: "0-0"})
    assert await parts.retention.retain(life.key, 15) == 2
    fields = ("skipped", "skipped_events", "dropped_events")
    assert await parts.pipeline.command("HMGET", life.key.subscription, *fields) == [b"3-3", b"3", None]


async def test_more_than_one_step(parts: Parts) -> None:
    life = born(parts)
    await life.active({0: "0-0"})
    many = 2 * STEP + 7
    await parts.outboxes.owe(life.key, 0, entries_at([10] * many + [20]))
    assert await parts.retention.retain(life.key, 15) == many
    held = await parts.outboxes.read(life.key)
    assert held is not None
    assert held.untold == Dropped(Range(1, many), many)
    assert await parts.retention.retain(SubscriptionKey("default", R4, "gone", "i"), 15) == 0


async def put(parts: Parts, id_: str, at: int, *, method: str = "update") -> None:
    """A version of an Immunization, at a time."""
    resource = ResourceId("default", R4, "Immunization", id_)
    head = b'{"resourceType":"Immunization","id":"%b","meta":{"versionId":"' % id_.encode()
    head, tail = (b"", b"") if method == "delete" else (head, b'"}}')
    result = await parts.store.put(Write(resource, method, at, head, tail))
    assert result.outcome is Put.STORED


async def versions(parts: Parts, id_: str) -> list[int]:
    resource = ResourceId("default", R4, "Immunization", id_)
    _, found = await parts.store.history(resource, before=None, count=1000)
    return [version.number for version in found][::-1]


async def all_matched(parts: Parts) -> None:
    async with running(fanout(parts)):
        await matched(parts)


async def test_versions_that_were_superseded_go_and_the_one_in_force_stays(parts: Parts) -> None:
    """Of what was deleted, the mark of that. What is counted as superseded is what is there."""
    for _ in range(3):
        await put(parts, "a", now())
    await put(parts, "b", now())
    await put(parts, "c", now())
    await put(parts, "c", now(), method="delete")
    assert sum(await superseded(parts)) == 3 * size(b"a")
    await parts.retention.keep(now() + 10, 0)
    assert (await versions(parts, "a"), await versions(parts, "c")) == ([1, 2, 3], [1, 2])  # not matched yet
    await all_matched(parts)
    await parts.retention.keep(now() + 10, 0)
    # The last change of a partition stays, and so does what it superseded.
    await put(parts, "a", now())
    for partition in parts.changes.partitions:
        await Publisher(parts, count(100)).put_in(partition)
    await all_matched(parts)
    await parts.retention.keep(now() + 10, 0)
    assert (await versions(parts, "a"), await versions(parts, "b"), await versions(parts, "c")) == ([4], [1], [2])
    assert sum(await superseded(parts)) == 0
    read = await parts.store.read(ResourceId("default", R4, "Immunization", "c"))
    assert read is not None
    assert read.interaction is Interaction.DELETE
    await put(parts, "c", now())
    assert await versions(parts, "c") == [2, 3]


def size(id_: bytes) -> int:
    return len(b'{"resourceType":"Immunization","id":"%b","meta":{"versionId":"1"}}' % id_)


async def superseded(parts: Parts) -> list[int]:
    counted = await parts.pipeline.all([("GET", p.superseded) for p in parts.changes.partitions])
    return [int(each or 0) for each in counted]


async def test_versions_outlive_the_events_that_point_at_them(parts: Parts) -> None:
    """By a fourteenth of the window; what is younger stays, with all that it takes to tell of it."""
    key = await active(parts)
    window, then = 14_000_000, now()
    for _ in range(2):
        await put(parts, "a", then)
    await all_matched(parts)
    for partition in parts.changes.partitions:
        await Publisher(parts, count(100)).put_in(partition)
    await all_matched(parts)
    later = await ids(parts)
    await parts.retention.keep(then + window, window)
    assert (await kept(parts, key))[:2] == [1, 2]
    await parts.retention.keep(max(later) + window + 1, window)
    assert await kept(parts, key) == []
    assert await versions(parts, "a") == [1, 2]
    await parts.retention.keep(max(later) + window + 1_000_001, window)
    assert await versions(parts, "a") == [2]


async def ids(parts: Parts) -> list[int]:
    """When the changes that are kept were put, by Redis' clock."""
    return [int(e.id.split("-")[0]) for p in parts.changes.partitions for e in await entries(parts, p)]


async def test_a_start_before_what_is_kept_is_known_to_be_impossible(parts: Parts) -> None:
    for _ in range(8):
        await Publisher(parts, count(next(_examples) * 100)).put()
    await all_matched(parts)
    last = max(await ids(parts))
    await parts.retention.keep(last + 5, 0)
    assert 0 < await parts.changes.complete_from() <= last + 1


async def test_too_many_bytes_make_the_window_shorter(parts: Parts) -> None:
    """A little at a time; what is not governed by retention is not touched."""
    partition = parts.changes.partitions[0]
    rows: list[tuple[Argument, ...]] = []
    at = now()
    fields = ("tenant", "default", "version", "r4", "type", "Immunization", "number", "1", "interaction", "create")
    for n in range(1_000):
        ms = at - 1_000_000 + 1_000 * n
        rows.append(("XADD", partition.changes, f"{ms}-0", *fields, "id", f"x{n}", "publisher", "", "at", ms))
    await parts.pipeline.all(rows)
    await parts.pipeline.all([("SET", partition.matched, f"{at}-0"), ("SET", partition.passed, len(rows))])
    whole = await parts.retention.measure()
    limited = replace(parts.retention, most_bytes=whole // 2)
    for _ in range(10):
        await limited.run(at)
    left = len(await entries(parts, partition))
    assert 400 < left < 600
    assert await parts.retention.measure() <= whole // 2
    await limited.run(at)
    assert len(await entries(parts, partition)) == left


async def test_of_a_burst_only_as_much_goes_as_there_is_too_much(parts: Parts) -> None:
    """However long ago it was: the oldest versions, and the oldest events, sent or not."""
    key = await active(parts)
    async with running(fanout(parts)):
        for n in range(400):
            await put(parts, f"a{n % 8}", now())
            if n % 8 == 7:
                await matched(parts)
    whole = await parts.retention.measure()
    limited = replace(parts.retention, most_bytes=whole * 3 // 4)
    later = now() + 600_000
    await limited.run(now())
    assert len(await kept(parts, key)) == 400  # it is too young
    sizes = [whole]
    while sizes[-1] > limited.most_bytes:
        await limited.run(later)
        sizes.append(await parts.retention.measure())
    assert len(sizes) <= 4
    left = await kept(parts, key)
    assert 200 < len(left) < 340
    assert left == list(range(401 - len(left), 401))
    assert sum([len(await versions(parts, f"a{n}")) for n in range(8)]) > len(left)
    await limited.run(later)
    assert await kept(parts, key) == left
    assert (await state(parts)).dropped_events == 400 - len(left)


async def test_a_full_backlog_is_an_error_and_what_comes_is_numbered_counted_and_dropped(parts: Parts) -> None:
    """Nobody else is touched. After the client has asked for it again, it goes on with what is new."""
    outboxes = Outboxes(parts.pipeline, 3)
    life = Life(outboxes, SubscriptionKey("default", R4, "s", f"i{next(_examples)}"))
    await life.active({0: "0-0"})
    assert (await outboxes.owe(life.key, 0, entries_at([1, 1, 1]))) is not None
    on_the_wire = await life.turn()
    owed = await outboxes.owe(life.key, 0, entries_at([1, 1], first=4))
    assert owed is not None
    assert (owed.events, owed.fresh, owed.send, owed.dropped) == (5, 2, False, 2)
    held = await outboxes.read(life.key)
    assert held is not None
    assert (held.status, held.events, held.delivered) == (SubscriptionStatus.ERROR, 5, 0)
    assert (held.dropped_events, held.untold) == (2, Dropped(Range(4, 5), 2))
    assert held.error.startswith("its backlog is full")
    # The answer to what was on the wire is one to a subscription of before.
    assert await outboxes.settle(life.key, str(life.token), on_the_wire, Verb.DELIVERED, said="so") is None
    owed = await outboxes.owe(life.key, 0, entries_at([1], first=6))
    assert owed is not None
    assert (owed.events, owed.dropped) == (6, 1)
    assert await outboxes.owe(life.key, 0, entries_at([1], first=6)) is not None  # a repeat is no event
    await life.write(SubscriptionStatus.REQUESTED)
    turn = await life.settle(await life.turn(), Verb.ACTIVE, {0: "0-0"})
    assert turn.sending is None
    await outboxes.owe(life.key, 0, entries_at([1], first=7))
    turn = await life.turn()
    assert turn.sending is not None
    assert (turn.sending.first, turn.sending.dropped) == (7, Dropped(Range(4, 6), 3))
    assert await kept(parts, life.key) == [1, 2, 3, 7]
    assert await note(parts.pipeline, life.key, Range(1, 6)) == Range(1, 6)
    turn = await life.settle(turn, Verb.DELIVERED)
    assert turn.sending is not None
    assert (turn.sending.first, turn.sending.last, turn.sending.kind) == (1, 2, Kind.RESEND)


async def test_a_full_backlog_while_a_handshake_waits_is_left_behind(parts: Parts) -> None:
    """Without `error`: nothing is wrong with the endpoint that is asked."""
    outboxes = Outboxes(parts.pipeline, 2)
    life = Life(outboxes, SubscriptionKey("default", R4, "s", f"i{next(_examples)}"))
    await life.active({0: "0-0"})
    await outboxes.owe(life.key, 0, entries_at([1]))
    await life.write(SubscriptionStatus.REQUESTED)
    owed = await outboxes.owe(life.key, 0, entries_at([1, 1], first=2))
    assert owed is not None
    assert owed.dropped == 1
    held = await outboxes.read(life.key)
    assert held is not None
    assert held.status is SubscriptionStatus.REQUESTED
    turn = await life.settle(await life.turn(), Verb.ACTIVE, {0: "0-0"})
    assert turn.sending is None
    held = await outboxes.read(life.key)
    assert held is not None
    assert (held.delivered, held.skipped_events) == (3, 3)


async def test_the_clock_retains_by_the_days_that_are_set(parts: Parts) -> None:
    key = await active(parts)
    await put(parts, "a", now())
    await put(parts, "b", now() - 20 * 86_400_000)
    await all_matched(parts)
    await parts.retention.run(now())
    owed = await parts.outboxes.events(key, 1, 10)
    first_old = owed[0].id == "a"
    # The order of two partitions is open: behind a young event an old one stays.
    assert [event.id for event in owed] == (["a", "b"] if first_old and len(owed) == 2 else ["a"])
    assert (await state(parts)).dropped_events == 2 - len(owed)


async def test_a_partition_that_was_never_matched_keeps_all(parts: Parts) -> None:
    partition = Partition(0)
    publisher = Publisher(parts)
    for _ in range(3):
        await publisher.put_in(partition)
    await parts.retention.keep(now() + 10, 0)
    assert len(await entries(parts, partition)) == 3


@pytest.mark.parametrize("kind", [Kind.EVENTS, Kind.HEARTBEAT])
async def test_a_turn_survives_its_being_written(parts: Parts, kind: Kind) -> None:
    """`sending` is read as it is written, with what was dropped and without."""
    life = born(parts)
    await life.active({0: "0-0"})
    await parts.outboxes.owe(life.key, 0, entries_at([10, 20]))
    turn = await life.turn()
    assert isinstance(turn, Turn)
    assert turn.sending is not None
    told = replace(turn.sending, kind=kind, dropped=Dropped(Range(5, 17), 12))
    assert type(told).parse(str(told)) == told
    assert type(told).parse(str(turn.sending)) == turn.sending
