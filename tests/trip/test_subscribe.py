"""`hub subscribe`, as a user runs it: what it shows of what comes, twice or not at all, and how it ends."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.facts import eventually
from tests.fhir import Fhir, immunization, talking_to
from tests.processes import HubProcess
from tests.receiver import Received, Receiver


@dataclass
class Command:
    """One that runs. `lines` are what it has written on stdout so far."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    async def read(self) -> None:
        assert self.process.stdout
        async for raw in self.process.stdout:
            self.lines.append(raw.decode().rstrip("\n"))

    def told(self, what: str) -> list[dict[str, Any]]:
        """The lines of one kind, of a command with --json."""
        return [line for line in map(orjson.loads, self.lines) if line["what"] == what]

    @property
    def numbers(self) -> list[int]:
        return [line["number"] for line in self.told("event")]

    async def until(self, what: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many lines of a kind have come; all of them."""
        await eventually(lambda: len(self.told(what)) >= count or self.process.returncode is not None)
        assert len(self.told(what)) >= count, self.lines
        return self.told(what)

    async def active(self) -> str:
        """Wait until the Subscription is active; its id."""
        await self.until("registered")
        await eventually(lambda: any(line["status"] == "active" for line in self.told("status")))
        return str(self.told("registered")[0]["url"].rpartition("/")[2])

    async def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Its exit code, and what it has written on stderr."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(30):
            await self.process.wait()
        assert self.process.stderr
        return self.process.returncode or 0, (await self.process.stderr.read()).decode()


@asynccontextmanager
async def subscribing(*argv: str) -> AsyncIterator[Command]:
    environment = {name: value for name, value in os.environ.items() if name not in ("HUB_URL", "HUB_KEY")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", "subscribe", *argv),
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    command = Command(process)
    reading = asyncio.create_task(command.read())
    try:
        yield command
    finally:
        await command.end(signal.SIGKILL)
        await reading


async def refused(*argv: str) -> tuple[int, str, list[str]]:
    """Of a command that ends by itself: its exit code, and its lines on stderr and stdout."""
    async with subscribing(*argv) as command:
        async with asyncio.timeout(60):
            await command.process.wait()
        code, said = await command.end()
    assert said.count("\n") == 1
    return code, said, command.lines


async def test_nobody_reads_on(hub: HubProcess, fhir: Fhir) -> None:
    """`hub subscribe | head`: the next notification ends it, in silence, and the Subscription is deleted."""
    about = {"patient": {"reference": "Patient/subscribe-unread"}}
    wanted = ("--topic", "Immunization", "--filter", f"Immunization?patient={about['patient']['reference']}")
    async with subscribing("--hub", hub.url, *wanted, "--json") as command:
        id_ = await command.active()
        command.process.stdout._transport.close()  # type: ignore[union-attr]
        await fhir.post(immunization() | about)
        async with asyncio.timeout(30):
            await command.process.wait()
        assert await command.end() == (141, "")
    assert (await fhir.http.get(f"Subscription/{id_}")).status_code == 404


@pytest.mark.parametrize("version", ["r4", "r4b", "r5"])
async def test_what_comes(hub: HubProcess, version: str) -> None:
    """A type stands for its topic; the handshake and the events asked for are shown; at the end it is deleted."""
    name = f"subscribe-{version}"
    wanted = ("--version", version, "--topic", "Immunization", "--filter", f"Immunization?patient=Patient/{name}")
    async with subscribing("--hub", hub.url, *wanted, "--json") as command, talking_to(hub, version) as fhir:
        id_ = await command.active()
        about = {"patient": {"reference": f"Patient/{name}"}}
        for patient in ("somebody", name):
            await fhir.put(immunization(name, patient=patient) | ({} if patient != name else about))
        (event,) = await command.until("event")
        assert (event["number"], event["focus"]) == (1, f"{hub.url}/fhir/{version}/Immunization/{name}")
        assert (event["interaction"], event["resource"]["id"]) == ("update", name)
        assert [line["kind"] for line in command.told("notification")] == ["handshake", "event-notification"]
        assert not [*command.told("unsigned"), *command.told("refused")], "the secret is known before anything comes"
        assert await command.end() == (0, "")
        assert (await fhir.http.get(f"Subscription/{id_}")).status_code == 404
        assert not [line for line in command.lines if "whsec_" in line]


async def test_for_people(hub: HubProcess, fhir: Fhir) -> None:
    """A line each; --keep leaves the Subscription there."""
    wanted = ("--topic", "Immunization", "--filter", "patient=Patient/subscribe-text", "--keep")
    async with subscribing("--hub", f"{hub.url}/fhir/r4", *wanted) as command:
        await eventually(lambda: any("active: " in line for line in command.lines))
        await fhir.put(immunization("subscribe-text", patient="subscribe-text", lot="[bold]"))
        await eventually(lambda: any("[bold]" in line for line in command.lines))
        assert await command.end(signal.SIGTERM) == (0, "")
    shown = [line[14:] for line in command.lines]
    (where,) = (line.removeprefix("registered: ") for line in shown if line.startswith("registered: "))
    # A look that comes late finds it active: then it was never seen to be `requested`.
    *begun, resource, ended = (line for line in shown if not line.startswith("requested: "))
    assert begun[2:] == [
        "handshake: 0 events so far",
        "active: what changes from now on is told; Ctrl-C ends it",
        "event 1: create Immunization/subscribe-text",
    ]
    assert orjson.loads(resource)["lotNumber"] == "[bold]"
    assert ended == f"kept: {where}"
    await fhir.delete(f"Subscription/{where.rpartition('/')[2]}")


async def test_gaps_and_duplicates(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Endpoints fail: an event that comes again is said to, and what does not come by itself is fetched."""
    answers = [200, 500, 200, 404]

    async def pass_on(received: Received) -> int:
        status = answers.pop(0) if answers else 200
        if status != 404:
            async with httpx.AsyncClient(trust_env=False) as client:
                url, headers = (await command.until("listening"))[0]["url"], dict(received.headers)
                answer = await client.post(url, content=received.body, headers=headers)
                status = answer.status_code if status == 200 else status
        elif received.type == "event-notification":
            answers[:] = [404]
        return status

    receiver.answers["/between"] = pass_on
    wanted = ("--topic", "Immunization", "--filter", "patient=Patient/subscribe-gap", "--content", "id-only")
    there = ("--endpoint", f"{receiver.url}/between", "--json")
    async with subscribing("--hub", hub.url, *wanted, *there) as command:
        id_ = await command.active()
        await fhir.put(immunization("subscribe-gap", patient="subscribe-gap"))
        (again,) = await command.until("duplicate")
        assert again["number"] == 1
        for lot in ("2", "3"):
            await fhir.put(immunization("subscribe-gap", patient="subscribe-gap", lot=lot))
        await fhir.until(id_, "error")
        await eventually(lambda: any(line["status"] == "error" for line in command.told("status")))
        (error,) = [line for line in command.told("status") if line["status"] == "error"]
        assert "404" in error["errors"][0]
        await fhir.until_events(id_, 3)
        answers.clear()
        await fhir.change(id_, await fhir.read(f"Subscription/{id_}") | {"status": "requested"})
        (gap,) = await command.until("gap")
        assert (gap["first"], gap["last"], gap["fetched"]) == (2, 3, True)
        await fhir.put(immunization("subscribe-gap", patient="subscribe-gap", lot="4"))
        await command.until("event", 4)
        assert command.numbers == [1, 2, 3, 4]
        async with httpx.AsyncClient(trust_env=False) as client:
            forged = await client.post(command.told("listening")[0]["url"], content=receiver.received[-1].body)
        assert forged.status_code == 401
        assert [line["reason"] for line in await command.until("refused")] == ["it is not signed"]
        await fhir.delete(f"Subscription/{id_}")
        async with asyncio.timeout(30):
            await command.process.wait()
        code, said = await command.end()
    assert code == 2
    assert said.startswith(f"hub subscribe: 404: There is no Subscription/{id_}")


async def test_nobody_reads_it(hub: HubProcess, fhir: Fhir) -> None:
    """It ends, and leaves nothing behind, when what it writes to is closed."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", '"$@" | head -n 2', "sh", sys.executable, "-m", "hub", "subscribe"),
        *("--hub", hub.url, "--topic", "Immunization", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        shown, said = await process.communicate()
    _, registered = map(orjson.loads, shown.splitlines())
    assert (registered["what"], said) == ("registered", b"")
    assert (await fhir.http.get(registered["url"])).status_code == 404


async def test_not_active(hub: HubProcess, fhir: Fhir) -> None:
    """Why it did not become active; then nothing is left."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        code, said, lines = await refused("--hub", hub.url, "--topic", "Patient", "--endpoint", endpoint)
    assert code == 1
    assert "did not become active: the handshake failed: the endpoint refuses connections" in said
    assert "--endpoint says by which URL the hub reaches this machine" in said
    (where,) = (line.partition("registered: ")[2] for line in lines if "registered: " in line)
    assert (await fhir.http.get(where)).status_code == 404


async def test_a_hub_that_goes_away() -> None:
    """It is said, and waited for; what can't be taken back then is named."""
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        async with HubProcess(Path(folder)) as hub:
            async with subscribing("--hub", hub.url, "--topic", "Immunization", "--json") as command:
                id_ = await command.active()
                await hub.stop()
                (away,) = await command.until("away")
                assert away["reason"].startswith(f"no hub answers at {hub.url}")
                await hub.start()
                async with talking_to(hub) as fhir:
                    await fhir.put(immunization("subscribe-away"))
                await command.until("event")
                await command.until("back")
                await hub.stop()
                code, said = await command.end()
            assert code == 1
            assert f"/fhir/r4/Subscription/{id_} may still be there: delete it" in said
            assert not command.told("deleted")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        pytest.param(("--topic", "Nothing"), "no topic for Nothing is found (404: ", id="no-such-type"),
        pytest.param(("--topic", "https://x.example/none"), "Subscription.criteria: The topic ", id="no-such-topic"),
        pytest.param(("--topic", "Patient", "--filter", "x=1"), "Patient has no search parameter `x`", id="filter"),
        pytest.param(
            ("--version", "r5", "--topic", "Patient", "--filter", "x"), "`x` is not a filter", id="no-filter-of-r5"
        ),
        pytest.param(("--topic", "Patient", "--host", "192.0.2.1"), "can't listen on 192.0.2.1:0: ", id="host"),
    ],
)
async def test_refused(hub: HubProcess, argv: tuple[str, ...], said: str) -> None:
    """In one line, with exit code 2."""
    code, line, _ = await refused("--hub", hub.url, *argv)
    assert (code, line.startswith("hub subscribe: ")) == (2, True)
    assert said in line


async def test_no_hub() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        code, said, _ = await refused("--hub", f"http://127.0.0.1:{nobody.getsockname()[1]}", "--topic", "Patient")
    assert code == 1
    assert "(Connection refused); start one by `hub serve`, or say where it is by --hub or HUB_URL" in said


@pytest.mark.parametrize("setting", ["HUB_ALLOW_HTTP_ENDPOINTS", "HUB_ALLOW_PRIVATE_ENDPOINTS"])
async def test_a_hub_that_calls_nobody_near(setting: str) -> None:
    """A hub for production refuses an endpoint on this machine; what to do is said."""
    with tempfile.TemporaryDirectory(prefix="hub-data-") as folder:
        async with HubProcess(Path(folder), {setting: "false"}) as hub:
            code, said, _ = await refused("--hub", hub.url, "--topic", "Patient")
    assert code == 2
    assert "Subscription.channel.endpoint: The " in said
    assert "needs HUB_ALLOW_HTTP_ENDPOINTS=true and HUB_ALLOW_PRIVATE_ENDPOINTS=true" in said
