"""What commands are built from, which need the store and not the whole hub. NotTheHub, Unavailable as by `parts`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub.access import DEFAULT, Access
from hub.foundation import fitting
from hub.instants import now_ms
from hub.memory import Memory
from hub.operating import Operating
from hub.pipeline import Pipeline
from hub.recovery import Recovery
from hub.resealing import Resealing
from hub.seal import Seal
from hub.secrets import Secrets
from hub.settings import Settings
from hub.suppressing import Suppressing
from hub.suppressions import Suppressions
from hub.wiring.parts import audit_of, close, connect, founded, registry_of, tenancy_of, up_to_date
from subscriptions.audit import OPERATOR, Act, Kind


@asynccontextmanager
async def recovery(settings: Settings) -> AsyncIterator[Recovery]:
    """What recovers a store: built on a Redis that no other part would take."""
    async with _fitting(settings) as pipeline:
        yield Recovery(pipeline, registry_of(settings, pipeline), settings, audit_of(settings, pipeline))


@asynccontextmanager
async def resealing(settings: Settings) -> AsyncIterator[Resealing]:
    """What seals a store anew, also where a key to it is missing; the audit knows that it was asked for."""
    async with _connected(settings) as pipeline:
        up_to_date(await founded(pipeline, settings))
        seal = Seal(pipeline, Secrets.of(settings.secrets_key, settings.secrets_key_file))
        await audit_of(settings, pipeline).record(DEFAULT, Act(Kind.RESEALED, OPERATOR))
        yield Resealing(pipeline, registry_of(settings, pipeline), seal)


@asynccontextmanager
async def operating(settings: Settings) -> AsyncIterator[Operating]:
    """What says who may call, also before a first start and while a hub runs."""
    async with _fitting(settings) as pipeline:
        access = Access(pipeline, now_ms)
        await access.refresh()
        yield Operating(access, audit_of(settings, pipeline))


@asynccontextmanager
async def suppressing(settings: Settings) -> AsyncIterator[Suppressing]:
    """What says what is told to nobody, also while a hub runs."""
    async with _fitting(settings) as pipeline:
        tenancy, access = tenancy_of(settings, pipeline), Access(pipeline, now_ms)
        suppressions = Suppressions(pipeline, tenancy.base, False, now_ms)
        await access.refresh()
        await suppressions.refresh()
        yield Suppressing(suppressions, tenancy, access, audit_of(settings, pipeline))


@asynccontextmanager
async def _fitting(settings: Settings) -> AsyncIterator[Pipeline]:
    async with _connected(settings) as pipeline:
        await fitting(pipeline, settings)
        yield pipeline


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Pipeline]:
    client = connect(settings, Memory())
    try:
        yield Pipeline(client)
    finally:
        await close(client)
