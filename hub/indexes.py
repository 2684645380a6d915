"""By what resources are found: the indexes of all partitions, which a write keeps (hub/store.py)."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from hub.keys import Index, Partition, ResourceId
from hub.pipeline import Pipeline, script
from hub.vault import Vault
from hub.wire import Argument
from hub.write import Indexed
from subscriptions.codes import FhirVersion

REINDEX = script("reindex")


@dataclass(frozen=True, slots=True)
class LookUp:
    """A key in an index. `type`: Of the resources that are looked for, where the index is by type."""

    index: Index
    tenant: str
    version: FhirVersion
    type: str
    key: str


@dataclass(frozen=True, slots=True)
class Indexes:
    """The indexes of all tenants. `vault`: What hides the values that are identifiers."""

    pipeline: Pipeline
    partitions: int
    vault: Vault

    async def count(self, tenant: str, version: FhirVersion, type_: str) -> int:
        """How many resources of a type there are, deleted ones not counted."""
        partitions = map(Partition, range(self.partitions))
        counts = await self.pipeline.all([("ZCARD", p.types(tenant, version, type_)) for p in partitions])
        return sum(map(int, counts))

    async def newest(
        self, tenant: str, version: FhirVersion, type_: str, *, after: tuple[int, str] | None = None, chunk: int = 200
    ) -> AsyncIterator[tuple[int, str]]:
        """All (ms of last update, id) of a type, newest first, from behind the one in `after`."""
        sources = [
            self._newest_in(Partition(number).types(tenant, version, type_), after, chunk)
            for number in range(self.partitions)
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
            reply = await self.pipeline.command(
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
        found = await self.look_up([LookUp(Index.IDENTIFIERS, tenant, version, type_, text) for text in texts])
        return sorted({id_ for rows in found for (id_,) in rows})

    async def look_up(self, look_ups: list[LookUp], *, most: int = -1) -> list[list[list[str]]]:
        """
        What stands under keys in the indexes of all partitions: for each look-up its rows, of each what is behind the
        key, the id last.

        most: How many rows of one partition are read; -1 for all.
        """
        commands: list[tuple[Argument, ...]] = []
        for each in look_ups:
            start = b"[%b\0" % each.key.encode()
            for number in range(self.partitions):
                key = Partition(number).index(each.index, each.tenant, each.version, each.type)
                commands.append(("ZRANGEBYLEX", key, start, start + b"\xff", "LIMIT", 0, most))
        replies = await self.pipeline.all(commands)
        found = []
        for place, each in enumerate(look_ups):
            behind = len(each.key.encode()) + 1
            of_all = replies[place * self.partitions : (place + 1) * self.partitions]
            found.append([row[behind:].decode().split("\0") for rows in of_all for row in rows])
        return found

    async def reindex(self, resource: ResourceId, number: int, indexed: tuple[Indexed, ...]) -> bool:
        """Have a resource found by this while this version is in force; False if another one is."""
        p, r = Partition(resource.partition(self.partitions)), resource
        keys = [p.resource(r), *(p.index(index, r.tenant, r.version, r.type) for index in Index)]
        return bool(await self.pipeline.run(REINDEX, keys, r.id, number, *self.pairs(indexed)))

    def pairs(self, indexed: tuple[Indexed, ...]) -> Iterator[Argument]:
        """What a resource is found by, as scripts take it."""
        for each in indexed:
            yield each.index.value
            yield self.vault.found_by(each.text) if each.index is Index.IDENTIFIERS else each.text


def _rows(reply: Any) -> list[tuple[int, str]]:
    """ZREVRANGEBYSCORE WITHSCORES, as flat pairs (RESP2) or as nested ones (RESP3)."""
    if reply and isinstance(reply[0], (list, tuple)):
        return [(int(float(score)), member.decode()) for member, score in reply]
    return [(int(float(score)), member.decode()) for member, score in zip(reply[::2], reply[1::2], strict=True)]
