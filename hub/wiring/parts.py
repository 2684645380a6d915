"""What every process is built from."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

from aiohttp.resolver import AsyncResolver
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from hub.access import DEFAULT, Access
from hub.audit import Audit
from hub.channels.guard import Guard
from hub.channels.own import Own, found
from hub.disclosure import Disclosure
from hub.draining import Draining
from hub.due import Due
from hub.errors import NotTheHub, Unavailable
from hub.foundation import Foundation, check
from hub.honouring import all_honoured
from hub.instants import now_ms
from hub.keyring import Keyring
from hub.keys import LAYOUT
from hub.machinery import Machinery
from hub.membership import Membership
from hub.memory import Memory
from hub.meter import Meter
from hub.metering import Metering, Sampling
from hub.migration import Migration
from hub.outbox import Outboxes
from hub.pipeline import Client, Pipeline
from hub.registry import Registry
from hub.resealing import Resealing
from hub.resending import Resending
from hub.retention import DAY, AuditRetention, Retention
from hub.scanning import Scanning
from hub.seal import Seal
from hub.secrets import Secrets
from hub.settings import Settings
from hub.standing import Standings
from hub.store import Store
from hub.stream import Changes
from hub.suppressions import Suppressions
from hub.survey import Survey
from hub.telling import Telling
from hub.tenancy import Tenancy
from hub.tracing import Traces
from hub.transaction import TransactionCoordinator
from hub.vault import vault
from hub.veil import Veil, veil
from hub.watch import Watch

#: Connections to Redis that one process has at most, beside one blocking read for each partition or shard.
CONNECTIONS = 32

#: Seconds that what runs beside a process' work gets to end.
LAST_SECONDS = 2.0


def connect(settings: Settings, memory: Memory) -> Client:
    """
    A client for the store. Every wait for an answer has a limit.

    The client repeats nothing by itself: a write whose answer was lost may have been done, and would be done twice.
    """
    url = settings.shared_redis_url
    once = Retry(NoBackoff(), 0)
    if settings.redis_cluster:
        return RedisCluster.from_url(url, socket_timeout=5, retry=once)
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS + settings.partitions,
        timeout=5,
        socket_timeout=5,
        retry=once,
        redis_connect_func=memory.connected,
    )
    return Redis(connection_pool=pool)


@dataclass(frozen=True)
class Parts:
    """What every process is built from."""

    settings: Settings
    client: Client
    memory: Memory
    pipeline: Pipeline
    foundation: Foundation
    store: Store
    changes: Changes
    outboxes: Outboxes
    due: Due
    registry: Registry
    tenancy: Tenancy
    own: Own
    seal: Seal
    keyring: Keyring
    access: Access
    veil: Veil
    audit: Audit
    suppressions: Suppressions
    telling: Telling
    meter: Meter
    survey: Survey
    traces: Traces

    @property
    def disclosure(self) -> Disclosure:
        return Disclosure(self.store, self.tenancy, self.access)

    @property
    def transactions(self) -> TransactionCoordinator:
        return TransactionCoordinator(self.pipeline, self.store)

    @property
    def membership(self) -> Membership:
        delay = int(self.settings.handshake_delay * 1000)
        return Membership(self.registry, self.outboxes, self.due, delay, self.seal, self.audit)

    @property
    def resending(self) -> Resending:
        return Resending(self.pipeline, self.outboxes, self.due, self.audit)

    @property
    def draining(self) -> Draining:
        return Draining(self.pipeline, self.audit)

    @property
    def machinery(self) -> Machinery:
        return Machinery(self.pipeline, self.changes, self.due)

    @property
    def retention(self) -> Retention:
        window = int(self.settings.retention_days * DAY)
        most = self.settings.retention_bytes
        return Retention(self.pipeline, self.registry, self.changes, self.due, window, most, self.meter)

    @property
    def audits(self) -> AuditRetention:
        return AuditRetention(self.audit, self.access, int(self.settings.audit_days * DAY))

    @property
    def guard(self) -> Guard:
        s = self.settings
        return Guard(s.allow_private_endpoints, s.private_networks, frozenset(s.endpoint_ports), own=self.own)

    def beside(self) -> list[asyncio.Task[None]]:
        """What each process runs beside its work, to be `ended` before the connections are closed."""
        return [asyncio.create_task(self.watch.run()), asyncio.create_task(self.metering.run())]

    @property
    def watch(self) -> Watch:
        return Watch(self.pipeline, self.memory, self.settings.data_dir)

    @property
    def metering(self) -> Metering:
        return Metering(self.pipeline, self.meter)

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.pipeline)

    async def close(self) -> None:
        """Close the connections to Redis and to whoever collects traces."""
        await close(self.client)
        await self.traces.close()


async def ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """End what runs beside a process' work; what takes longer than some seconds is left to itself."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_SECONDS)


async def close(client: Client) -> None:
    # A pool that was handed to a client is not the client's to close.
    await client.aclose()
    if isinstance(client, Redis):
        await client.connection_pool.disconnect()


