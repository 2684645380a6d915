"""`Subscription/$validate`: a registration that is only tried. https://hl7.org/fhir/R4/resource-operation-validate.html."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.documentation import subscriptions as documentation
from hub.api.exchange import Answer, Exchange
from hub.api.given import Given, Takes
from hub.api.outcome import outcome
from hub.api.routes import Route
from hub.api.subscriptions import Subscriptions
from hub.errors import Refused
from hub.ingest import is_id
from hub.ingest.validation import issues
from hub.instants import instant
from hub.membership import Member
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue
from subscriptions.subscription import Style

TAKES = Takes("$validate", ("resource",), ("mode", "profile"), alone="resource")

#: What every Subscription is held against, and what all of R4 and R4B but those whose criteria are a search are.
BASE = "http://hl7.org/fhir/StructureDefinition/Subscription"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription"

ACCEPTED = Issue(IssueCode.INFORMATIONAL, "The Subscription would be accepted.", "Subscription")
DELETED = Issue(IssueCode.INFORMATIONAL, "The Subscription would be deleted.", "Subscription")


def profiles(version: FhirVersion) -> dict[str, str]:
    """The profiles that a Subscription of a FHIR version can be held against, by name, with its version too."""
    found = {BASE: BASE, f"{BASE}|{version.number}": BASE}
    return found if version is FhirVersion.R5 else {**found, BACKPORT: BACKPORT, f"{BACKPORT}|1.1.0": BACKPORT}


_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class Validation:
    """The dry run of a create, update or delete at one FHIR base."""

    subscriptions: Subscriptions

    def routes(self) -> Iterator[Route]:
        yield Route("POST", "/Subscription/$validate", self.of_type, documentation.VALIDATE)
        yield Route("POST", "/Subscription/{id}/$validate", self.of_one, documentation.VALIDATE_ONE)

    async def of_type(self, request: Request) -> Response:
        """All that is against a Subscription; or that it would be accepted, and what its filters are understood as."""
        exchange = Exchange(request)
        given = await self._given(exchange)
        self._permit(given, ("create", "profile"), "update and delete are asked of one, at Subscription/{id}/$validate")
        return await self._judged(exchange, given, "")

    async def of_one(self, request: Request) -> Response:
        """The same of an update, and whether a Subscription would be deleted."""
        exchange, id_ = Exchange(request), request.path_params["id"]
        given = await self._given(exchange)
        self._permit(given, ("update", "delete", "profile"), "create is asked of none yet, at Subscription/$validate")
        if given.texts.get("mode") == "delete":
            await self.subscriptions.member(exchange.caller, id_)
            return exchange.respond(Answer(200, outcome(DELETED, severity="information")))
        if not is_id(id_):
            raise Refused.because(400, IssueCode.VALUE, f"{id_[:80]} is not an id", "Subscription.id")
        return await self._judged(exchange, given, id_)

    async def _given(self, exchange: Exchange) -> Given:
        s = self.subscriptions
        return await TAKES.read(exchange, max_body=s.max_body, max_nesting=s.max_nesting)

    async def _judged(self, exchange: Exchange, given: Given, id_: str) -> Response:
        """What a create would say, or the update of an id."""
        resource = given.resource("resource")
        if resource.get("resourceType") != "Subscription":
            raise Refused.because(400, IssueCode.INVALID, "A Subscription is expected.", "Subscription.resourceType")
        profile = profiles(self.subscriptions.version).get(given.texts.get("profile", ""))
        found, understood = await self._about(exchange.caller, resource, id_, profile)
        if found:
            return exchange.respond(Answer(200, outcome(*found)))
        return exchange.respond(Answer(200, outcome(ACCEPTED, *understood, severity="information")))

    async def _about(
        self, caller: Caller, resource: dict[str, Any], id_: str, profile: str | None
    ) -> tuple[list[Issue], list[Issue]]:
        """What is against a Subscription; and what its filters are understood as, if nothing is."""
        s = self.subscriptions
        judged = await s.admission.judge(s.version, resource, now=instant(s.now()))
        wanted, found = judged.subscription, list(judged.issues)
        held = await self._held(caller, id_) if id_ else None
        if not found and (forbidden := s.admission.forbidden(wanted, s.rights(caller, held))):
            found += forbidden.issues
        if id_ and resource.get("id") != id_:
            found.append(Issue(IssueCode.INVALID, f"The id must be {id_}, as in the URL.", "Subscription.id"))
        if profile == BACKPORT and wanted.style is not Style.TOPIC:
            text = f"The criteria are a search, where {BACKPORT} has the canonical URL of a topic."
            found.append(Issue(IssueCode.VALUE, text, s.form.topic_element))
        found += await s.against(wanted, _encode(resource), held)
        told = {issue.expression for issue in found}
        found += [issue for issue in issues(resource, s.version) if issue.expression not in told]
        owner = held.state.owner if held else caller.name
        if not found:
            full = await s.membership.refusal(s.tenant, s.version, id_, wanted, _encode(resource), owner)
            found += full.issues if full else ()
        return (found, []) if found else ([], list(s.admission.understood(judged)))

    async def _held(self, caller: Caller, id_: str) -> Member | None:
        """What an update would change; None when it would create. Refused with 404 when it could do neither."""
        s = self.subscriptions
        if await s.membership.find(s.tenant, s.version, id_) is None:
            return None
        return await s.member(caller, id_)

    def _permit(self, given: Given, modes: tuple[str, ...], others: str) -> None:
        """Raise Refused for a mode that is not one of these, and for a profile that nothing is held against."""
        mode, profile = given.texts.get("mode", ""), given.texts.get("profile", "")
        if mode and mode not in modes:
            text = f"The mode `{mode}` is not supported here, where `{'`, `'.join(modes)}` are; {others}."
            raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, "mode")
        if mode == "profile" and not profile:
            raise Refused.because(400, IssueCode.REQUIRED, "The mode `profile` names a `profile`.", "profile")
        known = profiles(self.subscriptions.version)
        if profile and profile not in known:
            text = f"The profile {profile[:200]} is not supported; there are {', '.join(known)}."
            raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, "profile")
