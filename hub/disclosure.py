"""
What subscriptions are told of their events, from kept versions alone.

Of another tenant's resources they are told as long as that tenant grants it: asked again whenever something is told, so
that a grant withdrawn ends it, for what waits and for what is fetched as well. Such an event keeps its number and its
time, and nothing else of it is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hub.access import Access
from hub.keys import ResourceId, SubscriptionKey
from hub.store import Store, instant
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

    async def of(self, key: SubscriptionKey, owed: list[OwedEvent], content: Content) -> tuple[Event, ...]:
        """
        What a subscription is told of events, with the bodies that `content` has them with, as far as they are kept.
        """
        if any(event.tenant for event in owed):
            await self.access.current()
        bodies: _Bodies = {}
        if content is Content.FULL_RESOURCE:
            wanted = [version for event in owed for version in self._versions(key, event)]
            bodies = dict(zip(wanted, await self.store.bodies(wanted), strict=True))
        return tuple(self._event(key, event, bodies) for event in owed)

    def _versions(self, key: SubscriptionKey, owed: OwedEvent) -> list[tuple[ResourceId, int]]:
        """The focus, and what comes along with it; nothing if that may not be told any more."""
        tenant = owed.tenant or key.tenant
        if not self._may(key, tenant, owed.type):
            return []
        found = [(ResourceId(tenant, key.version, owed.type, owed.id), owed.version)]
        along = (each for each in owed.included if self._may(key, tenant, each.type))
        return found + [(ResourceId(tenant, key.version, each.type, each.id), each.version) for each in along]

    def _may(self, key: SubscriptionKey, tenant: str, type_: str) -> bool:
        return tenant == key.tenant or self.access.shares(tenant, key.tenant, type_)

    def _event(self, key: SubscriptionKey, owed: OwedEvent, bodies: _Bodies) -> Event:
        versions = self._versions(key, owed)
        if not versions:
            return Event(owed.number, "", "", 0, owed.interaction, instant(owed.at), withheld=True)
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
                for resource, version in versions[1:]
            ),
            base=base,
        )
