"""A copy of what all share: when it is looked at anew, and that no look undoes a later one."""

import asyncio
from dataclasses import dataclass, field

from hub.belief import BELIEVED, Copy


@dataclass
class Shared(Copy):
    """A copy of `there`, which takes its time."""

    clock: int = 5_000
    there: int = 1
    seen: int = 0
    looks: int = 0
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> int:
        return self.clock

    async def _read(self) -> None:
        self.looks += 1
        seen = self.there
        await self.goes_on.wait()
        self.seen = seen


async def test_whoever_waits_sees_what_the_first_has_seen() -> None:
    shared = Shared()
    looking = [asyncio.create_task(shared.current()) for _ in range(3)]
    await asyncio.sleep(0)
    shared.goes_on.set()
    assert sorted(await asyncio.gather(*looking)) == [False, False, True]
    assert (shared.looks, shared.seen) == (1, 1)


async def test_it_is_believed_for_a_second_after_the_look_began() -> None:
    """And no longer, nor when the clock was set back."""
    shared = Shared()
    looking = asyncio.create_task(shared.current())
    await asyncio.sleep(0)
    shared.clock += BELIEVED - 1  # so long it took
    shared.goes_on.set()
    assert await looking
    assert not await shared.current()
    shared.clock += 1
    assert await shared.current()
    shared.clock -= 1
    assert await shared.current()


async def test_an_earlier_look_does_not_undo_a_later_one() -> None:
    shared = Shared()
    earlier = asyncio.create_task(shared.refresh())
    await asyncio.sleep(0)
    shared.there = 2
    later = asyncio.create_task(shared.refresh())
    await asyncio.sleep(0)
    shared.goes_on.set()
    await asyncio.gather(earlier, later)
    assert (shared.looks, shared.seen) == (2, 2)
