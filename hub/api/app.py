"""The HTTP application: every route, put together from what it is given."""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from hub.api import outcome
from hub.api.bundles import Bundles
from hub.api.history import Histories
from hub.api.interactions import Interactions
from hub.api.metadata import Metadata
from hub.api.resources import Resources
from hub.api.search import Searches
from hub.api.transactions import Transactions
from hub.ingest import warm
from hub.search import Search
from hub.settings import Settings
from hub.store import Store, instant, now_ms
from hub.transaction import TransactionCoordinator
from subscriptions.codes import FhirVersion
from subscriptions.topic import Topic

Handler = Callable[[Request], Awaitable[Response]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

PREFIX = "/fhir/r4"

#: Until there are others.
TENANT = "default"


class KeptType(StringConvertor):
    """In a path, a type that the store may hold; Subscription has routes of its own."""

    regex = r"(?!Subscription(?:/|$))[A-Z][^/]*"


register_url_convertor("kept", KeptType())


@dataclass(frozen=True, slots=True)
class Route:
    """One interaction: where, and by what."""

    method: str
    path: str
    handler: Handler
    summary: str


def create_app(
    *,
    settings: Settings,
    store: Store,
    transactions: TransactionCoordinator,
    topics: Iterable[Topic],
    fhir: Sequence[APIRouter] = (),
    others: Sequence[APIRouter] = (),
    lifespan: Lifespan | None = None,
    release: str = "",
) -> FastAPI:
    """
    The application of one process.

    Args:
        topics: What the CapabilityStatement says can be subscribed to.
        fhir: Routers below the FHIR base, such as Subscription's.
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
    for route in _routes(settings, store, transactions, topics, release):
        _add(app, route)
    for router in fhir:
        app.include_router(router, prefix=PREFIX)
    for router in others:
        app.include_router(router)
    warm()
    return app


def _routes(
    settings: Settings, store: Store, transactions: TransactionCoordinator, topics: Iterable[Topic], release: str
) -> Iterator[Route]:
    version, base = FhirVersion.R4, f"{settings.base_url}{PREFIX}"
    search = Search(store, TENANT, version, frozenset({base}), settings.max_search_scan)
    interactions = Interactions(store, search, transactions, TENANT, version)
    resources = Resources(interactions, base, most_bytes=settings.max_body_bytes, most_nesting=settings.max_nesting)
    searches = Searches(interactions, search, base, most_bytes=settings.max_body_bytes, most_entries=settings.max_page)
    histories = Histories(interactions, store, base, most_entries=settings.max_page)
    bundles = Bundles(
        interactions,
        searches,
        histories,
        Transactions(interactions, store, transactions, base),
        base,
        most_bytes=settings.max_body_bytes,
        most_nesting=settings.max_nesting,
        most_entries=settings.max_bundle_entries,
    )
    metadata = Metadata(version, base, topics, instant(now_ms()), release)
    yield Route("POST", "/{type:kept}", resources.create, "Create a resource")
    yield Route("PUT", "/{type:kept}/{id}", resources.update, "Update a resource, or create it under this id")
    yield Route("GET", "/metadata", metadata.get, "What is supported: the CapabilityStatement")
    yield Route("GET", "/{type:kept}/{id}", resources.read, "Read a resource")
    yield Route("DELETE", "/{type:kept}/{id}", resources.delete, "Delete a resource")
    yield Route("GET", "/{type:kept}", searches.get, "Search in the resources of a type, newest first")
    yield Route("POST", "/{type:kept}/_search", searches.post, "The same, with the parameters as a form")
    yield Route("GET", "/{type:kept}/{id}/_history", histories.get, "The versions of a resource, newest first")
    yield Route("GET", "/{type:kept}/{id}/_history/{number}", resources.vread, "Read one version of a resource")
    yield Route("POST", "", bundles.post, "Process a batch or a transaction")
    yield Route("POST", "/", bundles.post, "Process a batch or a transaction")


def _add(app: FastAPI, route: Route) -> None:
    """Register a route, with its path's parameters in the documentation, and HEAD beside GET."""
    names = re.findall(r"\{(\w+)", route.path)
    described = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    app.add_api_route(
        PREFIX + route.path,
        route.handler,
        methods=[route.method],
        summary=route.summary,
        tags=["FHIR R4"],
        response_class=Response,
        openapi_extra={"parameters": described} if described else None,
        include_in_schema=route.path != "/",
    )
    if route.method == "GET":
        app.add_api_route(PREFIX + route.path, route.handler, methods=["HEAD"], include_in_schema=False)
