"""
Parts: child processes that are started, started again when they die, and ended with their supervisor.

A part never outlives the supervisor, however that ends: on Linux the kernel sees to it, elsewhere an undertaker does
(`undertaker.py`). Each part leads a process group of its own, so that a Ctrl-C in the terminal reaches the supervisor
alone, which then ends the parts in their order.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

from hub.cli import REFUSED
from hub.errors import NotTheHub
from hub.failpoints import CRASH_AT

#: Seconds before a dead part is started again. They double each time that it dies at once, up to the second figure.
PAUSE, LONGEST_PAUSE = 0.1, 5.0
#: Seconds of life after which a death counts as the first one again.
STEADY = 10.0
#: Seconds that the parts have to end after SIGTERM; then they are killed.
GRACE = 8.0
#: Seconds that the foundation has at least, once the others have ended.
FOUNDATION_GRACE = 1.5

#: What counts as the exit code of a part whose program could not be run, as in a shell.
UNSTARTABLE = 127

log = getLogger("hub.serve")

_PR_SET_PDEATHSIG = 1
#: Whether the kernel can tie a process to its parent.
KERNEL_TIES = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class Part:
    """
    A process to keep running.

    environment: Added to the supervisor's own.
    descriptors: Open files that it inherits.
    foundation: Ended only after all the others have ended: they need it till then.
    refusals: Exit codes by which it says, when it is first started, that starting it again won't help.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()
    foundation: bool = False
    refusals: frozenset[int] = frozenset({REFUSED})


class PartRefused(Exception):
    """A part ended at its start with one of its refusals. It has said why on stderr."""

    def __init__(self, part: Part) -> None:
        super().__init__(f"{part.name} refused to start")
        self.part = part


class _Over(Exception):
    """Ends the task group."""


class _Life:
    """One process of a part. `ended` gets its exit code, negative for a signal."""

    def __init__(self, part: Part, process: "subprocess.Popen[bytes]") -> None:
        self.part = part
        self.process = process
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def reap(self) -> bool:
        """Whether it has just been found to have ended."""
        if self.ended.done() or (code := self.process.poll()) is None:
            return False
        self.ended.set_result(code)
        return True


class Supervisor:
    """
    Keeps parts running. One for each process: it owns the signals. To be made within a running loop.

    grace: Seconds that the parts have to end.
    kernel_ties: Whether it is the kernel that ends the parts of a killed supervisor; else an undertaker does.
    """

    def __init__(self, *, grace: float = GRACE, kernel_ties: bool = KERNEL_TIES) -> None:
        self._grace = grace
        self._lives: dict[str, _Life] = {}
        self._group = asyncio.TaskGroup()
        self._outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready = False
        self._undertaker = None if kernel_ties else _undertaker()

    async def run(self, bring_up: Coroutine[Any, Any, None]) -> None:
        """
        Run `bring_up`, which starts parts, and keep them running until SIGTERM, SIGINT or SIGHUP; then end them all.

        Raises PartRefused if a part did, or NotTheHub if `bring_up` did, once everything has ended.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._settle)
        try:
            async with self._group as group:
                group.create_task(self._bring_up(bring_up))
                await asyncio.wait([self._outcome])
                raise _Over
        except* _Over:
            pass
        finally:
            await self._end()
        self._outcome.result()

    def start(self, part: Part) -> None:
        """Start a part and keep it running. To be called by `bring_up`."""
        self._group.create_task(self._keep(part))

    def _settle(self, failure: Exception | None = None) -> None:
        """Let `run` come to its end: well, or with a failure. The first one counts."""
        if not self._outcome.done():
            self._outcome.set_exception(failure) if failure else self._outcome.set_result(None)

    async def _bring_up(self, bring_up: Coroutine[Any, Any, None]) -> None:
        try:
            await bring_up
        except NotTheHub as error:
            self._settle(error)
        self._ready = True

    async def _keep(self, part: Part) -> None:
        pause, first = PAUSE, True
        while True:
            began = time.monotonic()
            code = await self._live(part)
            lived = time.monotonic() - began
            if first and code in part.refusals and not (self._ready and lived > STEADY):
                return self._settle(PartRefused(part))
            pause = PAUSE if first or lived > STEADY else min(2 * pause, LONGEST_PAUSE)
            first = False
            log.warning("part.died", extra={"part": part.name, "code": code, "lived": round(lived, 3), "pause": pause})
            await asyncio.sleep(pause)

    async def _live(self, part: Part) -> int:
        """Live one life of a part; returns its exit code."""
        try:
            life = self._spawn(part)
        except OSError as error:
            log.warning("part.unstartable", extra={"part": part.name, "reason": str(error)})
            return UNSTARTABLE
        await asyncio.wait([life.ended])  # which, when it is cancelled, leaves the future alone
        return life.ended.result()

    def _spawn(self, part: Part) -> _Life:
        environment = {**os.environ, **part.environment}
        if part.name in self._lives:
            environment.pop(CRASH_AT, None)
        process = subprocess.Popen(
            part.argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            pass_fds=part.descriptors,
            process_group=0,
            umask=0o077,
            preexec_fn=None if self._undertaker else tied(),
        )
        if self._undertaker:
            _tell(self._undertaker, "+", process.pid)
        life = _Life(part, process)
        self._lives[part.name] = life
        return life

    def _reap(self) -> None:
        for life in self._lives.values():
            if life.reap() and self._undertaker:
                _tell(self._undertaker, "-", life.process.pid)

    async def _end(self) -> None:
        """End the parts together, then the foundation. Whoever takes too long is killed."""
        deadline = time.monotonic() + self._grace
        for foundation in (False, True):
            lives = [life for life in self._lives.values() if life.part.foundation is foundation]
            await _ended(lives, deadline + FOUNDATION_GRACE if foundation else deadline)
        if self._undertaker and self._undertaker.stdin:
            self._undertaker.stdin.close()
            self._undertaker.wait()


async def _ended(lives: list[_Life], deadline: float) -> None:
    for number, until in ((signal.SIGTERM, deadline), (signal.SIGKILL, None)):
        pending = [life for life in lives if not life.ended.done()]
        if not pending:
            return
        for life in pending:
            life.process.send_signal(number)
            if number == signal.SIGKILL:
                log.warning("part.killed", extra={"part": life.part.name, "pid": life.process.pid})
        timeout = None if until is None else max(0.0, until - time.monotonic())
        await asyncio.wait([life.ended for life in pending], timeout=timeout)


def tied() -> Callable[[], None] | None:
    """
    What a child does between fork and exec so that the kernel kills it when this thread ends; None if it can't.

    SIGKILL is right for every part: whatever they confirmed is on disk.
    """
    if not KERNEL_TIES:
        return None
    libc, parent = ctypes.CDLL(None, use_errno=True), os.getpid()

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(1)

    return tie


def _undertaker() -> "subprocess.Popen[bytes]":
    argv = (sys.executable, "-m", "hub.cli.undertaker")
    return subprocess.Popen(argv, stdin=subprocess.PIPE, process_group=0)


def _tell(undertaker: "subprocess.Popen[bytes]", sign: str, pid: int) -> None:
    with suppress(BrokenPipeError):  # it was killed: nobody is left to see to it
        if undertaker.stdin:
            undertaker.stdin.write(f"{sign}{pid}\n".encode())
            undertaker.stdin.flush()
