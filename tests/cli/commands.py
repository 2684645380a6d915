"""The `hub` command as a shell runs it, in a process of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Done:
    """What it came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


@asynccontextmanager
async def begun(url: str, *words: str, settings: Mapping[str, str] = NONE) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command that talks to the hub at a URL, and is killed if it hasn't ended before."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", *words),
        env=os.environ | {"HUB_URL": url, "COLUMNS": "80"} | dict(settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def command(url: str, *words: str, given: bytes = b"", settings: Mapping[str, str] = NONE) -> Done:
    """`given` comes by stdin."""
    async with begun(url, *words, settings=settings) as process:
        async with asyncio.timeout(60):
            out, err = await process.communicate(given)
        return Done(process.returncode or 0, out.decode(), err.decode())
