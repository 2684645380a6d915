"""The Redis that a command of the operator's works on: that of HUB_REDIS_URL, or that of a data directory at rest."""

import argparse
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
from hub.secrets import FILE
from hub.settings import Settings

#: Seconds for Redis to end.
PATIENCE = 60


def data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the data directory (HUB_DATA_DIR, or ./data); no hub may run on it"
    )


@contextmanager
def at_rest(settings: Settings, data: Path | None) -> Iterator[Settings]:
    """
    Settings with the URL of a Redis that runs meanwhile, and with the key that `hub serve` has made on this directory.

    NotTheHub when there is no Redis, or a hub runs on its data.
    """
    found = (data or settings.data_dir).resolve()
    settings = settings.model_copy(update={"data_dir": found})
    if not (settings.secrets_key or settings.secrets_key_file) and (found / FILE).exists():
        settings = settings.model_copy(update={"secrets_key_file": found / FILE})
    if settings.redis_url:
        yield settings
        return
    if not found.is_dir():
        raise NotTheHub(f"there is no data directory {found}: name it by --data, or set HUB_REDIS_URL")
    with holding(found) as directory, _running(prepare(directory)) as url:
        yield settings.model_copy(update={"redis_url": url})


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
