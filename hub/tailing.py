"""The steps that are told of, read once for all who watch in a process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any, TypeAlias

from hub.errors import Unavailable
from hub.figures import WATCHED, Tail

log = getLogger("hub.api")

#: Steps that wait for one who watches and is slow; what comes then he isn't told of.
MOST = 1_000

#: Seconds until Redis is asked again that did not answer.
PAUSE = 1.0

Step: TypeAlias = dict[str, Any]
Steps: TypeAlias = asyncio.Queue[Step]


@dataclass
class Tailing:
    """Follows the tail for as long as anybody watches."""

    tail: Tail
    _watching: set[Steps] = field(default_factory=set)
    _following: "asyncio.Task[None] | None" = None

    @contextmanager
    def watching(self) -> Iterator[Steps]:
        """The steps from now on, of all tenants."""
        steps: Steps = asyncio.Queue(MOST)
        self._watching.add(steps)
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        try:
            yield steps
        finally:
            self._watching.discard(steps)
            if not self._watching and self._following is not None:
                self._following.cancel()
                self._following = None

    async def _follow(self) -> None:
        """Ask to be told, and tell whoever watches; never returns by itself."""
        loop, mark, again = asyncio.get_running_loop(), "", 0.0
        while True:
            try:
                mark = mark or await self.tail.end()
                if loop.time() >= again:
                    await self.tail.watch()
                    again = loop.time() + WATCHED / 2_000
                for id_, step in await self.tail.follow(mark):
                    mark = id_
                    self._tell(step)
            except Unavailable as error:
                log.warning("tail.waits", extra={"reason": str(error)})
                await asyncio.sleep(PAUSE)

    def _tell(self, step: Step) -> None:
        for steps in self._watching:
            with suppress(asyncio.QueueFull):
                steps.put_nowait(step)
