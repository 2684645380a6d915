"""
Match: changes become events. One coroutine for each partition that this process is the matcher of.

1. The registry is refreshed after a batch was read, so whoever was active before a change was accepted is seen.
2. `owe` is idempotent and `matched` moves last, so this may stop anywhere and run again, or run twice at once.
3. Between the batches, subscriptions that began before now are told of the past (`backfill`).
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from logging import getLogger
from time import monotonic

from hub.audit import Audit
from hub.backfill import Backfill, Pace
from hub.bodies import Bodies
from hub.concerns import Concerned, Concerns
from hub.due import Due
from hub.errors import Unavailable
from hub.families import CHANGES_MATCHED, MATCH
from hub.in_force import InForce
from hub.keys import Partition, SubscriptionKey
from hub.meter import Meter
from hub.outbox import Outboxes, Owed
from hub.poison import Poison
from hub.presence import EVERY, Presence
from hub.store import Store
from hub.stream import Changes, Entry
from hub.telling import Telling
from hub.tracing import Span, Traces, id_of

log = getLogger("hub.fanout")

#: How long a partition stays this matcher's without renewal, in ms; renewed every second, unless a batch takes longer.
LEASE = 3_000

#: ms between two steps of filling a subscription with changes of the past, for what comes live and for others.
BETWEEN = 10


@dataclass
class Fanout:
    """
    The matcher of some partitions.

    batch: The most changes that are matched between two writes of the progress.
    poison: How many changes and evaluations were set aside, by reason.
    """

    changes: Changes
    store: Store
    outboxes: Outboxes
    due: Due
    in_force: InForce
    batch: int
    presence: Presence
    telling: Telling
    audit: Audit
    meter: Meter = field(default_factory=Meter)
    traces: Traces = field(default_factory=Traces)
    poison: Counter[str] = field(default_factory=Counter)
    _pace: Pace = field(default_factory=Pace)

    @property
    def _bodies(self) -> Bodies:
        return Bodies(self.store, Poison(self.meter, self.poison))

    @property
    def _concerns(self) -> Concerns:
        return Concerns(self.store, self.telling, self.audit, Poison(self.meter, self.poison), self.meter)

    async def run(self) -> None:
        """Match this process' share of the partitions; never returns by itself. Cancelled, it gives them back."""
        partitions = self.changes.partitions
        mine = {partition: asyncio.Event() for partition in partitions}
        try:
            async with asyncio.TaskGroup() as group:
                for partition in partitions:
                    group.create_task(self._match_forever(partition, mine[partition]))
                while True:
                    await self._take_share(mine)
                    await asyncio.sleep(EVERY)
        finally:
            with suppress(Unavailable):  # then it runs out by itself
                await self.presence.leave()
                for partition in partitions:
                    await self.changes.let_go(partition, self.presence.name)

    async def _take_share(self, mine: Mapping[Partition, asyncio.Event]) -> None:
        with suppress(Unavailable):  # the partitions say so themselves
            place = await self.presence.announce()
            for partition, event in mine.items():
                event.set() if place.has(partition.number) else event.clear()

    async def _match_forever(self, partition: Partition, mine: asyncio.Event) -> None:
        """Match a partition's changes while `mine` is set and the lease can be had; never returns by itself."""
        pause = 0.1
        while True:
            try:
                await mine.wait()
                await self._match_while(partition, mine)
                pause = 0.1
            except Unavailable as error:
                log.warning("match.waits", extra={"partition": partition.number, "reason": str(error)})
                pause = min(pause * 2, 1.0)
            await asyncio.sleep(pause)

    async def _match_while(self, partition: Partition, mine: asyncio.Event) -> None:
        renew, mark = 0.0, ""
        backfill = Backfill(
            partition, self.changes, self.outboxes, self.due, self.in_force, self._bodies, self._concerns
        )
        while mine.is_set():
            if monotonic() >= renew:
                if not await self.changes.hold(partition, self.presence.name, milliseconds=LEASE):
                    return
                renew = monotonic() + EVERY
                await backfill.look()
            mark = mark or await self.changes.matched(partition)
            wait = BETWEEN if backfill.busy else LEASE // 3
            entries = await self.changes.after(partition, mark, count=self.batch, wait_ms=wait)
            if entries:
                await self.match(partition, entries)
                mark = entries[-1].id
                if not await self.changes.advance(partition, self.presence.name, mark):
                    return
                for entry in entries:
                    self.meter.count(CHANGES_MATCHED, entry.resource.tenant)
            if backfill.busy and self._pace.free:
                await self._pace.step(backfill)
        await self.changes.let_go(partition, self.presence.name)

    async def match(self, partition: Partition, entries: list[Entry]) -> None:
        """Owe a batch of one partition's changes to whomever they concern, and mark those as due."""
        began = monotonic()
        entries, spans = self._begin(partition, entries)
        _, changes = await asyncio.gather(self.in_force.refresh(), self._bodies.read(entries))
        if self.in_force.broken:  # whom each of these may concern
            Poison(self.meter, self.poison).note("subscription", by=len(entries))
        concerned = await self._concerns.of(entries, changes, self.in_force)
        owed, included = concerned.changes, concerned.included
        results = await asyncio.gather(
            *(self.outboxes.owe(key, partition.number, changes, included[key]) for key, changes in owed.items())
        )
        send = [key for key, result in zip(owed, results, strict=True) if result is not None and result.send]
        if send:
            await self.due.mark(send)
        self.meter.time(MATCH, monotonic() - began)
        self._tell(entries, owed)
        self._say(partition, entries, concerned, dict(zip(owed, results, strict=True)), spans)

    def _begin(self, partition: Partition, entries: list[Entry]) -> tuple[list[Entry], list[Span]]:
        """The changes, each as what follows from its matching; and the spans of that, none where nothing is traced."""
        if not self.traces.on:
            return entries, []
        spans = [
            self.traces.match(each.trace, change=each.change, id_=each.id, partition=partition.number)
            for each in entries
        ]
        return [replace(each, trace=span.trace) for each, span in zip(entries, spans, strict=True)], spans

    def _say(
        self,
        partition: Partition,
        entries: list[Entry],
        concerned: Concerned,
        owed: Mapping[SubscriptionKey, Owed | None],
        spans: list[Span],
    ) -> None:
        """Write of each change what came of it."""
        subscriptions, events = Counter[str](), Counter[str]()
        for key, changes in concerned.changes.items():
            subscriptions.update(each.id for each in changes)
            if (result := owed[key]) and result.fresh:  # those that were owed before are the first ones
                events.update(each.id for each in changes[-result.fresh :])
        for each in entries:
            ids = {
                "change": each.change,
                "partition": partition.number,
                "subscriptions": subscriptions[each.id],
                "events": events[each.id],
                "withheld": concerned.withheld[each.id],
            }
            log.info("change.matched", extra=ids | ({"trace": id_of(each.trace)} if each.trace else {}))
        for each, span in zip(entries, spans, strict=bool(spans)):
            span.matched(subscriptions[each.id])

    def _tell(self, entries: list[Entry], owed: Mapping[SubscriptionKey, list[Entry]]) -> None:
        """Tell whoever watches how many of its tenant's subscriptions each change concerns."""
        if not self.meter.watched:
            return
        concerned = Counter(
            entry.id for key, changes in owed.items() for entry in changes if entry.resource.tenant == key.tenant
        )
        for entry in entries:
            ids = {"resource": str(entry.resource), "number": entry.number, "subscriptions": concerned[entry.id]}
            self.meter.tell("change.matched", entry.resource.tenant, ids)
