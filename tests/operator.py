"""The operator of a hub: who runs `hub …` beside it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.processes import ENVIRONMENT


async def operate(data: Path, *words: str, **settings: str) -> tuple[int, str, str]:
    """What `hub …` comes to: its exit code, and what it says on stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", *words, "--data", str(data)),
        env=os.environ | ENVIRONMENT | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, said = await process.communicate()
    return process.returncode or 0, output.decode(), said.decode()


async def done(data: Path, *words: str) -> str:
    """What it prints; it has to go well."""
    code, output, said = await operate(data, *words)
    assert code == 0, said
    return output


async def listed(data: Path, what: str) -> list[dict[str, Any]]:
    return list(msgspec.json.decode(await done(data, what, "list", "--json")))
