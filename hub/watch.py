"""
The watch that a process keeps on its store: once a second it raises the count, and judges what it finds.

What it has seen it notes in the data directory, every few seconds.
"""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

from hub.errors import NotTheHub, Unavailable
from hub.foundation import keep
from hub.keys import EPOCH
from hub.mark import Mark
from hub.memory import RECOVERED, Memory
from hub.pipeline import Pipeline, script

BEAT = script("beat")

#: Seconds between two looks.
EVERY = 1.0
#: ms for which a count will do, since many processes raise it; and that the note may be behind it.
RAISED, NOTED = 800, 2_000

log = getLogger("hub.watch")


@dataclass
class Watch:
    """
    One process' watch. `memory` is the pipeline's, which asks nothing else of a store that is lost.

    data_dir: Where the mark is kept; nothing is if there is no such directory.
    """

    pipeline: Pipeline
    memory: Memory
    data_dir: Path
    _before: tuple[str, ...] | None = None

    async def run(self) -> None:
        """Look until cancelled. A process whose store was recovered is asked to end: started again, it knows the id."""
        try:
            await self._look_forever()
        finally:
            if self._before is not None and not self.memory.lost:
                self._note(self._before, apart=0)

    async def _look_forever(self) -> None:
        said = ""
        while True:
            with suppress(Unavailable):  # away; or a connection was refused, and then it was judged
                await self.look()
            if said != self.memory.lost:
                said = self.memory.lost
                log.error("store.lost" if said else "store.back", extra={"reason": said})
            if self.memory.lost == RECOVERED:
                os.kill(os.getpid(), signal.SIGTERM)
                return
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Raise the count if this is still the store, judge it, and note what was seen."""
        memory = self.memory
        least = memory.count
        held = await self.pipeline.run_anyway(BEAT, [EPOCH], memory.epoch, least, RAISED)
        memory.judge(held, least=least)
        if not memory.lost:
            apart = 0 if self._before is None else NOTED
            self._before = tuple((held[2] or b"").decode().split())
            await asyncio.to_thread(self._note, self._before, apart=apart)

    def _note(self, before: tuple[str, ...], *, apart: int) -> None:
        try:
            keep(self.data_dir, Mark(self.memory.epoch, self.memory.count, before), apart=apart)
        except NotTheHub as error:
            log.error("mark.not-kept", extra={"reason": str(error)})
