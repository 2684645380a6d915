"""Parts: started, started again when they die, ended with their supervisor. With real processes as parts."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from hub.cli.parts import KERNEL_TIES
from tests.facts import lives, until

SUPERVISOR = """
import asyncio, json, sys
from hub.cli import parts
from hub.cli.parts import Part, PartRefused, Supervisor

parts.FOUNDATION_GRACE = 20

async def main():
    supervisor = Supervisor(grace=float(sys.argv[3]), kernel_ties=sys.argv[2] == "True")
    async def bring_up():
        for name, argv in json.loads(sys.argv[1]).items():
            supervisor.start(Part(name, tuple(argv), foundation=name == "redis"))
    await supervisor.run(bring_up())

try:
    asyncio.run(main())
except PartRefused as refusal:
    sys.exit(refusal.part.name)
"""

#: A part's beginning: it tells when it started, by its pid and the time. `tell` writes a line in one go.
TELLING = """
import os, signal, sys, time
def tell(what):
    with open({log!r}, "a") as file:
        file.write(f"{name} {{what}} {{os.getpid()}} {{time.monotonic()}}\\n")
"""
STEADY = """
def end(*_):
    tell("ended")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
tell("began")
while True: signal.pause()
"""
STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
tell("began")
while True: signal.pause()
"""
FEEBLE = """
tell("began")
sys.exit(7)
"""
REFUSING = """
tell("began")
sys.exit(2)
"""


class Hub:
    """A supervisor in a process of its own, and what its parts have told."""

    def __init__(self, log: Path, parts: dict[str, list[str]], kernel_ties: bool, grace: float) -> None:
        self.log = log
        log.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, json.dumps(parts), str(kernel_ties), str(grace)],
            stderr=subprocess.PIPE,
            process_group=0,
            text=True,
        )

    def told(self, what: str, name: str = "") -> list[tuple[str, int, float]]:
        """Who told this, with its pid and when, in order."""
        lines = [line.split() for line in self.log.read_text().splitlines() if line.count(" ") == 3]
        return [(who, int(pid), float(at)) for who, word, pid, at in lines if word == what and who.startswith(name)]

    def ended(self) -> tuple[int, str]:
        """Wait for the supervisor's end: its exit code and what it said."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@contextmanager
def hub(log: Path, *, kernel_ties: bool = KERNEL_TIES, grace: float = 20, **programs: str) -> Iterator[Hub]:
    """A supervisor of parts that run these Python programs, or, where it has but one line, this executable."""
    parts = {
        name: [sys.executable, "-c", TELLING.format(name=name, log=str(log)) + program]
        if "\n" in program
        else [program]
        for name, program in programs.items()
    }
    running = Hub(log, parts, kernel_ties, grace)
    with running.process:
        try:
            yield running
        finally:
            running.process.kill()


def test_restart(log: Path) -> None:
    """A part that is killed is started again, and the others don't notice."""
    with hub(log, api=STEADY, clock=STEADY) as running:
        until(lambda: len(running.told("began")) == 2)
        [(_, first, _)] = running.told("began", "api")
        os.kill(first, signal.SIGKILL)
        until(lambda: len(running.told("began", "api")) == 2)
        assert len(running.told("began", "clock")) == 1
        assert not lives(first)


def test_pauses_grow(log: Path) -> None:
    """A part that dies at once again and again is started after 0.1, 0.2, 0.4, 0.8 s."""
    with hub(log, api=FEEBLE) as running:
        until(lambda: len(running.told("began")) == 5)
        at = [moment for _, _, moment in running.told("began")]
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert all(pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.8), strict=False))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stop(log: Path, number: signal.Signals) -> None:
    """A signal to stop ends the parts, then the foundation that they stand on, and nothing is left."""
    with hub(log, redis=STEADY, api=STEADY, clock=STEADY) as running:
        until(lambda: len(running.told("began")) == 3)
        running.process.send_signal(number)
        code, said = running.ended()
        assert (code, said) == (0, "")
        assert [who for who, _, _ in running.told("ended")][2:] == ["redis"]
        assert not [pid for _, pid, _ in running.told("began") if lives(pid)]


