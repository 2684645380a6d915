"""What a process knows of what all share, such as rights: a copy, and how long it is gone by without another look."""

from abc import ABC, abstractmethod
from asyncio import Lock
from collections.abc import Callable
from functools import cached_property

#: ms.
BELIEVED = 1_000


def outdated(looked: int, now: int) -> bool:
    """Whether it is time to look again, after a look at `looked` (ms); also when the clock was set back since."""
    return not 0 <= now - looked < BELIEVED


class Copy(ABC):
    """
    A process' copy of something.

    now: ms since 1970.
    """

    now: Callable[[], int]
    _looked: int = 0

    async def current(self) -> bool:
        """See what was changed a second before this was called, or earlier; False if that was seen already."""
        if outdated(self._looked, self.now()):
            async with self._looking:  # whoever waits sees what the first has seen
                if outdated(self._looked, self.now()):
                    await self._look()
                    return True
        return False

    async def refresh(self) -> None:
        """See all that was changed before this was called."""
        async with self._looking:
            await self._look()

    @cached_property
    def _looking(self) -> Lock:
        """One looks at a time: what was read earlier must not be set later."""
        return Lock()

    async def _look(self) -> None:
        began = self.now()
        await self._read()
        self._looked = began

    @abstractmethod
    async def _read(self) -> None:
        """Bring the copy up to date."""
