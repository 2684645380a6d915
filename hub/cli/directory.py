"""
The data directory of `hub serve`, held by one supervisor and one Redis at a time.

| file              | what                                                                                         |
|-------------------|----------------------------------------------------------------------------------------------|
| `supervisor.lock` | an flock that ends with the supervisor                                                       |
| `lock`            | an flock that the supervisor shares with its Redis: it ends when both have ended             |
| `redis.url`       | where the Redis of this directory is reached; a later supervisor finds a left-over one by it |
| `redis.conf`      | its settings, written anew at each start                                                     |
| `redis-version`   | of the server that last wrote here, as `7.0`                                                 |
| `epoch`           | what store its Redis holds, and how far it was (hub/mark.py): so that a loss is noticed      |
| `secrets.key`     | seals the secrets in its Redis, unless HUB_SECRETS_KEY does: without it nothing opens them   |
| `redis.log`       | what it says; `redis.log.1` is the one before                                                |
| `appendonly…`     | the data                                                                                     |
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from hub.errors import NotTheHub

#: Seconds that a supervisor which was just killed may take to vanish.
SUPERVISOR_PATIENCE = 2.0
#: Seconds that a left-over Redis may take to end: by itself at first, then because it is told to. It ends at once, but
#: a rewrite of its file that it had begun goes on without it and holds the lock till it is done.
REDIS_PATIENCE = 60.0
#: Seconds before it is told to.
GRACE = 3.0


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A directory that is ours. `lock` is the file descriptor that our Redis must inherit."""

    path: Path
    lock: int

    @property
    def url(self) -> Path:
        return url_file(self.path)

    @property
    def version(self) -> Path:
        return self.path / "redis-version"

    @property
    def log(self) -> Path:
        return self.path / "redis.log"


def url_file(path: Path) -> Path:
    return path / "redis.url"


def held(path: Path) -> bool:
    """Whether a supervisor holds a directory now. Nothing is made, waited for or ended."""
    try:
        supervisor = os.open(path / "supervisor.lock", os.O_RDWR)
    except OSError:
        return False
    try:
        return not _locked(supervisor, 0)
    finally:
        os.close(supervisor)


@contextmanager
def holding(path: Path) -> Iterator[DataDirectory]:
    """
    Hold a directory, made if need be; a Redis that a killed supervisor left there is waited for, then shut down.

    Raises NotTheHub if another supervisor holds it, if what is left there doesn't end, or if we may not write there.
    """
    path = path.resolve()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        supervisor = _open(path / "supervisor.lock")
        lock = _open(path / "lock")
    except OSError as error:
        raise NotTheHub(
            f"the data directory {path} can't be used: {error.strerror}; choose another with --data"
        ) from None
    try:
        if not _locked(supervisor, SUPERVISOR_PATIENCE):
            raise NotTheHub(f"another hub already runs on {path}; stop it, or choose another directory with --data")
        directory = DataDirectory(path, lock)
        if not _locked(lock, GRACE):
            _shut_down(directory)
            if not _locked(lock, REDIS_PATIENCE):
                raise NotTheHub(f"a Redis still runs on {path} and doesn't end; stop it by hand")
        yield directory
    finally:
        os.close(lock)
        os.close(supervisor)


def replace(path: Path, text: str) -> None:
    """Write a small file whole or not at all, for our eyes only."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(_open(new), "w") as file:
        file.truncate()
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _locked(descriptor: int, patience: float) -> bool:
    """Take an flock, trying for `patience` seconds: flock itself knows no time limit."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)  # flock tells nobody when it comes free within a time
        else:
            return True


def _shut_down(directory: DataDirectory) -> None:
    """Ask a left-over Redis to end. Its own socket is asked, not a pid, so that nobody else's process is ever hit."""
    with suppress(OSError, RedisError), Redis.from_url(directory.url.read_text(), socket_timeout=5) as redis:
        redis.shutdown(nosave=True)
