"""No way to Redis or to an endpoint leads around the failpoints, and they kill where they are told to, once."""

import asyncio
import re
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from hub.failpoints import CRASH_AT, KILLED, failpoint

HUB = Path(str(files("hub")))
SOURCES = {str(file.relative_to(HUB)): file.read_text() for file in HUB.rglob("*.py")}


def where(pattern: str) -> set[str]:
    return {name for name, source in SOURCES.items() if re.search(pattern, source)}


def test_every_request_passes_the_failpoint() -> None:
    """Clients are made in one place, where they are wrapped; those of the command and of a receiver are no hub's."""
    assert {name.split("/")[0] for name in where(r"httpx\.AsyncClient\(")} == {"cli", "receiver"}
    assert where(r"(?<!class )\bTransport\(") == {"channels/clients.py"}
    made = re.findall(r"(?:failing\()?\bTransport\(", SOURCES["channels/clients.py"])
    assert made == ["failing(Transport("]
    assert where(r"aiohttp\.(request|ClientSession)\(") == {"channels/transport.py"}


def test_every_step_in_redis_passes_the_failpoint() -> None:
    """
    Only the pipeline asks the wire or the nodes; around it are reads that wait, and the look at a new connection.
    """
    assert where(r"\bWire\(") - {"wire.py"} == {"pipeline.py"}
    assert where(r"\bNodes\(") == {"pipeline.py"}
    assert where(r"\.(execute_command|register_script|evalsha?)\(") == {"cluster.py", "pipeline.py"}
    assert where(r"\.send_command\(") == {"memory.py"}


@pytest.mark.parametrize(
    ("at", "name", "left"), [("before:put", "before:put", 1), ("after:request:3", "after:request", 3)]
)
def test_the_environment_names_one(monkeypatch: pytest.MonkeyPatch, at: str, name: str, left: int) -> None:
    monkeypatch.setenv(CRASH_AT, at)
    found = failpoint()
    assert found is not None
    assert (found.name, found.left) == (name, left)


def test_it_names_none_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CRASH_AT, raising=False)
    assert failpoint() is None


@pytest.mark.parametrize(
    ("at", "said"), [("before:step:2", "done\n"), ("after:step:2", "done\ndone\n"), ("after:other", "done\ndone\n")]
)
async def test_the_process_dies_there(monkeypatch: pytest.MonkeyPatch, at: str, said: str) -> None:
    """At the second time that it comes there, without another word."""
    program = """
import asyncio
from hub.failpoints import failpoint

async def step():
    print("done", flush=True)

async def main():
    for _ in range(2):
        await crash.around("step", step)

crash = failpoint()
asyncio.run(main())
"""
    monkeypatch.setenv(CRASH_AT, at)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (out.decode(), err) == (said, b"")
    assert process.returncode == (0 if "other" in at else KILLED)
