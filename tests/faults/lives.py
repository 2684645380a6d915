"""
Lives of a hub in one process, on real Redis and HTTP, to be killed at any step of its story.

Run as a program it is told lives on stdin, one JSON object a line, forks a process for each and prints how it ended:
so a life costs no imports.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

import httpx
import uvloop

from hub.clock import Clock
from hub.delivery import Delivery
from hub.errors import NotTheHub
from hub.keys import EPOCH
from hub.mark import Mark
from hub.sender import Sender
from hub.settings import Settings
from hub.wiring.commands import recovery
from hub.wiring.parts import Parts, parts
from hub.wiring.web import web
from hub.wiring.workers import clock, delivering, matching
from tests.faults.story import STORY, Client

#: Seconds: a request's deadline, and what a lease is longer. So a lane soon has to renew its lease.
TIMEOUT, MARGIN = 2, 0.4
#: Whatever: they seal what is kept nowhere else.
SECRETS_KEYS = ",".join(urlsafe_b64encode(bytes([number] * 32)).decode() for number in (0, 1))


@dataclass(frozen=True, slots=True)
class Life:
    """
    What a process is told.

    crash_at: As in HUB_CRASH_AT; empty for a life that ends by itself.
    older: The store is one of an older layout.
    earlier: It holds an earlier state than is noted. Whatever is left of a recovery is done in any life.
    """

    redis_url: str
    data: str
    receiver: str
    free_port: int
    crash_at: str = ""
    older: bool = False
    earlier: bool = False

    @property
    def settings(self) -> Settings:
        return Settings(
            redis_url=self.redis_url,
            base_url="http://hub.example",
            data_dir=Path(self.data),
            partitions=2,
            handshake_delay=0,
            request_timeout=TIMEOUT,
            retry_waits=(0.05,) * 400,
            secrets_key=SECRETS_KEYS,
            alert_url=f"{self.receiver}/operator",
            allow_http_endpoints=True,
            allow_private_endpoints=True,
        )


class Hasty(Sender):
    """A sender whose leases are short."""

    @property
    def lease_ms(self) -> int:
        return int((self.timeout + MARGIN) * 1000)


@asynccontextmanager
async def _hub(life: Life) -> AsyncIterator[tuple[Parts, Clock, httpx.AsyncClient]]:
    settings = life.settings
    p = await parts(settings)
    deliver = delivering(p)
    assert isinstance(deliver, Delivery)
    sender = {each.name: getattr(deliver.sender, each.name) for each in fields(Sender) if not each.name.startswith("_")}
    engines = [matching(p), Delivery(Hasty(**sender), deliver.presence, 10, alerting=deliver.alerting)]

    async def nothing() -> None:
        """RQ is not here: the engines run by themselves."""

    ticking = clock(p, top_up=nothing)
    running = [asyncio.create_task(engine.run()) for engine in (*engines, ticking, p.watch, p.metering)]
    transport = httpx.ASGITransport(web(settings, p))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.example/fhir/r4/", timeout=30) as http:
        yield p, ticking, http
    for task in running:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await p.close()


async def live(life: Life) -> None:
    """Live through what is left of the story."""
    if life.older:
        p = await parts(life.settings)
        await p.pipeline.command("HSET", EPOCH, "layout", 2)
        await p.close()
    mark = Path(life.data) / "epoch"
    if life.earlier and (noted := Mark.read(mark)):
        replace(noted, count=noted.count + 60_000).write(mark)
    if life.crash_at:
        os.environ["HUB_CRASH_AT"] = life.crash_at
    with suppress(NotTheHub):  # there was nothing to recover
        async with recovery(life.settings) as recovering:
            await recovering.run()
    async with _hub(life) as (p, ticking, http):
        await Client(http, p, ticking, life.receiver, life.free_port, Path(life.data) / "told").live(STORY)


def _keep(life: Life) -> None:
    """Let a process of its own live, and tell how it ended."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{life.data} {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
        return
    try:
        uvloop.run(live(life))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Fork a life for each line; those who keep them are reaped by the kernel."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _keep(Life(**json.loads(line)))
            os._exit(0)


if __name__ == "__main__":
    main()
