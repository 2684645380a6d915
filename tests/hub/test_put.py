"""`put`, `reserve` and the locks: what is stored, and what is refused."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.indexes import LookUp
from hub.keys import Index, Partition, ResourceId
from hub.store import Store
from hub.stream import START, Changes
from hub.wiring.parts import Parts
from hub.write import NOTHING, Held, Indexed, Lock, Put, PutResult, Write
from subscriptions.codes import FhirVersion, Interaction

IDS = ("a", "b")
INDEXED = (
    Indexed(Index.IDENTIFIERS, "s|1"),
    Indexed(Index.IDENTIFIERS, "s|2"),
    Indexed(Index.REFERENCES, "Patient/a"),
    Indexed(Index.REFERENCES, "s|1"),
    Indexed(Index.MEMBERS, "Patient/a\0Group\0\x001"),
    Indexed(Index.MERGED, "Patient/a\0Patient/b"),
)
#: Names of locks; the transactions use them as well.
NAMES = ("Patient?identifier=1", "Patient?identifier=2")
TRANSACTIONS = ("t1", "t2")
R4 = FhirVersion.R4
#: All in one partition, so that every lock lies beside every resource.
ZERO = Partition(0)
_examples = count()


@dataclass
class Resource:
    """The model of one resource. `log` has (interaction, at, body) of each version."""

    log: list[tuple[Interaction, int, bytes | None]] = field(default_factory=list)
    indexed: tuple[Indexed, ...] = ()
    fingerprint: str = ""
    reserved: str = ""

    @property
    def version(self) -> int:
        return len(self.log)

    @property
    def live(self) -> bool:
        return bool(self.log) and self.log[-1][0] is not Interaction.DELETE

    @property
    def in_force(self) -> int:
        return self.version if self.live else 0


@dataclass
class World:
    """The model of a partition. `locks`: name -> token of its holder, or the transaction that it was turned over to."""

    tenant: str
    resources: dict[str, Resource] = field(default_factory=lambda: {id_: Resource() for id_ in IDS})
    changes: list[tuple[str, int, Interaction, int]] = field(default_factory=list)
    locks: dict[str, str] = field(default_factory=dict)
    tokens: int = 0

    def resource_id(self, id_: str) -> ResourceId:
        return ResourceId(self.tenant, R4, "Patient", id_)

    def name(self, number: int) -> str:
        return f"{self.tenant} {NAMES[number]}"

    def lock(self, held: "Believed | None") -> Lock | None:
        if held is None:
            return None
        name = self.name(held.name)
        return Lock(name, str(held.token) if held.token else self.locks.get(name, "none"))

    def holds(self, lock: Lock | None) -> bool:
        return lock is None or self.locks.get(lock.name) == lock.token

    def expected(self, resource: Resource, expected: str) -> bool:
        """Whether what a write expects is so."""
        if expected == NOTHING:
            return not resource.live
        return expected in ("", str(resource.in_force) if resource.live else "")


@dataclass(frozen=True)
class Believed:
    """A lock that a writer believes to hold: by name, and the token that it was once given; 0 for the one in force."""

    name: int
    token: int


@dataclass(frozen=True)
class DoPut:
    id: str
    method: str
    expected: str
    at: int
    indexed: tuple[Indexed, ...]
    fingerprint: str
    transaction: str
    held: Believed | None

    def write(self, world: World) -> Write:
        deletes = self.method == "delete"
        return Write(
            world.resource_id(self.id),
            self.method,
            self.at,
            head=b"" if deletes else b'{"version":',
            tail=b"" if deletes else b',"at":%d}' % self.at,
            expected=self.expected.format(version=world.resources[self.id].version),
            publisher="p",
            indexed=() if deletes else self.indexed,
            fingerprint=self.fingerprint if self.method == "create" else "",
            transaction=self.transaction,
            lock=world.lock(self.held),
        )

    async def act(self, store: Store, write: Write) -> PutResult:
        return await store.put(write)

    def say(self, world: World, write: Write) -> PutResult:
        """What the promises say of it, the first that applies."""
        resource = world.resources[self.id]
        if write.transaction and resource.reserved != write.transaction:
            return PutResult(Put.REPEATED, resource.version)
        if resource.reserved and not write.transaction:
            return PutResult(Put.RESERVED, by=resource.reserved)
        if write.fingerprint and resource.fingerprint:
            same = write.fingerprint == resource.fingerprint
            return PutResult(Put.REPEATED, 1) if same else PutResult(Put.DIFFERS)
        if not world.holds(write.lock):
            return PutResult(Put.FENCED)
        if self.method == "create" and resource.log:
            return PutResult(Put.EXISTS, resource.version)
        if self.method == "delete" and not resource.live:
            if write.expected:
                return PutResult(Put.CONFLICT)
            if write.transaction:
                resource.reserved = ""
            return PutResult(Put.ABSENT, resource.version)
        if not world.expected(resource, write.expected):
            return PutResult(Put.CONFLICT, resource.in_force)
        return self._stored(world, resource, write)

    def _stored(self, world: World, resource: Resource, write: Write) -> PutResult:
        update = Interaction.UPDATE if resource.live else Interaction.CREATE
        interaction = Interaction.DELETE if self.method == "delete" else update
        number = resource.version + 1
        body = None if interaction is Interaction.DELETE else b'{"version":%d,"at":%d}' % (number, self.at)
        resource.log.append((interaction, self.at, body))
        resource.indexed = write.indexed
        resource.fingerprint = write.fingerprint or resource.fingerprint
        if write.transaction:
            resource.reserved = ""
            if write.lock and world.locks.get(write.lock.name) == write.transaction:
                del world.locks[write.lock.name]
        world.changes.append((self.id, number, interaction, self.at))
        return PutResult(Put.STORED, number, interaction)


@dataclass(frozen=True)
class DoApply(DoPut):
    """What a committed transaction does to what it has reserved, under the lock that was turned over to it."""

    def write(self, world: World) -> Write:
        write = super().write(world)
        by = world.resources[self.id].reserved or self.transaction
        lock = Lock(write.lock.name, by) if write.lock and world.locks.get(write.lock.name) == by else None
        return replace(write, expected="", transaction=by, lock=lock)


@dataclass(frozen=True)
class DoReserve(DoPut):
    async def act(self, store: Store, write: Write) -> PutResult:
        return await store.reservations.reserve(write)

    def say(self, world: World, write: Write) -> PutResult:
        resource = world.resources[self.id]
        if resource.reserved not in ("", write.transaction):
            return PutResult(Put.RESERVED, by=resource.reserved)
        if not resource.reserved:
            if self.method == "create" and resource.log:
                return PutResult(Put.EXISTS, resource.version)
            if not world.expected(resource, write.expected):
                return PutResult(Put.CONFLICT, resource.in_force)
            if write.lock and world.locks.get(write.lock.name) not in (write.lock.token, write.transaction):
                return PutResult(Put.FENCED)
            resource.reserved = write.transaction
            if write.lock:
                world.locks[write.lock.name] = write.transaction
        return self._foretold(resource)

    def _foretold(self, resource: Resource) -> PutResult:
        """What the write is going to do."""
        if self.method == "delete":
            if not resource.live:
                return PutResult(Put.ABSENT, resource.version)
            return PutResult(Put.STORED, resource.version + 1, Interaction.DELETE)
        interaction = Interaction.UPDATE if resource.live else Interaction.CREATE
        return PutResult(Put.STORED, resource.version + 1, interaction)


@dataclass(frozen=True)
class DoUnreserve:
    """Give back a resource, with a lock or without any."""

    id: str
    transaction: str
    name: int | None

    def write(self, world: World) -> tuple[ResourceId, str, str]:
        return world.resource_id(self.id), self.transaction, "" if self.name is None else world.name(self.name)

    async def act(self, store: Store, write: tuple[ResourceId, str, str]) -> None:
        await store.reservations.unreserve(*write)

    def say(self, world: World, write: tuple[ResourceId, str, str]) -> None:
        if world.resources[self.id].reserved == self.transaction:
            world.resources[self.id].reserved = ""
        _, _, name = write
        if world.locks.get(name) == self.transaction:
            del world.locks[name]


@dataclass(frozen=True)
class DoLock:
    name: int

    def write(self, world: World) -> str:
        return world.name(self.name)

    async def act(self, store: Store, name: str) -> Lock | Held:
        return await store.reservations.lock(name, milliseconds=60_000)

    def say(self, world: World, name: str) -> Lock | Held:
        if name in world.locks:
            return Held(name, world.locks[name])
        world.tokens += 1
        world.locks[name] = str(world.tokens)
        return Lock(name, str(world.tokens))


@dataclass(frozen=True)
class DoUnlock:
    held: Believed

    def write(self, world: World) -> Lock:
        lock = world.lock(self.held)
        assert lock is not None
        return lock

    async def act(self, store: Store, lock: Lock) -> None:
        await store.reservations.unlock(lock)

    def say(self, world: World, lock: Lock) -> None:
        if world.holds(lock):
            del world.locks[lock.name]


Step: TypeAlias = DoPut | DoReserve | DoUnreserve | DoLock | DoUnlock

_ids, _names, _transactions = st.sampled_from(("a", "a", "b")), st.just(0) | st.just(1), st.sampled_from(TRANSACTIONS)
_held = st.builds(Believed, _names, st.sampled_from((0, 0, 0, 1, 2)))


_any: dict[str, st.SearchStrategy[Any]] = {
    "id": _ids,
    "method": st.sampled_from(("update", "update", "create", "delete")),
    "expected": st.sampled_from(("", "", NOTHING, "{version}", "{version}", "1")),
    "at": st.sampled_from((1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_002)),
    "indexed": st.sampled_from(((), INDEXED[:1], INDEXED[1:], INDEXED[::2], INDEXED)),
    "fingerprint": st.sampled_from(("", "f1", "f2")),
    "transaction": st.just(""),
    "held": st.none() | _held,
}
_plain = _any | {"expected": st.just(""), "fingerprint": st.just(""), "held": st.none()}
_in_transaction = _any | {"transaction": _transactions}

_steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.builds(DoPut, **_plain),
        st.builds(DoPut, **_plain),
        st.builds(DoPut, **_any),
        st.builds(DoPut, **_in_transaction),
        st.builds(DoReserve, **_in_transaction),
        st.builds(DoApply, **_in_transaction),
        st.builds(DoUnreserve, _ids, _transactions, st.none() | _names),
        st.builds(DoLock, _names),
        st.builds(DoUnlock, _held),
    ),
    min_size=6,
    max_size=24,
)


@given(_steps)
@settings(max_examples=1000, deadline=None)
async def test_whatever_is_written_in_whatever_order_the_store_is_as_promised(
    lasting: Parts, steps: list[Step]
) -> None:
    """Versions, changes, preconditions, idempotency, reservations, locks and indexes agree with a model of them."""
    store, world = Store(lasting.pipeline, 1), World(f"x{next(_examples)}")
    calls, said = [], []
    for step in steps:
        write: Any = step.write(world)
        said.append(step.say(world, write))
        calls.append(step.act(store, write))
    lasting.pipeline.command("UNLINK", ZERO.changes, ZERO.locks)
    # Asked for at once, so that all travel together; the pipeline keeps their order.
    assert await asyncio.gather(*calls) == said
    await _agree(store, lasting.changes, world)


async def _agree(store: Store, changes: Changes, world: World) -> None:
    """What the store says of itself is what the model holds."""
    entries = await changes.after(ZERO, START, count=1000, wait_ms=1) if world.changes else []
    assert [(e.resource.id, e.number, e.interaction, e.at) for e in entries] == world.changes
    assert all(entry.resource.tenant == world.tenant for entry in entries)
    for id_, resource in world.resources.items():
        newest, versions = await store.history(world.resource_id(id_), before=None, count=1000)
        assert newest == resource.version
        assert [v.number for v in versions] == list(range(resource.version, 0, -1))
        log = [(v.interaction, int(v.at.timestamp() * 1000), v.body) for v in reversed(versions)]
        assert log == resource.log
    live = {id_: resource for id_, resource in world.resources.items() if resource.live}
    listed = [row async for row in store.indexes.newest(world.tenant, R4, "Patient", chunk=1)]
    assert listed == sorted(((resource.log[-1][1], id_) for id_, resource in live.items()), reverse=True)
    assert await store.indexes.count(world.tenant, R4, "Patient") == len(live)
    keys = sorted({(each.index, each.text.split("\0")[0]) for each in INDEXED})
    look_ups = [LookUp(index, world.tenant, R4, "Patient", key) for index, key in keys]
    for (index, key), found in zip(keys, await store.indexes.look_up(look_ups), strict=True):
        expected = [
            [*each.text.split("\0")[1:], id_]
            for id_, resource in live.items()
            for each in resource.indexed
            if each.index is index and each.text.split("\0")[0] == key
        ]
        assert sorted(found) == sorted(expected)


def write(id_: str = "a", method: str = "update", **more: Any) -> Write:
    deletes = method == "delete"
    head, tail = (b"", b"") if deletes else (b'{"versionId":"', b'"}')
    return Write(ResourceId("default", R4, "Patient", id_), method, 1_700_000_000_000, head, tail, **more)


async def test_two_writers_that_expect_the_same_version_have_one_winner(parts: Parts) -> None:
    await parts.store.put(write())
    results = await asyncio.gather(*(parts.store.put(write(expected="1")) for _ in range(8)))
    assert sorted(result.outcome for result in results) == [Put.CONFLICT] * 7 + [Put.STORED]


async def test_an_idempotent_create_that_was_deleted_meanwhile_gets_its_first_answer_and_does_not_come_back(
    parts: Parts,
) -> None:
    create = write(method="create", fingerprint="f")
    first = await parts.store.put(create)
    await parts.store.put(write(method="delete"))
    assert (await parts.store.put(create), first.version) == (PutResult(Put.REPEATED, 1), 1)
    version = await parts.store.read(create.resource)
    assert version is not None
    assert version.interaction is Interaction.DELETE


async def test_an_idempotency_key_with_another_body_differs_whatever_became_of_the_resource(parts: Parts) -> None:
    await parts.store.put(write(method="create", fingerprint="f"))
    another = write(method="create", fingerprint="g")
    assert await parts.store.put(another) == PutResult(Put.DIFFERS)
    await parts.store.put(write())
    await parts.store.put(write(method="delete"))
    assert await parts.store.put(another) == PutResult(Put.DIFFERS)


async def test_a_transaction_that_is_applied_again_leaves_the_reservation_of_a_later_one_alone(parts: Parts) -> None:
    """Whoever completes it again can't know that it had been applied, and that the resource is the next one's."""
    earlier, later = write(transaction="t1"), write(transaction="t2")
    await parts.store.reservations.reserve(earlier)
    await parts.store.put(earlier)
    await parts.store.reservations.reserve(later)
    assert await parts.store.put(earlier) == PutResult(Put.REPEATED, 1)
    assert await parts.store.put(write()) == PutResult(Put.RESERVED, by="t2")
    assert await parts.store.put(later) == PutResult(Put.STORED, 2, Interaction.UPDATE)


async def test_a_lock_is_a_transactions_until_it_is_applied(parts: Parts) -> None:
    """Nobody else may find the name free before, however long that takes; everybody may afterwards."""
    store = Store(parts.pipeline, 1)
    lock = await store.reservations.lock("Patient?x", milliseconds=60_000)
    assert isinstance(lock, Lock)
    create = write(method="create", transaction="t", lock=lock)
    assert (await store.reservations.reserve(create)).outcome is Put.STORED
    assert await parts.pipeline.command("PTTL", ZERO.lock("Patient?x")) == -1
    await store.reservations.unlock(lock)
    assert await store.reservations.lock("Patient?x", milliseconds=60_000) == Held("Patient?x", "t")
    applied = await store.put(replace(create, lock=Lock("Patient?x", "t")))
    assert applied == PutResult(Put.STORED, 1, Interaction.CREATE)
    assert isinstance(await store.reservations.lock("Patient?x", milliseconds=60_000), Lock)


async def test_a_transaction_that_gives_a_resource_back_for_a_while_keeps_the_lock(parts: Parts) -> None:
    """Even for longer than a request may hold one; and it may reserve the resource again under it."""
    store = Store(parts.pipeline, 1)
    lock = await store.reservations.lock("Patient?x", milliseconds=60_000)
    assert isinstance(lock, Lock)
    create = write(method="create", transaction="t", lock=lock)
    await store.reservations.reserve(create)
    await store.reservations.unreserve(create.resource, "t")
    assert await store.reservations.lock("Patient?x", milliseconds=60_000) == Held("Patient?x", "t")
    assert (await store.reservations.reserve(replace(create, transaction="another"))).outcome is Put.FENCED
    assert (await store.reservations.reserve(create)).outcome is Put.STORED


async def test_a_lock_that_ran_out_is_somebody_elses_and_fences_off_its_former_holder(parts: Parts) -> None:
    lock = await parts.store.reservations.lock("Patient?x", milliseconds=1)
    assert isinstance(lock, Lock)
    while isinstance(later := await parts.store.reservations.lock("Patient?x", milliseconds=60_000), Held):
        assert later.by == lock.token
    assert int(later.token) > int(lock.token)
    id_ = next(
        id_ for id_ in map(str, range(1000)) if parts.store.reservations.lies_with(write(id_).resource, "Patient?x")
    )
    await parts.store.reservations.unlock(lock)
    assert (await parts.store.put(write(id_, "create", lock=lock))).outcome is Put.FENCED
    assert (await parts.store.put(write(id_, "create", lock=later))).outcome is Put.STORED


async def test_pages_of_a_type_go_on_behind_the_last_one_over_all_partitions(parts: Parts) -> None:
    ids = [f"p{number}" for number in range(60)]
    await asyncio.gather(*(parts.store.put(write(id_)) for id_ in ids))
    rows = [row async for row in parts.store.indexes.newest("default", R4, "Patient", chunk=7)]
    assert [id_ for _, id_ in rows] == sorted(ids, reverse=True)
    for cut in (0, 1, 30, 58):
        behind = [row async for row in parts.store.indexes.newest("default", R4, "Patient", after=rows[cut], chunk=7)]
        assert behind == rows[cut + 1 :]


@pytest.mark.parametrize("number", [None, 1, 2, 3, 4])
async def test_each_version_is_read_as_it_was_written(parts: Parts, number: int | None) -> None:
    for method in ("update", "update", "delete"):
        await parts.store.put(write(method=method))
    found = await parts.store.read(write().resource, number)
    bodies: Iterable[tuple[int, bytes | None]] = ((1, b'{"versionId":"1"}'), (2, b'{"versionId":"2"}'), (3, None))
    wanted = dict(bodies)
    if number == 4:
        assert found is None
    else:
        assert found is not None
        assert (found.number, found.body) == (number or 3, wanted[number or 3])
    assert await parts.store.bodies([(write().resource, n) for n in (1, 2, 3, 4)]) == [*wanted.values(), None]
