"""
Resources: their versions, and the indexes by which they are found. A write appends its change to the same partition.

`hub:{p}:resource:<tenant>/<v>/<Type>/<id>` is a hash of `version` (the number in force), `deleted`, `b<n>` (the exact
JSON of version n; none for a delete), `m<n>` (`interaction ms` of version n), `e<n>` (the events that its publisher
named; none without), `indexed` (all that it is found by),
`key` (fingerprint of the idempotent request that created it: kept as long as the resource, so a repeat never makes a
second one), `erased` (the number of the last version that was erased: of that and all before nothing is there) and
`reserved` (the transaction that is about to write it).
"""

from asyncio import gather
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from logging import getLogger
from typing import Any

from hub.families import CHANGES_STORED
from hub.instants import instant
from hub.keys import Index, Partition, ResourceId, lock_partition
from hub.meter import Meter
from hub.pipeline import Pipeline, script
from hub.suppressions import CONSENT, dishonour, honour
from hub.terminology import TYPES, remember, unremember
from hub.tracing import REQUEST, id_of
from hub.vault import Vault
from hub.wire import Argument
from hub.write import NO_EVENTS, Events, Held, Indexed, Lock, Put, PutResult, Write, read, written
from subscriptions.codes import FhirVersion, Interaction

PUT, READ, RESERVE, UNRESERVE = script("put"), script("read"), script("reserve"), script("unreserve")
LOCK, DROP, REINDEX, LINEAGE = script("lock"), script("drop"), script("reindex"), script("lineage")
ERASE = script("erase")

log = getLogger("hub")

#: The types of which each version counts, beside being stored.
REMEMBERED = TYPES | {CONSENT}


@dataclass(frozen=True, slots=True)
class Version:
    """
    One version of a resource.

    body: Its exact JSON; None for a delete.
    events: Those that its publisher named.
    """

    number: int
    interaction: Interaction
    at: datetime
    body: bytes | None
    events: Events = NO_EVENTS


@dataclass(frozen=True, slots=True)
class Lineage:
    """
    A version of a resource, and those that it may give away: their JSON, None for one that is not kept, or a delete.

    before: The version before it.
    latest: The one in force; the one that was deleted, if that is a delete.
    overtaken: Whether there is a later version than this one; else `latest` is None.
    """

    body: bytes | None
    before: bytes | None
    latest: bytes | None
    overtaken: bool


@dataclass(frozen=True, slots=True)
class LookUp:
    """A key in an index. `type`: Of the resources that are looked for, where the index is by type."""

    index: Index
    tenant: str
    version: FhirVersion
    type: str
    key: str


