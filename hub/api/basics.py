"""
Basic at the base of R4: a topic is one there, to be read and found.

http://hl7.org/fhir/uv/subscriptions-backport (Basic).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from hub.api import documentation
from hub.api.exchange import Exchange
from hub.api.pages import Parameters
from hub.api.resources import Resources
from hub.api.routes import Route
from hub.api.search import Searches, posted
from hub.api.topics import TopicResources
from hub.errors import Refused
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue

_CODES = frozenset({"SubscriptionTopic", "http://hl7.org/fhir/fhir-types|SubscriptionTopic"})


@dataclass(frozen=True)
class Basics:
    """Basic at the base of R4: the topics, to be read and found, beside all others, which are the store's."""

    topics: TopicResources
    resources: Resources
    searches: Searches

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/{type:basic}/{id}", self.read, documentation.READ)
        yield Route("GET", "/{type:basic}", self.find, documentation.SEARCH)
        yield Route("POST", "/{type:basic}/_search", self.find_posted, documentation.SEARCH_BY_FORM)
        yield Route("PUT", "/{type:basic}/{id}", self.update, documentation.UPDATE)
        yield Route("PATCH", "/{type:basic}/{id}", self.patch, documentation.PATCH)
        yield Route("DELETE", "/{type:basic}/{id}", self.delete, documentation.DELETE)
        yield Route("GET", "/{type:basic}/{id}/_history/{number}", self.vread, documentation.VREAD)

    async def read(self, request: Request) -> Response:
        """A topic, or a Basic."""
        if await self._is_topic(request.path_params["id"]):
            return await self.topics.read(request)
        return await self.resources.read(request)

    async def vread(self, request: Request) -> Response:
        """The version of a topic that is in force, or any of a Basic."""
        if await self._is_topic(request.path_params["id"]):
            return await self.topics.vread(request)
        return await self.resources.vread(request)

    async def find(self, request: Request) -> Response:
        """Topics, if the search is for their code, or what else is a Basic."""
        if _for_topics(Exchange(request).query):
            return await self.topics.find(request)
        return await self.searches.get(request)

    async def find_posted(self, request: Request) -> Response:
        """The same, with the parameters as a form."""
        exchange = Exchange(request)
        asked = await posted(exchange, self.topics.max_body)
        found = self.topics.found(asked) if _for_topics(asked) else self.searches.answer("Basic", asked)
        return exchange.respond(await found)

    async def update(self, request: Request) -> Response:
        """Any Basic, but not under the id of a topic."""
        await self._no_topic(request.path_params["id"])
        return await self.resources.update(request)

    async def patch(self, request: Request) -> Response:
        """Any Basic that is no topic."""
        await self._no_topic(request.path_params["id"])
        return await self.resources.patch(request)

    async def delete(self, request: Request) -> Response:
        """Any Basic that is no topic."""
        await self._no_topic(request.path_params["id"])
        return await self.resources.delete(request)

    async def _no_topic(self, id_: str) -> None:
        if await self._is_topic(id_):
            text = "This is a topic: it is changed and deleted as SubscriptionTopic at /fhir/r4b or /fhir/r5."
            raise Refused(405, Issue(IssueCode.NOT_SUPPORTED, text), headers={"Allow": "GET, HEAD"})

    async def _is_topic(self, id_: str) -> bool:
        await self.topics.topics.refresh()
        return self.topics.topics.named(id_) is not None


def _for_topics(asked: Parameters) -> bool:
    return any(name == "code" and value in _CODES for name, value in asked)
