"""
What a process remembers of the store that it was started on, and by which it notices that Redis holds another one.

A store has an id, and a count that rises every second. Where the id is another one, Redis was emptied or swapped; where
the count has gone back, it holds an earlier state. Numbers that were given would be given again, with other events: so
nothing is asked of such a Redis until the right one is back, or the operator has it recovered (see recovery.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from hub.errors import Declined
from hub.keys import EPOCH

#: The fields of the epoch by which it is judged.
JUDGED = ("id", "count", "before", "recovering")

LOST = "Redis has lost its memory: it is not the store that the hub was started on. Restore its data, or `hub recover`"
OLDER = "Redis holds an earlier state than the hub has seen. Restore a later one, or `hub recover`"
RECOVERING = "The store is being recovered: if that was cut short, `hub recover` again"
RECOVERED = "The store was recovered: this process begins anew"

#: Seconds after which a client may ask again.
COME_BACK = 60


@dataclass
class Memory:
    """
    Sees to it that a process speaks only to the store that it was started on.

    A Redis that lost its memory was restarted, so each connection asks when it is made; and `Watch` does every second.
    Until `epoch` is known nothing is asked; on a Cluster, where it is one node's, only `Watch` asks.

    count: The highest that was seen.
    lost: Why nothing may be asked of this Redis now; empty when it may.
    """

    epoch: str = ""
    count: int = 0
    lost: str = ""

    async def connected(self, connection: AbstractConnection) -> None:
        """Called by the client with each new connection; ConnectionError when it leads to another store."""
        await connection.on_connect()
        if self.epoch:
            least = self.count
            await connection.send_command("HMGET", EPOCH, *JUDGED)
            self.judge(await connection.read_response(), least=least)
            if self.lost:
                raise RedisConnectionError(self.lost)

    def judge(self, held: Sequence[bytes | None], *, least: int) -> None:
        """Judge a store by its fields `JUDGED`; `least` is the count that was known when it was asked for them."""
        id_, count, before, recovering = ((each or b"").decode() for each in held)
        if id_ != self.epoch:
            self.lost = RECOVERED if self.epoch in before.split() else LOST
        elif recovering:
            self.lost = RECOVERING
        elif int(count or 0) < least:
            self.lost = OLDER
        else:
            self.lost, self.count = "", max(self.count, int(count or 0))

    def check(self) -> None:
        """Raise Declined if nothing may be asked of this Redis now."""
        if self.lost:
            raise Declined(f"{self.lost}. Nothing was done.", retry_after=COME_BACK)
