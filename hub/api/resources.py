"""Single resources: create, read, vread, update, patch, delete. https://hl7.org/fhir/R4/http.html#operations."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from hub.api.conditional import Condition, Conditional
from hub.api.conditions import condition, conditions
from hub.api.exchange import Exchange
from hub.api.idempotency import Idempotency
from hub.api.interactions import Interactions
from hub.api.patching import LARGE, Patching, patch_of
from hub.errors import Refused
from hub.ingest import Draft, draft
from hub.patch import Patch
from subscriptions.codes import IssueCode


class Resources:
    """
    The resources at one FHIR base.

    base: Without a slash at its end.
    most_bytes, most_nesting: Of a body.
    """

    def __init__(
        self,
        interactions: Interactions,
        patching: Patching,
        conditional: Conditional,
        base: str,
        *,
        most_bytes: int,
        most_nesting: int,
    ) -> None:
        self._interactions = interactions
        self._patching = patching
        self._conditional = conditional
        self._base = base
        self._most_bytes = most_bytes
        self._most_nesting = most_nesting

    async def create(self, request: Request) -> Response:
        exchange = Exchange(request)
        type_ = self._interactions.known(request.path_params["type"])
        exchange.without_parameters()
        condition = conditions(exchange.if_none_exist, type_) if exchange.if_none_exist else None
        key, events = exchange.idempotency_key, exchange.events
        body = await exchange.body(self._most_bytes)
        draft_ = await self._draft(body, type_)
        idempotency = Idempotency.of(exchange.client, type_, key, body, events) if key else None
        answer = await self._interactions.create(
            draft_, by=exchange.caller, condition=condition, idempotency=idempotency, events=events
        )
        return exchange.respond(answer, self._base, exchange.prefer)

    async def read(self, request: Request) -> Response:
        exchange = Exchange(request)
        type_, id_ = request.path_params["type"], request.path_params["id"]
        wanted = exchange.subset(type_)
        return exchange.respond_to_read(await self._interactions.read(type_, id_), wanted)

    async def vread(self, request: Request) -> Response:
        exchange = Exchange(request)
        type_, id_, number = (request.path_params[name] for name in ("type", "id", "number"))
        wanted = exchange.subset(type_)
        answer = await self._interactions.read(type_, id_, number=version_number(number))
        return exchange.respond_to_read(answer, wanted)

    async def update(self, request: Request) -> Response:
        exchange = Exchange(request)
        type_, id_ = request.path_params["type"], request.path_params["id"]
        self._interactions.resource(type_, id_)
        exchange.without_parameters()
        expected, events = exchange.if_match, exchange.events
        draft_ = await self._draft(await exchange.body(self._most_bytes), type_)
        answer = await self._interactions.update(draft_, id_, client=exchange.client, expected=expected, events=events)
        return exchange.respond(answer, self._base if answer.status == 201 else "", exchange.prefer)

    async def update_found(self, request: Request) -> Response:
        """Update the one resource that the query finds, or create it."""
        exchange = Exchange(request)
        type_, wanted = self._condition(request, exchange)
        expected, events = exchange.if_match, exchange.events
        draft_ = await self._draft(await exchange.body(self._most_bytes), type_)
        answer = await self._conditional.update(draft_, wanted, by=exchange.caller, expected=expected, events=events)
        return exchange.respond(answer, self._base, exchange.prefer)

    async def patch(self, request: Request) -> Response:
        exchange = Exchange(request)
        type_, id_ = request.path_params["type"], request.path_params["id"]
        self._interactions.resource(type_, id_)
        exchange.without_parameters()
        expected, events = exchange.if_match, exchange.events
        patch = await self._patch(exchange)
        answer = await self._patching.patch(patch, type_, id_, client=exchange.client, expected=expected, events=events)
        return exchange.respond(answer, prefer=exchange.prefer)

    async def patch_found(self, request: Request) -> Response:
        """Patch the one resource that the query finds."""
        exchange = Exchange(request)
        type_, wanted = self._condition(request, exchange)
        expected, events = exchange.if_match, exchange.events
        patch = await self._patch(exchange)
        answer = await self._conditional.patch(
            patch, type_, wanted, by=exchange.caller, expected=expected, events=events
        )
        return exchange.respond(answer, self._base, exchange.prefer)

    async def delete(self, request: Request) -> Response:
        exchange = Exchange(request)
        exchange.without_parameters()
        type_, id_ = request.path_params["type"], request.path_params["id"]
        answer = await self._interactions.delete(
            type_, id_, client=exchange.client, expected=exchange.if_match, events=exchange.events
        )
        return exchange.respond(answer)

    async def delete_found(self, request: Request) -> Response:
        """Delete the one resource that the query finds."""
        exchange = Exchange(request)
        type_, wanted = self._condition(request, exchange)
        answer = await self._conditional.delete(
            type_, wanted, by=exchange.caller, expected=exchange.if_match, events=exchange.events
        )
        return exchange.respond(answer)

    def _condition(self, request: Request, exchange: Exchange) -> tuple[str, Condition]:
        """The type and the search that a conditional write names."""
        type_ = self._interactions.known(request.path_params["type"])
        return type_, condition(exchange.query)

    async def _patch(self, exchange: Exchange) -> Patch:
        version = self._interactions.version
        return await patch_of(exchange, version, most_bytes=self._most_bytes, most_nesting=self._most_nesting)

    async def _draft(self, body: bytes, type_: str) -> Draft:
        if len(body) < LARGE:
            return draft(body, self._interactions.version, max_nesting=self._most_nesting, type_=type_)
        return await asyncio.to_thread(
            draft, body, self._interactions.version, max_nesting=self._most_nesting, type_=type_
        )


def version_number(text: str) -> int:
    """The number of a version in a URL. Raises Refused: 404 for what can't be one."""
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise Refused.because(404, IssueCode.NOT_FOUND, f"{text[:60]} is not the number of a version.")
    return int(text)