def test_interrupt_from_the_terminal(log: Path) -> None:
    """Ctrl-C reaches the supervisor alone: Redis doesn't end under the parts that still use it."""
    with hub(log, redis=STEADY, api=STEADY) as running:
        until(lambda: len(running.told("began")) == 2)
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.ended() == (0, "")
        assert [who for who, _, _ in running.told("ended")] == ["api", "redis"]


def test_stubborn_part(log: Path) -> None:
    """A part that doesn't end when told to is killed, and the foundation still ends in its turn."""
    with hub(log, grace=0.5, redis=STEADY, api=STUBBORN) as running:
        until(lambda: len(running.told("began")) == 2)
        running.process.terminate()
        code, said = running.ended()
        assert code == 0
        assert "part.killed" in said
        assert [who for who, _, _ in running.told("ended")] == ["redis"]
        assert not [pid for _, pid, _ in running.told("began") if lives(pid)]


def test_refusal(log: Path) -> None:
    """A part that refuses its settings at its start ends it all: starting it again would not help."""
    with hub(log, redis=STEADY, api=REFUSING) as running:
        assert running.ended() == (1, "api\n")
        assert len(running.told("began", "api")) == 1
        assert not [pid for _, pid, _ in running.told("began") if lives(pid)]


BY_KERNEL = pytest.param(True, id="kernel", marks=pytest.mark.skipif(not KERNEL_TIES, reason="the kernel can't"))
BY_UNDERTAKER = pytest.param(False, id="undertaker")


@pytest.mark.parametrize("kernel_ties", [BY_KERNEL, BY_UNDERTAKER])
def test_kill(log: Path, kernel_ties: bool) -> None:
    """The parts die with a supervisor that is killed, even those that ignore SIGTERM, and those that were restarted."""
    with hub(log, kernel_ties=kernel_ties, redis=STEADY, api=STUBBORN, clock=STEADY) as running:
        until(lambda: len(running.told("began")) == 3)
        os.kill(running.told("began", "clock")[0][1], signal.SIGKILL)
        until(lambda: len(running.told("began")) == 4)
        running.process.kill()
        until(lambda: not [pid for _, pid, _ in running.told("began") if lives(pid)])


def test_stop_with_undertaker(log: Path) -> None:
    """An undertaker ends with the supervisor that it serves."""
    with hub(log, kernel_ties=False, api=STEADY) as running:
        until(lambda: running.told("began"))
        running.process.terminate()
        assert running.ended() == (0, "")
        assert len(running.told("ended")) == 1


def test_program_that_is_gone(log: Path, tmp_path: Path) -> None:
    """A part whose program is gone for a while is tried again until it is back, and the others go on."""
    program = tmp_path / "program"
    with hub(log, api=str(program), clock=STEADY) as running:
        assert running.process.stderr
        assert "part.unstartable" in running.process.stderr.readline()
        program.write_text(f"#!/bin/sh\necho api began $$ 0 >> {log}\nexec sleep 60\n")
        program.chmod(0o755)
        until(lambda: running.told("began", "api") and running.told("began", "clock"))
        assert len(running.told("began", "clock")) == 1


def test_undertaker() -> None:
    """Where the kernel doesn't do it, the undertaker kills what is on its list when the supervisor is gone."""
    waiting = [sys.executable, "-c", "import signal; signal.pause()"]
    with (
        subprocess.Popen([sys.executable, "-m", "hub.cli.undertaker"], stdin=subprocess.PIPE, text=True) as undertaker,
        subprocess.Popen(waiting) as left,
        subprocess.Popen(waiting) as taken_off,
    ):
        undertaker.communicate(f"+{left.pid}\n+{taken_off.pid}\n-{taken_off.pid}\n")
        assert left.wait(10) == -signal.SIGKILL
        assert taken_off.poll() is None
        taken_off.kill()
