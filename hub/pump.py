"""
What matches or delivers in a worker process, one shift after another.

The process has one event loop for its life, and on it one engine that goes on from shift to shift: a shift is the
permission to run for a minute. Between two shifts the loop stands still, while RQ talks to its Redis: for long, if that
is silent. So a shift goes on until its successor waits there.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from logging import getLogger

from hub.errors import Unavailable
from hub.settings import Settings
from hub.wiring import workers
from hub.wiring.parts import Parts, ended, parts

log = getLogger("hub.pump")

MATCH, DELIVER = "match", "deliver"

#: Seconds between two tries to have the next shift wait.
AGAIN = 1.0


@dataclass
class Pump:
    """
    One process' engine, the parts that it is built from, and the loop that they live on.

    have_next_wait: Sees to it that another shift waits, and blocks meanwhile. Unavailable.
    stopped: It was asked to end. `stopping` says so too, but not before the loop runs.
    deserted: RQ's Redis did not take the next shift at the first try when the latest one was due to end.
    """

    settings: Settings
    kind: str
    have_next_wait: Callable[[], None]
    runner: asyncio.Runner
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False
    deserted: bool = False
    _parts: Parts | None = None
    _engine: workers.Engine | None = None
    _running: asyncio.Task[None] | None = None
    _beside: list[asyncio.Task[None]] = field(default_factory=list)

    async def prepared(self) -> workers.Engine:
        """
        The engine, built at first, and again when it has failed, then from the parts and connections that are there.

        NotTheHub and Unavailable as `parts` raises them.
        """
        if self._parts is None:
            self._parts = await parts(self.settings)
            self._beside = self._parts.beside()
        if self._engine is None:
            build = workers.matching if self.kind == MATCH else workers.delivering
            self._engine = build(self._parts)
        return self._engine

    async def shift(self) -> None:
        """Let the engine run for a while, until the next shift waits; in that it goes on just where it was."""
        self.deserted = False
        engine = await self.prepared()
        if self._running is None:
            self._running = asyncio.create_task(engine.run())
        stop = asyncio.create_task(self.stopping.wait())
        over = asyncio.create_task(self._over())
        try:
            done, _ = await asyncio.wait({self._running, stop, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            over.cancel()
        if self._running in done:
            # What it raised makes the job fail, for RQ to show; the next shift begins anew.
            failed, self._running, self._engine = self._running, None, None
            failed.result()
        if stop in done:
            await self.finish()
        if over in done:
            over.result()

    async def _over(self) -> None:
        """The end of a shift."""
        await asyncio.sleep(self.settings.pump_seconds)
        while True:
            try:
                return await asyncio.to_thread(self.have_next_wait)
            except Unavailable as error:
                if not self.deserted:
                    log.warning("rq.away", extra={"kind": self.kind, "reason": str(error)})
                self.deserted = True
                await asyncio.sleep(AGAIN)

    async def finish(self) -> None:
        """End what is under way, and give back what is held."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def close(self) -> None:
        """Finish, and close the connections."""
        try:
            await self.finish()
        finally:
            await ended(self._beside)
            if self._parts is not None:
                await self._parts.close()

    def stop(self) -> None:
        """Ask for the end, from a signal handler."""
        self.stopped = True
        self.runner.get_loop().call_soon_threadsafe(self.stopping.set)