class Store:
    """The resources of all tenants, spread over the partitions."""

    def __init__(
        self, pipeline: Pipeline, partitions: int, vault: Vault | None = None, meter: Meter | None = None
    ) -> None:
        """`vault`: What seals bodies; without one nothing is sealed."""
        self._meter = meter or Meter()
        self.vault = vault or Vault()
        self._pipeline = pipeline
        self._partitions = partitions

    def _partition(self, resource: ResourceId) -> Partition:
        return Partition(resource.partition(self._partitions))

    def in_lock_partition(self, resource: ResourceId, name: str) -> bool:
        """Whether the resource lies where the lock of this name lies: a put under the lock is one script."""
        return self._partition(resource) == lock_partition(name, self._partitions)

    async def put(self, write: Write) -> PutResult:
        """
        Store a version and its change, in one step and one round trip. Of a ValueSet or CodeSystem it also counts in
        filters before this returns, of a Consent for whom it denies; if it doesn't return, when it is matched.
        """
        r, p, request = write.resource, self._partition(write.resource), REQUEST.get()
        # What a transaction writes may be put by somebody else's request, or by the clock.
        trace = write.trace if write.transaction else request.trace
        keys = [
            p.resource(r),
            p.changes,
            p.types(r.tenant, r.version, r.type),
            p.lock(write.lock.name if write.lock else ""),
            *(p.index(index, r.tenant, r.version, r.type) for index in Index),
            p.superseded,
        ]
        reply = await self._pipeline.run(
            PUT,
            keys,
            write.method,
            r.tenant,
            r.version,
            r.type,
            r.id,
            write.expected,
            *self.vault.seal(r, write.head, write.tail),
            write.at,
            write.publisher,
            write.fingerprint,
            write.transaction,
            write.lock.token if write.lock else "",
            written(write.events),
            trace,
            *self._pairs(write.indexed),
        )
        outcome = Put(reply[0].decode())
        if outcome is Put.RESERVED:
            return PutResult(outcome, by=reply[1].decode())
        if outcome is not Put.STORED:
            version = int(reply[1]) if len(reply) > 1 else 0
            if outcome is Put.REPEATED and r.type in REMEMBERED:  # whoever stored it may have died before it counted
                held = await self.read(r, version)
                if held:
                    await self.remember(r, version, held.body)
            return PutResult(outcome, version=version)
        interaction = Interaction(reply[2].decode())
        result = PutResult(outcome, version=int(reply[1]), interaction=interaction)
        ids = _ids(write, result)
        log.info("change.stored", extra=ids | ({"trace": id_of(trace)} if trace else {}))
        if trace and trace == request.trace:
            request.stored(r.change(result.version))
        self._meter.count(CHANGES_STORED, r.tenant, interaction)
        self._meter.tell("change.stored", r.tenant, ids)
        gone = interaction is Interaction.DELETE
        await self.remember(r, result.version, None if gone else write.body(result.version))
        return result

    async def remember(self, resource: ResourceId, number: int, body: bytes | None) -> None:
        """
        Have a version of a ValueSet or CodeSystem count in filters, and one of a Consent for whom it denies; nothing
        happens for others, or if it does.

        body: None for a delete.
        """
        if resource.type not in REMEMBERED:
            return
        if resource.type == CONSENT:
            await honour(self._pipeline, resource, number, body)
        elif body is not None:
            await remember(self._pipeline, resource, number, body)

    async def read(self, resource: ResourceId, number: int | None = None) -> Version | None:
        """The version of this number, or the one in force (which may be a delete); None if there is none."""
        p = self._partition(resource)
        reply = await self._pipeline.run(READ, [p.resource(resource)], "" if number is None else number)
        if not reply:
            return None
        return _version(int(reply[0]), reply[1], self.vault.open(resource, reply[2] or None), reply[3])

    async def read_many(self, resources: list[ResourceId]) -> list[Version | None]:
        """The versions in force, in the order asked for."""
        keys = [self._partition(resource).resource(resource) for resource in resources]
        numbers = await self._pipeline.all([("HGET", key, "version") for key in keys])
        return await self.versions([(r, int(number or 0)) for r, number in zip(resources, numbers, strict=True)])

    async def versions(self, wanted: list[tuple[ResourceId, int]]) -> list[Version | None]:
        """The versions of these numbers; None for one that is not there."""
        found = await self._pipeline.all(
            [
                ("HMGET", self._partition(resource).resource(resource), *(f"{field}{number}" for field in "mbe"))
                for resource, number in wanted
            ]
        )
        return [
            _version(number, meta, self.vault.open(resource, body), events) if meta else None
            for (resource, number), (meta, body, events) in zip(wanted, found, strict=True)
        ]

    async def history(self, resource: ResourceId, *, before: int | None, count: int) -> tuple[int, list[Version]]:
        """How many versions there are, and up to `count` of them below number `before`, newest first."""
        key = self._partition(resource).resource(resource)
        newest = int(await self._pipeline.command("HGET", key, "version") or 0)
        first = min(newest, before - 1) if before is not None else newest
        numbers = list(range(first, max(first - count, 0), -1))
        if not numbers:
            return newest, []
        found = await self._pipeline.command(
            "HMGET", key, *(f"{field}{number}" for number in numbers for field in ("m", "b", "e"))
        )
        rows = zip(numbers, found[::3], found[1::3], found[2::3], strict=True)
        return newest, [
            _version(number, meta, self.vault.open(resource, body), events)
            for number, meta, body, events in rows
            if meta
        ]

    async def bodies(self, versions: list[tuple[ResourceId, int]]) -> list[bytes | None]:
        """The exact JSON of these versions; None for a delete or a version that is not there."""
        found = await self._pipeline.all(
            [("HGET", self._partition(resource).resource(resource), f"b{number}") for resource, number in versions]
        )
        return [self.vault.open(resource, body) for (resource, _), body in zip(versions, found, strict=True)]

    async def lineages(self, versions: list[tuple[ResourceId, int]]) -> list[Lineage]:
        """These versions, and those that they may give away."""
        replies = await gather(
            *(
                self._pipeline.run(LINEAGE, [self._partition(resource).resource(resource)], number)
                for resource, number in versions
            )
        )
        opened = self.vault.open
        return [
            Lineage(
                opened(resource, body or None),
                opened(resource, before or None),
                opened(resource, latest or None),
                int(now) > number,
            )
            for (resource, number), (body, before, now, latest) in zip(versions, replies, strict=True)
        ]

    async def count(self, tenant: str, version: FhirVersion, type_: str) -> int:
        """How many resources of a type there are, deleted ones not counted."""
        partitions = map(Partition, range(self._partitions))
        counts = await self._pipeline.all([("ZCARD", p.types(tenant, version, type_)) for p in partitions])
        return sum(map(int, counts))

    async def newest(
        self, tenant: str, version: FhirVersion, type_: str, *, after: tuple[int, str] | None = None, chunk: int = 200
    ) -> AsyncIterator[tuple[int, str]]:
        """All (ms of last update, id) of a type, newest first, from behind the one in `after`."""
        sources = [
            self._newest_in(Partition(number).types(tenant, version, type_), after, chunk)
            for number in range(self._partitions)
        ]
        heads = {number: head for number, source in enumerate(sources) if (head := await anext(source, None))}
        while heads:
            number, newest = max(heads.items(), key=lambda head: head[1])
            yield newest
            if following := await anext(sources[number], None):
                heads[number] = following
            else:
                del heads[number]

    async def _newest_in(self, key: str, after: tuple[int, str] | None, chunk: int) -> AsyncIterator[tuple[int, str]]:
        # By time and not by rank: what is written meanwhile moves the ranks, and something would be left out.
        again = 0
        while True:
            top = after[0] if after else "+inf"
            reply = await self._pipeline.command(
                "ZREVRANGEBYSCORE", key, top, "-inf", "WITHSCORES", "LIMIT", 0, chunk + again
            )
            rows = _rows(reply)
            for row in rows:
                if after is None or row < after:
                    yield row
                    after = row
            if len(rows) < chunk + again:
                return
            # All that share the last one's time come again.
            again = sum(at == rows[-1][0] for at, _ in rows)

    async def bearers(self, tenant: str, version: FhirVersion, type_: str, identifier: str) -> list[str]:
        """The ids of the resources of a type that bear an identifier, `system|value`; sorted."""
        texts = self.vault.looked_up_by(identifier)
        found = await self.indexed([LookUp(Index.IDENTIFIERS, tenant, version, type_, text) for text in texts])
        return sorted({id_ for rows in found for (id_,) in rows})

    async def indexed(self, look_ups: list[LookUp], *, most: int = -1) -> list[list[list[str]]]:
        """
        What stands under keys in the indexes of all partitions: for each look-up its rows, of each what is behind the
        key, the id last.

        most: How many rows of one partition are read; -1 for all.
        """
        commands: list[tuple[Argument, ...]] = []
        for each in look_ups:
            start = b"[%b\0" % each.key.encode()
            for number in range(self._partitions):
                key = Partition(number).index(each.index, each.tenant, each.version, each.type)
                commands.append(("ZRANGEBYLEX", key, start, start + b"\xff", "LIMIT", 0, most))
        replies = await self._pipeline.all(commands)
        found = []
        for place, each in enumerate(look_ups):
            behind = len(each.key.encode()) + 1
            of_all = replies[place * self._partitions : (place + 1) * self._partitions]
            found.append([row[behind:].decode().split("\0") for rows in of_all for row in rows])
        return found

    async def reindex(self, resource: ResourceId, number: int, indexed: tuple[Indexed, ...]) -> bool:
        """Have a resource found by this while this version is in force; False if another one is."""
        p, r = self._partition(resource), resource
        keys = [p.resource(r), *(p.index(index, r.tenant, r.version, r.type) for index in Index)]
        return bool(await self._pipeline.run(REINDEX, keys, r.id, number, *self._pairs(indexed)))

    def _pairs(self, indexed: tuple[Indexed, ...]) -> Iterator[Argument]:
        """What a resource is found by, as scripts take it."""
        for each in indexed:
            yield each.index.value
            yield self.vault.found_by(each.text) if each.index is Index.IDENTIFIERS else each.text

    async def erase(self, resource: ResourceId, last: int) -> int:
        """Erase a resource's versions up to a number, and what it is found by if none is left; how many there were."""
        p, r = self._partition(resource), resource
        keys = [p.resource(r), p.types(r.tenant, r.version, r.type)]
        keys += [*(p.index(index, r.tenant, r.version, r.type) for index in Index), p.superseded]
        versions = int(await self._pipeline.run(ERASE, keys, r.id, last))
        if r.type in TYPES:
            await unremember(self._pipeline, r, last)
        elif r.type == CONSENT:
            await dishonour(self._pipeline, r, last)
        return versions

    async def erased(self, resources: list[ResourceId]) -> list[int]:
        """The number of the last version of each that was erased; 0 for none."""
        keys = [self._partition(resource).resource(resource) for resource in resources]
        return [int(number or 0) for number in await self._pipeline.all([("HGET", key, "erased") for key in keys])]

    async def lock(self, name: str, *, milliseconds: int) -> Lock | Held:
        """Take the lock of a conditional create, unless somebody else has it."""
        p = lock_partition(name, self._partitions)
        taken, holder = await self._pipeline.run(LOCK, [p.lock(name), p.locks], milliseconds)
        return (Lock if taken else Held)(name, holder.decode())

    async def unlock(self, lock: Lock) -> None:
        """Give the lock back; nothing happens if it had run out."""
        await self._pipeline.run(DROP, [lock_partition(lock.name, self._partitions).lock(lock.name)], lock.token)

    async def reserve(self, write: Write) -> PutResult:
        """
        Reserve what a transaction will write, checking what it expects.

        STORED here means reserved; `version` is the one that the write will make, `interaction` what it will be. A
        delete of what isn't there is ABSENT, and reserved too.
        """
        p = self._partition(write.resource)
        reply = await self._pipeline.run(
            RESERVE,
            [p.resource(write.resource), p.lock(write.lock.name if write.lock else "")],
            write.transaction,
            write.method,
            write.expected,
            write.lock.token if write.lock else "",
        )
        match reply[0]:
            case b"reserved":
                return _will_be(write, int(reply[1]), live=bool(reply[2]))
            case b"taken":
                return PutResult(Put.RESERVED, by=reply[1].decode())
            case other:
                return PutResult(Put(other.decode()), version=int(reply[1]) if len(reply) > 1 else 0)

    async def unreserve(self, resource: ResourceId, transaction: str, lock_name: str = "") -> None:
        """Give back a transaction's reservation and, if it is named, the lock that was turned over to it."""
        p = self._partition(resource)
        await self._pipeline.run(UNRESERVE, [p.resource(resource), p.lock(lock_name)], transaction)


