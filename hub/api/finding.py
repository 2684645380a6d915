"""Search for Subscriptions. It looks at each, since there are few beside what they are told of."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.access import Caller
from hub.api.documentation import subscriptions as documentation
from hub.api.exchange import Answer, Exchange
from hub.api.pages import Parameters, bad_cursor
from hub.api.permits import demand_beyond
from hub.api.results import results
from hub.api.routes import Route
from hub.api.search import left_out, posted, searchset
from hub.api.subscriptions import Subscriptions
from hub.ingest import is_id
from hub.instants import instant
from hub.query import Query, compiled
from hub.secrets import Unopened
from hub.state import State
from subscriptions.errors import EvaluationError
from subscriptions.search.asking import Context
from subscriptions.search.held import Held


@dataclass(frozen=True)
class Finding:
    """The search at one FHIR base."""

    subscriptions: Subscriptions

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/Subscription", self.find, documentation.SEARCH_SUBSCRIPTIONS)
        yield Route("POST", "/Subscription/_search", self.find_posted, documentation.SEARCH_SUBSCRIPTIONS_BY_FORM)

    async def find(self, request: Request) -> Response:
        """Search by any parameter that FHIR defines on Subscription: `url`, `status`, `criteria`, `_lastUpdated`, …"""
        exchange = Exchange(request)
        return exchange.respond(await self._found(exchange.caller, exchange.asked))

    async def find_posted(self, request: Request) -> Response:
        """The same search, with its parameters as a form."""
        exchange = Exchange(request)
        return exchange.respond(await self._found(exchange.caller, await posted(exchange, self.subscriptions.max_body)))

    async def _found(self, caller: Caller, asked: Parameters) -> Answer:
        """A page of what a search finds, by id: an order that no change of status disturbs."""
        of = self.subscriptions
        wanted, rest = results(asked, "Subscription", of.version, most=of.max_page, order="_id")
        if wanted.cursor is not None and not is_id(wanted.cursor):
            raise bad_cursor()
        with wanted.refusing():
            query = compiled(rest, "Subscription", Context(of.version, frozenset({of.base})))
        demand_beyond(caller, query)
        page: list[tuple[str, bytes]] = []
        total = behind = unreadable = 0
        async for member in of.membership.all(of.tenant, of.version, query.ids, by=caller):
            try:
                matches = await self._matches(query, member.state)
                shown = matches and (wanted.cursor is None or member.key.id > wanted.cursor)
                if shown and len(page) < wanted.count:
                    page.append((member.key.id, wanted.subset.of(of.rendered(member))))
            except (EvaluationError, Unopened):
                unreadable += 1
                continue
            total += matches
            behind += shown
        return searchset(
            f"{of.base}/Subscription",
            asked,
            page,
            following=page[-1][0] if behind > len(page) > 0 else None,
            total=wanted.known(None if unreadable else total),
            remarks=left_out(unreadable, "Subscription"),
        )

    async def _matches(self, query: Query, state: State) -> bool:
        """Whether a search finds a Subscription of this state, its id apart. Raises EvaluationError."""
        if not query.covers(state.updated):
            return False
        if not query.criteria:
            return True
        resource = msgspec.json.decode(state.resource) | {"status": state.status.value}
        held = Held(instant(self.subscriptions.now()))
        return await self.subscriptions.holdings.settled(
            held, lambda: all(criterion.matches(resource, held) for criterion in query.criteria)
        )
