"""
PATCH of what is no stored resource: Subscriptions and topics. It is written as a PUT of what the patch makes would be.

What the hub maintains, such as the status in force, and headers are patched as they are returned. https://hl7.org/fhir/R4/http.html#patch
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from hub.api.documentation.subscriptions import PATCH_SUBSCRIPTION
from hub.api.documentation.topics import PATCH_TOPIC
from hub.api.exchange import Answer, Exchange
from hub.api.patching import check_expected, patch_of, patched, persistently
from hub.api.routes import Route
from hub.api.subscriptions import Subscriptions
from hub.api.topics import TopicResources
from hub.errors import Refused
from subscriptions.codes import IssueCode


@dataclass(frozen=True)
class Amending:
    """The Subscriptions at one FHIR base."""

    subscriptions: Subscriptions

    def routes(self) -> Iterator[Route]:
        yield Route("PATCH", "/Subscription/{id}", self.patch, PATCH_SUBSCRIPTION)

    async def patch(self, request: Request) -> Response:
        """Change a Subscription. Its endpoint is asked again by a handshake."""
        exchange, id_, of = Exchange(request), request.path_params["id"], self.subscriptions
        exchange.without_parameters()
        expected = exchange.if_match
        await of.member(exchange.caller, id_)
        patch = await patch_of(exchange, of.version, most_bytes=of.max_body, most_nesting=of.max_nesting)

        async def once() -> bytes:
            member = await of.member(exchange.caller, id_)
            revision = member.state.revision
            check_expected(expected, revision, f"Subscription/{id_}")
            body = await patched(patch, of.rendered(member), most=of.max_body)
            wanted = await of.admitted(of.parsed(body), id_)
            await of.put(exchange, id_, wanted, body, member, expected=str(revision))
            return body

        return await of.respond(exchange, id_, 200, await persistently(once, again=not expected))


@dataclass(frozen=True)
class TopicAmending:
    """The topics at one FHIR base."""

    topics: TopicResources

    def routes(self) -> Iterator[Route]:
        yield Route("PATCH", "/SubscriptionTopic/{id}", self.patch, PATCH_TOPIC)

    async def patch(self, request: Request) -> Response:
        """Change a topic at a base of the FHIR version that it was published in."""
        exchange, id_, of = Exchange(request), request.path_params["id"], self.topics
        exchange.without_parameters()
        expected = exchange.if_match
        await of.published(id_)
        patch = await patch_of(exchange, of.version, most_bytes=of.max_body, most_nesting=of.max_nesting)
        await of.pressure.check()

        async def once() -> Answer:
            held = await of.published(id_)
            if not held.built_in and held.form is not of.version:
                text = f"This topic was published at /fhir/{held.form}: it is patched there, or PUT here as a whole."
                raise Refused.because(409, IssueCode.BUSINESS_RULE, text)
            check_expected(expected, held.number, f"SubscriptionTopic/{id_}")
            body = await patched(patch, await asyncio.to_thread(of.written, held), most=of.max_body)
            put = await of.publication.put(
                id_,
                of.parsed(body, id_),
                body,
                of.version,
                now=of.now(),
                expected=str(held.number),
                agent=exchange.client,
                by=exchange.caller,
            )
            return of.answer(put[0], 200)

        answer = await persistently(once, again=not expected)
        return exchange.respond(answer, prefer=exchange.prefer)
