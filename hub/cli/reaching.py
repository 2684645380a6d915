"""The Redis of a hub that runs or not: that of HUB_REDIS_URL, or that of a data directory, as it is found."""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from hub.cli.at_rest import at_rest
from hub.cli.directory import held, url_file
from hub.errors import Unavailable
from hub.settings import Settings

#: Seconds that a hub which is starting has until its Redis answers, and that one look takes.
PATIENCE, LOOK = 30.0, 2.0


def data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the data directory of `hub serve` (HUB_DATA_DIR, or ./data)"
    )


@contextmanager
def reached(settings: Settings, data: Path | None) -> Iterator[Settings]:
    """Settings with the URL of a Redis that answers. NotTheHub as by `at_rest`; Unavailable when it doesn't in time."""
    found = (data or settings.data_dir).resolve()
    if settings.redis_url:
        yield settings
    elif url := _running(found):
        yield settings.model_copy(update={"redis_url": url, "data_dir": found})
    else:
        with at_rest(settings, found) as resting:
            yield resting


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