def _ids(write: Write, result: PutResult) -> dict[str, object]:
    """What the log says of a change."""
    return {
        "change": write.resource.change(result.version),
        "resource": str(write.resource),
        "number": result.version,
        "interaction": result.interaction,
        "publisher": write.publisher,
        "transaction": write.transaction,
    }


def _will_be(write: Write, version: int, *, live: bool) -> PutResult:
    """What a reserved write is going to do; nobody else writes in between."""
    if write.method == "delete":
        if not live:
            return PutResult(Put.ABSENT, version=version)
        return PutResult(Put.STORED, version=version + 1, interaction=Interaction.DELETE)
    return PutResult(Put.STORED, version=version + 1, interaction=Interaction.UPDATE if live else Interaction.CREATE)


def _version(number: int, meta: bytes, body: bytes | None, events: bytes | None) -> Version:
    interaction, at = meta.decode().split(" ")
    return Version(number, Interaction(interaction), instant(int(at)), body, read((events or b"").decode()))


def _rows(reply: Any) -> list[tuple[int, str]]:
    """ZREVRANGEBYSCORE WITHSCORES, as flat pairs (RESP2) or as nested ones (RESP3)."""
    if reply and isinstance(reply[0], (list, tuple)):
        return [(int(float(score)), member.decode()) for member, score in reply]
    return [(int(float(score)), member.decode()) for member, score in zip(reply[::2], reply[1::2], strict=True)]
