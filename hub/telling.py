"""Who may be told of what: asked when a change is matched, and again before each attempt to tell of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hub.instants import instant
from hub.standing import Standings
from hub.suppressions import Suppressions
from hub.tenancy import Tenancy
from subscriptions.change import Change, Resource
from subscriptions.codes import FhirVersion
from subscriptions.labels import Labels, labels
from subscriptions.search.asking import Context
from subscriptions.search.held import Held
from subscriptions.suppression import Suppression
from subscriptions.told import Told
from subscriptions.withheld import Standing, Withheld, of_versions


@dataclass
class Judgement:
    """Who may be told of one resource. Each owner is judged once."""

    tenant: str
    standings: Standings
    told: Told
    suppression: Suppression
    context: Context
    held: Held
    _of: dict[str, Withheld | None] = field(default_factory=dict)

    def of(self, owner: str) -> Withheld | None:
        """Why it is kept from whoever owns a Subscription; None if it isn't."""
        if owner not in self._of:
            self._of[owner] = self.on(self.standings.of(self.tenant, owner), owner)
        return self._of[owner]

    def on(self, standing: Standing, owner: str) -> Withheld | None:
        """The same for other rights than those that the client has."""
        found = of_versions(standing, self.told.type, self.told.labels)
        if found or not self.suppression.concerns((self.told.type,)):
            return found
        return self.suppression.withheld(self.told, self.standings.recipient(owner), self.context, self.held)


@dataclass
class Telling:
    """
    Who may be told of what. `refresh` and `current` see what was changed, as those of its parts do.

    tenancy: Has what rules are understood in.
    now: ms since 1970.
    """

    standings: Standings
    suppressions: Suppressions
    tenancy: Tenancy
    now: Callable[[], int]

    async def current(self) -> None:
        """See what was changed a second before this was called, or earlier."""
        await self.standings.current()
        if await self.suppressions.current() and self.suppressions.rules:
            await self.tenancy.refresh(self.suppressions.rules)

    def free(self, tenant: str, version: FhirVersion, *types: str) -> bool:
        """Whether everybody may be told of all resources of these types, so that none has to be judged."""
        return self.standings.open and not self.suppressions.of(tenant, version).concerns(types)

    def unlimited(self, tenant: str, version: FhirVersion) -> bool:
        """Whether everybody may be told of everything."""
        return self.standings.open and self.suppressions.of(tenant, version).empty

    def of_change(self, tenant: str, change: Change, held: Held) -> Judgement | None:
        """Who may be told of a change; None for everybody."""
        if self.free(tenant, change.version, change.type):
            return None
        versions = tuple(each for each in (change.resource, change.previous) if each is not None)
        return self.of(tenant, change.version, f"{change.type}/{change.id}", versions, held=held)

    def of(
        self,
        tenant: str,
        version: FhirVersion,
        name: str,
        versions: tuple[Resource, ...],
        found: tuple[Labels, ...] | None = None,
        *,
        held: Held | None = None,
    ) -> Judgement:
        """
        Who may be told of a resource.

        Args:
            name: `Type/id`.
            versions: Those that would be told of, or that what is told gives away.
            found: Their labels, if they are known.
            held: Other resources, for rules that look at them; those that it lacks are wanted.
        """
        type_, _, id_ = name.partition("/")
        at, context = instant(self.now()), self.tenancy.context(tenant, version)
        known = tuple(map(labels, versions)) if found is None else found
        told = Told(type_, id_, versions, known, context.bases, at)
        suppression = self.suppressions.of(tenant, version)
        return Judgement(tenant, self.standings, told, suppression, context, held or Held(at))
