"""Who may write next: locks of conditional creates, and resources that transactions are about to write."""

from dataclasses import dataclass

from hub.keys import Partition, ResourceId, lock_partition
from hub.pipeline import Pipeline, script
from hub.write import Held, Lock, Put, PutResult, Write
from subscriptions.codes import Interaction

RESERVE, UNRESERVE, LOCK, DROP = script("reserve"), script("unreserve"), script("lock"), script("drop")


@dataclass(frozen=True, slots=True)
class Reservations:
    """Those of all tenants, each where the resource lies, or will."""

    pipeline: Pipeline
    partitions: int

    def lies_with(self, resource: ResourceId, name: str) -> bool:
        """Whether the resource lies where the lock of this name lies: a put under the lock is one script."""
        return Partition(resource.partition(self.partitions)) == lock_partition(name, self.partitions)

    async def lock(self, name: str, *, milliseconds: int) -> Lock | Held:
        """Take the lock of a conditional create, unless somebody else has it."""
        p = lock_partition(name, self.partitions)
        taken, holder = await self.pipeline.run(LOCK, [p.lock(name), p.locks], milliseconds)
        return (Lock if taken else Held)(name, holder.decode())

    async def unlock(self, lock: Lock) -> None:
        """Give the lock back; nothing happens if it had run out."""
        await self.pipeline.run(DROP, [lock_partition(lock.name, self.partitions).lock(lock.name)], lock.token)

    async def reserve(self, write: Write) -> PutResult:
        """
        Reserve what a transaction will write, checking what it expects.

        STORED here means reserved; `version` is the one that the write will make, `interaction` what it will be. A
        delete of what isn't there is ABSENT, and reserved too.
        """
        p = Partition(write.resource.partition(self.partitions))
        reply = await self.pipeline.run(
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
        p = Partition(resource.partition(self.partitions))
        await self.pipeline.run(UNRESERVE, [p.resource(resource), p.lock(lock_name)], transaction)


def _will_be(write: Write, version: int, *, live: bool) -> PutResult:
    """What a reserved write is going to do; nobody else writes in between."""
    if write.method == "delete":
        if not live:
            return PutResult(Put.ABSENT, version=version)
        return PutResult(Put.STORED, version=version + 1, interaction=Interaction.DELETE)
    return PutResult(Put.STORED, version=version + 1, interaction=Interaction.UPDATE if live else Interaction.CREATE)
