"""
Who calls: anybody, the holder of an API key, or of a token of SMART Backend Services.

Refusals are those of https://www.rfc-editor.org/rfc/rfc6750#section-3.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from logging import getLogger

from starlette.requests import Request

from hub.access import ANYBODY, PREFIX, Access, Caller, Client, Key
from hub.api.asking import KEY, NOTHING, TOKEN, Asking
from hub.errors import Refused
from hub.smart.verifier import Verifier
from hub.unproven import Fault, Unproven
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue
from subscriptions.rights import Rights
from subscriptions.scopes import Scopes

REALM = "FHIR event hub"

_BEARER = re.compile(r"bearer +([\x21-\x7e]+) *", re.IGNORECASE)
_KEY = re.compile(rf"{PREFIX}_([A-Za-z0-9-]+)_([A-Za-z0-9_-]+)")

#: What a secret is held against whose key isn't there, so that this takes no less time.
_NONE = Key("", "", sha256(b"").hexdigest(), Scopes.granted(""), 0)

log = getLogger("hub.api")


class OpenGate:
    """Tells nobody apart: `HUB_AUTH=none`."""

    asking = NOTHING

    async def caller(self, request: Request) -> Caller:  # noqa: ARG002 (whoever it is)
        return ANYBODY


@dataclass(frozen=True, slots=True)
class KeysGate:
    """Knows holders of API keys: `HUB_AUTH=keys`. One for each tenant."""

    access: Access
    tenant: str
    asking: Asking = KEY

    async def caller(self, request: Request) -> Caller:
        try:
            key, client = await self._proven(_key(request))
        except Unproven as error:
            raise refused(error.fault) from None
        return admitted(request, self.access, self.tenant, client, client.rights.within(key.scopes))

    async def _proven(self, text: str) -> tuple[Key, Client]:
        if not text:
            raise Unproven(Fault.MISSING)
        if not (found := _KEY.fullmatch(text)):
            raise Unproven(Fault.MALFORMED)
        await self.access.current()
        if found[1] not in self.access.keys:
            await self.access.again()
        key = self.access.keys.get(found[1], _NONE)
        if not key.opened_by(found[2]) or key is _NONE:
            raise Unproven(Fault.UNKNOWN)
        if key.fault(self.access.now()):
            raise Unproven(Fault.EXPIRED if key.revoked is None else Fault.REVOKED)
        return key, _in_force(self.access.clients.get(key.client))


@dataclass(frozen=True, slots=True)
class SmartGate:
    """Knows holders of tokens: `HUB_AUTH=smart`. One for each tenant."""

    access: Access
    tenant: str
    verifier: Verifier
    asking: Asking = TOKEN

    async def caller(self, request: Request) -> Caller:
        try:
            text = _bearer(request)
            if not text:
                raise Unproven(Fault.MISSING)
            proven = await self.verifier.proven(text)
            await self.access.current()
            if self.access.client_known_as(proven.client) is None:
                await self.access.again()
            client = _in_force(self.access.client_known_as(proven.client))
        except Unproven as error:
            raise refused(error.fault) from None
        return admitted(request, self.access, self.tenant, client, client.rights.within(proven.scopes))


def _in_force(client: Client | None) -> Client:
    if client is None or client.off:
        raise Unproven(Fault.CLIENT)
    return client


def admitted(request: Request, access: Access, tenant: str, client: Client, rights: Rights) -> Caller:
    """A client, with what it may do in a tenant. Where it may do nothing that tenant is not there for it: 404."""
    if client.tenant != tenant:
        there = access.tenants.get(tenant)
        granted = there.grants.get(client.tenant) if there else None
        if granted is None:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"There is nothing at {request.url.path}.")
        rights = rights.within(granted)
    return Caller(client.name, client.tenant, rights)


def refused(fault: Fault) -> Refused:
    """The answer to whoever has not proven who it is."""
    told = f'Bearer realm="{REALM}"'
    if fault is not Fault.MISSING:
        told += f', error="invalid_token", error_description="{fault.text}"'
        log.info("caller.refused", extra={"fault": fault.value})
    return Refused(401, Issue(IssueCode.LOGIN, fault.text), headers={"WWW-Authenticate": told})


def _key(request: Request) -> str:
    """What either header has; empty for none."""
    own, bearer = _single(request, "x-api-key"), _bearer(request)
    if own and bearer:
        raise Unproven(Fault.MALFORMED)
    return own or bearer


def bearer(request: Request) -> str:
    """The token that a request bears; empty for none, and for several, of which none counts."""
    values = request.headers.getlist("authorization")
    found = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    return found[1] if found else ""


def _bearer(request: Request) -> str:
    """What `Authorization: Bearer` has; empty for none, and for another scheme."""
    found = _BEARER.fullmatch(_single(request, "authorization"))
    return found[1] if found else ""


def _single(request: Request, name: str) -> str:
    """A header's value; empty for none. Of several, nobody could say which one counts."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise Unproven(Fault.MALFORMED)
    return values[0] if values else ""
