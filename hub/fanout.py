"""
Match: changes become events. One coroutine for each partition that this process is the matcher of.

1. The registry is refreshed after a batch was read, so whoever was active before a change was accepted is seen.
2. `owe` is idempotent and `matched` moves last, so this may stop anywhere and run again, or run twice at once.
3. What filters want to know of other resources is fetched after the batch was read: what was confirmed before a change
   was accepted is seen. If it can't be fetched, the batch comes again; that is never taken for a no.
4. A change or a filter that can't be evaluated is set aside, counted and logged, and never delays the others.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from logging import getLogger
from time import monotonic

import msgspec

from hub.due import Due
from hub.errors import Unavailable
from hub.holdings import Holdings
from hub.keys import Partition, SubscriptionKey
from hub.outbox import Outboxes
from hub.presence import EVERY, Presence
from hub.registry import InForce
from hub.store import Store, instant
from hub.stream import Changes, Entry
from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction
from subscriptions.errors import EvaluationError
from subscriptions.matching import Matches
from subscriptions.search.held import Held
from subscriptions.shapes import Included, Shapes

log = getLogger("hub.fanout")

#: How long a partition stays this matcher's without renewal, in ms; renewed every second, unless a batch takes longer.
LEASE = 3_000

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class _Concerned:
    """
    Whom one change concerns.

    along: What comes along with it.
    left_out: Why something that should come along doesn't.
    """

    matches: Matches[SubscriptionKey]
    along: dict[SubscriptionKey, tuple[Included, ...]] = field(default_factory=dict)
    left_out: list[EvaluationError] = field(default_factory=list)


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
    poison: Counter[str] = field(default_factory=Counter)

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
        while mine.is_set():
            if monotonic() >= renew:
                if not await self.changes.hold(partition, self.presence.name, milliseconds=LEASE):
                    return
                renew = monotonic() + EVERY
            mark = mark or await self.changes.matched(partition)
            entries = await self.changes.after(partition, mark, count=self.batch, wait_ms=LEASE // 3)
            if entries:
                await self.match(partition, entries)
                mark = entries[-1].id
                if not await self.changes.advance(partition, self.presence.name, mark):
                    return
        await self.changes.let_go(partition, self.presence.name)

    async def match(self, partition: Partition, entries: list[Entry]) -> None:
        """Owe a batch of one partition's changes to whomever they concern, and mark those as due."""
        _, changes = await asyncio.gather(self.in_force.refresh(), self._read(entries))
        owed: defaultdict[SubscriptionKey, list[Entry]] = defaultdict(list)
        included: defaultdict[SubscriptionKey, dict[str, tuple[Included, ...]]] = defaultdict(dict)
        for entry, concerned in await self._concerned(entries, changes):
            for key in concerned.matches.keys:
                owed[key].append(entry)
                if along := concerned.along.get(key):
                    included[key][entry.id] = along
            for key, error in concerned.matches.failures:
                self._set_aside("evaluation", entry, error.text, subscription=str(key))
            for error in concerned.left_out:
                self._set_aside("include", entry, error.text)
        results = await asyncio.gather(
            *(self.outboxes.owe(key, partition.number, changes, included[key]) for key, changes in owed.items())
        )
        send = [key for key, result in zip(owed, results, strict=True) if result is not None and result.send]
        if send:
            await self.due.mark(send)
        log.info(
            "change.matched",
            extra={
                "partition": partition.number,
                "last_change": entries[-1].id,
                "changes": len(entries),
                "events": sum(result.fresh for result in results if result is not None),
                "subscriptions": len(owed),
            },
        )

    async def _concerned(self, entries: list[Entry], changes: list[Change | None]) -> list[tuple[Entry, _Concerned]]:
        """
        Whom the changes concern, in their order, and what comes along with them.

        What they want to know of other resources is fetched for all of them at once, and those that wanted it are
        matched again. Nothing is fetched when none does.
        """
        known: dict[tuple[str, FhirVersion], Held] = {}
        waiting: list[tuple[int, Change, Held]] = []
        for place, (entry, change) in enumerate(zip(entries, changes, strict=True)):
            if change is not None:
                shared = known.setdefault((entry.resource.tenant, change.version), Held(change.at))
                waiting.append((place, change, shared.at_time(change.at)))
        found: dict[int, _Concerned] = {}
        while waiting:
            again = []
            for place, change, held in waiting:
                entry, held.wanted = entries[place], set()
                try:
                    concerned = self._match(entry.resource.tenant, change, held)
                except Exception as bug:  # one of ours, that this change brings to light, must not stop the others
                    self._set_aside("matching", entry, type(bug).__name__)
                    continue
                if held.wanted:
                    known[entry.resource.tenant, change.version].wanted |= held.wanted
                    again.append((place, change, held))
                else:
                    found[place] = concerned
            await asyncio.gather(
                *(
                    Holdings(self.store, tenant, version).fetch(shared)
                    for (tenant, version), shared in known.items()
                    if shared.wanted
                )
            )
            waiting = again
        return [(entries[place], found[place]) for place in sorted(found)]

    def _match(self, tenant: str, change: Change, held: Held) -> _Concerned:
        found = _Concerned(self.in_force.index(tenant, change.version).match(change, held))
        by_shapes: defaultdict[Shapes, list[SubscriptionKey]] = defaultdict(list)
        for key in found.matches.keys:
            if (shapes := self.in_force.shapes(key)) and shapes.concern(change.type):
                by_shapes[shapes].append(key)
        for shapes, keys in by_shapes.items():
            try:
                found.along.update(dict.fromkeys(keys, shapes.included(change, held)))
            except EvaluationError as error:
                found.left_out.append(error)
        return found

    async def _read(self, entries: list[Entry]) -> list[Change | None]:
        """The changes with their bodies; None for one whose body is gone or broken."""
        wanted = []
        for entry in entries:
            wanted += [(entry.resource, entry.number), (entry.resource, entry.number - 1)]
        bodies = await self.store.bodies(wanted)
        given = ((entry, body) for entry, body in zip(entries, bodies[::2], strict=True) if body is not None)
        await asyncio.gather(*(self.store.remember(entry.resource, entry.number, body) for entry, body in given))
        return [
            self._change(entry, current, before)
            for entry, current, before in zip(entries, bodies[::2], bodies[1::2], strict=True)
        ]

    def _change(self, entry: Entry, current: bytes | None, before: bytes | None) -> Change | None:
        created, deleted = entry.interaction is Interaction.CREATE, entry.interaction is Interaction.DELETE
        try:
            if (current is None and not deleted) or (before is None and deleted):
                raise LookupError("its body is gone")
            return Change(
                version=entry.resource.version,
                interaction=entry.interaction,
                type=entry.resource.type,
                id=entry.resource.id,
                version_id=entry.number,
                at=instant(entry.at),
                resource=None if current is None or deleted else _decode(current),
                previous=None if before is None or created else _decode(before),
                events=entry.events,
            )
        except (ValueError, LookupError, RecursionError) as error:
            self._set_aside("body", entry, type(error).__name__)
            return None

    def _set_aside(self, reason: str, entry: Entry, text: str, **ids: str) -> None:
        self.poison[reason] += 1
        log.error(
            "change.set-aside", extra={"change": entry.id, "resource": str(entry.resource), "reason": text, **ids}
        )
