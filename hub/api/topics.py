"""
SubscriptionTopic at the bases of R4B and R5: create, read, vread, update, delete, search. In R4 a topic is a Basic.

https://hl7.org/fhir/R5/subscriptiontopic.html, http://hl7.org/fhir/uv/subscriptions-backport (Basic).
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.answers import deleted
from hub.api.documentation import topics as documentation
from hub.api.exchange import Answer, Exchange, Prefer
from hub.api.outcome import outcome
from hub.api.pages import Parameters, bad_cursor
from hub.api.permits import demand_beyond
from hub.api.resources import version_number
from hub.api.results import results
from hub.api.routes import Route
from hub.api.search import left_out, posted, searchset
from hub.errors import Refused
from hub.ingest import is_id
from hub.ingest.strict import parse
from hub.instants import instant
from hub.pressure import Pressure
from hub.publication import Publication
from hub.query import Query, compiled
from hub.topics import Published, Topics
from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import EvaluationError
from subscriptions.search.asking import Context
from subscriptions.search.held import Held
from subscriptions.search.parameters import resource_types
from subscriptions.versions.topics import topic_json

TOPIC = "SubscriptionTopic"

_DEFINITION = "http://hl7.org/fhir/StructureDefinition/"
#: What a search for Basics that are topics is for.
_CODES = frozenset({TOPIC, f"http://hl7.org/fhir/fhir-types|{TOPIC}"})


@dataclass(frozen=True)
class TopicResources:
    """
    The topics at one FHIR base.

    base: The FHIR base, without a slash at its end.
    now: ms since 1970.
    max_body, max_nesting: Bytes and levels of JSON.
    max_page: Entries on a page.
    """

    version: FhirVersion
    base: str
    topics: Topics
    publication: Publication
    now: Callable[[], int]
    max_body: int
    max_nesting: int
    max_page: int
    pressure: Pressure

    @property
    def type(self) -> str:
        return "Basic" if self.version is FhirVersion.R4 else "SubscriptionTopic"

    def routes(self) -> Iterator[Route]:
        for method, path, handler, documented in (
            ("POST", "/SubscriptionTopic", self.create, documentation.PUBLISH_TOPIC),
            ("GET", "/SubscriptionTopic", self.find, documentation.SEARCH_TOPICS),
            ("POST", "/SubscriptionTopic/_search", self.find_posted, documentation.SEARCH_TOPICS_BY_FORM),
            ("GET", "/SubscriptionTopic/{id}", self.read, documentation.READ_TOPIC),
            ("GET", "/SubscriptionTopic/{id}/_history/{number}", self.vread, documentation.VREAD_TOPIC),
            ("PUT", "/SubscriptionTopic/{id}", self.update, documentation.CHANGE_TOPIC),
            ("DELETE", "/SubscriptionTopic/{id}", self.delete, documentation.DELETE_TOPIC),
        ):
            yield Route(method, path, handler, documented)

    async def create(self, request: Request) -> Response:
        """Publish a topic under a new id."""
        exchange = Exchange(request)
        exchange.refuse(b"if-none-exist", b"idempotency-key", of=self.type)
        return await self._put(exchange, str(uuid4()), 201)

    async def update(self, request: Request) -> Response:
        """Change a topic, or publish it under this id."""
        exchange, id_ = Exchange(request), request.path_params["id"]
        if not is_id(id_):
            raise Refused.because(400, IssueCode.VALUE, f"{id_[:80]} is not an id", f"{self.type}.id")
        await self.topics.refresh()
        return await self._put(exchange, id_, 200 if self.topics.named(id_) else 201, named=True)

    async def _put(self, exchange: Exchange, id_: str, status: int, *, named: bool = False) -> Response:
        exchange.without_parameters()
        body = await exchange.body(self.max_body)
        resource = self.parsed(body, id_ if named else "")
        await self.pressure.check()
        published, warnings = await self.publication.put(
            id_,
            resource,
            body,
            self.version,
            now=self.now(),
            expected=exchange.if_match,
            agent=exchange.client,
            by=exchange.caller,
        )
        answer = self.answer(published, status)
        if warnings and exchange.prefer is Prefer.OUTCOME:
            told = Answer(status, outcome(*warnings, severity="warning"), answer.location, answer.version, answer.at)
            return exchange.respond(told, self.base)
        return exchange.respond(answer, self.base, exchange.prefer)

    def parsed(self, body: bytes, id_: str = "") -> dict[str, Any]:
        """
        The topic in some JSON.

        Args:
            id_: The one that it must have; empty for any.

        Raises:
            Refused, Rejected: It is something else.
        """
        resource = parse(body, max_nesting=self.max_nesting)
        if resource.get("resourceType") != self.type:
            text = f"A {self.type} is expected."
            raise Refused.because(400, IssueCode.INVALID, text, f"{self.type}.resourceType")
        if id_ and resource.get("id") != id_:
            text = f"The id must be {id_}, as in the URL."
            raise Refused.because(400, IssueCode.INVALID, text, f"{self.type}.id")
        return resource

    async def delete(self, request: Request) -> Response:
        """Delete a topic that nobody uses."""
        exchange, id_ = Exchange(request), request.path_params["id"]
        exchange.without_parameters()
        number = 0
        if is_id(id_):
            number = await self.publication.delete(
                id_, expected=exchange.if_match, agent=exchange.client, by=exchange.caller
            )
        return Response(status_code=204, headers={"ETag": f'W/"{number}"'} if number else None)

    async def read(self, request: Request) -> Response:
        """A topic, as it was sent where that was to a base of this FHIR version."""
        exchange = Exchange(request)
        wanted = exchange.subset(self.type)
        return exchange.respond_to_read(await self.found_by(request.path_params["id"]), wanted)

    async def vread(self, request: Request) -> Response:
        """The version in force, if it is the one of this number: earlier ones are not kept."""
        exchange = Exchange(request)
        wanted = exchange.subset(self.type)
        number = version_number(request.path_params["number"])
        return exchange.respond_to_read(await self.found_by(request.path_params["id"], number), wanted)

    async def found_by(self, id_: str, number: int | None = None) -> Answer:
        """The topic of an id as it is read. Raises Refused when there is none, or it is not at the version `number`."""
        published = await self.published(id_)
        if number not in (None, published.number):
            text = f"Only the current version of a topic is kept, which is version {published.number}."
            raise Refused.because(404, IssueCode.NOT_FOUND, text)
        return self.answer(published, 200)

    async def published(self, id_: str) -> Published:
        """The topic of an id; Refused with 404 or 410 when there is none."""
        await self.topics.refresh()
        found = self.topics.named(id_)
        if found is not None and (not found.built_in or found.topic.resource_types <= resource_types(self.version)):
            return found
        if number := self.topics.deleted(id_):
            raise deleted(f"{self.type}/{id_}", number)
        raise Refused.because(404, IssueCode.NOT_FOUND, f"There is no {self.type}/{id_[:80]}.")

    async def find(self, request: Request) -> Response:
        """Search by any parameter that FHIR defines on SubscriptionTopic: `url`, `resource`, `title`, `status`, …"""
        exchange = Exchange(request)
        return exchange.respond(await self.found(exchange.asked, exchange.caller))

    async def find_posted(self, request: Request) -> Response:
        """The same search, with its parameters as a form."""
        exchange = Exchange(request)
        return exchange.respond(await self.found(await posted(exchange, self.max_body), exchange.caller))

    async def found(self, asked: Parameters, by: Caller) -> Answer:
        """A page of the topics that a search finds, by id."""
        wanted, rest = results(asked, self.type, self.version, most=self.max_page, order="_id")
        cursor = wanted.cursor
        if cursor is not None and not is_id(cursor):
            raise bad_cursor()
        with wanted.refusing():
            query = compiled(map(_either, rest), self.type, Context(self.version, frozenset({self.base})))
        demand_beyond(by, query)
        await self.topics.refresh()
        every = sorted(self.topics.all(self.version), key=lambda each: each.id)
        matched: list[Published] = []
        unreadable = 0
        for published in every:
            try:
                matched += [published] if self._matches(query, published) else []
            except EvaluationError:
                unreadable += 1
        behind = [published for published in matched if cursor is None or published.id > cursor]
        # What a built-in topic can filter by is found by trying, once in a process: others are not to wait for it.
        page = await asyncio.to_thread(
            lambda: [(each.id, wanted.subset.of(self.written(each))) for each in behind[: wanted.count]]
        )
        following = page[-1][0] if len(behind) > len(page) > 0 else None
        return searchset(
            f"{self.base}/{self.type}",
            asked,
            page,
            following=following,
            total=wanted.known(None if unreadable else len(matched)),
            remarks=left_out(unreadable, self.type),
        )

    def _matches(self, query: Query, published: Published) -> bool:
        if query.ids is not None and published.id not in query.ids:
            return False
        if not query.covers(published.at):
            return False
        # No parameter looks at the filters.
        plain = msgspec.json.decode(self.written(replace(published, topic=replace(published.topic, can_filter_by=()))))
        return all(criterion.matches(plain, Held(instant(published.at))) for criterion in query.criteria)

    def written(self, published: Published) -> bytes:
        """A topic's JSON in this FHIR version."""
        return topic_json(
            published.topic,
            published.sent,
            published.form,
            self.version,
            id=published.id,
            version_id=published.number,
            last_updated=instant(published.at),
        )

    def answer(self, published: Published, status: int) -> Answer:
        """A topic as it is answered."""
        location = f"{self.type}/{published.id}/_history/{published.number}"
        return Answer(status, self.written(published), location, published.number, published.at)


def for_topics(asked: Parameters) -> bool:
    """Whether a search for Basics is for topics."""
    return any(name == "code" and value in _CODES for name, value in asked)


def _either(asked: tuple[str, str]) -> tuple[str, str]:
    """A type, as `resource` has it: by name in one topic, by the URL of its StructureDefinition in another."""
    name, value = asked
    if name != "resource":
        return asked
    names = [each.removeprefix(_DEFINITION) for each in value.split(",")]
    return name, ",".join(form for each in names for form in ((each, _DEFINITION + each) if each else ("",)))
