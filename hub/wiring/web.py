"""What the api process is built from."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version as version_of
from itertools import chain
from time import monotonic

from fastapi import APIRouter, FastAPI

from hub.access import DEFAULT
from hub.admission import Admission
from hub.api.admin.named import Base
from hub.api.amending import Amending
from hub.api.app import create_app
from hub.api.auditing import Auditing
from hub.api.calls import Calls
from hub.api.console import Console
from hub.api.counting import Counting
from hub.api.entrusting import Entrusting, signing_routes
from hub.api.erasing import Erasures
from hub.api.explaining import Explaining
from hub.api.finding import Finding
from hub.api.guide import guide_routes
from hub.api.happened import Past
from hub.api.health import health_routes
from hub.api.metrics import Metrics, Scraping
from hub.api.operations import Operations
from hub.api.pacing import Allowances, Paced
from hub.api.recovering import Recovering
from hub.api.resuming import Resuming
from hub.api.routes import Gate, Route
from hub.api.subscriptions import Subscriptions
from hub.api.tenants import Tenants
from hub.api.traced import Traced, named
from hub.api.validation import Validation
from hub.binding import Binding
from hub.holdings import Holdings
from hub.instants import now_ms
from hub.pressure import Pressure
from hub.publication import Publication
from hub.refusals import Refusals
from hub.settings import Settings
from hub.starts import Starts
from hub.tenancy import url
from hub.topics import Topics
from hub.topics_dir import load
from hub.visibility import Visibility
from hub.wiring.administration import Watched, administration
from hub.wiring.erasing import erasing
from hub.wiring.gates import Gates
from hub.wiring.parts import Parts, ended, parts
from subscriptions.allowance import Rate
from subscriptions.codes import FhirVersion
from subscriptions.subscription import Style

#: As it is installed.
PACKAGE = "fhir-event-hub"


@asynccontextmanager
async def application(settings: Settings) -> AsyncIterator[FastAPI]:
    """The HTTP application, connected. NotTheHub and Unavailable as `parts` raises them."""
    p = await parts(settings)
    refusals = Refusals(p.audit)
    tasks = [*p.beside(), asyncio.create_task(refusals.run())]
    try:
        if settings.topics_dir:
            publication = Publication(p.tenancy.topics(DEFAULT), p.registry, p.audit, p.store)
            await load(settings.topics_dir, publication, now=now_ms(), max_nesting=settings.max_nesting)
        yield web(settings, p, refusals=refusals)
    finally:
        await ended(tasks)
        await p.close()


def web(settings: Settings, p: Parts, gate: Gate | None = None, refusals: Refusals | None = None) -> FastAPI:
    """
    The HTTP application on parts that are connected: that of the default tenant, with those of others behind it.

    gate: None for the one that the settings ask for.
    refusals: Those that somebody flushes; None for where nobody does.
    """
    refusals = refusals or Refusals(p.audit)
    pressure = Pressure(p.pipeline, p.changes, settings)
    gates = Gates.of(settings, p.access, p.guard)
    known = Allowances(Rate(settings.rate, settings.rate_burst), monotonic) if settings.rate else None
    turned_away = Rate(settings.rate_unknown, max(10 * settings.rate_unknown, 1))
    unknown = Allowances(turned_away, monotonic) if settings.rate_unknown else None
    others = (
        health_routes(p.foundation, pressure, p.audit, p.access),
        signing_routes(p.keyring),
        guide_routes(),
    )
    console = Console.read().routes()
    watched = Watched.of(p, pressure)

    def made(tenant: str, *others: APIRouter) -> FastAPI:
        asked = gate or gates.gate(tenant, p.tenancy.bases(tenant).values())
        if tenant == DEFAULT and settings.metrics_token:
            asked = Scraping(asked, settings.metrics_token)
        own = Paced(asked, known, unknown)
        return _application(tenant, settings, p, watched, own, refusals, tuple(gates.routes()), console, *others)

    app = made(DEFAULT, *others)
    app.add_middleware(Tenants, p.access, made)
    if p.traces.on:
        app.add_middleware(Traced, p.traces)
    app.add_middleware(Counting, p.meter)
    return app


def _application(
    tenant: str,
    settings: Settings,
    p: Parts,
    watched: Watched,
    gate: Gate,
    refusals: Refusals,
    configuration: Sequence[Route],
    *others: APIRouter,
) -> FastAPI:
    """A tenant's own application."""
    topics, bases, visibility = p.tenancy.topics(tenant), p.tenancy.bases(tenant), Visibility(p.store)
    release = version_of(PACKAGE)
    audited = Calls(tenant, p.audit, refusals).audited
    at_bases = {
        version: _base(version, base, topics, settings, p, watched.pressure, visibility)
        for version, base in bases.items()
    }
    erasures = Erasures(
        tenant, url(settings.base_url, tenant), erasing(p), settings.max_body_bytes, settings.max_nesting
    )
    return create_app(
        settings=settings,
        tenant=tenant,
        bases=bases,
        store=p.store,
        changes=p.changes,
        transactions=p.transactions,
        topics=topics,
        publication=Publication(topics, p.registry, p.audit, p.store),
        pressure=watched.pressure,
        gate=gate,
        visibility=visibility,
        around=named(audited) if p.traces.on else audited,
        veil=p.veil,
        configuration=configuration,
        subscriptions={
            version: (
                *_subscriptions(at_base, p),
                *_auditing(version, bases, tenant, settings, p, visibility).routes(),
            )
            for version, at_base in at_bases.items()
        },
        administration=chain(
            administration(tenant, settings, p, watched, at_bases, release),
            erasures.routes(),
            _metrics(p, watched.pressure).routes() if tenant == DEFAULT else (),
        ),
        others=others,
        release=release,
    )


