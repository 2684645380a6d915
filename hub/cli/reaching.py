"""What operators do to the store of a hub that runs or not: that of HUB_REDIS_URL, or that of a data directory."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

from redis import Redis
from redis.exceptions import RedisError

from hub.cli.at_rest import at_rest
from hub.cli.directory import held, url_file
from hub.errors import Unavailable
from hub.settings import Settings

#: Seconds that a hub which is starting has until its Redis answers, and that one look takes.
PATIENCE, LOOK = 30.0, 2.0
#: What the hub's URL is taken for where nobody says it.
NOWHERE = "http://hub.invalid"

_Parts = TypeVar("_Parts")
_Result = TypeVar("_Result")


def data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the data directory of `hub serve` (HUB_DATA_DIR, or ./data)"
    )


def on_store(
    settings: Settings,
    data: Path | None,
    built: Callable[[Settings], AbstractAsyncContextManager[_Parts]],
    act: Callable[[_Parts], Awaitable[_Result]],
) -> _Result:
    """
    Act on what is built on the Redis that is found.

    Raises:
        NotTheHub: There is neither a Redis nor a data directory, or it can't be used.
        Unavailable: The Redis of a hub that runs doesn't answer in time.
    """

    async def acting(found: Settings) -> _Result:
        async with built(found) as parts:
            return await act(parts)

    found = (data or settings.data_dir).resolve()
    if not settings.redis_url:
        settings = settings.model_copy(update={"redis_url": _running(found)})
    with at_rest(settings, found) as settings:
        return asyncio.run(acting(settings))


def _running(data: Path) -> str:
    """Where the Redis of a hub answers that runs on a data directory; empty when none runs."""
    end = time.monotonic() + PATIENCE
    while held(data):
        url = url_file(data).read_text() if url_file(data).exists() else ""
        if url and _answers(url):
            return url
        if time.monotonic() > end:
            raise Unavailable(f"the hub that runs on {data} has no Redis that answers: see {data / 'redis.log'}")
        time.sleep(0.1)  # Redis tells nobody when it is ready
    return ""


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url, socket_timeout=LOOK) as redis:
            return bool(redis.ping())
    except (RedisError, OSError):
        return False
