"""All that is kept of all resources of a tenant: also of those that were deleted, and all versions."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from hub.keys import Partition, ResourceId
from hub.pipeline import Pipeline
from hub.vault import Vault
from subscriptions.codes import FhirVersion

#: Resources that are read at once.
READ = 50


@dataclass(frozen=True, slots=True)
class Counted:
    """
    What is kept of one resource.

    newest: The number of its last version, which may be a delete.
    bodies: The JSON of each version that has one, by number; empty for one that can't be opened.
    numbers: Of all versions that are kept, the deletes too.
    """

    resource: ResourceId
    newest: int
    bodies: dict[int, bytes]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Census:
    """Looks through a whole store. What is written meanwhile may be seen or not."""

    pipeline: Pipeline
    partitions: int
    vault: Vault

    async def one(self, resource: ResourceId) -> Counted | None:
        """What is kept of a resource; None if there never was one."""
        key = Partition(resource.partition(self.partitions)).resource(resource)
        return self._counted(resource, await self.pipeline.command("HGETALL", key))

    async def all(self, tenant: str, version: FhirVersion) -> AsyncIterator[Counted]:
        """Each resource at least once, in no order."""
        place = f":resource:{tenant}/{version}/"
        async for keys in self.pipeline.scan(f"hub:*{place}*"):
            for chunk in (keys[i : i + READ] for i in range(0, len(keys), READ)):
                found = await self.pipeline.all([("HGETALL", key) for key in chunk])
                for key, fields in zip(chunk, found, strict=True):
                    type_, _, id_ = key.decode().partition(place)[2].partition("/")
                    if counted := self._counted(ResourceId(tenant, version, type_, id_), fields):
                        yield counted

    def _counted(self, resource: ResourceId, reply: Any) -> Counted | None:
        fields = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
        if b"version" not in fields:
            return None
        bodies = {
            int(name[1:]): self.vault.open(resource, value) or b""
            for name, value in fields.items()
            if name[:1] == b"b" and name[1:].isdigit()
        }
        numbers = tuple(int(name[1:]) for name in fields if name[:1] == b"m" and name[1:].isdigit())
        return Counted(resource, int(fields[b"version"]), bodies, numbers)