def _metrics(p: Parts, pressure: Pressure) -> Metrics:
    """The figures, which are the whole hub's."""
    return Metrics(
        p.pipeline, p.machinery, p.draining, p.survey, p.access, p.audit, pressure, now_ms, version_of(PACKAGE)
    )


def _base(
    version: FhirVersion,
    base: str,
    topics: Topics,
    settings: Settings,
    p: Parts,
    pressure: Pressure,
    visibility: Visibility,
) -> Base:
    """What is done with the Subscriptions at one FHIR base, on the topics of its tenant."""
    subscriptions = Subscriptions(
        version=version,
        tenant=topics.tenant,
        base=base,
        membership=p.membership,
        admission=Admission(
            topics,
            p.guard,
            settings.private_hosts,
            topics.contexts,
            settings.allow_http_endpoints,
            Style(settings.legacy_style),
            p.seal.is_there,
        ),
        now=now_ms,
        max_body=settings.max_body_bytes,
        max_nesting=settings.max_nesting,
        max_page=settings.max_page,
        holdings=Holdings(p.store, topics.tenant, version, visibility),
        pressure=pressure,
        starts=Starts(p.changes),
        binding=Binding(p.keyring, p.seal),
        standings=p.telling.standings,
    )
    past = Past(p.store, p.tenancy, p.access, topics.tenant, version)
    return Base(
        subscriptions,
        Operations(subscriptions, p.foundation.epoch),
        Entrusting(subscriptions, p.keyring),
        Explaining(subscriptions, past, p.changes, p.outboxes),
        Resuming(subscriptions),
    )


def _subscriptions(of: Base, p: Parts) -> Iterator[Route]:
    """The interactions on the Subscriptions at one FHIR base."""
    subscriptions = of.subscriptions
    yield from of.operations.routes()
    yield from Recovering(of.operations, p.disclosure, p.telling, p.outboxes, p.resending).routes()
    yield from of.entrusting.routes()
    yield from Validation(subscriptions).routes()
    yield from of.explaining.routes()
    yield from Amending(subscriptions).routes()
    yield from Finding(subscriptions).routes()
    yield from subscriptions.routes()


def _auditing(
    version: FhirVersion,
    bases: Mapping[FhirVersion, str],
    tenant: str,
    settings: Settings,
    p: Parts,
    visibility: Visibility,
) -> Auditing:
    """A tenant's audit at one FHIR base."""
    return Auditing(
        version=version,
        tenant=tenant,
        bases=bases,
        audit=p.audit,
        now=now_ms,
        max_body=settings.max_body_bytes,
        max_page=settings.max_page,
        max_scan=settings.max_search_scan,
        holdings=Holdings(p.store, tenant, version, visibility),
    )
