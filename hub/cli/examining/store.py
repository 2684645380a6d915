"""The Redis that the hub stands on, as the hub sees it."""

import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError

from hub.cli.examining.clocks import drift
from hub.cli.examining.findings import Finding, fail, ok, sized, warn
from hub.errors import HubError, NotTheHub
from hub.foundation import fits, fitting, look
from hub.memory import Memory
from hub.pipeline import Pipeline, read_info
from hub.settings import Settings
from hub.wire import FAILURES
from hub.wiring.parts import connect

AREA = "redis"

#: Seconds that one answer may take before it is worth a word, and within which there has to be one.
SLOW, PATIENCE = 0.05, 5.0

#: Percent of the memory at which it is time to think of more, before the hub takes nothing more.
FILLING = 0.75


async def store(settings: Settings) -> AsyncIterator[Finding]:
    """Of settings that have the URL of the Redis."""
    client = connect(settings, Memory())
    try:
        async for finding in _examined(Pipeline(client), settings):
            yield finding
    except HubError as error:
        yield fail(AREA, str(error), "Nothing works without it.")
    finally:
        await client.aclose()
    if settings.rq_redis_url:
        yield await _rq(settings.rq_redis_url)


async def _examined(pipeline: Pipeline, settings: Settings) -> AsyncIterator[Finding]:
    try:
        volatile = await fitting(pipeline, settings)
    except NotTheHub as error:
        yield fail(AREA, str(error), "Change it in Redis' configuration, and by CONFIG SET while it runs.")
        volatile = ""
    info = dict[str, str]()
    for section in ("server", "memory", "persistence"):
        info |= read_info(await pipeline.command("INFO", section))
    yield ok(AREA, f"version {info['redis_version']}, up for {int(info['uptime_in_seconds']) / 86_400:.1f} days")
    if volatile:
        yield warn(AREA, f"it may forget what it confirmed: {volatile}", "Change these settings of Redis.")
    elif settings.durability_attested:
        yield ok(AREA, "its durability is vouched for (HUB_DURABILITY_ATTESTED)")
    yield await _epoch(pipeline, settings)
    yield _memory(info, settings)
    for finding in _writing(info):
        yield finding
    began, asked = time.time(), time.monotonic()
    seconds, micros = await pipeline.command("TIME")
    took = time.monotonic() - asked
    yield drift("Redis", int(seconds) + int(micros) / 1e6, began + took / 2, took / 2)
    if took > SLOW:
        yield warn(AREA, f"it takes {took * 1000:.0f} ms to answer", "Bring it nearer, or give its machine more time.")


async def _epoch(pipeline: Pipeline, settings: Settings) -> Finding:
    found = await look(pipeline, settings)
    if found.forgotten:
        return fail(AREA, found.forgotten, "Restore a later state, or see `hub recover`.")
    if found.other:
        return fail(
            AREA, f"it holds another hub's data than {found.file} says", "Correct HUB_REDIS_URL or HUB_DATA_DIR."
        )
    if "id" not in found.held:
        return ok(AREA, "no hub has begun a store in it yet")
    try:
        fits(found.held, settings)
    except NotTheHub as error:
        return fail(AREA, str(error), "A store keeps these for good.")
    at = datetime.fromtimestamp(found.count / 1000, UTC)
    return ok(
        AREA, f"layout {found.held['layout']}, {found.held['partitions']} partitions, last held at {at:%F %T} UTC"
    )


def _memory(info: Mapping[str, str], settings: Settings) -> Finding:
    used = int(info["used_memory"])
    most = int(info.get("maxmemory", 0)) or settings.max_memory_bytes
    if not most:
        text = f"{sized(used)} are used, of no maxmemory: the hub goes by all of the machine's memory"
        return warn(AREA, text, "Give Redis a maxmemory that its machine really has, or set HUB_MAX_MEMORY_BYTES.")
    text = f"{sized(used)} of {sized(most)} are used"
    declined = settings.max_memory_percent / 100
    if used > declined * most:
        return fail(AREA, f"{text}: nothing more is taken", "Give it more memory, or shorten HUB_RETENTION_DAYS.")
    if used > FILLING * declined * most:
        return warn(AREA, f"{text}; nothing more is taken from {settings.max_memory_percent:g} % on", "Give it more.")
    return ok(AREA, text)


def _writing(info: Mapping[str, str]) -> list[Finding]:
    """Whether its file is written."""
    if info.get("aof_enabled") != "1":
        return []
    todo = "See Redis' log: mostly the disk is full."
    bad = {
        "aof_last_write_status": "its last write to the append-only file failed",
        "aof_last_bgrewrite_status": "its last rewrite of the append-only file failed",
    }
    found = [fail(AREA, text, todo) for name, text in bad.items() if info.get(name, "ok") != "ok"]
    size = sized(int(info.get("aof_current_size", 0)))
    return found or [ok(AREA, f"its append-only file is written: {size}")]


async def _rq(url: str) -> Finding:
    try:
        async with Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE) as redis:
            info = await redis.info("server")
    except (*FAILURES, RedisError) as error:
        todo = "Start it, or correct HUB_RQ_REDIS_URL. Workers go on without it; none is begun anew."
        return fail("rq", f"its Redis does not answer: {error}", todo)
    return ok("rq", f"its Redis answers: version {info['redis_version']}")
