"""`hub recover`: go on after Redis was restored to an earlier state, or begin anew after it lost everything."""

import argparse
import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from hub.cli.directory import holding
from hub.cli.embedded import Embedded, prepare
from hub.cli.parts import tied
from hub.errors import NotTheHub
from hub.recovery import Recovered
from hub.settings import Settings
from hub.wiring.parts import recovery

#: Seconds for Redis to end.
PATIENCE = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the data directory (HUB_DATA_DIR, or ./data); no hub may run on it"
    )
    parser.add_argument("--force", action="store_true", help="also when nothing seems to be wrong")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    data: Path = (arguments.data or settings.data_dir).resolve()
    settings = settings.model_copy(update={"data_dir": data})
    if settings.redis_url:
        _say(asyncio.run(_recover(settings, arguments.force)))
        return 0
    if not data.is_dir():
        raise NotTheHub(f"there is no data directory {data}: name it by --data, or set HUB_REDIS_URL")
    with holding(data) as directory, _running(prepare(directory)) as url:
        _say(asyncio.run(_recover(settings.model_copy(update={"redis_url": url}), arguments.force)))
    return 0


async def _recover(settings: Settings, force: bool) -> Recovered:
    async with recovery(settings) as found:
        return await found.run(force=force)


@contextmanager
def _running(embedded: Embedded) -> Iterator[str]:
    """The Redis of a data directory, for as long as this takes; its URL."""
    process = subprocess.Popen(
        embedded.argv, stdin=subprocess.DEVNULL, pass_fds=(embedded.directory.lock,), preexec_fn=tied()
    )
    try:
        with Redis.from_url(embedded.url, socket_timeout=2) as redis:
            while True:
                with suppress(RedisError, OSError):
                    redis.ping()
                    break
                if process.poll() is not None:
                    raise NotTheHub(f"Redis doesn't start on {embedded.directory.path}: {embedded.last_words()}")
                time.sleep(0.05)  # Redis tells nobody when it is ready
        embedded.started()
        yield embedded.url
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _say(did: Recovered) -> None:
    if did.reason:
        print(f"found: {did.reason}")
    if not did.jump:
        print("begun: a new, empty store. Publishers and subscribers of before have to come again")
    else:
        print(f"in error: {did.failed} subscriptions, until each is set to requested; off or gone: {did.off}")
        print(f"numbers: {did.jump:,} or more are left out, since as many may have been given")
    print(f"id: {did.id}. Parts of the hub that run begin anew by themselves; start the others")
