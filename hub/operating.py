"""What operators do to tenants, clients and keys; each of it is audited before it is done."""

from dataclasses import dataclass, replace

from hub.access import DEFAULT, Access, Client, Key, Tenant, named
from hub.audit import Audit
from hub.errors import Mistaken
from subscriptions.audit import OPERATOR, Act, Kind
from subscriptions.scopes import ALL, Scopes

#: ms that a key may be good at most: what was forgotten ends all the same.
LONGEST = 3_650 * 86_400_000


@dataclass(frozen=True, slots=True)
class Operating:
    """On an `access` that is up to date. Each method raises Mistaken when that can't be done, and Unavailable."""

    access: Access
    audit: Audit

    async def create_key(self, client: str, scopes: Scopes, lasts: int | None) -> tuple[Key, str]:
        """
        A key for a client, and what it has to send.

        lasts: ms; None for ever.
        """
        holder = self.client(client)
        if not str(holder.rights.scopes & scopes):
            raise Mistaken(f"{client} has none of these scopes, so its key would be good for nothing")
        if lasts is not None and not 0 < lasts <= LONGEST:
            raise Mistaken("a key is good for ten years at most")
        now = self.access.now()
        key, text = Key.new(client, scopes, now=now, expires=None if lasts is None else now + lasts)
        carried = "all that it may" if scopes == ALL else str(scopes)
        await self._record(holder.tenant, Kind.KEY_CREATED, f"key/{key.id}", f"of {client}: {carried}")
        await self._set(key)
        return key, text

    async def revoke_key(self, id_: str) -> Key:
        """Have a key be good for nothing; the same again for one that was revoked before."""
        key = self.access.keys.get(id_)
        if key is None:
            raise Mistaken(f"there is no key {id_[:80]}: see `hub keys list`")
        if key.revoked is None:
            holder = self.access.clients.get(key.client)
            await self._record(holder.tenant if holder else DEFAULT, Kind.KEY_REVOKED, f"key/{id_}", f"of {key.client}")
            await self.access.revoke(key)
        return self.access.keys[id_]

    def client(self, name: str) -> Client:
        """A client that there is."""
        found = self.access.clients.get(name)
        if found is None:
            raise Mistaken(f"there is no client {name[:80]}: see `hub clients list`, or make it by `hub clients set`")
        return found

    async def set_client(self, client: Client) -> None:
        """Make or change a client. It stays in its tenant: what it has there would be left behind."""
        before = self.access.clients.get(client.name)
        _named(client)
        self.tenant(client.tenant)
        if before and before.tenant != client.tenant:
            raise Mistaken(f"{client.name} is a client of {before.tenant}: make another one for {client.tenant}")
        called = client.known_as or client.name
        if other := next((one for one in self._others(client) if called == (one.known_as or one.name)), None):
            raise Mistaken(f"tokens that say {called[:80]} mean {other.name} already: nobody would be known by it")
        rights = client.rights
        said = f"{rights.scopes}; content {rights.content}; clearance {rights.clearance}" + ("; off" * client.off)
        await self._record(client.tenant, Kind.CLIENT_CHANGED, f"client/{client.name}", said)
        await self._set(client)

    def _others(self, client: Client) -> list[Client]:
        return [one for one in self.access.clients.values() if one.name != client.name]

    async def turn_off(self, name: str) -> None:
        await self.set_client(replace(self.client(name), off=True))

    async def remove_client(self, name: str) -> int:
        """Forget a client and its keys; how many these were."""
        client = self.client(name)
        keys = [key for key in self.access.keys.values() if key.client == name]
        said = f"removed, with {len(keys)} keys"
        await self._record(client.tenant, Kind.CLIENT_REMOVED, f"client/{name}", said)
        await self.access.remove(client)
        return len(keys)

    def tenant(self, name: str) -> Tenant:
        """A tenant that there is; the default one needs no record."""
        found = self.access.tenants.get(name) or (Tenant(DEFAULT) if name == DEFAULT else None)
        if found is None:
            raise Mistaken(f"there is no tenant {name[:80]}: see `hub tenants list`, or make it by `hub tenants set`")
        return found

    async def make_tenant(self, name: str) -> None:
        """Make a tenant; nothing when there is one of this name."""
        if name not in self.access.tenants:
            await self._change(Tenant(name), "made")

    async def grant(self, name: str, to: str, scopes: Scopes) -> None:
        """Let another tenant's clients do so much in a tenant, instead of what they could before."""
        tenant = self.tenant(name)
        if self.tenant(to).name == name:
            raise Mistaken(f"the clients of {name} need no grant there: their own scopes count")
        if not str(scopes):
            raise Mistaken("nothing would be granted: see `hub tenants revoke`")
        await self._change(replace(tenant, grants={**tenant.grants, to: scopes}), f"grants {to}: {scopes}")

    async def withdraw(self, name: str, to: str) -> None:
        tenant = self.tenant(name)
        if to not in tenant.grants:
            raise Mistaken(f"{name} grants {to[:80]} nothing")
        rest = {other: scopes for other, scopes in tenant.grants.items() if other != to}
        await self._change(replace(tenant, grants=rest), f"grants {to} nothing any more")

    async def _change(self, tenant: Tenant, said: str) -> None:
        _named(tenant)
        await self._record(tenant.name, Kind.TENANT_CHANGED, f"tenant/{tenant.name}", said)
        await self._set(tenant)

    async def _set(self, one: Client | Key | Tenant) -> None:
        """Write it, unless somebody else has changed what it was decided by: neither undoes what the other did."""
        if not await self.access.set(one, if_unchanged=True):
            raise Mistaken("somebody else has changed just now who may do what, and this was not done: try again")

    async def _record(self, tenant: str, kind: Kind, entity: str, text: str) -> None:
        await self.audit.record(tenant, Act(kind, OPERATOR, entity, text=text))


def _named(one: Client | Tenant) -> None:
    """Raise Mistaken for a name that can't be one, before anything is recorded."""
    try:
        named(one)
    except ValueError as error:
        raise Mistaken(str(error)) from None
