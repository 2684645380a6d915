"""
Resources: their versions. A write keeps the indexes too, and appends its change to the same partition.

`hub:{p}:resource:<tenant>/<v>/<Type>/<id>` is a hash of `version` (the number in force), `deleted`, `b<n>` (the exact
JSON of version n; none for a delete), `m<n>` (`interaction ms` of version n), `e<n>` (the events that its publisher
named; none without), `indexed` (all that it is found by),
`key` (fingerprint of the idempotent request that created it: kept as long as the resource, so a repeat never makes a
second one), `erased` (the number of the last version that was erased: of that and all before nothing is there) and
`reserved` (the transaction that is about to write it).
"""

from asyncio import gather
from dataclasses import dataclass
from datetime import datetime
from logging import getLogger

from hub.families import CHANGES_STORED
from hub.indexes import Indexes
from hub.instants import instant
from hub.keys import Index, Partition, ResourceId
from hub.meter import Meter
from hub.pipeline import Pipeline, script
from hub.reservations import Reservations
from hub.suppressions import CONSENT, dishonour, honour
from hub.terminology import TYPES, remember, unremember
from hub.tracing import REQUEST, id_of
from hub.vault import Vault
from hub.write import NO_EVENTS, Events, Put, PutResult, Write, read, written
from subscriptions.codes import Interaction

PUT, READ, LINEAGE, ERASE = script("put"), script("read"), script("lineage"), script("erase")

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
        self.indexes = Indexes(pipeline, partitions, self.vault)
        self.reservations = Reservations(pipeline, partitions)

    def _partition(self, resource: ResourceId) -> Partition:
        return Partition(resource.partition(self._partitions))

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
            *self.indexes.pairs(write.indexed),
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


def _version(number: int, meta: bytes, body: bytes | None, events: bytes | None) -> Version:
    interaction, at = meta.decode().split(" ")
    return Version(number, Interaction(interaction), instant(int(at)), body, read((events or b"").decode()))
