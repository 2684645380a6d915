"""
Whom changes concern, and what comes along with them: the criteria are evaluated.

What filters want to know of other resources is fetched after the batch was read: what was confirmed before a change was
accepted is seen. If it can't be fetched, the batch comes again; that is never taken for a no. A filter that can't be
evaluated is set aside, and never delays the others.

Whoever may not be told of a change is owed nothing for it, and gets no number: that is counted, and audited before the
others are owed it. Nor does anything come along that he may not be told of.
"""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from time import perf_counter

from hub.audit import Audit
from hub.families import EVENTS_WITHHELD
from hub.holdings import Holdings, Views
from hub.in_force import InForce
from hub.keys import SubscriptionKey
from hub.meter import TIMED, Meter
from hub.poison import Poison
from hub.store import Store
from hub.stream import Entry
from hub.telling import Judgement, Telling
from hub.visibility import Cleared
from subscriptions.abroad import Apart, abroad, is_elsewhere
from subscriptions.audit import HUB, Act, Kind
from subscriptions.change import Change, Resource
from subscriptions.codes import FhirVersion
from subscriptions.errors import EvaluationError
from subscriptions.matching import Clock, Matches
from subscriptions.search.held import Held
from subscriptions.shapes import Included, Shapes
from subscriptions.withheld import Withheld


