"""Consents that were stored before the hub knew what they deny."""

from hub.access import DEFAULT, Access
from hub.keys import ResourceId
from hub.pipeline import Pipeline
from hub.store import Store
from hub.suppressions import CONSENT, are_all_honoured, note_all_honoured
from subscriptions.codes import FhirVersion


async def all_honoured(pipeline: Pipeline, store: Store, access: Access) -> None:
    """Have them all count, once in a store's life. It may be repeated, and done by several at once."""
    if await are_all_honoured(pipeline):
        return
    await access.refresh()
    for tenant in (DEFAULT, *access.tenants.keys() - {DEFAULT}):
        for version in FhirVersion:
            async for _, id_ in store.indexes.newest(tenant, version, CONSENT):
                resource = ResourceId(tenant, version, CONSENT, id_)
                if held := await store.read(resource):
                    await store.remember(resource, held.number, held.body)
    await note_all_honoured(pipeline)
