"""
A start before now: changes of the past become events of a subscription, before those that come live.

1. The activation sets the cursors of `owe` to the start instead of the streams' ends. What is matched live meanwhile is
   behind them, and waits.
2. The matcher of a partition goes from the cursor to the end that the stream had when it first saw the subscription
   active, and to the last change that waits: whatever was matched by somebody who didn't know of it is before that. The
   step that gets there ends the filling, so that no change is left out and none comes twice, whoever dies or is slow.
3. Filters, topic, rosters and whatever a chain refers to are asked as they are now, the bodies as they were then.
4. It is paced: so many changes at once, between the batches of what is live, in half of a process' time at most, and no
   further than `AHEAD` events before the subscriber, who would be told of them no sooner; in `error` too, so that its
   next activation leaves no more of the past behind than that.
"""

from dataclasses import dataclass, field
from logging import getLogger
from time import monotonic

from hub.bodies import Bodies
from hub.concerns import Concerns
from hub.due import Due
from hub.in_force import InForce
from hub.keys import Partition, SubscriptionKey
from hub.outbox import Filling, Outboxes
from hub.stream import Changes, place

log = getLogger("hub.fanout")

#: Changes that are looked through at once: about 10 ms of work.
CHUNK = 50

#: Events that may wait to be sent to a subscriber before more of the past is looked through.
AHEAD = 1_000


@dataclass
class Pace:
    """Has the fillings of all partitions of a process take half of its time at most, one step after the other."""

    _busy: bool = False
    _rest: float = 0.0

    @property
    def free(self) -> bool:
        """Whether a step may begin now."""
        return not self._busy and monotonic() >= self._rest

    async def step(self, backfill: "Backfill") -> None:
        """Do one, and then none for as long as it has taken."""
        began, self._busy = monotonic(), True
        try:
            await backfill.turn()
        finally:
            self._busy, self._rest = False, 2 * monotonic() - began


@dataclass
class Backfill:
    """
    The fillings of one partition, as far as this process has seen them.

    goals: The ends that the stream had when each subscription was first seen active.
    """

    partition: Partition
    changes: Changes
    outboxes: Outboxes
    due: Due
    in_force: InForce
    bodies: Bodies
    concerns: Concerns
    goals: dict[SubscriptionKey, str] = field(default_factory=dict)
    _now: list[SubscriptionKey] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether there is something that can be filled now."""
        return bool(self._now)

    async def look(self) -> None:
        """See who there is; those that had to wait are tried again."""
        self._now = await self.changes.filling(self.partition)
        for gone in self.goals.keys() - set(self._now):
            del self.goals[gone]

    async def turn(self) -> None:
        """Fill one of them a little."""
        key = self._now.pop(0)
        filling = await self.outboxes.filling(key, self.partition.number)
        if filling is None:
            await self.changes.filled(self.partition, key)
        elif filling.owed and filling.backlog < AHEAD and await self._fill(key, filling):
            self._now.append(key)

    async def _fill(self, key: SubscriptionKey, filling: Filling) -> bool:
        """Look through some changes for one subscription; False if it has to wait."""
        if key not in self.goals:
            self.goals[key] = await self.changes.end(self.partition)
        await self._say_what_is_lost(key, filling.owed)
        await self.in_force.refresh()
        alone = await self.in_force.alone(key)
        if alone is None:
            return False
        goal = max(self.goals[key], filling.goal, key=place)
        found = await self.changes.between(self.partition, filling.owed, goal, count=CHUNK)
        reached = found[-1].id if len(found) == CHUNK else max(goal, filling.owed, key=place)
        concerned = await self.concerns.of(found, await self.bodies.read(found, remember=False), alone)
        mine, included = concerned.changes[key], concerned.included[key]
        owed = await self.outboxes.fill(
            key, self.partition.number, mine, included, reached=reached, goal=self.goals[key]
        )
        if owed is not None and owed.send:
            await self.due.mark([key])
        log.info(
            "change.filled",
            extra={
                "partition": self.partition.number,
                "subscription": str(key),
                "last_change": reached,
                "changes": len(found),
                "events": owed.fresh if owed is not None else 0,
            },
        )
        return True

    async def _say_what_is_lost(self, key: SubscriptionKey, owed: str) -> None:
        trimmed = await self.changes.trimmed(self.partition)
        if place(trimmed) > place(owed):
            self.concerns.poison.note("retention")
            log.error(
                "subscription.start-lost",
                extra={
                    "subscription": str(key),
                    "partition": self.partition.number,
                    "reason": "changes after its start are not kept any more",
                    "kept_from": trimmed,
                },
            )
