"""
What of its events a subscriber may still be told, by what it may and what is kept from it when it is told.

Of an event the version that it is about is judged, the one before it, and the one in force: what has become more
confidential since is not told either. What isn't kept any more can't be judged, and so isn't told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from hub.holdings import Holdings
from hub.keys import ResourceId
from hub.store import Lineage, Store
from hub.telling import Judgement, Telling
from hub.turn import OwedEvent
from subscriptions.change import Resource
from subscriptions.codes import Interaction
from subscriptions.labels import labels_in
from subscriptions.search.held import Held
from subscriptions.withheld import Reason, Withheld

#: A resource and the number of a version.
Versions: TypeAlias = list[tuple[ResourceId, int]]

#: Asks who is told for why something is kept from him; None if it isn't.
Judging: TypeAlias = Callable[[Judgement], Withheld | None]

_decode: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_NOT_KEPT = Withheld(Reason.UNREADABLE, "not all versions are kept")


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What was found of events.

    hidden: What may not be told: number of the event, 0 for its focus, else which of what comes along.
    bodies: The JSON of all of it, as far as it is kept.
    """

    hidden: frozenset[tuple[int, int]]
    bodies: Mapping[tuple[ResourceId, int], bytes | None]


@dataclass
class Sight:
    """
    What a subscriber may be told of events now.

    judging: Asked of each resource.
    withheld: What was found to be kept from him: number of the event, the version, and why.
    """

    store: Store
    telling: Telling
    judging: Judging
    withheld: list[tuple[int, ResourceId, int, Withheld]] = field(default_factory=list)

    async def of(self, events: list[tuple[OwedEvent, Versions]]) -> Seen:
        """What is seen of events, each with the versions that would be told of, its focus first."""
        versions = [version for _, versions in events for version in versions]
        lineages = dict(zip(versions, await self.store.lineages(versions), strict=True))
        hidden = set[tuple[int, int]]()
        for owed, of_event in events:
            for place, version in enumerate(of_event):
                found = lineages[version]
                bodies = [found.body, *_latest(found)] if place else _of_focus(owed, found)
                if why := await self._judged(version[0], bodies):
                    self.withheld.append((owed.number, *version, why))
                    hidden.add((owed.number, place))
        return Seen(frozenset(hidden), {version: lineage.body for version, lineage in lineages.items()})

    async def _judged(self, resource: ResourceId, wanted: list[bytes | None]) -> Withheld | None:
        """Why something may not be told, given all bodies that it is judged by."""
        bodies = [body for body in wanted if body is not None]
        if len(bodies) < len(wanted):
            return _NOT_KEPT
        found = tuple(map(labels_in, bodies))
        name = f"{resource.type}/{resource.id}"
        judgement = self.telling.of(resource.tenant, resource.version, name, (), found)
        if not judgement.suppression.concerns((resource.type,)):
            return self.judging(judgement)
        try:
            versions: tuple[Resource, ...] = tuple(map(_decode, bodies))
        except (ValueError, RecursionError):
            return Withheld(Reason.UNREADABLE, "it can't be read")
        held, told = Held(judgement.told.at), replace(judgement.told, versions=versions)
        # Nothing of an earlier evaluation is kept: it lacked what was wanted.
        return await Holdings(self.store, resource.tenant, resource.version).settled(
            held, lambda: self.judging(replace(judgement, told=told, held=held, _of={}))
        )


def _of_focus(owed: OwedEvent, focus: Lineage) -> list[bytes | None]:
    """What an event is judged by."""
    now = [] if owed.interaction is Interaction.DELETE else [focus.body]
    before = [] if owed.interaction is Interaction.CREATE else [focus.before]
    return [*now, *before, *_latest(focus)]


def _latest(lineage: Lineage) -> list[bytes | None]:
    """The version in force, if it is another one."""
    return [lineage.latest] if lineage.overtaken else []
