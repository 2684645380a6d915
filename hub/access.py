"""
Who there is: tenants, their clients, and the clients' keys.

`hub:{access}:tenants`, `:clients` and `:keys` are hashes of JSON by name, as `Tenant`, `Client` and `Key` have it. The
field of `:clients` with an empty name counts the changes of all three, by which a process notices them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from hmac import compare_digest
from logging import getLogger
from secrets import token_hex, token_urlsafe
from types import MappingProxyType
from typing import Any, Self, TypeVar

import msgspec

from hub.belief import Copy, outdated
from hub.keys import CLIENTS, KEYS, TENANTS
from hub.pipeline import Pipeline, script
from subscriptions.audit import HUB, OPERATOR
from subscriptions.clearance import Clearance
from subscriptions.codes import Content
from subscriptions.rights import EVERYTHING, Rights
from subscriptions.scopes import Permission, Scopes

GRANT = script("grant")

#: Whose everything is that names no other tenant.
DEFAULT = "default"

#: What an API key begins with, so that it is known for one wherever it is found.
PREFIX = "hubkey"

_TENANT = re.compile(r"[a-z][a-z0-9-]{0,31}")
#: In the records of subscriptions a colon ends it.
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

One = TypeVar("One")

log = getLogger("hub.access")


@dataclass(frozen=True, slots=True)
class Tenant:
    """
    An organisation: a wall around what is its own.

    grants: What of it other tenants' clients may do and be told, by tenant, beside their own rights.
    """

    name: str
    grants: Mapping[str, Scopes] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def record(self) -> dict[str, Any]:
        return {"grants": {tenant: str(scopes) for tenant, scopes in self.grants.items()}}

    @classmethod
    def of(cls, name: str, record: dict[str, Any]) -> Self:
        return cls(name, MappingProxyType({to: Scopes.parse(text) for to, text in record["grants"].items()}))


@dataclass(frozen=True, slots=True)
class Client:
    """
    A system that calls the hub, or is told by it.

    known_as: What its tokens' issuer calls it; empty for its name.
    off: Nothing is granted to it any more, whatever `rights` says.
    """

    name: str
    tenant: str
    rights: Rights
    known_as: str = ""
    off: bool = False

    @property
    def record(self) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "scopes": str(self.rights.scopes),
            "content": self.rights.content,
            "clearance": str(self.rights.clearance),
            "known_as": self.known_as,
            "off": self.off,
        }

    @classmethod
    def of(cls, name: str, record: dict[str, Any]) -> Self:
        rights = Rights(
            Scopes.parse(record["scopes"]), Content(record["content"]), Clearance.parse(record["clearance"])
        )
        return cls(name, record["tenant"], rights, record["known_as"], record["off"])


@dataclass(frozen=True, slots=True)
class Key:
    """
    An API key, without its secret.

    digest: SHA-256 of the secret, in hexadecimal. It has 256 random bits: nothing slower would make it safer.
    scopes: What of its client's rights it carries.
    created, expires, revoked: ms since 1970; None for never.
    """

    id: str
    client: str
    digest: str
    scopes: Scopes
    created: int
    expires: int | None = None
    revoked: int | None = None

    @classmethod
    def new(cls, client: str, scopes: Scopes, *, now: int, expires: int | None) -> tuple[Self, str]:
        """A key, and what its client has to send: it can't be had again."""
        id_, secret = token_hex(8), token_urlsafe(32)
        return cls(id_, client, _digest(secret), scopes, now, expires), f"{PREFIX}_{id_}_{secret}"

    def opened_by(self, secret: str) -> bool:
        """Whether this is its secret, compared in constant time."""
        return compare_digest(self.digest, _digest(secret))

    def fault(self, now: int) -> str:
        """Why it is not good any more; empty if it is."""
        if self.revoked is not None:
            return "was revoked"
        return "has expired" if self.expires is not None and self.expires <= now else ""

    @property
    def record(self) -> dict[str, Any]:
        return {
            "client": self.client,
            "digest": self.digest,
            "scopes": str(self.scopes),
            "created": self.created,
            "expires": self.expires,
            "revoked": self.revoked,
        }

    @classmethod
    def of(cls, id_: str, record: dict[str, Any]) -> Self:
        rest = record | {"scopes": Scopes.parse(record["scopes"])}
        return cls(id=id_, **rest)


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who makes a request, or whom a Subscription belongs to.

    rights: What it may do now, in its own tenant.
    """

    name: str
    tenant: str
    rights: Rights

    def sees(self, owner: str) -> bool:
        """Whether Subscriptions of this client are there for it: its own are, and to operators everybody's."""
        return owner == self.name or self.rights.scopes.admin


