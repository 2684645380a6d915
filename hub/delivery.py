"""
Deliver: whatever becomes due gets a lane. Any number of processes may do this at once: leases keep them apart.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from logging import getLogger
from typing import assert_never

from hub.alerts import Alerting
from hub.channels.origins import SLOW
from hub.due import Lease
from hub.errors import Unavailable
from hub.keys import Shard
from hub.lane import FAIR_SHARE, Lane
from hub.presence import EVERY, Presence
from hub.sender import Sender
from hub.turn import Later, Stale, Turn

log = getLogger("hub.delivery")

#: The most leases that one claim takes, so that processes share what comes at once.
CLAIM = 100

#: So many times the lanes may be waiting for slow endpoints beside them: one that waits costs memory and a socket.
SLOW_LANES = 3

#: Seconds that requests in flight get when the process is told to stop.
LAST_SECONDS = 5.0
#: Seconds after them for giving back the leases of what has not ended; then as many for taking leave.
GIVE_BACK_SECONDS = 2.0


@dataclass
class Delivery:
    """
    The delivering part of a process.

    lanes: Subscriptions served at once, beside those whose requests are slow: over a second, or after a failure.
        `sender.origins` has places for so many slow ones. Who is known to be slow waits for one of these, and whoever
        becomes slow when none is free is broken off, and waits too. So these lanes are for whoever is not known to be
        slow, and nobody holds one for a request of more than a second, however many endpoints hang.
    last_seconds: What is under way gets so many seconds to end when the process is told to stop.
    alerting: Runs beside the lanes.
    """

    sender: Sender
    presence: Presence
    lanes: int
    last_seconds: float = LAST_SECONDS
    alerting: Alerting | None = None
    _running: dict[asyncio.Task[None], Lease] = field(default_factory=dict)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _informed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """
        Serve what becomes due in all shards; never returns by itself.

        Cancelled, or when it fails, it starts nothing new, and gives what is under way some seconds to end and to give
        its lease back. What takes longer is broken off and left to another process: no failure of the subscriber's.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for shard in self.sender.due.shards:
                    group.create_task(self._serve_forever(shard))
                if self.alerting:
                    group.create_task(self.alerting.run())
                while True:
                    with suppress(Unavailable):  # the shards say so themselves
                        await asyncio.gather(self.presence.announce(), self.sender.breakers.refresh())
                        self._informed.set()
                    await asyncio.sleep(EVERY)
        finally:
            self.sender.stopping = True
            await self._end_lanes()
            await self.sender.channel.close()
            if self.alerting:
                await self.alerting.close()
            with suppress(Unavailable, TimeoutError):  # then it runs out by itself
                async with asyncio.timeout(GIVE_BACK_SECONDS):
                    await self.presence.leave()

    async def _end_lanes(self) -> None:
        """Wait for what is under way; break off what takes too long, before its connection is closed under it."""
        if self._running:
            await asyncio.wait(self._running, timeout=self.last_seconds)
        late = dict(self._running)
        for lane in late:
            lane.cancel()
        with suppress(TimeoutError):  # then the leases run out by themselves
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await asyncio.gather(*late, return_exceptions=True)
                await asyncio.gather(*map(self._give_back, late.values()))

    async def _serve_forever(self, shard: Shard) -> None:
        """Serve whatever becomes due in a shard; never returns by itself."""
        seen, pause = "0-0", 0.1
        await self._informed.wait()  # to which origins nothing is sent now
        while True:
            try:
                seen = await self._serve(shard, seen)
                pause = 0.1
            except Unavailable as error:
                log.warning("delivery.waits", extra={"shard": shard.number, "reason": str(error)})
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    def _free(self) -> int:
        """Lanes that may begin now. Those that wait for a slow endpoint take nobody's place."""
        return self.lanes - (len(self._running) - self.sender.origins.slow)

    async def _serve(self, shard: Shard, seen: str) -> str:
        """Claim once; then wait for work, a second at most, unless there may be more that is due."""
        due, room = self.sender.due, self._free()
        if room <= 0 or self.sender.stopping:
            self._room.clear()
            with suppress(TimeoutError):  # a lane may have become slow meanwhile
                async with asyncio.timeout(SLOW / 4):  # `wait_for` may swallow a cancellation before Python 3.12
                    await self._room.wait()
            return seen
        most = min(room, CLAIM)
        claimed = await due.claim(shard, most=most, milliseconds=self.sender.lease_ms)
        for lease in claimed.leases:
            task = asyncio.get_running_loop().create_task(self._lane(lease))
            self._running[task] = lease
            task.add_done_callback(self._left)
        if len(claimed.leases) == most:
            return seen
        wait = 1000 if claimed.next is None else min(claimed.next - claimed.now, 1000)
        return await due.work_came(shard, seen, wait_ms=wait)

    def _left(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._room.set()

    async def _lane(self, lease: Lease) -> None:
        """Serve one subscription under a lease."""
        key, sender = str(lease.subscription), self.sender
        try:
            turn = await sender.outboxes.take(lease.subscription, lease.token, ahead=FAIR_SHARE)
            match turn:
                case Turn():
                    await Lane(sender, lease, turn).run()
                case Later(at):
                    await sender.due.release(lease, wait_until=at)
                case Stale(token):
                    await sender.due.release(lease, more=True, above=token)
                case None:
                    await sender.due.release(lease)
                case _:
                    assert_never(turn)
        except Unavailable as error:
            # Nothing is lost: the pinned notification is still there.
            log.warning("delivery.interrupted", extra={"subscription": key, "reason": str(error)})
            await self._give_back(lease)
        except Exception:
            # A bug of ours on this subscription must not stop the others; it comes again when the lease has run out.
            log.exception("delivery.failed", extra={"subscription": key})

    async def _give_back(self, lease: Lease) -> None:
        """End a lease as soon as Redis hears of it, so that nobody has to wait until it has run out."""
        pause = 0.1
        while True:
            with suppress(Unavailable):
                return await self.sender.due.release(lease, more=True)
            if self.sender.due.now() > lease.ends:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
