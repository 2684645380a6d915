"""
Erasing: all versions of a resource, or of all that is in a patient's compartment, are removed, and stay so.

1. What is to go is found: resources, each with the number of its last version. Nothing is written until all is found.
2. Each is erased in one step up to that number. So what is written from then on is its publisher's, and stays; what is
   written while it is looked for goes, or stays, as a whole.
3. What endpoints have answered, and transactions that were under way, may repeat it: the answers are left out of the
   logs of attempts, and the transactions are waited for.
4. Redis' files are written anew.

Every step may be repeated, by anybody: a process that dies leaves its order to the clock.

No event goes: its number, and the name of the resource, stay in outboxes, in the stream of changes and in the audit, as
long as these are kept. Nobody is told: whoever wants subscribers to hear of it deletes first, and erases then.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from logging import getLogger
from typing import Any
from uuid import uuid4

import msgspec

from hub.attempts import Attempts
from hub.audit import Audit
from hub.census import Census, Counted
from hub.erasures import CLAIMED, Erasure, Erasures, Found, Order, Stage
from hub.errors import Unavailable
from hub.indexes import LookUp
from hub.ingest import stored_types
from hub.keys import Index, ResourceId
from hub.registry import Registry
from hub.rewriting import Rewriting, Unwritten
from hub.store import Store
from hub.transaction import TransactionCoordinator
from subscriptions.audit import Act, Kind, Outcome
from subscriptions.change import Resource
from subscriptions.codes import FhirVersion
from subscriptions.compartment import Compartment, identities, linked
from subscriptions.errors import EvaluationError

log = getLogger("hub.erasing")

#: Of each kind of what is told of that stays; there may be any number.
MOST_TOLD = 10_000
#: Seconds between two looks whether transactions have ended.
PAUSE = 0.2
#: Of those that were left: how many are gone on with at once, and seconds between two looks for more.
AT_ONCE, LOOK = 4, 1

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


@dataclass
class _Finding:
    """What is found so far. `plan`: the last version of each resource that is erased."""

    plan: dict[ResourceId, int] = field(default_factory=dict)
    versions: int = 0
    mentioned: set[str] = field(default_factory=set)
    linked: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)

    def erase(self, counted: Counted, last: int) -> None:
        if counted.numbers:
            self.plan[counted.resource] = last
            self.versions += sum(number <= last for number in counted.numbers)

    @property
    def found(self) -> Found:
        types = Counter(resource.type for resource in self.plan)
        told = (tuple(sorted(each)[:MOST_TOLD]) for each in (self.mentioned, self.linked, self.unread))
        return Found(dict(sorted(types.items())), self.versions, *told)


@dataclass(frozen=True, slots=True)
class Erasing:
    """
    Erases what operators order.

    base: The FHIR base of a tenant and FHIR version: the references below it are the relative ones.
    now: ms since 1970.
    """

    store: Store
    census: Census
    registry: Registry
    attempts: Attempts
    transactions: TransactionCoordinator
    rewriting: Rewriting
    erasures: Erasures
    audit: Audit
    base: Callable[[str, FhirVersion], str]
    now: Callable[[], int]

    async def order(self, order: Order) -> str:
        """Note, and audit, what is to be erased. Returns the id under which it is known; see `go_on`."""
        id_ = uuid4().hex
        text = "its compartment too, ordered" if order.compartment else "ordered"
        await self._audit(order, f"{text}: erasure {id_}")
        await self.erasures.begin(id_, order, now=self.now())
        log.info("erasure.ordered", extra={"erasure": id_, "resource": str(order.resource)})
        return id_

    async def run(self, order: Order) -> Erasure:
        """Order it and do all of it."""
        erasure = await self.go_on(await self.order(order))
        assert erasure  # noqa: S101 (it was noted)
        return erasure

    async def go_on(self, id_: str) -> Erasure | None:
        """Do what is still to be done of it; returns how it stands then. Cancelled, it is left to the clock."""
        claiming = asyncio.create_task(self._claim(id_))
        try:
            while (erasure := await self.erasures.read(id_)) and erasure.stage is not Stage.DONE:
                await self._step(erasure)
            return erasure
        except BaseException:
            with suppress(Unavailable):  # then the claim runs out
                await self.erasures.leave(id_)
            raise
        finally:
            claiming.cancel()

    async def _claim(self, id_: str) -> None:
        """Be left alone with it, until cancelled."""
        while True:
            with suppress(Unavailable):
                await self.erasures.claim(id_, now=self.now())
            await asyncio.sleep(CLAIMED / 3000)

    async def finish(self) -> None:
        """Go on with those that somebody has left, some at once: none keeps the others waiting, be it that it fails."""
        working = dict[str, asyncio.Task[None]]()
        try:
            while True:
                left = [id_ for id_ in await self.erasures.abandoned(self.now()) if id_ not in working]
                working |= {id_: asyncio.create_task(self._finish(id_)) for id_ in left[: AT_ONCE - len(working)]}
                if not working:
                    return
                await asyncio.wait(working.values(), timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
                working = {id_: task for id_, task in working.items() if not task.done()}
        finally:
            for task in working.values():
                task.cancel()
            await asyncio.gather(*working.values(), return_exceptions=True)

    async def _finish(self, id_: str) -> None:
        """Go on with one; if it fails, others come first, and it is tried again after a while."""
        try:
            await self.go_on(id_)
            await self.erasures.forget(id_)
        except Exception as error:  # whatever it is, it must not stop the others
            log.error("erasure.failed", extra={"erasure": id_, "reason": type(error).__name__})
            with suppress(Unavailable):
                await self.erasures.claim(id_, now=self.now())

    async def find(self, order: Order) -> tuple[dict[ResourceId, int], Found]:
        """What would be erased: of each resource the last version that is, and all that is told of it."""
        finding = _Finding()
        own = await self.census.one(order.resource)
        bodies = own.bodies.values() if own else ()
        if order.compartment:
            patients = [_decode(body) for body in bodies if body]
            bases = frozenset({self.base(order.tenant, order.version)})
            finding.linked |= linked(patients, bases)
            compartment = Compartment(order.version, order.id, identities(patients), bases)
            async for counted in self.census.all(order.tenant, order.version):
                _judge(finding, compartment, counted)
                await asyncio.sleep(0)
        elif own:
            finding.erase(own, own.newest)
            finding.mentioned |= await self._referring(order)
        known = [value for _, value in compartment.identities] if order.compartment else []
        finding.mentioned |= await self._subscriptions(order, known)
        return finding.plan, finding.found

    async def _step(self, erasure: Erasure) -> None:
        match erasure.stage:
            case Stage.FINDING:
                plan, found = await self.find(erasure.order)
                await self.erasures.found(erasure.id, plan, found)
            case Stage.ERASING:
                await self._erase(erasure)
            case _:
                await self._files(erasure)

    async def _erase(self, erasure: Erasure) -> None:
        """Erase some of what is left; if nothing is, forget what may repeat it."""
        if left := await self.erasures.left(erasure.id):
            await asyncio.gather(*(self.store.erase(resource, last) for resource, last in left))
            await self.erasures.done(erasure.id, [resource for resource, _ in left])
            return
        order = erasure.order
        async for registered in self.registry.all(f"{order.tenant}/{order.version}/"):
            await self.attempts.blank(registered.key)
        await self.erasures.erased(erasure.id)

    async def _files(self, erasure: Erasure) -> None:
        """Have Redis' files written anew, when nothing is under way any more that began before."""
        began = self.now()
        await self.transactions.settle_lost(began)
        while await self.transactions.under_way(began):
            await self.transactions.settle_open(self.now())
            await asyncio.sleep(PAUSE)
        files = ""
        try:
            await self.rewriting.run()
        except Unwritten as error:
            files = f"Redis' files were not written anew, since it refuses that ({error}): have it done where it is run"
        found = erasure.found or Found()
        told = f"{sum(found.resources.values())} resources, {found.versions} versions: erasure {erasure.id}"
        await self._audit(erasure.order, f"{told}. {files}".removesuffix(". "), failed=bool(files))
        await self.erasures.end(erasure.id, files)
        ids = {"erasure": erasure.id, "resource": str(erasure.order.resource)}
        log.info("erasure.done", extra={**ids, "resources": sum(found.resources.values()), "files": not files})

    async def _audit(self, order: Order, text: str, *, failed: bool = False) -> None:
        outcome = Outcome.FAILED if failed else Outcome.SUCCESS
        await self.audit.record(order.tenant, Act(Kind.ERASED, order.by, order.name, order.version, outcome, text))

    async def _referring(self, order: Order) -> set[str]:
        """What refers to one resource, of what is in force."""
        types = sorted(stored_types(order.version))
        look_ups = [LookUp(Index.REFERENCES, order.tenant, order.version, type_, order.name) for type_ in types]
        rows = await self.store.indexes.look_up(look_ups, most=MOST_TOLD)
        return {f"{type_}/{id_}" for type_, found in zip(types, rows, strict=True) for (id_,) in found} - {order.name}

    async def _subscriptions(self, order: Order, known: Sequence[str]) -> set[str]:
        """The Subscriptions whose criteria seem to be about it."""
        wanted = _named(order, known)
        prefix = f"{order.tenant}/{order.version}/"
        return {
            f"Subscription/{registered.key.id}"
            async for registered in self.registry.all(prefix)
            if wanted.search(registered.resource.decode(errors="replace"))
        }


