"""Facts about processes, and waiting for them."""

import asyncio
import inspect
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: Seconds in which what should come has come, also on a machine that has much else to do.
LONG = 60.0


def until(fact: Callable[[], T], *, within: float = LONG) -> T:
    """Wait for something that isn't false, nor empty, nor None. Fails when it doesn't come within so many seconds."""
    end = time.monotonic() + within
    while not (found := fact()):
        if time.monotonic() > end:
            raise AssertionError(f"still {found!r} after {within} s")
        time.sleep(0.01)
    return found


async def eventually(fact: Callable[[], object | Awaitable[object]], *, within: float = LONG) -> None:
    """The same without stopping the loop, for facts that may have to be awaited themselves."""
    async with asyncio.timeout(within):
        while not (await found if inspect.isawaitable(found := fact()) else found):  # noqa: ASYNC110 (of other processes)
            await asyncio.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process runs. One that has ended, and that its parent hasn't noticed yet, doesn't."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # just gone, or a system without /proc
        return not Path("/proc/self").exists()
    return state not in "ZX"
