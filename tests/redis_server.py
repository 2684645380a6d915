"""A real Redis server for tests: on a Unix socket, in a directory of its own, ended with whoever started it."""

import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from hub.cli.embedded import find
from hub.cli.parts import tied
from tests.facts import until

SLOTS = 16384
#: A cluster's bus is 10,000 above its port; both are below the range from which systems take ports by themselves.
CLUSTER_PORTS = range(10_000, 22_000)


class RedisServer:
    """
    A server that loses nothing, as the hub needs it.

    With `cluster=True` it is a cluster of one node that has all the slots: then a command, MULTI or script whose keys
    have two hash tags fails at once. A key that a script uses without naming it in KEYS goes unnoticed: only a second
    node would refuse it.
    """

    def __init__(self, *, cluster: bool = False) -> None:
        self.cluster = cluster
        self.directory = Path(tempfile.mkdtemp(prefix="hub-redis-"))
        self.socket = self.directory / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.directory)

    def start(self) -> None:
        """Start it, or start it again on the same data; returns when it answers."""
        for _ in range(10):
            self.port = self.port or (random.choice(CLUSTER_PORTS) if self.cluster else 0)
            self.process = self._spawn()
            if self._answers():
                break
            self.port = 0  # somebody else has it
        else:
            raise RuntimeError(f"redis-server does not start: {(self.directory / 'redis.log').read_text()[-500:]}")
        if self.cluster:
            self._take_all_slots()

    def kill(self) -> None:
        """As kill -9 does."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still, as if its machine did."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def client(self) -> "Redis":
        return Redis.from_url(self.url, decode_responses=True)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "unixsocket": self.socket,
            "dir": self.directory,
            "logfile": self.directory / "redis.log",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "cluster-enabled": "yes" if self.cluster else "no",
        }
        arguments = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
        return subprocess.Popen([find().path, *arguments], preexec_fn=tied(), stdin=subprocess.DEVNULL)

    def _answers(self) -> bool:
        """Whether it comes to answer, rather than end because its port is taken."""
        with self.client() as redis:
            while self.process and self.process.poll() is None:
                try:
                    return bool(redis.ping())
                except (RedisError, OSError):
                    time.sleep(0.005)
        return False

    def _take_all_slots(self) -> None:
        with self.client() as redis:
            if not int(redis.cluster("INFO")["cluster_slots_assigned"]):
                redis.cluster("ADDSLOTS", *range(SLOTS))
            until(lambda: redis.cluster("INFO")["cluster_state"] == "ok")
