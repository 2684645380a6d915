"""
What subscriptions are told of their events, from kept versions alone.

Of another tenant's resources they are told as long as that tenant grants it: asked again whenever something is told, so
that a grant withdrawn ends it, for what waits and for what is fetched as well. Such an event keeps its number and its
time, and nothing else of it is told.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hub.access import Access
from hub.instants import instant
from hub.keys import ResourceId, SubscriptionKey
from hub.sight import Sight, Versions
from hub.store import Store
from hub.tenancy import Tenancy
from hub.turn import OwedEvent
from subscriptions.codes import Content, Interaction
from subscriptions.notification import AdditionalContext, Event

_Bodies: TypeAlias = Mapping[tuple[ResourceId, int], bytes | None]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Tells subscriptions of events."""

    store: Store
    tenancy: Tenancy
    access: Access

    async def of(
        self, key: SubscriptionKey, owed: list[OwedEvent], content: Content, sight: Sight | None = None
    ) -> tuple[Event, ...]:
        """
        What a subscription is told of events, with the bodies that `content` has them with, as far as they are kept.

        sight: What may be told of them; None for everything.
        """
        if any(event.tenant for event in owed):
            await self.access.current()
        # Asked once: a grant that changes while they are judged must not put one in another's place.
        versions = [self._versions(key, event) for event in owed]
        bodies: _Bodies = {}
        hidden: Collection[tuple[int, int]] = ()
        if sight is not None and content is not Content.EMPTY:
            seen = await sight.of(list(zip(owed, versions, strict=True)))
            bodies, hidden = seen.bodies, seen.hidden
        elif content is Content.FULL_RESOURCE:
            wanted = [version for of_event in versions for version in of_event]
            bodies = dict(zip(wanted, await self.store.bodies(wanted), strict=True))
        told = bodies if content is Content.FULL_RESOURCE else {}
        return tuple(
            self._event(key, event, of_event, told, hidden) for event, of_event in zip(owed, versions, strict=True)
        )

    def _versions(self, key: SubscriptionKey, owed: OwedEvent) -> Versions:
        """The focus, and what comes along with it; nothing if that may not be told any more."""
        tenant = owed.tenant or key.tenant
        if not self._may(key, tenant, owed.type):
            return []
        found = [(ResourceId(tenant, key.version, owed.type, owed.id), owed.version)]
        along = (each for each in owed.included if self._may(key, tenant, each.type))
        return found + [(ResourceId(tenant, key.version, each.type, each.id), each.version) for each in along]

    def _may(self, key: SubscriptionKey, tenant: str, type_: str) -> bool:
        return tenant == key.tenant or self.access.shares(tenant, key.tenant, type_)

    def _event(
        self,
        key: SubscriptionKey,
        owed: OwedEvent,
        versions: Versions,
        bodies: _Bodies,
        hidden: Collection[tuple[int, int]],
    ) -> Event:
        if not versions or (owed.number, 0) in hidden:
            # Nothing of it is taken along, so that nobody can give it away.
            return Event(owed.number, "", "", 0, Interaction.UPDATE, instant(owed.at), withheld=True)
        left_out = tuple(place for place in range(1, len(versions)) if (owed.number, place) in hidden)
        base = self.tenancy.base(owed.tenant, key.version) if owed.tenant else ""
        return Event(
            number=owed.number,
            type=owed.type,
            id=owed.id,
            version_id=owed.version,
            interaction=owed.interaction,
            at=instant(owed.at),
            body=None if owed.interaction is Interaction.DELETE else bodies.get(versions[0]),
            additional_context=tuple(
                AdditionalContext(resource.type, resource.id, bodies.get((resource, version)), base)
                for place, (resource, version) in enumerate(versions)
                if place and place not in left_out
            ),
            base=base,
            left_out=left_out,
        )
