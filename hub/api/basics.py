"""
Basic at the base of R4: a topic is one there, to be read and found.

http://hl7.org/fhir/uv/subscriptions-backport (Basic).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from hub.api.answers import topic_here
from hub.api.documentation import resources as documentation
from hub.api.exchange import Exchange
from hub.api.needs import KNOWN
from hub.api.pages import Parameters
from hub.api.permits import demand
from hub.api.resources import Resources
from hub.api.routes import Route
from hub.api.search import Searches, posted
from hub.api.topics import TOPIC, TopicResources, for_topics
from subscriptions.scopes import Permission


@dataclass(frozen=True)
class Basics:
    """Basic at the base of R4: the topics, to be read and found, beside all others, which are the store's."""

    topics: TopicResources
    resources: Resources
    searches: Searches

    def routes(self) -> Iterator[Route]:
        for method, path, handler, documented in (
            ("GET", "/{type:basic}/{id}", self.read, documentation.READ),
            ("GET", "/{type:basic}", self.find, documentation.SEARCH),
            ("POST", "/{type:basic}/_search", self.find_posted, documentation.SEARCH_BY_FORM),
            ("PUT", "/{type:basic}/{id}", self.update, documentation.UPDATE),
            ("PATCH", "/{type:basic}/{id}", self.patch, documentation.PATCH),
            ("DELETE", "/{type:basic}/{id}", self.delete, documentation.DELETE),
            ("GET", "/{type:basic}/{id}/_history/{number}", self.vread, documentation.VREAD),
        ):
            # What is asked depends on whether it is a topic.
            yield Route(method, path, handler, replace(documented, needs=KNOWN))

    async def read(self, request: Request) -> Response:
        """A topic, or a Basic."""
        if await self._is_topic(request, Permission.READ):
            return await self.topics.read(request)
        return await self.resources.read(request)

    async def vread(self, request: Request) -> Response:
        """The version of a topic that is in force, or any of a Basic."""
        if await self._is_topic(request, Permission.READ):
            return await self.topics.vread(request)
        return await self.resources.vread(request)

    async def find(self, request: Request) -> Response:
        """Topics, if the search is for their code, or what else is a Basic."""
        exchange = Exchange(request)
        if _for_topics(exchange, exchange.asked):
            return await self.topics.find(request)
        return await self.searches.get(request)

    async def find_posted(self, request: Request) -> Response:
        """The same, with the parameters as a form."""
        exchange = Exchange(request)
        asked, by = await posted(exchange, self.topics.max_body), exchange.caller
        if _for_topics(exchange, asked):
            return exchange.respond(await self.topics.found(asked, by))
        return exchange.respond(await self.searches.answer("Basic", asked, by))

    async def update(self, request: Request) -> Response:
        """Any Basic, but not under the id of a topic."""
        await self._no_topic(request, Permission.UPDATE)
        return await self.resources.update(request)

    async def patch(self, request: Request) -> Response:
        """Any Basic that is no topic."""
        await self._no_topic(request, Permission.READ, Permission.UPDATE)
        return await self.resources.patch(request)

    async def delete(self, request: Request) -> Response:
        """Any Basic that is no topic."""
        await self._no_topic(request, Permission.DELETE)
        return await self.resources.delete(request)

    async def _no_topic(self, request: Request, *permissions: Permission) -> None:
        if await self._is_topic(request, *permissions):
            raise topic_here()

    async def _is_topic(self, request: Request, *permissions: Permission) -> bool:
        """
        Whether a path names a topic.

        Raises:
            Refused: 403, when the caller may not do this with topics, or with other Basics where it names none.
        """
        await self.topics.topics.refresh()
        found = self.topics.topics.named(request.path_params["id"]) is not None
        demand(request.scope["caller"], TOPIC if found else "Basic", *permissions)
        return found


def _for_topics(exchange: Exchange, asked: Parameters) -> bool:
    """Whether a search is for topics. Refused: 403, when the caller may not search there."""
    found = for_topics(asked)
    demand(exchange.caller, TOPIC if found else "Basic", Permission.SEARCH)
    return found