#: Whoever reaches a hub that tells nobody apart.
ANYBODY = Caller("anonymous", DEFAULT, EVERYTHING)


@dataclass
class Access(Copy):
    """A process' copy of who there is."""

    pipeline: Pipeline
    now: Callable[[], int]
    tenants: dict[str, Tenant] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    _known_as: dict[str, Client] = field(default_factory=dict)
    _count: bytes = b""
    _again: int = 0

    async def _read(self) -> None:
        count = await self.pipeline.command("HGET", CLIENTS, "") or b"0"
        if count != self._count:
            tenants, clients, keys = await self.pipeline.all([("HGETALL", name) for name in (TENANTS, CLIENTS, KEYS)])
            rows = _rows(clients)
            rows.pop(b"", None)
            # What was counted before they were read: a change in between is seen the next time.
            self._count = count
            self.tenants = {one.name: one for one in _understood(Tenant.of, _rows(tenants))}
            self.clients = {one.name: one for one in _understood(Client.of, rows)}
            self.keys = {one.id: one for one in _understood(Key.of, _rows(keys))}
            self._known_as = _by_issuer(self.clients.values())

    async def again(self) -> None:
        """Look for somebody who isn't known: at once, but so often only as `current` would."""
        if outdated(self._again, self.now()):
            self._again = self.now()
            await self.refresh()

    def client_known_as(self, name: str) -> Client | None:
        """Whom tokens call so. Nobody is, where several would be."""
        return self._known_as.get(name)

    def grantees(self, tenant: str, type_: str) -> list[str]:
        """The other tenants whose clients may be told of a tenant's resources of a type."""
        held = self.tenants.get(tenant)
        return [to for to in held.grants if self.shares(tenant, to, type_)] if held and held.grants else []

    def shares(self, tenant: str, to: str, type_: str) -> bool:
        """Whether a tenant lets another's clients be told of its resources of a type."""
        held = self.tenants.get(tenant)
        return held is not None and to != tenant and to in held.grants and held.grants[to].allow(type_, Permission.READ)

    async def set(self, one: Tenant | Client | Key, *, if_unchanged: bool = False) -> bool:
        """Write one of them. `if_unchanged`: False, and nothing done, when anything was changed since `refresh`."""
        match one:
            case Tenant():
                place, name = TENANTS, named(one)
            case Client():
                place, name = CLIENTS, named(one)
            case Key():
                place, name = KEYS, one.id
        record = msgspec.json.encode(one.record)
        done = await self.pipeline.run(GRANT, [place, CLIENTS], name, record, self._count if if_unchanged else "")
        await self.refresh()
        return bool(done)

    async def remove(self, one: Client) -> None:
        """Forget a client, its keys first: another one of its name has none of them."""
        await self._remove_keys(one.name)
        await self.pipeline.run(GRANT, [CLIENTS, CLIENTS], one.name, "", "")
        await self._remove_keys(one.name)  # which were made meanwhile
        await self.refresh()

    async def _remove_keys(self, client: str) -> None:
        await self.refresh()
        for key in [key for key in self.keys.values() if key.client == client]:
            await self.pipeline.run(GRANT, [KEYS, CLIENTS], key.id, "", "")

    async def revoke(self, key: Key) -> None:
        """Have a key be good for nothing from now on."""
        await self.set(replace(key, revoked=self.now()))


def _by_issuer(clients: Iterable[Client]) -> dict[str, Client]:
    found: dict[str, list[Client]] = {}
    for client in clients:
        found.setdefault(client.known_as or client.name, []).append(client)
    return {name: alike[0] for name, alike in found.items() if len(alike) == 1}


def named(one: Tenant | Client) -> str:
    """Its name. ValueError for one that can't be a name, or that the audit has for somebody else."""
    pattern, what = (_TENANT, "tenant") if isinstance(one, Tenant) else (_CLIENT, "client")
    if one.name in (ANYBODY.name, OPERATOR, HUB):
        raise ValueError(f"{one.name} is no name for a {what}: the audit has it for somebody else")
    if not pattern.fullmatch(one.name):
        raise ValueError(f"{one.name[:80]} is no name for a {what}: {pattern.pattern}")
    return one.name


def _rows(reply: Any) -> dict[bytes, bytes]:
    return dict(reply) if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def _understood(read: Callable[[str, dict[str, Any]], One], rows: dict[bytes, bytes]) -> Iterator[One]:
    """What the records say. One that isn't understood, such as a newer hub's, is as if it were not there."""
    for name, record in rows.items():
        try:
            yield read(name.decode(), msgspec.json.decode(record))
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError):
            log.error("access.unreadable", extra={"record": name.decode(errors="replace")})


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
