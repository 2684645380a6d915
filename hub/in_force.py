"""The subscriptions in force: a process' copy of the registry, made into an index for matching."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from logging import getLogger
from sys import intern

import msgspec

from hub.access import ANYBODY, Access, Client
from hub.keys import SubscriptionKey
from hub.registered import Registered
from hub.registry import CHUNK, Registry
from hub.standing import Standings
from hub.suppressions import Suppressions
from hub.tenancy import Tenancy
from subscriptions.clearance import FULL, Clearance
from subscriptions.codes import FhirVersion
from subscriptions.filters import look_beyond, topic_looks_beyond
from subscriptions.matching import Index
from subscriptions.shapes import Shapes, shapes
from subscriptions.subscription import Style
from subscriptions.versions.forms import FORMS

#: What a name in the log begins with that is a topic's, `tenant/canonical`, and no Subscription's.
_TOPIC = "topic:"

#: The same of a ValueSet or CodeSystem.
_TERMINOLOGY = "terminology:"

#: The same of what is kept from somebody.
_SUPPRESSION = "suppression:"

_OTHERS = (_TOPIC, _TERMINOLOGY, _SUPPRESSION)

#: Subscriptions that are put into an index without a look at what else there is to do: a few ms.
AT_ONCE = 32

log = getLogger("hub.registry")


@dataclass
class InForce:
    """
    A process' copy of the registry, as an index for matching. `refresh` brings it up to date.

    suppressions: Refreshed along with it, if they are asked by whoever matches.
    standings: What owners are cleared for: by that they see the other resources that filters look at. None for all.
    broken: Subscriptions that can't be understood (any more), and why: set aside, counted and shown.
    """

    registry: Registry
    tenancy: Tenancy
    access: Access
    suppressions: Suppressions | None = None
    standings: Standings | None = None
    broken: dict[str, str] = field(default_factory=dict)
    _indexes: dict[tuple[str, FhirVersion], Index[SubscriptionKey]] = field(default_factory=dict)
    #: The indexes over those whose filters look at other resources, not all of which their owners may see.
    _cleared: dict[tuple[str, FhirVersion], dict[Clearance, Index[SubscriptionKey]]] = field(default_factory=dict)
    #: For what the owners of all of these were cleared when they were put into one; and by which copy of the clients.
    _clearances: dict[SubscriptionKey, Clearance] = field(default_factory=dict)
    _clients: Mapping[str, Client] = field(default_factory=dict)
    _keys: dict[str, SubscriptionKey] = field(default_factory=dict)
    _shapes: dict[SubscriptionKey, Shapes] = field(default_factory=dict)
    _owners: dict[SubscriptionKey, str] = field(default_factory=dict)
    _at_home: set[SubscriptionKey] = field(default_factory=set)
    _met: set[str] = field(default_factory=set)
    _mark: str = ""
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def index(self, tenant: str, version: FhirVersion) -> Index[SubscriptionKey]:
        """The index over a tenant's subscriptions of one FHIR version, but for those in `cleared`."""
        if (tenant, version) not in self._indexes:
            self._indexes[tenant, version] = Index(self.tenancy.context(tenant, version))
        return self._indexes[tenant, version]

    def cleared(self, tenant: str, version: FhirVersion) -> Mapping[Clearance, Index[SubscriptionKey]]:
        """
        The indexes over those whose filters look at other resources, not all of which their owners may see: by what
        these are cleared for.
        """
        return self._cleared.get((tenant, version), {})

    def others(self, tenant: str, type_: str, version: FhirVersion) -> list[Index[SubscriptionKey]]:
        """The indexes of the other tenants that may be told of a tenant's resources of a type."""
        grantees = self.access.grantees(tenant, type_)
        found = [index for to in grantees if (index := self._indexes.get((to, version))) is not None]
        return found + [index for to in grantees for index in self.cleared(to, version).values()]

    def shapes(self, key: SubscriptionKey) -> Shapes | None:
        """What comes along with the changes that concern a subscription; None when nothing ever does."""
        return self._shapes.get(key)

    def owner(self, key: SubscriptionKey) -> str:
        """The client whose it is."""
        return self._owners.get(key, ANYBODY.name)

    def at_home(self, key: SubscriptionKey) -> bool:
        """
        Whether a subscription is told of its own tenant's resources alone, whatever is granted: what R4 without topics
        sends doesn't say whose a resource is.
        """
        return key in self._at_home

    async def refresh(self) -> None:
        """See everything that was registered before this was called, and what was granted a second before."""
        await self.access.current()
        # One at a time: what was read earlier must not be set later, over what another partition's matcher has seen.
        async with self._refreshing:
            clients = self.access.clients
            while True:
                found = await self.registry.changed(self._mark) if self._mark else None
                if found is None:
                    await self._load()
                    continue
                mark, names = found
                moved = [] if clients is self._clients else self._moved()
                if not names and not moved:
                    self._clients = clients
                    return
                unique = list(dict.fromkeys([*await self._concerned(names), *moved]))
                for chunk in (unique[i : i + CHUNK] for i in range(0, len(unique), CHUNK)):
                    read = await self.registry.read(chunk)
                    await self._meet(read)
                    for count, (name, registered) in enumerate(zip(chunk, read, strict=True)):
                        self._set(name, registered)
                        await _let_others_run(count)
                self._mark = mark

    def _moved(self) -> list[str]:
        """The names of those whose owners are cleared for something else by now."""
        held = self._clearances.items()
        return [key.registered_as for key, clearance in held if self._clearance(self.owner(key)) != clearance]

    def _clearance(self, owner: str) -> Clearance:
        return self.standings.clearance(owner) if self.standings else FULL

    async def _concerned(self, names: list[str]) -> list[str]:
        """The names of the Subscriptions that changed, or whose topics or ValueSets did."""
        topics = dict.fromkeys(name.removeprefix(_TOPIC) for name in names if name.startswith(_TOPIC))
        found = dict.fromkeys(name for name in names if name and not name.startswith(_OTHERS))
        if topics:
            await self.tenancy.refresh(dict.fromkeys(place.partition("/")[0] for place in topics))
            found |= dict.fromkeys(await self.registry.users(topics))
        words = (name.removeprefix(_TERMINOLOGY) for name in names if name.startswith(_TERMINOLOGY))
        if tenants := {name.partition("/")[0] for name in words}:
            await self.tenancy.refresh(tenants)
            broken = (name for name in self.broken if name.partition("/")[0] in tenants)
            found |= dict.fromkeys([*self._understand(tenants), *broken])
        if self.suppressions and any(name.startswith(_SUPPRESSION) for name in names):
            await self.suppressions.refresh()
        return list(found)

    def _understand(self, tenants: Collection[str]) -> list[str]:
        """
        Have the indexes of these tenants understand by the terminology that there is now; the names of those whom it
        concerns.
        """
        own = [(place, index) for place, index in self._indexes.items() if place[0] in tenants]
        for place, cleared in self._cleared.items():
            own += [(place, index) for index in cleared.values() if place[0] in tenants]
        asking = (index.understand(self.tenancy.context(*place)) for place, index in own)
        return [key.registered_as for keys in asking for key in keys]

    async def _meet(self, found: Iterable[Registered | None]) -> None:
        """Know the topics and the terminology of tenants that are new here."""
        if new := {each.key.tenant for each in found if each} - self._met:
            await self.tenancy.refresh(new)
            self._understand(new)
            self._met |= new

    async def _load(self) -> None:
        mark = await self.registry.end_of_log()
        await self.tenancy.refresh(self._met)
        self._understand(self._met)
        if self.suppressions:
            await self.suppressions.refresh()
        seen = set()
        async for registered in self.registry.all():
            await self._meet([registered])
            seen.add(registered.key.registered_as)
            self._set(registered.key.registered_as, registered)
            await _let_others_run(len(seen))
        for name in (self._keys.keys() | self.broken.keys()) - seen:
            self._set(name, None)
        self._mark = mark

    def _set(self, name: str, registered: Registered | None) -> None:
        old = self._keys.pop(name, None)
        if old is not None:
            self._remove(old)
            self._shapes.pop(old, None)
            self._owners.pop(old, None)
            self._at_home.discard(old)
        self.broken.pop(name, None)
        if registered is None or not registered.on:
            return
        key = registered.key
        try:
            come_along = self._put(registered)
            if come_along:
                self._shapes[key] = come_along
            if registered.owner != ANYBODY.name:
                self._owners[key] = intern(registered.owner)
            if registered.style is not Style.TOPIC:
                self._at_home.add(key)
        except Exception as error:  # whatever it is, it must not stop the others
            self._remove(key)
            self.broken[name] = str(error)
            log.error("subscription.broken", extra={"subscription": name, "reason": str(error)})
        else:
            self._keys[name] = key

    def _remove(self, key: SubscriptionKey) -> None:
        self._home(key).remove(key)
        cleared, clearance = self._cleared.get((key.tenant, key.version), {}), self._clearances.pop(key, FULL)
        if clearance in cleared and not len(cleared[clearance]):
            del cleared[clearance]

    async def alone(self, key: SubscriptionKey) -> "InForce | None":
        """A subscription by itself, as it is registered now; None when it isn't, is off, or can't be understood."""
        (registered,) = await self.registry.read([key.registered_as])
        if registered is None or registered.key != key or not registered.on or key.registered_as in self.broken:
            return None
        found = InForce(self.registry, self.tenancy, self.access, self.suppressions, self.standings)
        try:
            come_along = found._put(registered)
        except Exception as error:  # it, or its topic, has changed since the last refresh
            log.error("subscription.broken", extra={"subscription": key.registered_as, "reason": str(error)})
            return None
        found._shapes = {key: come_along} if come_along else {}
        found._owners = {key: registered.owner}
        found._at_home = set() if registered.style is Style.TOPIC else {key}
        return found

    def _put(self, registered: Registered) -> Shapes | None:
        """Put a subscription into its index; returns what comes along with the changes that concern it."""
        key, resource = registered.key, msgspec.json.decode(registered.resource)
        interest = FORMS[key.version].read_interest(resource, legacy=registered.style)
        topic = interest.own_topic or self.tenancy.topics(key.tenant).find(key.version, interest.topic)
        if topic is None:
            raise LookupError(f"topic {interest.topic} is not known any more")
        come_along = shapes(topic, self.tenancy.context(key.tenant, key.version)) if topic.shapes else None
        if self.standings and not self.standings.open and (look_beyond(interest.filters) or topic_looks_beyond(topic)):
            self._clearances[key] = self._clearance(registered.owner)
        self._home(key).put(key, topic, interest.filters)
        return come_along

    def _home(self, key: SubscriptionKey) -> Index[SubscriptionKey]:
        """The index that a subscription is in."""
        clearance, place = self._clearances.get(key, FULL), (key.tenant, key.version)
        if clearance == FULL:
            return self.index(*place)
        cleared = self._cleared.setdefault(place, {})
        if clearance not in cleared:
            cleared[clearance] = Index(self.tenancy.context(*place))
        return cleared[clearance]


async def _let_others_run(count: int) -> None:
    """Let the event loop turn after every `AT_ONCE` of many."""
    if count % AT_ONCE == 0:
        await asyncio.sleep(0)
