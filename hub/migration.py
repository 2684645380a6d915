"""
From the layout of an older release to the one that this one knows.

Layout 2 added the indexes of references, members and merged Patients, and has one field `indexed` for all indexes where
layout 1 had `identifiers`; layout 3 added the terminology; in layout 4 the headers of Subscriptions are sealed, as far
as there is a key (see seal.py). Every process that finds an older one when it starts does all of it before anything
else; each step may be repeated and done by several at once. No process of the older release may run any more.
"""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from logging import getLogger
from typing import Any

import msgspec

from hub.ingest import stored_types
from hub.ingest.found_by import found_by
from hub.instants import now_ms
from hub.keys import EPOCH, LAYOUT, TRANSACTIONS, ResourceId
from hub.pipeline import Pipeline
from hub.resealing import Resealing
from hub.store import Store, Version
from hub.transaction import TransactionCoordinator
from subscriptions.errors import Rejected
from subscriptions.search.asking import Context

#: The first layout with all indexes.
INDEXED = 3
#: Resources that are read at once.
CHUNK = 200

log = getLogger("hub.migration")

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class Migration:
    """
    tenant: Whose resources there are.
    contexts: One for each FHIR version that there is.
    """

    pipeline: Pipeline
    store: Store
    transactions: TransactionCoordinator
    tenant: str
    contexts: tuple[Context, ...]
    resealing: Resealing

    async def run(self) -> None:
        """Bring the store to this layout. Unavailable if Redis goes away: it goes on where it is started again."""
        while await self._layout() < INDEXED and await self.pipeline.command("ZCARD", TRANSACTIONS):
            # What they write is indexed below; an open one is undone when its time is over, after 10 s at most.
            await self.transactions.settle_open(now_ms())
            await asyncio.sleep(0.1)
        count = 0
        for context in self.contexts if await self._layout() < INDEXED else ():
            for type_ in sorted(stored_types(context.version)):
                count += await self._index(context, type_)
        if self.resealing.seal.is_there:
            await self.resealing.run()
        await self.pipeline.command("HSET", EPOCH, "layout", LAYOUT)
        log.info("store.migrated", extra={"layout": LAYOUT, "resources": count})

    async def _layout(self) -> int:
        return int(await self.pipeline.command("HGET", EPOCH, "layout"))

    async def _index(self, context: Context, type_: str) -> int:
        """Index all resources of a type; how many there are."""
        count, chunk = 0, list[ResourceId]()
        async for _, id_ in self.store.indexes.newest(self.tenant, context.version, type_, chunk=CHUNK):
            chunk.append(ResourceId(self.tenant, context.version, type_, id_))
            if len(chunk) == CHUNK:
                count += await self._reindex(chunk, context)
                chunk = []
        return count + await self._reindex(chunk, context)

    async def _reindex(self, resources: list[ResourceId], context: Context) -> int:
        versions = await self.store.read_many(resources)
        await asyncio.gather(
            *(
                self._of(resource, version, context)
                for resource, version in zip(resources, versions, strict=True)
                if version is not None
            )
        )
        return len(resources)

    async def _of(self, resource: ResourceId, version: Version, context: Context) -> None:
        try:
            indexed = found_by(_decode(version.body), context.bases) if version.body is not None else ()
        except (ValueError, LookupError, RecursionError, Rejected) as error:
            log.error("migration.set-aside", extra={"resource": str(resource), "reason": type(error).__name__})
            return
        await self.store.indexes.reindex(resource, version.number, indexed)
        if version.body is not None:
            await self.store.remember(resource, version.number, version.body)
