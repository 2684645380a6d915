"""Calls, as the audit has them: who was refused, and at its level `all` who read what."""

import re
from dataclasses import dataclass
from logging import getLogger

from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.exchange import Exchange
from hub.api.routes import Handler, Route
from hub.audit import Audit
from hub.errors import Refused
from hub.refusals import Refusals
from subscriptions.audit import Act, Kind, Outcome
from subscriptions.codes import FhirVersion
from subscriptions.scopes import Permission

log = getLogger("hub.api")

#: Where a request's scope has what entries of a Bundle came to.
_PARTS = "audited"

#: What is refused since it isn't known who calls, or it is.
_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one tenant's application."""

    tenant: str
    audit: Audit
    refusals: Refusals

    def audited(self, route: Route, handler: Handler) -> Handler:
        """A route's handler, of whose refusals the audit knows; and of what it tells, before it is told."""
        kind = _kind(route)
        told = kind if kind and self.audit.level.has(kind) else None
        open_, acts = route.documented.needs.anybody, route.documented.needs.admin and route.method != "GET"

        async def audited(request: Request) -> Response:
            try:
                response = await handler(request)
            except Refused as error:
                caller: Caller | None = request.scope.get("caller")
                if error.status in _REFUSED or not (open_ or caller):
                    await self.refusals.note(self.tenant, caller.name if caller else "", _told(route, request, error))
                raise
            if told and response.status_code < 300:
                await self.audit.record(self.tenant, _act(told, route, request))
            if parts := request.scope.get(_PARTS):
                await self._parts(parts)
            if acts and response.status_code < 300:
                log.info("operator.acted", extra=_acted(self.tenant, route, request))
            return response

        return audited

    async def _parts(self, parts: list[Act]) -> None:
        for part in parts:
            if part.kind is Kind.REFUSED:
                await self.refusals.note(self.tenant, part.agent, part.text)
        await self.audit.record(self.tenant, *(part for part in parts if part.kind is not Kind.REFUSED))


def note(exchange: Exchange, kind: Kind, entity: str) -> None:
    """Have the audit know, before anything is answered, what an entry of a Bundle comes to: a read, or a refusal."""
    outcome, status = (Outcome.REFUSED, "403: ") if kind is Kind.REFUSED else (Outcome.SUCCESS, "")
    text = f"{status}{exchange.request.method}, an entry of a Bundle"
    act = Act(kind, exchange.client, entity, exchange.version, outcome, text)
    exchange.request.scope.setdefault(_PARTS, []).append(act)


def _kind(route: Route) -> Kind | None:
    """How the audit calls what a route tells of resources; None for one that tells nothing of them."""
    permissions = route.documented.needs.permissions
    if Permission.READ in permissions:
        return Kind.READ
    return Kind.SEARCHED if permissions == (Permission.SEARCH,) else None


def _act(kind: Kind, route: Route, request: Request) -> Act:
    """What was read. Searches have the type alone, since their parameters may say whose data it is."""
    caller: Caller = request.scope["caller"]
    type_ = route.documented.needs.type or request.path_params.get("type", "")
    id_, number = (request.path_params.get(name, "") for name in ("id", "number"))
    entity = f"{type_}/{id_}" + (f"/_history/{number}" if number else "") if id_ else f"type/{type_}"
    version = FhirVersion(route.base.rpartition("/")[2]) if route.base else None
    return Act(kind, caller.name, entity, version, text=f"{route.method} {route.base}{plain(route)}")


def _acted(tenant: str, route: Route, request: Request) -> dict[str, object]:
    """What an operator has done, and to what: the parts of its path, which there are, since it was done."""
    caller: Caller = request.scope["caller"]
    action = f"{route.method} {plain(route)}"
    return {"tenant": tenant, "client": caller.name, "action": action, "to": "/".join(request.path_params.values())}


def _told(route: Route, request: Request, error: Refused) -> str:
    """What was refused: the route, and not the URL, in which anything may stand."""
    peer = f" from {request.client.host}" if request.client else ""
    return f"{error.status}: {route.method} {route.base}{plain(route)}{peer}"


def plain(route: Route) -> str:
    """A route's path as a reader knows it, without what its parts have to be like."""
    return re.sub(r":\w+\}", "}", route.path)
