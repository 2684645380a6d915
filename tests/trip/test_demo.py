"""`hub demo`, as a user runs it: what it shows, what it leaves of the caller's settings, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hub.cli.actors import Hub
from tests.facts import lives, until
from tests.redis_server import RedisServer


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the demo makes its temporary directory. Its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hub-") as folder:
        yield Path(folder)


def demo(temporary: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "hub", "demo"],
        env=os.environ | {"TMPDIR": str(temporary), "COLUMNS": "80", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def family(temporary: Path) -> list[int]:
    """Whatever was started for this demo, itself too, and lives."""
    wanted, found = f"TMPDIR={temporary}".encode(), []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in environment.read_bytes().split(b"\0") and lives(int(environment.parent.name)):
                found.append(int(environment.parent.name))
    return found


def test_what_it_shows(temporary: Path, rq_redis_server: RedisServer, rq_redis_url: str) -> None:
    """It says what it saw, nothing of it is cut, and it has nothing to do with the hub of the caller's settings."""
    production = {"HUB_RQ_REDIS_URL": rq_redis_url, "hub_canonical_base": "https://production.example"}
    with demo(temporary, **production) as process:
        shown, said = process.communicate(timeout=100)
    assert (process.returncode, said) == (0, "")
    assert re.search(r"91 resources published\n.* 91 changes matched, 4 events\n.* 4 notifications received", shown)
    assert re.search(
        r"\n *[\d.]+ s  the expected events, once each and in order, as many as \$status counts: yes\n$", shown
    )
    assert "worked out here as `hub explain` does" in shown
    told = re.findall(r"^│ +\d+ │ (Immunization/\w+) +│(?: +\d+ │){4}$", shown, re.M)
    assert sorted(told) == [f"Immunization/{id_}" for id_ in ("example", "historical", "protocol", "subpotent")]
    notification = shown.partition("as received:\n")[2].partition("\n\n")[0]
    whole, folded = re.subn(
        r'"resource": (\{"resourceType":"Immunization".* … \d+ bytes)', '"resource": {}', notification
    )
    assert folded == 1
    assert max(len(line) for line in notification.splitlines() if "bytes" in line) <= 80
    assert [list(entry) for entry in json.loads(whole)["entry"]] == [["fullUrl", "resource", "request", "response"]] * 2
    with rq_redis_server.client() as redis:
        assert redis.dbsize() == 0
    assert family(temporary) == []
    assert os.listdir(temporary) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_stop(temporary: Path, number: signal.Signals) -> None:
    """A signal to stop ends its hub too, and its directory is gone."""
    with demo(temporary) as process:
        assert process.stdout
        assert "hub running at" in process.stdout.readline()
        assert len(family(temporary)) > 3
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (128 + number, "")
    assert family(temporary) == []
    assert os.listdir(temporary) == []


def test_kill(temporary: Path) -> None:
    """Its hub dies with it when it is killed."""
    with demo(temporary) as process:
        assert process.stdout
        assert "hub running at" in process.stdout.readline()
        process.kill()
        until(lambda: not family(temporary))


def test_hub_that_fails(temporary: Path) -> None:
    """The hub's own last line says why."""
    server = temporary / "redis-server"
    server.write_text('#!/bin/sh\n[ "$1" = --version ] || exit 1\necho "Redis server v=7.2.0"\n')
    server.chmod(0o755)
    with demo(temporary, PATH=f"{temporary}:{os.environ['PATH']}") as process:
        shown, said = process.communicate(timeout=60)
    assert (process.returncode, shown) == (2, ""), said
    assert re.fullmatch(r"hub demo: its hub failed: hub serve: Redis doesn't start on \S+: it logged nothing\n", said)


def test_last_words() -> None:
    """Of a traceback the line that says what happened, not where."""
    hub = Hub()
    assert hub.last_words == "it said nothing"
    for line in (
        b'{"event":"change.stored"}',
        b"Traceback (most recent call last):",
        b'  File "a.py", line 1',
        b"    a()",
    ):
        hub.hear(line + b"\n")
    assert hub.last_words == '{"event":"change.stored"}'
    hub.hear(b"ValueError: so it is\n")
    hub.hear(b"    +------\n")
    assert hub.last_words == "ValueError: so it is"
    assert list(hub.steps) == [{"event": "change.stored"}]
