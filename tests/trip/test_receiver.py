"""The receiver in the guide, as it stands there, at a hub where things go wrong."""

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.facts import eventually
from tests.fhir import Fhir, immunization, talking_to
from tests.guide import README, SUBSCRIBER, section
from tests.processes import HubProcess, subscription
from tests.receiver import Received, Receiver

BASE = "http://127.0.0.1:8000/fhir/r4"


@dataclass
class App:
    """
    The guide's app under uvicorn, in a process and a directory of its own.

    lines: What it has printed so far.
    """

    directory: Path
    secret: str = ""
    lines: list[str] = field(default_factory=list)
    url: str = ""
    _process: asyncio.subprocess.Process | None = None
    _reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "app:app", "--port", "0", "--no-access-log"),
            cwd=self.directory,
            env=os.environ | {"SECRET": self.secret},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        ready = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(self._process, ready))
        async with asyncio.timeout(30):
            self.url = await ready

    async def _read(self, process: asyncio.subprocess.Process, ready: "asyncio.Future[str]") -> None:
        assert process.stdout
        async for raw in process.stdout:
            line = raw.decode().rstrip()
            self.lines.append(line)
            if found := re.search(r"running on (http://\S+)", line):
                ready.set_result(found[1])
        if not ready.done():
            ready.set_exception(AssertionError("\n".join(self.lines)))

    async def kill(self) -> None:
        """kill -9"""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
        if self._reader:
            await self._reader

    @property
    def handled(self) -> list[int]:
        """The numbers of the events that it was given."""
        return [int(line.split()[0]) for line in self.lines if re.match(r"\d+ http", line)]


def example(page: Path, title: str) -> str:
    """The program below a heading."""
    return section(page, title).partition("```python\n")[2].partition("```")[0]


def test_the_readme_has_the_same() -> None:
    assert example(README, "In an app") == example(SUBSCRIBER, "A receiver in ten lines")


@asynccontextmanager
async def written(directory: Path, hub: HubProcess) -> AsyncIterator[App]:
    """The guide's app at a hub that is elsewhere."""
    program = example(SUBSCRIBER, "A receiver in ten lines")
    assert program.count(BASE) == 1
    (directory / "app.py").write_text(program.replace(BASE, hub.base))
    app = App(directory)
    try:
        yield app
    finally:
        await app.kill()


@pytest.fixture(scope="module")
async def hub() -> AsyncIterator[HubProcess]:
    """One that gives up soon, and whose workers are killed."""
    settings = {"HUB_RETRY_WAITS": "0.1,0.2", "HUB_REQUEST_TIMEOUT": "8"}
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        async with HubProcess(Path(folder), settings) as hub:
            await eventually(lambda: hub.have(1))
            yield hub


async def registered(fhir: Fhir, endpoint: str) -> tuple[str, str]:
    """The guide's way: it is `off` until there is a secret. Returns its id and the secret."""
    id_ = await fhir.post(subscription(endpoint, content="full-resource", status="off"))
    answer = await fhir.http.post(f"Subscription/{id_}/$rotate-secret")
    assert answer.status_code == 200, answer.text
    return id_, answer.json()["parameter"][0]["valueString"]


async def test_in_order_and_once(hub: HubProcess, tmp_path: Path) -> None:
    """
    The app is killed until the hub gives up; later a worker is killed when the app has handled an event, before it is
    told so. Each event is handled all the same, once, in order.
    """
    async with written(tmp_path, hub) as app, talking_to(hub) as fhir, Receiver() as between:

        async def pass_on(received: Received) -> int:
            async with httpx.AsyncClient(trust_env=False) as client:
                try:
                    answer = await client.post(
                        f"{app.url}/notifications", content=received.body, headers=dict(received.headers)
                    )
                except httpx.TransportError:
                    return 502
            if received.numbers == [6] and 6 not in done:
                done.append(6)
                await hub.kill("worker deliver")
                await asyncio.Event().wait()
            done.extend(received.numbers)
            return answer.status_code

        between.answers["/hook"], done = pass_on, list[int]()
        id_, app.secret = await registered(fhir, f"{between.url}/hook")
        await app.start()
        wanted = subscription(f"{between.url}/hook", content="full-resource")
        await fhir.change(id_, wanted)
        await fhir.put(immunization("one"))
        await eventually(lambda: done == [1])

        await app.kill()
        for name in ("two", "three"):
            await fhir.put(immunization(name))
        await fhir.until(id_, "error")
        await app.start()
        await fhir.put(immunization("four"))
        await fhir.until_events(id_, 4)
        await fhir.change(id_, wanted)
        for name in ("five", "six"):
            await fhir.put(immunization(name))
        await eventually(lambda: done.count(6) == 2)
        await fhir.put(immunization("seven"))
        await eventually(lambda: 7 in done)
    assert done == [1, 5, 6, 6, 7]
    assert app.handled == [1, 2, 3, 4, 5, 6, 7]
    assert [line.split()[1].rpartition("/")[2] for line in app.lines if re.match(r"\d+ http", line)] == (
        ["one", "two", "three", "four", "five", "six", "seven"]
    )


async def test_forged(hub: HubProcess, tmp_path: Path) -> None:
    """What the hub has not signed is refused, a repeat of what it has signed is known, and the app is given neither."""
    async with written(tmp_path, hub) as app, talking_to(hub) as fhir, Receiver() as between:

        async def pass_on(received: Received) -> int:
            async with httpx.AsyncClient(trust_env=False) as client:
                url, headers = f"{app.url}/notifications", dict(received.headers)
                found = [
                    await client.post(url, content=received.body.replace(b"Bundle", b"bundle"), headers=headers),
                    await client.post(url, content=received.body, headers=headers),
                    await client.post(url, content=received.body, headers=headers),
                ]
            if received.numbers:
                statuses.append([answer.status_code for answer in found])
            return found[1].status_code

        between.answers["/hook"], statuses = pass_on, list[list[int]]()
        id_, app.secret = await registered(fhir, f"{between.url}/hook")
        await app.start()
        await fhir.change(id_, subscription(f"{between.url}/hook", content="full-resource"))
        await fhir.put(immunization("one"))
        await eventually(lambda: bool(statuses))
    assert (statuses, app.handled) == ([[401, 200, 200]], [1])
