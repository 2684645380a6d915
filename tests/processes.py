"""A whole hub in processes of its own, as `hub serve` runs it, for tests that watch it from outside."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.facts import lives

#: Quick enough for tests, and otherwise as in production.
ENVIRONMENT = {
    "HUB_ALLOW_HTTP_ENDPOINTS": "true",
    "HUB_ALLOW_PRIVATE_ENDPOINTS": "true",
    "HUB_HANDSHAKE_DELAY": "0.1",
    "HUB_REQUEST_TIMEOUT": "2",
    "HUB_RETRY_WAITS": "0.2,0.2,0.5,0.5,1,1,1,1,1,1",
    "HUB_LOG_LEVEL": "warning",
    "HUB_RATE_UNKNOWN": "0",
}

#: Of the hub that tests share: three attempts in a second; a request may be held for as long as a test needs.
SHARED = {"HUB_RETRY_WAITS": "0.1,0.2", "HUB_REQUEST_TIMEOUT": "15", "HUB_HANDSHAKE_DELAY": "0.2"}

TOPIC = "https://fhir-event-hub.example/SubscriptionTopic/{}-change"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
OWN = "https://fhir-event-hub.example/StructureDefinition"


@dataclass
class HubProcess:
    """
    `hub serve` on a data directory; started on entering, ended on leaving.

    settings: Environment beyond `ENVIRONMENT`.
    """

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    url: str = ""
    _process: asyncio.subprocess.Process | None = None
    _reader: asyncio.Task[None] | None = None
    output: list[str] = field(default_factory=list)
    _more: dict[asyncio.subprocess.Process, asyncio.Task[None]] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker, reader in self._more.items():
            await _end(worker)
            await reader
        await self.stop()

    @property
    def base(self) -> str:
        return f"{self.url}/fhir/r4"

    async def start(self) -> None:
        """Start it, at the same address as before, and wait until it says that it is ready."""
        port = self.url.rpartition(":")[2] or str(free_port())
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hub", "serve", "--port", port, "--data", str(self.data)),
            env=os.environ | ENVIRONMENT | self.settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        ready = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read_until(ready, self._process))
        async with asyncio.timeout(60):
            self.url = await ready

    async def _lines(self, process: asyncio.subprocess.Process) -> AsyncIterator[str]:
        assert process.stdout is not None
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.output.append(line)
            yield line

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        async for _ in self._lines(process):
            pass

    async def _read_until(self, ready: "asyncio.Future[str]", process: asyncio.subprocess.Process) -> None:
        async for line in self._lines(process):
            if (found := re.match(r"hub ready: (https?://\S+)/fhir/r4", line)) and not ready.done():
                ready.set_result(found[1])
        if not ready.done():
            ready.set_exception(AssertionError("hub serve ended before it was ready:\n" + "\n".join(self.output)))

    async def stop(self, *, kill: bool = False) -> int:
        """End it: SIGTERM, or kill -9 of the supervisor alone. Returns its exit code."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        async with asyncio.timeout(30):
            code = await self._process.wait()
        if self._reader is not None:
            await self._reader if not kill else self._reader.cancel()
        return code

    def pids(self, part: str) -> list[int]:
        """The running processes of a part: `api`, `worker match`, `worker deliver`, `clock`, `redis`."""
        return [pid for pid, line in _children(self._pid).items() if _is(part, line)]

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def kill(self, part: str) -> None:
        """kill -9 of a part, as soon as it runs."""
        async with asyncio.timeout(30):
            while not (pids := self.pids(part)):  # noqa: ASYNC110 (another process: there is nothing to wait on)
                await asyncio.sleep(0.01)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def pumps(self) -> dict[str, int]:
        """How many workers of each kind say that they are at work."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            return dict((await client.get("/readyz")).json()["pumps"])

    async def have(self, workers: int) -> bool:
        """Whether so many workers of each kind are at work."""
        return await self.pumps() == {"match": workers, "deliver": workers}

    @contextlib.asynccontextmanager
    async def paused(self, part: str) -> AsyncIterator[None]:
        """A part stands still, as if its machine did; `serve` is the supervisor, which then restarts nothing."""
        pids = [self._pid] if part == "serve" else self.pids(part)
        assert pids, f"no {part} runs"
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def another(self, *part: str, **settings: str) -> asyncio.subprocess.Process:
        """A further part (`worker match`, `api`) on the same Redis, which nobody supervises; ended with the hub."""
        own = {"HUB_REDIS_URL": self.redis_url, "HUB_BASE_URL": self.url, "HUB_DATA_DIR": str(self.data)}
        if (key := self.data / "secrets.key").exists():
            own["HUB_SECRETS_KEY_FILE"] = str(key)
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hub", *part),
            env=os.environ | ENVIRONMENT | self.settings | own | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._more[worker] = asyncio.create_task(self._read(worker))
        return worker

    @property
    def redis_url(self) -> str:
        """Where its Redis is, for tests that break what it holds."""
        return self.settings.get("HUB_REDIS_URL") or (self.data / "redis.url").read_text()

    def client(self, version: str = "r4") -> httpx.AsyncClient:
        """A client for its base of a FHIR version."""
        return httpx.AsyncClient(base_url=f"{self.url}/fhir/{version}/", timeout=30)


def free_port() -> int:
    """
    One that no system gives to a connection or a server by itself.

    A hub takes its port a while after that was found, and again after a restart: till then it must not become that of a
    receiver, which would be asked whether it is ready.
    """
    for port in iter(lambda: random.randrange(22_000, 32_000), 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    async with asyncio.timeout(30):
        await process.wait()


def _children(parent: int) -> dict[int, str]:
    """The command lines of a process' children, by pid."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
            if int(rest[1]) == parent and rest[0] != "Z":
                found[pid] = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found


