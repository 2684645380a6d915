"""
Rights that were withdrawn: who is told nothing any more hears of it soon, also if nothing happens.

`hub:{access}:swept` is a hash: client -> a digest of what it might when its Subscriptions were last looked at. Once a
second the clock compares it with what the client may now. Where they have differed for so long that every process has
seen it, all of the client's Subscriptions are made due: the lane of each looks, before it sends anything, whether
anything may be sent (see lane.py). Made due at once, a lane could believe what was before, and nobody would look again.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from logging import getLogger
from time import monotonic

from hub.belief import BELIEVED
from hub.due import Due
from hub.keys import SWEPT, SubscriptionKey
from hub.outbox import Outboxes
from hub.pipeline import Pipeline
from hub.registry import Registry
from hub.standing import Standings
from subscriptions.rights import Rights
from subscriptions.withheld import Standing

log = getLogger("hub.delivery")

#: Subscriptions that are made due at once.
CHUNK = 100


@dataclass
class Withdrawals:
    """
    Looks for rights that have changed. To be run by the clock.

    believed: ms for which another process may believe what was before.
    """

    pipeline: Pipeline
    standings: Standings
    registry: Registry
    outboxes: Outboxes
    due: Due
    believed: int = BELIEVED
    #: Clients whose rights have changed: the digest that they have now, and since when.
    _waiting: dict[str, tuple[str | None, float]] = field(default_factory=dict)
    _looked: bool = False

    async def look(self) -> int:
        """Make due what belongs to clients whose rights changed a while ago; returns how much that is."""
        if self.standings.open:
            if not self._looked:  # else whoever is told apart later would be compared with what was long ago
                await self.pipeline.command("DEL", SWEPT)
                self._looked = True
            return 0
        await self.standings.current()
        now = {client: _digest(standings) for client, standings in self.standings.all().items()}
        swept = await self._swept()
        changed = {
            client: now.get(client) for client in swept.keys() | now.keys() if swept.get(client) != now.get(client)
        }
        # The first look at all needs no patience, and is for owners that are no clients too.
        first = not swept and not self._looked
        settled = changed.keys() if first else self._settled(changed)
        if not settled and not first:
            return 0
        roused = await self._rouse(None if first else settled)
        # Behind the work: whoever dies before this does it again.
        for gone in settled - now.keys():
            await self.pipeline.command("HDEL", SWEPT, gone)
        for client in settled & now.keys():
            await self.pipeline.command("HSET", SWEPT, client, now[client])
        self._looked = True
        if roused:
            log.info("rights.changed", extra={"clients": len(settled), "subscriptions": roused})
        return roused

    def _settled(self, changed: Mapping[str, str | None]) -> set[str]:
        """Those of the clients that have been like this for long enough."""
        moment = monotonic() * 1000
        kept = ((client, digest, self._waiting.get(client)) for client, digest in changed.items())
        self._waiting = {
            client: before if before and before[0] == digest else (digest, moment) for client, digest, before in kept
        }
        return {client for client, (_, since) in self._waiting.items() if moment - since >= self.believed}

    async def _rouse(self, owners: Set[str] | None) -> int:
        """Make due what belongs to these; None for everybody's."""
        roused, chunk = 0, list[SubscriptionKey]()
        async for registered in self.registry.all():
            if registered.on and (owners is None or registered.owner in owners):
                chunk.append(registered.key)
            if len(chunk) == CHUNK:
                roused += await self._due(chunk)
                chunk = []
        return roused + await self._due(chunk)

    async def _due(self, keys: list[SubscriptionKey]) -> int:
        # Also whoever waits after a failure; whose handshake is to come is looked at then.
        active = [key for key in keys if await self.outboxes.call(key)]
        if active:
            await self.due.rouse(active)
        return len(active)

    async def _swept(self) -> dict[str, str]:
        reply = await self.pipeline.command("HGETALL", SWEPT)
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        return {client.decode(): digest.decode() for client, digest in pairs}


def _digest(standings: Mapping[str, Standing]) -> str:
    """Stands for what a client may, by tenant."""
    text = "\n".join(f"{tenant} {_text(standings[tenant])}" for tenant in sorted(standings))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _text(standing: Standing) -> str:
    if isinstance(standing, Rights):
        return f"{standing.scopes} {standing.content} {standing.clearance}"
    return str(standing)
