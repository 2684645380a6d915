"""What the owners of Subscriptions may now: their clients' rights, as they stand in `Access`."""

from dataclasses import dataclass, field

from hub.access import Access, Client
from subscriptions.clearance import FULL, Clearance
from subscriptions.rights import EVERYTHING
from subscriptions.told import Recipient
from subscriptions.withheld import Reason, Standing, Withheld

_FOREVER = float("inf")


@dataclass
class Standings:
    """
    What owners may now. Ask `current` before.

    auth: How callers are told apart, HUB_AUTH. With `none` everybody may everything.
    """

    access: Access
    auth: str = "none"
    #: Of this copy of the clients all that follows was made.
    _of: dict[str, Client] | None = None
    _held: dict[tuple[str, str], Standing] = field(default_factory=dict)
    _recipients: dict[str, Recipient] = field(default_factory=dict)
    _good_until: dict[str, float] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether nobody is told apart."""
        return self.auth == "none"

    async def current(self) -> None:
        """See what was changed a second before this was called, or earlier."""
        if not self.open:
            await self.access.current()

    async def latest(self) -> None:
        """See everything that was changed before this was called."""
        if not self.open:
            await self.access.refresh()

    def of(self, tenant: str, owner: str) -> Standing:
        """What the owner of a Subscription may now in its tenant, or why he may nothing."""
        if self.open:
            return EVERYTHING
        self._see()
        place = tenant, owner
        standing = self._held.get(place)
        if standing is None:
            standing = self._held[place] = self._standing(tenant, owner)
        if self.auth == "keys" and not isinstance(standing, Withheld):
            # Keys run out by themselves.
            good = self._good_until.get(owner, -_FOREVER) > self.access.now()
            return standing if good else Withheld(Reason.NO_KEY)
        return standing

    def clearance(self, owner: str) -> Clearance:
        """What he is cleared for. FULL of who is no client any more: he is told nothing at all."""
        client = None if self.open else self.access.clients.get(owner)
        return client.rights.clearance if client else FULL

    def recipient(self, owner: str) -> Recipient:
        """Who that is, for whoever names clients."""
        self._see()
        if owner not in self._recipients:
            clients = self.access.clients.values()
            others = frozenset().union(*(_names(each) for each in clients if each.name != owner))
            known = self.access.clients.get(owner)
            self._recipients[owner] = Recipient(owner, _names(known) if known else frozenset({owner}), others)
        return self._recipients[owner]

    def all(self) -> dict[str, dict[str, Standing]]:
        """What each client may, in its own tenant and where something is granted to it."""
        granting = [tenant for tenant in self.access.tenants.values() if tenant.grants]
        return {
            name: {
                tenant: self.of(tenant, name)
                for tenant in (client.tenant, *(each.name for each in granting if client.tenant in each.grants))
            }
            for name, client in self.access.clients.items()
        }

    def _standing(self, tenant: str, owner: str) -> Standing:
        client = self.access.clients.get(owner)
        if client is None:
            return Withheld(Reason.NO_CLIENT)
        if client.off:
            return Withheld(Reason.OFF)
        if client.tenant == tenant:
            return client.rights
        held = self.access.tenants.get(tenant)
        granted = held.grants.get(client.tenant) if held else None
        return client.rights.within(granted) if granted is not None else Withheld(Reason.NO_GRANT)

    def _see(self) -> None:
        """Forget what was made of an earlier copy."""
        if self._of is self.access.clients:
            return
        self._of = self.access.clients
        self._held.clear()
        self._recipients.clear()
        self._good_until.clear()
        for key in self.access.keys.values():
            if key.revoked is None:
                until = _FOREVER if key.expires is None else key.expires
                self._good_until[key.client] = max(until, self._good_until.get(key.client, until))


def _names(client: Client) -> frozenset[str]:
    return frozenset(filter(None, (client.name, client.known_as)))
