"""`hub serve`: the whole hub on one machine. Its parts are processes of their own, kept running and ended together."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from hub.cli import REFUSED
from hub.cli.address import Address, listening
from hub.cli.directory import holding
from hub.cli.embedded import Embedded, prepare
from hub.cli.parts import LONGEST_PAUSE, PAUSE, Part, PartRefused, Supervisor, log
from hub.cli.tls import Certificate, unverified
from hub.errors import NotTheHub, Unavailable
from hub.foundation import check, unusable
from hub.pipeline import Pipeline
from hub.secrets import made_in
from hub.settings import Settings

#: Seconds after which it is said, once, that the hub isn't ready yet.
USUALLY_READY = 10.0
#: Seconds between two looks at whether something answers by now, and for one such look.
LOOK_EVERY, LOOK_LIMIT = 0.05, 2.0

#: Redis ends with 1 when it can't read its data, its configuration or take its address.
REDIS_REFUSES = frozenset({1})


def arguments(parser: argparse.ArgumentParser) -> None:
    listening(parser)
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="where Redis keeps its files (HUB_DATA_DIR, or ./data)"
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    address = Address(arguments.host, arguments.port, Certificate.of(settings) is not None)
    address.permit(settings)
    if address.wildcard and not settings.base_url:
        raise NotTheHub(f"--host {address.host} is no address for others: set HUB_BASE_URL to the URL that they reach")
    data: Path = (arguments.data or settings.data_dir).resolve()
    with ExitStack() as held:
        embedded = None if settings.redis_url else prepare(held.enter_context(holding(data)))
        if not (settings.secrets_key or settings.secrets_key_file) and data.is_dir():
            settings = settings.model_copy(update={"secrets_key_file": made_in(data)})
        address = address.claimed()
        try:
            asyncio.run(_serve(settings, address, data, embedded))
        except PartRefused as refusal:
            if embedded and refusal.part.name == "redis":
                raise NotTheHub(f"Redis doesn't start on {data}: {embedded.last_words()}") from None
            return REFUSED
    return 0


def parts(environment: dict[str, str], address: Address) -> tuple[Part, ...]:
    """The hub's own parts."""
    hub = (sys.executable, "-m", "hub")
    return (
        Part("api", (*hub, "api", "--host", address.host, "--port", str(address.port)), environment),
        Part("worker match", (*hub, "worker", "match"), environment),
        Part("worker deliver", (*hub, "worker", "deliver"), environment),
        Part("clock", (*hub, "clock"), environment),
    )


async def _serve(settings: Settings, address: Address, data: Path, embedded: Embedded | None) -> None:
    settings = settings.model_copy(
        update={
            "redis_url": embedded.url if embedded else settings.redis_url,
            "base_url": settings.base_url or address.url,
            "data_dir": data,
        }
    )
    own = [*settings.own_addresses, (address.near, address.port)]
    environment = {
        "HUB_OWN_ADDRESSES": ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in own),
        "HUB_REDIS_URL": settings.redis_url,
        "HUB_BASE_URL": settings.base_url,
        "HUB_DATA_DIR": str(settings.data_dir),
    }
    if settings.secrets_key_file:
        environment["HUB_SECRETS_KEY_FILE"] = str(settings.secrets_key_file)
    supervisor = Supervisor()

    async def bring_up() -> None:
        if embedded:
            await _start_redis(supervisor, embedded)
        await _patiently(lambda: _check(settings))
        api, *pumping = parts(environment, address)
        supervisor.start(api)
        if settings.rq_redis_url:
            await _patiently(lambda: _check_rq(settings.rq_redis_url))
        for part in pumping:
            supervisor.start(part)
        began, said = time.monotonic(), False
        while (status := await _answer(address)) != 200:
            if not said and time.monotonic() - began > USUALLY_READY:
                log.warning("hub.waiting", extra={"url": f"{address.url}/readyz", "status": status})
                said = True
            await asyncio.sleep(LOOK_EVERY)
        where = f" · data in {data}" if embedded else ""
        print(f"hub ready: {address.url}/fhir/r4 · {address.url}/docs · {address.url}/console{where}", flush=True)

    await supervisor.run(bring_up())


async def _patiently(look: Callable[[], Awaitable[None]]) -> None:
    """Look until a Redis answers, so that what each part would refuse about it is refused once."""
    pause = PAUSE
    while True:
        try:
            return await look()
        except Unavailable as error:
            log.warning("redis.waiting", extra={"reason": str(error)})
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _check(settings: Settings) -> None:
    client = (RedisCluster if settings.redis_cluster else Redis).from_url(settings.redis_url, socket_timeout=LOOK_LIMIT)
    try:
        await check(Pipeline(client), settings)
    finally:
        await client.aclose()


async def _check_rq(url: str) -> None:
    try:
        async with Redis.from_url(url, socket_timeout=LOOK_LIMIT) as redis:
            await redis.ping()
    except RedisError as error:
        raise unusable(error, "HUB_RQ_REDIS_URL") from error


async def _start_redis(supervisor: Supervisor, embedded: Embedded) -> None:
    """Start the embedded Redis and wait until it has read its data, however long that takes."""
    lock = embedded.directory.lock
    supervisor.start(Part("redis", embedded.argv, {}, (lock,), foundation=True, refusals=REDIS_REFUSES))
    async with Redis.from_url(embedded.url, socket_timeout=LOOK_LIMIT) as redis:
        while True:
            with suppress(RedisError, OSError):
                await redis.ping()
                break
            await asyncio.sleep(LOOK_EVERY)
    embedded.started()


async def _answer(address: Address) -> int:
    """The status with which the api answers `GET /readyz`, once it answers at all."""
    context = unverified() if address.tls else None
    while True:
        with suppress(OSError, TimeoutError, ValueError, IndexError):
            async with asyncio.timeout(LOOK_LIMIT):
                reader, writer = await asyncio.open_connection(address.near, address.port, ssl=context)
                try:
                    writer.write(f"GET /readyz HTTP/1.1\r\nHost: {address.near}\r\nConnection: close\r\n\r\n".encode())
                    return int((await reader.readline()).split()[1])
                finally:
                    writer.close()
        await asyncio.sleep(LOOK_EVERY)
