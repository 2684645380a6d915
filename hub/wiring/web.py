"""What the api process is built from."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from hub.admission import Admission
from hub.api.admin import Administration
from hub.api.app import create_app
from hub.api.entrusting import Entrusting, signing_routes
from hub.api.explaining import Explaining
from hub.api.health import health_routes
from hub.api.operations import Operations
from hub.api.recovering import Recovering
from hub.api.subscriptions import Subscriptions
from hub.api.validation import Validation
from hub.attempts import Attempts
from hub.binding import Binding
from hub.holdings import Holdings
from hub.pressure import Pressure
from hub.publication import Publication
from hub.settings import Settings
from hub.starts import Starts
from hub.store import now_ms
from hub.topics_dir import load
from hub.wiring.parts import TENANT, Parts, parts
from subscriptions.codes import FhirVersion
from subscriptions.subscription import Style


@asynccontextmanager
async def application(settings: Settings) -> AsyncIterator[FastAPI]:
    """The HTTP application, connected. NotTheHub and Unavailable as `parts` raises them."""
    p = await parts(settings)
    watching = asyncio.create_task(p.watch.run())
    try:
        if settings.topics_dir:
            publication = Publication(p.topics, p.registry)
            await load(settings.topics_dir, publication, now=now_ms(), max_nesting=settings.max_nesting)
        yield web(settings, p)
    finally:
        watching.cancel()
        await p.client.aclose()


def web(settings: Settings, p: Parts) -> FastAPI:
    """The HTTP application on parts that are connected."""
    pressure = Pressure(p.pipeline, p.changes, settings)
    subscriptions = Subscriptions(
        version=FhirVersion.R4,
        tenant=TENANT,
        base=p.bases[FhirVersion.R4],
        membership=p.membership,
        admission=Admission(
            p.topics,
            p.guard,
            settings.private_hosts,
            p.contexts,
            settings.allow_http_endpoints,
            Style(settings.legacy_style),
            p.seal.is_there,
        ),
        now=now_ms,
        max_body=settings.max_body_bytes,
        max_nesting=settings.max_nesting,
        max_page=settings.max_page,
        holdings=Holdings(p.store, TENANT, FhirVersion.R4),
        pressure=pressure,
        starts=Starts(p.changes),
        binding=Binding(p.keyring),
    )
    operations = Operations(subscriptions, p.foundation.epoch)
    administration = Administration(
        TENANT,
        p.membership,
        Attempts(p.pipeline),
        p.resending,
        now_ms,
        max_body=settings.max_body_bytes,
        max_nesting=settings.max_nesting,
    )
    return create_app(
        settings=settings,
        store=p.store,
        transactions=p.transactions,
        topics=p.topics,
        publication=Publication(p.topics, p.registry),
        pressure=pressure,
        fhir=(
            *operations.routes(),
            *Recovering(operations, p.store, p.outboxes, p.resending).routes(),
            *Entrusting(subscriptions, p.keyring).routes(),
            *Validation(subscriptions).routes(),
            *Explaining(subscriptions, p.store, p.changes, p.outboxes).routes(),
            *subscriptions.routes(),
            *administration.routes(),
        ),
        others=(health_routes(p.foundation, pressure), signing_routes(p.keyring)),
        release=version("fhir-event-hub"),
    )
