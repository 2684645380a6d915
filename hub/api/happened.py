"""Changes that happened, as somebody names them who asks about them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from hub.access import Access, Caller
from hub.api.permits import demand
from hub.errors import Refused
from hub.keys import ResourceId
from hub.store import Store
from hub.tenancy import Tenancy
from subscriptions.abroad import Apart, abroad
from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction, IssueCode
from subscriptions.labels import labels_in
from subscriptions.scopes import Permission
from subscriptions.search.held import Held

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class Happened:
    """
    A change that happened.

    change: As it is seen from the base where somebody asks.
    held: What can be looked at beside it, made for each who looks.
    """

    resource: ResourceId
    change: Change
    held: type[Held]


@dataclass(frozen=True, slots=True)
class Past:
    """The changes that can be asked about at one FHIR base: those on it, and those that other tenants grant."""

    store: Store
    tenancy: Tenancy
    access: Access
    tenant: str
    version: FhirVersion

    async def change(self, reference: str, by: Caller) -> Happened:
        """
        The change that made a version of a resource, which is named by its URL, or below this base.

        Raises:
            Refused: 403 when `by` may not read its type; 404 when it isn't held, has labels that `by` isn't cleared
                for, or nothing of its tenant is granted; 400, 409.
        """
        tenant, local = self.tenancy.placed(reference, self.version) or (self.tenant, reference)
        parts = local.split("/")
        if len(parts) != 4 or parts[2] != "_history" or not (parts[3].isascii() and parts[3].isdecimal()):
            text = "The reference must name a version, as `Immunization/1/_history/3` does."
            raise Refused.because(400, IssueCode.VALUE, text, "reference")
        demand(by, parts[0], Permission.READ)
        resource = ResourceId(tenant, self.version, parts[0], parts[1])
        if tenant != self.tenant:
            await self.access.current()
            if not self.access.shares(tenant, self.tenant, resource.type):
                raise _not_held(reference)
        change = await self._made(resource, int(parts[3][:15]), reference, by)
        if tenant == self.tenant:
            return Happened(resource, change, Held)
        return Happened(resource, abroad(change, self.tenancy.base(tenant, self.version)), Apart)

    async def _made(self, resource: ResourceId, number: int, reference: str, by: Caller) -> Change:
        made, before = await self.store.read(resource, number), await self.store.read(resource, number - 1)
        (lineage,) = await self.store.lineages([(resource, number)])
        # What has become more confidential since is not there either.
        judged = [each.body for each in (made, before) if each] + ([lineage.latest] if lineage.overtaken else [])
        if made is None or not all(by.rights.clearance.cover(labels_in(body)) for body in judged):
            raise _not_held(reference)
        created = made.interaction is Interaction.CREATE
        try:
            after = _decode(made.body) if made.body else None
            earlier = _decode(before.body) if before and before.body and not created else None
        except msgspec.DecodeError:
            text = f"{reference} or the version before it can't be read any more: such a change is set aside."
            raise Refused.because(409, IssueCode.EXCEPTION, text, "reference") from None
        return Change(
            version=resource.version,
            interaction=made.interaction,
            type=resource.type,
            id=resource.id,
            version_id=number,
            at=made.at,
            resource=after,
            previous=earlier,
            events=made.events,
        )


def _not_held(reference: str) -> Refused:
    return Refused.because(404, IssueCode.NOT_FOUND, f"{reference} is not held.", "reference")
