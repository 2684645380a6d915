"""What a path below `/admin` names, and what there is at its FHIR base."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from hub.api.entrusting import Entrusting
from hub.api.explaining import Explaining
from hub.api.operations import Operations
from hub.api.resuming import Resuming
from hub.api.subscriptions import Subscriptions
from hub.errors import Refused
from hub.membership import Member, Membership
from subscriptions.codes import FhirVersion, IssueCode


@dataclass(frozen=True, slots=True)
class Base:
    """What there is at one FHIR base of a tenant."""

    subscriptions: Subscriptions
    operations: Operations
    entrusting: Entrusting
    explaining: Explaining
    resuming: Resuming


@dataclass(frozen=True, slots=True)
class Named:
    """
    The Subscriptions of one tenant, by the paths of requests.

    bases: Of each FHIR version.
    """

    tenant: str
    membership: Membership
    bases: Mapping[FhirVersion, Base]

    async def member(self, request: Request) -> Member:
        """The Subscription that a path names; Refused with 404 when there is none."""
        version, id_ = request.path_params["version"], request.path_params["id"]
        member = None
        if version in list(FhirVersion):
            member = await self.membership.find(self.tenant, FhirVersion(version), id_)
        if member is None:
            text = f"There is no Subscription/{id_[:80]} at /fhir/{version[:80]}."
            raise Refused.because(404, IssueCode.NOT_FOUND, text)
        return member

    def base(self, member: Member) -> Base:
        """What there is at a Subscription's base."""
        return self.bases[member.key.version]