def redis_servers(data: Path) -> list[int]:
    """The running Redis servers on a data directory, whoever started them."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = command.read_bytes().replace(b"\0", b" ").decode()
            if "redis-server" in line and str(data) in line and lives(int(command.parent.name)):
                found.append(int(command.parent.name))
    return found


def _is(part: str, line: str) -> bool:
    return "redis-server" in line if part == "redis" else f"-m hub {part}" in line


def subscription(endpoint: str, type_: str = "Immunization", *filters: str, **options: Any) -> dict[str, Any]:
    """
    A Subscription on a type's built-in topic.

    Options: `content`, `max_count`, `timeout`, `heartbeat`, `window` (seconds), `retry_waits`, `headers`, `status`,
    `start`, `alert_endpoint`.
    """
    channel: dict[str, Any] = {
        "type": "rest-hook",
        "endpoint": endpoint,
        "payload": "application/fhir+json",
        "_payload": {
            "extension": [
                {"url": f"{BACKPORT}/backport-payload-content", "valueCode": options.get("content", "id-only")}
            ]
        },
    }
    extensions = []
    if "max_count" in options:
        extensions.append({"url": f"{BACKPORT}/backport-max-count", "valuePositiveInt": options["max_count"]})
    if "timeout" in options:
        extensions.append({"url": f"{BACKPORT}/backport-timeout", "valueUnsignedInt": options["timeout"]})
    if "heartbeat" in options:
        extensions.append({"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": options["heartbeat"]})
    if "window" in options:
        extensions.append({"url": f"{OWN}/delivery-window", "valueUnsignedInt": options["window"]})
    if "retry_waits" in options:
        extensions.append({"url": f"{OWN}/retry-waits", "valueString": options["retry_waits"]})
    if extensions:
        channel["extension"] = extensions
    if "headers" in options:
        channel["header"] = options["headers"]
    resource: dict[str, Any] = {
        "resourceType": "Subscription",
        "status": options.get("status", "requested"),
        "reason": "A test",
        "criteria": TOPIC.format(type_.lower()),
        "channel": channel,
    }
    own = [
        {"url": f"{OWN}/{url}", value: options[name]}
        for name, url, value in (
            ("start", "start", "valueInstant"),
            ("alert_endpoint", "alert-endpoint", "valueUrl"),
        )
        if name in options
    ]
    if own:
        resource["extension"] = own
    if filters:
        resource["_criteria"] = {
            "extension": [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": text} for text in filters]
        }
    return resource


def subscription_r5(endpoint: str, type_: str = "Immunization", *filters: str, **options: Any) -> dict[str, Any]:
    """The same in R5. Filters: `name=value`. Options: `content`, `max_count`, `timeout`, `heartbeat`, `headers`."""
    named = {"max_count": "maxCount", "timeout": "timeout", "heartbeat": "heartbeatPeriod"}
    parts = (text.partition("=") for text in filters)
    headers = (line.partition(": ") for line in options.get("headers", ()))
    return {
        "resourceType": "Subscription",
        "status": options.get("status", "requested"),
        "topic": TOPIC.format(type_.lower()),
        **_unless_empty("filterBy", [{"filterParameter": name, "value": value} for name, _, value in parts]),
        "channelType": {"code": "rest-hook"},
        "endpoint": endpoint,
        **_unless_empty("parameter", [{"name": name, "value": value} for name, _, value in headers]),
        "contentType": "application/fhir+json",
        "content": options.get("content", "id-only"),
        **{name: options[option] for option, name in named.items() if option in options},
    }


def redacted(sent: dict[str, Any]) -> dict[str, Any]:
    """A Subscription of any version as it is shown to whoever reads it later: of headers the names."""
    found: dict[str, Any] = deepcopy(sent)
    channel = found.get("channel", {})
    if "header" in channel:
        channel["header"] = [f"{line.partition(':')[0]}: ********" for line in channel["header"]]
    for parameter in found.get("parameter", []):
        parameter["value"] = "********"
    return found


def _unless_empty(name: str, found: list[dict[str, str]]) -> dict[str, Any]:
    return {name: found} if found else {}
