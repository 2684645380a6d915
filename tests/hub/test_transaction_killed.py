"""
A transaction whose process dies at any step, and those that meet it: everything happens, or nothing.

The steps are done by hand and left there; another process, with a connection of its own, finds what was left.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from hub.access import DEFAULT
from hub.errors import Refused, Unavailable
from hub.instants import now_ms
from hub.intent import Blocked, Intent, Key
from hub.keys import TRANSACTIONS, Partition, ResourceId, lock_partition, transaction
from hub.transaction import DEADLINE, DECIDE, KEPT
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from hub.write import Held, Lock, Put, PutResult, Write
from subscriptions.codes import FhirVersion
from tests.facts import eventually
from tests.hub.conftest import close, settings

NAME = "default/r4/Patient?identifier=x"
COUNT = 6


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for others does so for as long as a machine may be busy with something else."""
    monkeypatch.setattr("hub.transaction.PATIENCE", 20.0)


@pytest.fixture
async def other(parts: Parts, redis_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    """Another process on the same Redis."""
    found = await built(settings(redis_url, tmp_path))
    assert found.client is not parts.client
    yield found
    await close(found.client)


def place(id_: str) -> ResourceId:
    return ResourceId(DEFAULT, FhirVersion.R4, "Patient", id_)


def write(id_: str, method: str = "update", *, at: int = 1000, lock: Lock | None = None) -> Write:
    head = b'{"resourceType":"Patient","id":"%b","meta":{"versionId":"' % id_.encode()
    if method == "delete":
        return Write(place(id_), method, at)
    return Write(place(id_), method, at, head, b'"}}', lock=lock)


async def writes(parts: Parts) -> tuple[Write, ...]:
    """COUNT writes over all partitions: updates of what is there, a delete, creates, and one under a lock."""
    await parts.store.put(write("there"))
    await parts.store.put(write("doomed"))
    lock = await parts.store.reservations.lock(NAME, milliseconds=60_000)
    assert isinstance(lock, Lock)
    locked = next(n for n in range(1000) if parts.store.reservations.lies_with(place(f"new{n}"), NAME))
    return (
        write("there"),
        write("doomed", "delete"),
        write("a"),
        write("b", "create"),
        write("c"),
        write(f"new{locked}", "create", lock=lock),
    )


def answer(_: object) -> bytes:
    return b"the answer"


Step = Callable[[Parts, Intent], Awaitable[None]]


async def nothing(*_: object) -> None:
    """Killed right after the intent was written."""


def some_reserved(count: int) -> Step:
    async def step(parts: Parts, intent: Intent) -> None:
        for one in intent.writes[-count:]:
            assert (await parts.store.reservations.reserve(one)).outcome is Put.STORED

    return step


async def all_reserved(parts: Parts, intent: Intent) -> None:
    await parts.transactions.reserve(intent)


async def committed(parts: Parts, intent: Intent) -> None:
    await parts.transactions.reserve(intent)
    await parts.transactions.commit(intent, b"the answer")


def some_applied(count: int) -> Step:
    async def step(parts: Parts, intent: Intent) -> None:
        await committed(parts, intent)
        for one in intent.writes[-count:]:
            lock = Lock(one.lock.name, one.transaction) if one.lock else None
            assert (await parts.store.put(replace(one, lock=lock))).outcome is Put.STORED

    return step


UNDECIDED = [nothing, *(some_reserved(n) for n in range(1, COUNT)), all_reserved]
DECIDED = [committed, *(some_applied(n) for n in range(1, COUNT + 1))]


@pytest.mark.parametrize("step", UNDECIDED, ids=["intent", *(f"reserved-{n}" for n in range(1, COUNT)), "all-reserved"])
async def test_nothing_happens_when_it_dies_before_it_is_decided(parts: Parts, other: Parts, step: Step) -> None:
    """Everything is given back: resources, and the lock of the conditional create."""
    planned = await writes(parts)
    before = await changes(parts)
    intent = await parts.transactions.begin(planned)
    assert isinstance(intent, Intent)
    await step(parts, intent)
    deadline = int(await other.pipeline.command("ZSCORE", TRANSACTIONS, str(intent.attempt)))
    await other.transactions.settle_open(now=deadline - 1)
    assert await other.pipeline.command("ZCARD", TRANSACTIONS) == 1
    await other.transactions.settle_open(now=deadline)
    assert await changes(other) == before
    with pytest.raises(Unavailable):
        await parts.transactions.commit(intent, b"too late")
    assert await changes(other) == before
    await all_is_free(other, planned)


@pytest.mark.parametrize("step", DECIDED, ids=["committed", *(f"applied-{n}" for n in range(1, COUNT + 1))])
async def test_everything_happens_once_when_it_dies_after_it_is_decided(parts: Parts, other: Parts, step: Step) -> None:
    """Whoever finds it completes it; whoever completes it again changes nothing."""
    planned = await writes(parts)
    before = await changes(parts)
    intent = await parts.transactions.begin(planned)
    assert isinstance(intent, Intent)
    await step(parts, intent)
    for _ in range(2):
        await other.transactions.settle_open(now=overdue())
    await other.transactions.complete(intent.attempt, intent.writes)
    done = await changes(other)
    assert sorted(set(done) - set(before)) == sorted(
        [
            ("there", 2, "update"),
            ("doomed", 2, "delete"),
            *((one.resource.id, 1, "create") for one in planned[2:]),
        ]
    )
    assert len(done) == len(before) + COUNT
    await all_is_free(other, planned)


async def test_a_commit_that_is_left_is_completed_within_the_second(parts: Parts, other: Parts) -> None:
    """Its deadline need not have passed: it is decided."""
    intent = await parts.transactions.begin(await writes(parts))
    assert isinstance(intent, Intent)
    await committed(parts, intent)
    await other.transactions.settle_open(now=overdue() - DEADLINE + 1000)
    assert len(await changes(other)) == 2 + COUNT


async def test_a_commit_is_completed_although_a_later_transaction_holds_what_it_has_written(
    parts: Parts, other: Parts
) -> None:
    """Killed half-way through applying: what was applied is free, and a later transaction reserves it first."""
    intent = await parts.transactions.begin([write("a"), write("b")])
    assert isinstance(intent, Intent)
    await some_applied(1)(parts, intent)
    later = await other.transactions.begin([write("b"), write("c")])
    assert isinstance(later, Intent)
    await other.transactions.reserve(later)
    await other.transactions.settle_open(now=now_ms() + DEADLINE // 2)
    assert await changes(other) == [("a", 1, "create"), ("b", 1, "create")]
    await other.transactions.commit(later, b"")
    await other.transactions.complete(later.attempt)
    assert await changes(other) == [("a", 1, "create"), ("b", 1, "create"), ("b", 2, "update"), ("c", 1, "create")]
    assert await other.pipeline.command("ZCARD", TRANSACTIONS) == 0


async def test_a_transaction_completes_a_commit_that_was_left_half_applied(parts: Parts, other: Parts) -> None:
    """It has reserved what the other one had written, and waits for what that one is still to write."""
    intent = await parts.transactions.begin([write("b"), write("a")])
    assert isinstance(intent, Intent)
    await some_applied(1)(parts, intent)
    assert await other.transactions.run([write("a"), write("b")], answer) == b"the answer"
    assert await changes(other) == [
        (id_, number, kind) for id_ in "ab" for number, kind in ((1, "create"), (2, "update"))
    ]


async def test_a_commit_that_cant_be_completed_holds_up_none_behind_it(parts: Parts, other: Parts) -> None:
    """Its lock was taken from it, as only a hand in Redis can. It stays, and the others are ended."""
    lock = await parts.store.reservations.lock(NAME, milliseconds=60_000)
    assert isinstance(lock, Lock)
    id_ = next(f"new{n}" for n in range(1000) if parts.store.reservations.lies_with(place(f"new{n}"), NAME))
    for planned in ([write(id_, "create", lock=lock)], [write("a")], [write("b")]):
        intent = await parts.transactions.begin(planned)
        assert isinstance(intent, Intent)
        await committed(parts, intent)
        await parts.pipeline.command("DEL", lock_partition(NAME, parts.settings.partitions).lock(NAME))
    await other.transactions.settle_open(now=overdue())
    assert await changes(other) == [("a", 1, "create"), ("b", 1, "create")]
    assert await other.pipeline.command("ZCARD", TRANSACTIONS) == 1


@pytest.mark.parametrize("decided", [False, True], ids=["undone", "committed"])
async def test_a_single_write_waits_for_the_transaction_that_has_reserved(
    parts: Parts, other: Parts, decided: bool
) -> None:
    """The interleaving by hand: reserved, then the write comes, then the decision. The write comes after it."""
    await parts.store.put(write("there"))
    intent = await parts.transactions.begin([write("there"), write("a")])
    assert isinstance(intent, Intent)
    await parts.transactions.reserve(intent)
    single = asyncio.create_task(outlasting(other, write("there")))
    await eventually(lambda: asked_for(other, 5))
    assert not single.done()
    if decided:
        await parts.transactions.commit(intent, b"")
        await parts.transactions.complete(intent.attempt)
    else:
        await parts.transactions.undo(intent.attempt)
    assert await single == (3 if decided else 2)
    assert ("a", 1, "create") in await changes(other) or not decided


async def test_a_single_write_completes_a_commit_that_was_left(parts: Parts, other: Parts) -> None:
    intent = await parts.transactions.begin([write("a"), write("b")])
    assert isinstance(intent, Intent)
    await committed(parts, intent)
    assert await outlasting(other, write("a")) == 2
    assert await changes(other) == [("a", 1, "create"), ("a", 2, "update"), ("b", 1, "create")]


async def test_a_single_write_gives_up_on_a_transaction_that_stays_open(parts: Parts, other: Parts) -> None:
    intent = await parts.transactions.begin([write("a")])
    assert isinstance(intent, Intent)
    await parts.transactions.reserve(intent)
    with pytest.raises(Unavailable):
        await outlasting(other, write("a"), seconds=2)
    assert await changes(other) == []


async def test_what_an_undone_attempt_reserves_too_late_holds_nobody_up(parts: Parts, other: Parts) -> None:
    """The process was paused behind its intent; the clock has undone it; then it goes on reserving."""
    planned = await writes(parts)
    intent = await parts.transactions.begin(planned)
    assert isinstance(intent, Intent)
    await other.transactions.settle_open(now=overdue())
    await all_reserved(parts, intent)
    assert await outlasting(other, write("a")) == 1
    assert await other.transactions.lock(NAME)
    with pytest.raises(Unavailable):
        await parts.transactions.commit(intent, b"")
    assert ("b", 1, "create") not in await changes(other)


async def test_two_transactions_over_the_same_resources_never_wait_for_each_other(parts: Parts, other: Parts) -> None:
    """In whatever order their bundles name them, none fails and each is done as a whole."""
    ids = ["a", "b", "c", "d"]
    turns = [[ids[(start + step * n) % 4] for n in range(4)] for start in range(4) for step in (1, 3)]

    async def run(turn: int, process: Parts) -> bytes:
        planned = [write(id_, at=turn) for id_ in turns[turn]]
        return await process.transactions.run(planned, answer)

    async with asyncio.timeout(20):
        await asyncio.gather(*(run(turn, (parts, other)[turn % 2]) for turn in range(len(turns))))
    times = [await history(parts, id_) for id_ in ids]
    assert all(len(found) == len(turns) for found in times)
    for one, another in combinations(times, 2):
        assert one == another


async def test_whoever_waits_for_a_resource_holds_none_above_it(parts: Parts, other: Parts) -> None:
    """The interleaving by hand: `b` is somebody else's. Holding `c` while waiting for it is how deadlocks are made."""
    first = await other.transactions.begin([write("b")])
    assert isinstance(first, Intent)
    await other.transactions.reserve(first)
    second = asyncio.create_task(parts.transactions.run([write("c"), write("a"), write("b")], answer))
    await eventually(lambda: reserved(other, "a"))
    await eventually(lambda: asked_for(other, 8))
    assert not second.done()
    assert (await other.store.put(write("c"))).outcome is Put.STORED
    assert (await other.store.put(write("a"))).outcome is Put.RESERVED
    await other.transactions.undo(first.attempt)
    assert await second == b"the answer"
    assert await changes(parts) == [("a", 1, "create"), ("b", 1, "create"), ("c", 1, "create"), ("c", 2, "update")]


async def test_whoever_waits_for_a_resource_keeps_its_locks(parts: Parts, other: Parts) -> None:
    """The conditional create stands above what it waits for: it is given back meanwhile, and its name is not free."""
    lock = await parts.store.reservations.lock(NAME, milliseconds=60_000)
    assert isinstance(lock, Lock)
    id_ = next(f"new{n}" for n in range(1000) if parts.store.reservations.lies_with(place(f"new{n}"), NAME))
    first = await other.transactions.begin([write("a")])
    assert isinstance(first, Intent)
    await other.transactions.reserve(first)
    second = asyncio.create_task(parts.transactions.run([write("a"), write(id_, "create", lock=lock)], answer))
    await eventually(lambda: asked_for(other, 8))

    async def given_back() -> bool:
        """It is reserved each time that the other one is tried, for a moment."""
        return not await reserved(other, id_)

    await eventually(given_back)
    meanwhile = await other.store.reservations.lock(NAME, milliseconds=60_000)
    await other.transactions.undo(first.attempt)
    assert await second == b"the answer"
    assert isinstance(meanwhile, Held)
    assert await changes(parts) == [("a", 1, "create"), (id_, 1, "create")]
    assert isinstance(await other.store.reservations.lock(NAME, milliseconds=1000), Lock)


async def test_a_lock_is_free_again_when_who_keeps_it_dies_waiting(parts: Parts, other: Parts) -> None:
    """The resource was given back for a while, the lock was not: it goes with the transaction."""
    lock = await parts.store.reservations.lock(NAME, milliseconds=60_000)
    assert isinstance(lock, Lock)
    id_ = next(f"new{n}" for n in range(1000) if parts.store.reservations.lies_with(place(f"new{n}"), NAME))
    intent = await parts.transactions.begin([write("a"), write(id_, "create", lock=lock)])
    assert isinstance(intent, Intent)
    await parts.store.reservations.reserve(intent.writes[1])
    await parts.store.reservations.unreserve(place(id_), str(intent.attempt))
    assert isinstance(await other.store.reservations.lock(NAME, milliseconds=1000), Held)
    await other.transactions.settle_open(now=overdue())
    assert isinstance(await other.store.reservations.lock(NAME, milliseconds=1000), Lock)


async def test_a_precondition_that_fails_gives_back_what_was_reserved(parts: Parts) -> None:
    planned = [write("a"), replace(write("b"), expected="7"), write("c")]
    with pytest.raises(Blocked) as caught:
        await parts.transactions.run(planned, answer)
    assert (caught.value.write.resource.id, caught.value.result) == ("b", PutResult(Put.CONFLICT))
    assert await changes(parts) == []
    await all_is_free(parts, planned)


async def test_preconditions_are_judged_when_the_transaction_is_decided(parts: Parts) -> None:
    """Reserved means: nobody else writes. So what was true then is true when it is applied."""
    await parts.store.put(write("a"))
    intent = await parts.transactions.begin([replace(write("a"), expected="1")])
    assert isinstance(intent, Intent)
    results = await parts.transactions.reserve(intent)
    assert (await parts.store.put(write("a"))).outcome is Put.RESERVED
    await parts.transactions.commit(intent, b"")
    await parts.transactions.complete(intent.attempt)
    assert [result.version for result in results] == [2]
    assert await changes(parts) == [("a", 1, "create"), ("a", 2, "update")]


async def test_the_answer_of_a_transaction_that_was_left_is_kept_for_its_key(parts: Parts, other: Parts) -> None:
    """The client's connection broke at the commit: it repeats, and is told what it would have been told."""
    key = Key("key", "body")
    intent = await parts.transactions.begin([write("a"), write("b")], key=key)
    assert isinstance(intent, Intent)
    await committed(parts, intent)
    assert await other.transactions.answered(key) == b"the answer"
    assert len(await changes(other)) == 2
    assert await other.transactions.run([write("a")], answer, key=key) == b"the answer"
    assert len(await changes(other)) == 2
    with pytest.raises(Refused, match="another body"):
        await other.transactions.answered(Key("key", "another body"))
    assert 0 < await other.pipeline.command("PTTL", transaction("key")) <= KEPT


async def test_a_repeat_begins_anew_what_was_undone(parts: Parts, other: Parts) -> None:
    key = Key("key", "body")
    intent = await parts.transactions.begin([write("a")], key=key)
    assert isinstance(intent, Intent)
    await parts.transactions.reserve(intent)
    await parts.transactions.undo(intent.attempt)
    assert await other.transactions.answered(key) is None
    assert await other.transactions.run([write("a")], answer, key=key) == b"the answer"
    with pytest.raises(Unavailable):
        await parts.transactions.commit(intent, b"the former attempt's")
    assert await other.transactions.answered(key) == b"the answer"
    assert await changes(other) == [("a", 1, "create")]


async def test_a_repeat_first_gives_back_what_a_half_undone_attempt_holds(parts: Parts, other: Parts) -> None:
    """Killed between the decision and giving back: the repeat draws new ids, so nobody else would ever clean up."""
    key = Key("key", "body")
    intent = await parts.transactions.begin([write("former", "create")], key=key)
    assert isinstance(intent, Intent)
    await parts.transactions.reserve(intent)
    await parts.pipeline.run(DECIDE, [transaction("key")], intent.attempt.number, "undone", b"")
    assert await reserved(other, "former")
    assert await other.transactions.run([write("later", "create")], answer, key=key) == b"the answer"
    assert not await reserved(other, "former")
    assert await changes(other) == [("later", 1, "create")]


async def test_repeats_at_once_are_one_transaction(parts: Parts, other: Parts) -> None:
    key = Key("key", "body")
    planned = [write("a"), write("b")]
    processes = [parts, other] * 5
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(process.transactions.run(planned, answer, key=key) for process in processes))
    assert set(answers) == {b"the answer"}
    assert len(await changes(parts)) == 2


def overdue() -> int:
    """ms after which everything that was begun until now is overdue."""
    return now_ms() + DEADLINE + 1


async def changes(parts: Parts) -> list[tuple[str, int, str]]:
    """All changes, sorted: id, number of the version, interaction."""
    found = []
    for partition in parts.changes.partitions:
        entries = await parts.changes.after(partition, "0-0", count=10_000, wait_ms=1)
        found += [(entry.resource.id, entry.number, entry.interaction.value) for entry in entries]
    return sorted(found)


async def history(parts: Parts, id_: str) -> list[float]:
    """The times of a resource's versions, in the order of their numbers."""
    _, versions = await parts.store.history(place(id_), before=None, count=100)
    return [version.at.timestamp() for version in reversed(versions)]


async def all_is_free(parts: Parts, planned: tuple[Write, ...] | list[Write]) -> None:
    """No resource is reserved, nor the lock (a request's own runs out by itself), and no transaction is open."""
    for one in planned:
        assert (await parts.store.put(write(one.resource.id))).outcome is Put.STORED
    lock = await parts.store.reservations.lock(NAME, milliseconds=1000)
    assert isinstance(lock, Lock) or lock.by.isdecimal()
    assert await parts.pipeline.command("ZCARD", TRANSACTIONS) == 0


async def outlasting(parts: Parts, one: Write, *, seconds: float = 20) -> int:
    """Write as the HTTP side does, waiting for transactions; the version that it made."""
    until = time.monotonic() + seconds
    while (result := await parts.store.put(one)).outcome is Put.RESERVED:
        await parts.transactions.outlast(one.resource, result.by, until)
    assert result.outcome is Put.STORED
    return result.version


async def reserved(parts: Parts, id_: str) -> bool:
    """Whether a transaction has reserved a resource."""
    resource = place(id_)
    key = Partition(resource.partition(parts.settings.partitions)).resource(resource)
    return bool(await parts.pipeline.command("HEXISTS", key, "reserved"))


async def asked_for(parts: Parts, times: int) -> bool:
    """Whether the state of a transaction was looked up so many times."""
    info = await parts.client.info("commandstats")
    return bool(info.get("cmdstat_hmget", {}).get("calls", 0) >= times)