async def parts(settings: Settings, *, migrating: bool = True) -> Parts:
    """
    Connect to Redis and check that it is the one, and as it must be. Waits for one that is still starting.

    migrating: Bring a store of an older release up to date, on which none of it may run; else NotTheHub.
    """
    if not settings.base_url:
        raise NotTheHub("HUB_BASE_URL is not set: the URL before /fhir, as the hub is seen from outside")
    memory = Memory()
    client = connect(settings, memory)
    try:
        foundation = await founded(Pipeline(client, memory), settings)
        if not migrating:
            up_to_date(foundation)
        memory.epoch, memory.count = foundation.epoch, foundation.count
        return await _built(settings, client, memory, foundation)
    except BaseException:
        await close(client)
        raise


@asynccontextmanager
async def existing(settings: Settings) -> AsyncIterator[Parts]:
    """The parts for a command, also while a hub runs, which may be of an older release."""
    built = await parts(settings, migrating=False)
    try:
        yield built
    finally:
        await built.close()


def up_to_date(foundation: Foundation) -> None:
    if foundation.layout < LAYOUT:
        raise NotTheHub("Redis holds what an older release has left: start the hub first, which brings it up to date")


def audit_of(settings: Settings, pipeline: Pipeline) -> Audit:
    return Audit(pipeline, settings.audit, settings.audit_entries)


def _scanning(settings: Settings, tenancy: Tenancy) -> Scanning:
    return Scanning(tenancy, settings.max_scanned, settings.max_subscriptions, settings.max_scanned_of_client)


def registry_of(settings: Settings, pipeline: Pipeline) -> Registry:
    """The registry alone, for whoever has no other part of the hub."""
    return Registry(pipeline, _scanning(settings, tenancy_of(settings, pipeline)))


def tenancy_of(settings: Settings, pipeline: Pipeline) -> Tenancy:
    return Tenancy(pipeline, settings.base_url, settings.canonical_base, settings.allow_chained_filters)


async def _built(settings: Settings, client: Client, memory: Memory, foundation: Foundation) -> Parts:
    """The parts on a Redis that was checked, brought to this layout first."""
    pipeline = foundation.pipeline
    tenancy = tenancy_of(settings, pipeline)
    seal = Seal(pipeline, Secrets.of(settings.secrets_key, settings.secrets_key_file))
    await seal.check()
    bodies = await vault(pipeline, seal, sealing=settings.encrypt_bodies)
    audit, meter = audit_of(settings, pipeline), Meter()
    access, suppressions = (
        Access(pipeline, now_ms),
        Suppressions(pipeline, tenancy.base, settings.honour_consent, now_ms),
    )
    registry = Registry(pipeline, _scanning(settings, tenancy))
    built = Parts(
        settings=settings,
        client=client,
        memory=memory,
        pipeline=pipeline,
        foundation=foundation,
        store=Store(pipeline, settings.partitions, bodies, meter),
        changes=Changes(client, pipeline, settings.partitions),
        outboxes=Outboxes(pipeline, settings.max_backlog, meter),
        due=Due(client, pipeline, settings.partitions),
        registry=registry,
        tenancy=tenancy,
        own=await _own(settings, client),
        seal=seal,
        keyring=Keyring(pipeline, seal),
        access=access,
        veil=await veil(pipeline),
        audit=audit,
        suppressions=suppressions,
        telling=Telling(Standings(access, settings.auth), suppressions, tenancy, now_ms),
        meter=meter,
        survey=Survey(pipeline, registry),
        traces=_traces(settings),
    )
    await built.keyring.check()
    if foundation.layout < LAYOUT:
        resealing = Resealing(pipeline, built.registry, seal)
        # Releases of earlier layouts knew no other tenant.
        contexts = tuple(tenancy.topics(DEFAULT).contexts.values())
        await Migration(pipeline, built.store, built.transactions, DEFAULT, contexts, resealing).run()
    await all_honoured(pipeline, built.store, access)
    return built


async def _own(settings: Settings, client: Client) -> Own:
    urls = [url for url in (settings.redis_url, settings.rq_redis_url) if url and not url.startswith("unix:")]
    known = [ConnectionPool.from_url(url).connection_kwargs for url in urls]
    nodes = [(str(place.get("host", "localhost")), int(place.get("port", 6379))) for place in known]
    if isinstance(client, RedisCluster):
        nodes += [(str(node.host), int(node.port)) for node in client.get_nodes()]
    resolver = AsyncResolver()
    try:
        return await found(settings, nodes, resolver)
    finally:
        await resolver.close()


def _traces(settings: Settings) -> Traces:
    """As the settings ask for them. Raises NotTheHub where the packages for it are not there: they are an extra."""
    if settings.traces == "off":
        return Traces()
    try:
        exporting = import_module("hub.exporting")
    except ModuleNotFoundError as error:
        text = f"HUB_TRACES={settings.traces} needs packages that are not there: pip install 'fhir-event-hub[traces]'"
        raise NotTheHub(text) from error
    traces: Traces = exporting.Exported()
    return traces


async def founded(pipeline: Pipeline, settings: Settings) -> Foundation:
    for pause in (0.1, 0.2, 0.5, 1, 2, 5, None):
        try:
            return await check(pipeline, settings)
        except Unavailable:
            if pause is None:
                raise
            await asyncio.sleep(pause)
    raise AssertionError("unreachable")
