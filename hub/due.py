"""
Which subscriptions need work, and who is doing it. Shards keep one subscription's entries under one hash tag.

`hub:{due:k}:due` (zset, ms of the next work), `:wait` (back-off), `:lease` (end of the lease), `:owner` (hash, token of
the lease), `:fence` (the last token), `:end` (when it turns off), `:wake` (stream, new entry whenever work came).
A subscription with something to send, now or at a time that is known, is always in `due`, `wait` or `lease`. In `due`
at a later time is who gets a heartbeat then: new work brings it forward, which a back-off does not let happen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from hub.keys import Shard, SubscriptionKey
from hub.pipeline import Client, Pipeline, Streams, script
from hub.wire import Argument

MARK, REMIND, ROUSE, SCHEDULE = map(script, ("mark", "remind", "rouse", "schedule"))
ENDS = script("ends")
CLAIM, RENEW, RELEASE = map(script, ("claim", "renew", "release"))


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to serve one subscription until `ends` (ms, Redis' clock). A later lease has a higher token."""

    subscription: SubscriptionKey
    token: str
    ends: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim brought. `now` and `next` are ms of Redis' clock; `next` is when work comes next, if known."""

    leases: list[Lease]
    now: int
    next: int | None


class Due:
    """The work that is due, in all shards."""

    def __init__(self, client: Client, pipeline: Pipeline, shards: int) -> None:
        self._streams = Streams(client)
        self._pipeline = pipeline
        self._count = shards
        self.shards = [Shard(number) for number in range(shards)]
        self._ahead = 0.0

    def _shard(self, subscription: SubscriptionKey) -> Shard:
        return self.shards[subscription.shard(self._count)]

    def now(self) -> int:
        """
        ms of Redis' clock, as the last claim showed it: all processes measure leases and waits by one clock.

        Never behind Redis, so that no lease seems longer than it is; ahead by what that claim took, at most.
        """
        return int(monotonic() * 1000 + self._ahead)

    async def mark(self, subscriptions: list[SubscriptionKey]) -> None:
        """Say that these have something to send."""
        by_shard: dict[Shard, list[str]] = {}
        for subscription in subscriptions:
            by_shard.setdefault(self._shard(subscription), []).append(str(subscription))
        for shard, names in by_shard.items():
            await self._pipeline.run(MARK, [shard.due, shard.wait, shard.lease, shard.wake], *names)

    async def remind(self, times: Mapping[SubscriptionKey, int]) -> int:
        """See to it that these are looked after at their times (ms) at latest; returns how many would not have been."""
        by_shard: dict[Shard, list[Argument]] = {}
        for subscription, at in times.items():
            by_shard.setdefault(self._shard(subscription), []).extend((str(subscription), at))
        keys = {shard: [shard.due, shard.wait, shard.lease, shard.wake] for shard in by_shard}
        return sum([int(await self._pipeline.run(REMIND, keys[shard], *pairs)) for shard, pairs in by_shard.items()])

    async def rouse(self, subscriptions: list[SubscriptionKey]) -> None:
        """Make these due now, also those that wait."""
        by_shard: dict[Shard, list[str]] = {}
        for subscription in subscriptions:
            by_shard.setdefault(self._shard(subscription), []).append(str(subscription))
        for shard, names in by_shard.items():
            await self._pipeline.run(ROUSE, [shard.due, shard.wait, shard.wake], *names)

    async def schedule(self, subscription: SubscriptionKey, at: int | None, *, end: int | None) -> None:
        """Say when a subscription next needs work and when it ends (both ms); None for never."""
        shard = self._shard(subscription)
        await self._pipeline.run(
            SCHEDULE,
            [shard.due, shard.wait, shard.wake, shard.end],
            str(subscription),
            "" if at is None else at,
            "" if end is None else end,
        )

    async def ends(self, subscription: SubscriptionKey, at: int | None) -> None:
        """Say when a subscription ends (ms), and nothing else; None for never."""
        await self._pipeline.run(ENDS, [self._shard(subscription).end], str(subscription), "" if at is None else at)

    async def claim(self, shard: Shard, *, most: int, milliseconds: int) -> Claimed:
        """Lease up to `most` subscriptions that are due."""
        keys = [shard.due, shard.wait, shard.lease, shard.owner, shard.fence]
        asked = monotonic() * 1000
        reply = await self._pipeline.run(CLAIM, keys, most, milliseconds)
        rows = reply[2:]
        self._ahead = int(reply[0]) + 1 - asked
        return Claimed(
            leases=[
                Lease(SubscriptionKey.parse(name.decode()), token.decode(), int(ends))
                for name, token, ends in zip(rows[::3], rows[1::3], rows[2::3], strict=True)
            ],
            now=int(reply[0]),
            next=int(reply[1]) if reply[1] else None,
        )

    async def renew(self, lease: Lease, *, milliseconds: int) -> Lease | None:
        """A longer lease, or None when it is somebody else's by now."""
        shard = self._shard(lease.subscription)
        name = str(lease.subscription)
        ends = await self._pipeline.run(RENEW, [shard.lease, shard.owner], name, lease.token, milliseconds)
        return Lease(lease.subscription, lease.token, int(ends)) if int(ends) else None

    async def release(
        self,
        lease: Lease,
        *,
        more: bool = False,
        wait_until: int | None = None,
        at: int | None = None,
        above: int = 0,
    ) -> None:
        """
        Give a lease back.

        more: There is more to send now.
        wait_until: Nothing may be sent before this time (ms), whatever comes.
        at: If nothing comes before, there is something to do at this time (ms).
        above: A token that the next one must be above (a Redis that was restored may have forgotten it).
        """
        shard = self._shard(lease.subscription)
        if wait_until is not None:
            kind, ms = "wait", wait_until
        elif at is not None and not more:
            kind, ms = "at", at
        else:
            kind, ms = "more" if more else "none", 0
        keys = [shard.due, shard.wait, shard.lease, shard.owner, shard.fence, shard.wake]
        await self._pipeline.run(RELEASE, keys, str(lease.subscription), lease.token, kind, ms, above)

    async def ended(self, shard: Shard, now: int) -> list[SubscriptionKey]:
        """Subscriptions whose end has come."""
        names = await self._pipeline.command("ZRANGEBYSCORE", shard.end, "-inf", now, "LIMIT", 0, 100)
        return [SubscriptionKey.parse(name.decode()) for name in names]

    async def work_came(self, shard: Shard, seen: str, *, wait_ms: int) -> str:
        """Wait until work comes to a shard, at most `wait_ms`; returns what to pass as `seen` next time."""
        found = await self._streams.follow(shard.wake, seen, count=1, wait_ms=wait_ms)
        return found[-1][0] if found else seen