def _judge(finding: _Finding, compartment: Compartment, counted: Counted) -> None:
    """See what of a resource is in a compartment, and what of it mentions the patient."""
    held, mentions, unread = set[int](), set[int](), set[int]()
    for number, resource in _read(counted, compartment, unread):
        try:
            if compartment.holds(resource):
                held.add(number)
            elif compartment.mentions(resource):
                mentions.add(number)
        except EvaluationError:
            unread.add(number)
    last, name = max(held, default=0), f"{counted.resource.type}/{counted.resource.id}"
    if name == compartment.name:  # whatever is left, be it a delete or what can't be read
        last = counted.newest
    elif last and last == max(counted.bodies):
        last = counted.newest  # a delete that came after it, too
        if counted.resource.type == "Patient":
            finding.linked.add(name)
    if last:
        finding.erase(counted, last)
    finding.mentioned |= set(_names(counted, (number for number in mentions if number > last)))
    finding.unread |= set(_names(counted, (number for number in unread if number > last)))


def _read(counted: Counted, compartment: Compartment, unread: set[int]) -> Iterator[tuple[int, Resource]]:
    """The versions that may have to do with a patient."""
    words = [word.encode() for word in (compartment.id, *(value for _, value in compartment.identities))]
    for number, body in counted.bodies.items():
        if not body:
            unread.add(number)
        elif b"\\" in body or any(word in body for word in words):  # what is escaped may be any of them
            try:
                yield number, _decode(body)
            except ValueError:
                unread.add(number)


def _names(counted: Counted, numbers: Iterator[int]) -> Iterator[str]:
    name = f"{counted.resource.type}/{counted.resource.id}"
    return (name if number == counted.newest else f"{name}/_history/{number}" for number in numbers)


def _named(order: Order, known: Sequence[str]) -> re.Pattern[str]:
    """What a criterion names a resource by: its name, its id as a value, or an identifier that it is known by."""
    end = r"(?![A-Za-z0-9.\-])"
    by_name = rf"{order.type}(?:/|%2F){re.escape(order.id)}{end}"
    by_id = rf"[=,]{re.escape(order.id)}{end}"
    return re.compile("|".join([by_name, by_id, *(rf"{re.escape(value)}{end}" for value in known)]))
