"""The HTTP application: every route, put together from what it is given."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI
from starlette.convertors import StringConvertor, register_url_convertor

from hub.api import documentation, outcome
from hub.api.bundles import Bundles
from hub.api.history import Histories
from hub.api.interactions import Interactions
from hub.api.messages import Messages
from hub.api.metadata import Metadata
from hub.api.resources import Resources
from hub.api.routes import PREFIX, Route, add
from hub.api.search import Searches
from hub.api.topics import Basics, TopicResources
from hub.api.transactions import Transactions
from hub.ingest import warm
from hub.pressure import Pressure
from hub.publication import Publication
from hub.search import Search
from hub.settings import Settings
from hub.store import Store, instant, now_ms
from hub.topics import Topics
from hub.transaction import TransactionCoordinator
from subscriptions.codes import FhirVersion

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

#: Until there are others.
TENANT = "default"


class KeptType(StringConvertor):
    """In a path, a type that the store may hold; Subscription has routes of its own."""

    regex = r"(?!Subscription(?:/|$))[A-Z][^/]*"


class Basic(StringConvertor):
    """In a path, the type that topics have in R4."""

    regex = r"Basic(?![^/])"


register_url_convertor("kept", KeptType())
register_url_convertor("basic", Basic())


def create_app(
    *,
    settings: Settings,
    store: Store,
    transactions: TransactionCoordinator,
    topics: Topics,
    publication: Publication,
    pressure: Pressure,
    fhir: Iterable[Route] = (),
    others: Sequence[APIRouter] = (),
    lifespan: Lifespan | None = None,
    release: str = "",
) -> FastAPI:
    """
    The application of one process.

    Args:
        topics: What can be subscribed to, as the CapabilityStatement says. publication: How they are written.
        pressure: Asked before anything is stored.
        fhir: More interactions, such as Subscription's.
        others: Routers at the root: health, later administration.
        release: The version of the software.
    """
    app = FastAPI(
        title="FHIR event hub",
        description=f"FHIR R4 at `{PREFIX}`. Every error is an OperationOutcome.",
        version=release or "unreleased",
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    outcome.install(app)
    # The busiest first: routes are tried in this order.
    for route in (*_routes(settings, store, transactions, topics, publication, pressure, release), *fhir):
        add(app, route)
    for router in others:
        app.include_router(router)
    warm()
    return app


def _routes(
    settings: Settings,
    store: Store,
    transactions: TransactionCoordinator,
    topics: Topics,
    publication: Publication,
    pressure: Pressure,
    release: str,
) -> Iterator[Route]:
    version, base = FhirVersion.R4, f"{settings.base_url}{PREFIX}"
    search = Search(store, TENANT, version, topics.contexts, settings.max_search_scan)
    interactions = Interactions(store, search, transactions, TENANT, topics.contexts[version], pressure)
    resources = Resources(interactions, base, most_bytes=settings.max_body_bytes, most_nesting=settings.max_nesting)
    searches = Searches(interactions, search, base, most_bytes=settings.max_body_bytes, most_entries=settings.max_page)
    histories = Histories(interactions, store, base, most_entries=settings.max_page)
    transacting = Transactions(interactions, store, transactions, base)
    bundles = Bundles(
        interactions,
        searches,
        histories,
        transacting,
        base,
        most_bytes=settings.max_body_bytes,
        most_nesting=settings.max_nesting,
        most_entries=settings.max_bundle_entries,
    )
    messages = Messages(
        interactions,
        transacting,
        base,
        most_bytes=settings.max_body_bytes,
        most_nesting=settings.max_nesting,
        most_entries=settings.max_bundle_entries,
    )
    of_topics = {
        each: TopicResources(
            version=each,
            base=f"{settings.base_url}/fhir/{each}",
            topics=topics,
            publication=publication,
            now=now_ms,
            max_body=settings.max_body_bytes,
            max_nesting=settings.max_nesting,
            max_page=settings.max_page,
            pressure=pressure,
        )
        for each in FhirVersion
    }
    metadata = Metadata(version, base, topics, instant(now_ms()), release)
    yield from Basics(of_topics[version], resources, searches).routes()
    yield Route("POST", "/{type:kept}", resources.create, documentation.CREATE)
    yield Route("PUT", "/{type:kept}/{id}", resources.update, documentation.UPDATE)
    yield Route("GET", "/metadata", metadata.get, documentation.METADATA)
    yield Route("GET", "/{type:kept}/{id}", resources.read, documentation.READ)
    yield Route("DELETE", "/{type:kept}/{id}", resources.delete, documentation.DELETE)
    yield Route("GET", "/{type:kept}", searches.get, documentation.SEARCH)
    yield Route("POST", "/{type:kept}/_search", searches.post, documentation.SEARCH_BY_FORM)
    yield Route("GET", "/{type:kept}/{id}/_history", histories.get, documentation.HISTORY)
    yield Route("GET", "/{type:kept}/{id}/_history/{number}", resources.vread, documentation.VREAD)
    yield Route("POST", "", bundles.post, documentation.BUNDLE)
    yield Route("POST", "/", bundles.post, documentation.BUNDLE)
    yield Route("POST", "/$process-message", messages.post, documentation.MESSAGE)
    for each in (FhirVersion.R4B, FhirVersion.R5):
        yield from of_topics[each].routes()