@dataclass
class Concerned:
    """
    Whom the changes of a batch concern.

    changes: Of each subscription, in stream order.
    included: What comes along with them, by their stream ids.
    withheld: How often each change was kept from a subscription that it concerns, by their stream ids.
    """

    changes: defaultdict[SubscriptionKey, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    included: defaultdict[SubscriptionKey, dict[str, tuple[Included, ...]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    withheld: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _One:
    """
    Whom one change concerns.

    along: What comes along with it.
    left_out: Why something that should come along doesn't.
    withheld: From whom it is kept, and why.
    bugs: What went wrong with those of other tenants.
    """

    matches: Matches[SubscriptionKey]
    along: dict[SubscriptionKey, tuple[Included, ...]] = field(default_factory=dict)
    left_out: list[EvaluationError] = field(default_factory=list)
    withheld: list[tuple[SubscriptionKey, Withheld]] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)


@dataclass
class Concerns:
    """Finds out whom changes concern."""

    store: Store
    telling: Telling
    audit: Audit
    poison: Poison
    meter: Meter

    async def of(self, entries: list[Entry], changes: list[Change | None], asked: InForce) -> Concerned:
        """Whom the changes concern, of those that are asked."""
        result, acts = Concerned(), defaultdict[str, list[Act]](list)
        # What a client could register before, it is told of: nobody who has been let in just now is missed.
        await self.telling.standings.latest()
        for entry, one in await self._each(entries, changes, asked):
            for key in one.matches.keys:
                result.changes[key].append(entry)
                if along := one.along.get(key):
                    result.included[key][entry.id] = along
            for key, error in one.matches.failures:
                self.poison.set_aside("evaluation", entry, error.text, subscription=str(key))
            for key, seconds in one.matches.costs:
                self.meter.spend(key, seconds * TIMED)
            for name in one.bugs:
                self.poison.set_aside("matching", entry, name)
            for error in one.left_out:
                self.poison.set_aside("include", entry, error.text)
            for key, withheld in one.withheld:
                self.meter.count(EVENTS_WITHHELD, entry.resource.tenant, withheld.reason)
                result.withheld[entry.id] += 1
                acts[entry.resource.tenant].append(_act(entry, key, withheld))
        for tenant, of_tenant in acts.items():
            await self.audit.record(tenant, *of_tenant)
        return result

    async def _each(
        self, entries: list[Entry], changes: list[Change | None], asked: InForce
    ) -> list[tuple[Entry, _One]]:
        """
        Whom each of them concerns, in their order.

        What they want to know of other resources is fetched for all of them at once, and those that wanted it are
        matched again. Nothing is fetched when none does.
        """
        known: dict[tuple[str, FhirVersion], Views] = {}
        waiting: list[tuple[int, Change, Views]] = []
        for place, (entry, change) in enumerate(zip(entries, changes, strict=True)):
            if change is not None:
                shared = known.setdefault((entry.resource.tenant, change.version), Views(Held(change.at)))
                waiting.append((place, change, shared.at_time(change.at)))
        found: dict[int, _One] = {}
        while waiting:
            again = []
            for place, change, views in waiting:
                entry = entries[place]
                views.forget_wanted()
                try:
                    clock = perf_counter if self.meter.timing() else None
                    one = _match(entry.resource.tenant, change, views, asked, self.telling, clock)
                except Exception as bug:  # one of ours, that this change brings to light, must not stop the others
                    self.poison.set_aside("matching", entry, type(bug).__name__)
                    continue
                if views.want():
                    again.append((place, change, views))
                else:
                    found[place] = one
            await asyncio.gather(
                *(
                    Holdings(self.store, tenant, version, Cleared(clearance)).fetch(held)
                    for (tenant, version), shared in known.items()
                    for clearance, held in shared.all()
                    if held.wanted
                )
            )
            waiting = again
        return [(entries[place], found[place]) for place in sorted(found)]


def _match(
    tenant: str, change: Change, views: Views, asked: InForce, telling: Telling, clock: Clock | None = None
) -> _One:
    held = views.full
    found = _One(asked.index(tenant, change.version).match(change, held, clock))
    for clearance, index in asked.cleared(tenant, change.version).items():
        matches = index.match(change, views.of(clearance), clock)
        found.matches.costs.extend(matches.costs)
        found.matches.keys.extend(matches.keys)
        found.matches.failures.extend(matches.failures)
    if others := asked.others(tenant, change.type, change.version):
        seen = abroad(change, asked.tenancy.base(tenant, change.version))
        for index in others:
            try:
                matches = index.match(seen, Apart(change.at), clock)
            except Exception as bug:  # one of ours, that must not keep a tenant's changes from its own
                found.bugs.append(type(bug).__name__)
                continue
            found.matches.costs.extend(matches.costs)
            found.matches.keys.extend(key for key in matches.keys if not asked.at_home(key))
            found.matches.failures.extend(each for each in matches.failures if not is_elsewhere(each.error))
    if found.matches.keys and (judgement := telling.of_change(tenant, change, held)):
        found = _withheld(found, judgement, asked)
    by_shapes: defaultdict[tuple[Shapes, str], list[SubscriptionKey]] = defaultdict(list)
    for key in found.matches.keys:
        if (shapes := asked.shapes(key)) and shapes.concern(change.type):
            by_shapes[shapes, key.tenant].append(key)
    for (shapes, to), keys in by_shapes.items():
        try:
            along = shapes.resources(change, held, asked.tenancy.context(tenant, change.version).bases)
        except EvaluationError as error:
            found.left_out.append(error)
            continue
        shared = [each for each in along if to == tenant or asked.access.shares(tenant, to, each.type)]
        judged = {each: _of_included(tenant, change, each, along[each], held, telling) for each in shared}
        for key in keys:
            owner = asked.owner(key)
            found.along[key] = tuple(each for each, by in judged.items() if by is None or by.of(owner) is None)
    return found


def _withheld(found: _One, judgement: Judgement, asked: InForce) -> _One:
    """The same without those who may not be told."""
    told = list[SubscriptionKey]()
    for key in found.matches.keys:
        if withheld := judgement.of(asked.owner(key)):
            found.withheld.append((key, withheld))
        else:
            told.append(key)
    return replace(found, matches=found.matches._replace(keys=told))


def _of_included(
    tenant: str, change: Change, included: Included, resource: Resource, held: Held, telling: Telling
) -> Judgement | None:
    """Who may be told of what comes along with a change; None for everybody."""
    if telling.free(tenant, change.version, included.type):
        return None
    return telling.of(tenant, change.version, f"{included.type}/{included.id}", (resource,), held=held)


def _act(entry: Entry, key: SubscriptionKey, withheld: Withheld) -> Act:
    """What the audit of the tenant whose the change is says of its being kept from a subscription."""
    resource = entry.resource
    return Act(
        Kind.SUPPRESSED,
        HUB,
        f"Subscription/{key.id}" if key.tenant == resource.tenant else f"tenant/{key.tenant}",
        key.version,
        text=str(withheld),
        also=(f"{resource.type}/{resource.id}/_history/{entry.number}",),
    )
