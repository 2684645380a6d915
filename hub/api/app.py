"""The HTTP application: every route, put together from what it is given."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import chain

from fastapi import APIRouter, FastAPI
from starlette.convertors import StringConvertor, register_url_convertor

from hub.access import DEFAULT
from hub.api import outcome
from hub.api.amending import TopicAmending
from hub.api.asking import Asking
from hub.api.basics import Basics
from hub.api.bundles import Bundles
from hub.api.conditional import Conditional
from hub.api.documentation import resources as documentation
from hub.api.history import Histories
from hub.api.interactions import Interactions
from hub.api.messages import Messages
from hub.api.metadata import Metadata
from hub.api.patching import Patching
from hub.api.resources import Resources
from hub.api.routes import Application, Around, Gate, Route, at, nothing_around
from hub.api.search import Searches
from hub.api.seeing import Seeing
from hub.api.topics import TopicResources
from hub.api.transactions import Transactions
from hub.ingest import warm
from hub.instants import instant, now_ms
from hub.pressure import Pressure
from hub.publication import Publication
from hub.search import Search
from hub.settings import Settings
from hub.store import Store
from hub.stream import Changes
from hub.topics import Topics
from hub.transaction import TransactionCoordinator
from hub.veil import Veil
from hub.visibility import Visibility
from subscriptions.codes import FhirVersion

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_NONE: Mapping[FhirVersion, Iterable[Route]] = {}


class KeptType(StringConvertor):
    """In a path, a type that the store may hold; Subscription, its topics and AuditEvent have routes of their own."""

    regex = r"(?!(?:Subscription(?:Topic)?|AuditEvent)(?:/|$))[A-Z][^/]*"


class Basic(StringConvertor):
    """In a path, the type that topics have in R4."""

    regex = r"Basic(?![^/])"


register_url_convertor("kept", KeptType())
register_url_convertor("basic", Basic())


def create_app(
    *,
    settings: Settings,
    tenant: str = DEFAULT,
    bases: Mapping[FhirVersion, str],
    store: Store,
    changes: Changes,
    transactions: TransactionCoordinator,
    topics: Topics,
    publication: Publication,
    pressure: Pressure,
    gate: Gate,
    veil: Veil,
    visibility: Visibility,
    around: Around = nothing_around,
    subscriptions: Mapping[FhirVersion, Iterable[Route]] = _NONE,
    configuration: Sequence[Route] = (),
    administration: Iterable[Route] = (),
    others: Sequence[APIRouter] = (),
    lifespan: Lifespan | None = None,
    release: str = "",
) -> FastAPI:
    """
    The application of one tenant. Documentation is served by that of the default one alone.

    Args:
        bases: The tenant's, without a slash at the end.
        changes: What histories are read from.
        topics: What can be subscribed to, as the CapabilityStatement says. publication: How they are written.
        pressure: Asked before anything is stored.
        gate: Asked who calls, before anything is done.
        visibility: Told who that is.
        around: What is put around each handler.
        veil: Over the links of searches by POST.
        subscriptions: The interactions on Subscriptions at each base.
        configuration: What else is below each base: how its clients become known.
        administration: What operators may do, below none of the bases.
        others: Routers beside that, such as health.
        release: The version of the software.
    """
    fhir = (
        at(
            f"/fhir/{version}",
            (
                *_routes(
                    version,
                    bases[version],
                    tenant,
                    settings,
                    store,
                    changes,
                    transactions,
                    topics,
                    publication,
                    pressure,
                    release,
                    gate.asking,
                    visibility,
                ),
                *configuration,
                *subscriptions.get(version, ()),
            ),
        )
        for version in FhirVersion
    )
    app = Application(
        # The busiest first: routes are tried in this order.
        (*chain.from_iterable(fhir), *administration),
        Seeing(gate, visibility),
        around,
        veil,
        title="FHIR event hub",
        description="FHIR R4 at `/fhir/r4`, R4B at `/fhir/r4b`, R5 at `/fhir/r5`; another tenant's below `/t/{tenant}`."
        " Every error is an OperationOutcome.",
        version=release or "unreleased",
        openapi_url="/openapi.json" if tenant == DEFAULT else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    outcome.install(app)
    for router in others:
        app.include_router(router)
    warm()
    return app


def _routes(
    version: FhirVersion,
    base: str,
    tenant: str,
    settings: Settings,
    store: Store,
    changes: Changes,
    transactions: TransactionCoordinator,
    topics: Topics,
    publication: Publication,
    pressure: Pressure,
    release: str,
    asking: Asking,
    visibility: Visibility,
) -> Iterator[Route]:
    """The interactions at one FHIR base, but for those on Subscriptions."""
    search = Search(store, tenant, version, topics.contexts, settings.max_search_scan, visibility)
    interactions = Interactions(
        store, search, transactions, tenant, topics.contexts[version], pressure, topics, visibility
    )
    patching = Patching(interactions, settings.max_body_bytes, settings.max_nesting)
    conditional = Conditional(interactions, patching)
    resources = Resources(
        interactions, patching, conditional, base, most_bytes=settings.max_body_bytes, most_nesting=settings.max_nesting
    )
    searches = Searches(interactions, search, base, most_bytes=settings.max_body_bytes, most_entries=settings.max_page)
    histories = Histories(
        interactions,
        store,
        changes,
        visibility,
        base,
        most_entries=settings.max_page,
        most_looked_at=settings.max_search_scan,
    )
    transacting = Transactions(interactions, patching, store, transactions, base)
    of_topics = TopicResources(
        version=version,
        base=base,
        topics=topics,
        publication=publication,
        now=now_ms,
        max_body=settings.max_body_bytes,
        max_nesting=settings.max_nesting,
        max_page=settings.max_page,
        pressure=pressure,
    )
    bundles = Bundles(
        interactions,
        conditional,
        searches,
        histories,
        transacting,
        base,
        of_topics if version is FhirVersion.R4 else None,
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
    metadata = Metadata(version, base, topics, instant(now_ms()), release, asking)
    # Before the reads, to which it would be an id.
    yield Route("GET", "/{type:kept}/_history", histories.get_all, documentation.HISTORY_OF_TYPE)
    if version is FhirVersion.R4:
        yield from Basics(of_topics, resources, searches).routes()
    yield Route("POST", "/{type:kept}", resources.create, documentation.CREATE)
    yield Route("PUT", "/{type:kept}/{id}", resources.update, documentation.UPDATE)
    yield Route("GET", "/metadata", metadata.get, documentation.METADATA)
    yield Route("GET", "/{type:kept}/{id}", resources.read, documentation.READ)
    yield Route("DELETE", "/{type:kept}/{id}", resources.delete, documentation.DELETE)
    yield Route("PATCH", "/{type:kept}/{id}", resources.patch, documentation.PATCH)
    yield Route("PUT", "/{type:kept}", resources.update_found, documentation.UPDATE_FOUND)
    yield Route("PATCH", "/{type:kept}", resources.patch_found, documentation.PATCH_FOUND)
    yield Route("DELETE", "/{type:kept}", resources.delete_found, documentation.DELETE_FOUND)
    yield Route("GET", "/{type:kept}", searches.get, documentation.SEARCH)
    yield Route("POST", "/{type:kept}/_search", searches.post, documentation.SEARCH_BY_FORM)
    yield Route("GET", "/{type:kept}/{id}/_history", histories.get, documentation.HISTORY)
    yield Route("GET", "/{type:kept}/{id}/_history/{number}", resources.vread, documentation.VREAD)
    yield Route("GET", "/_history", histories.get_all, documentation.HISTORY_OF_ALL)
    yield Route("POST", "", bundles.post, documentation.BUNDLE)
    yield Route("POST", "/", bundles.post, documentation.BUNDLE)
    yield Route("POST", "/$process-message", messages.post, documentation.MESSAGE)
    if version is not FhirVersion.R4:
        yield from of_topics.routes()
        yield from TopicAmending(of_topics).routes()
