"""`hub check`: whether a part that serves no HTTP is at work; for the healthchecks of containers."""

import argparse
import asyncio
import socket

from hub.cli import FAILED
from hub.foundation import Memory
from hub.keys import CLOCK
from hub.pipeline import Pipeline
from hub.presence import running
from hub.settings import Settings
from hub.wiring.parts import connect


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", choices=("match", "deliver", "clock"), help="a worker of this host, or the one clock")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    return 0 if asyncio.run(_at_work(arguments.part, settings)) else FAILED


async def _at_work(part: str, settings: Settings) -> bool:
    client = connect(settings, Memory())
    try:
        pipeline = Pipeline(client)
        if part == "clock":
            return bool(await pipeline.command("EXISTS", CLOCK))
        here = f"{socket.gethostname()}-"
        return any(name.startswith(here) for name in await running(pipeline, part))
    finally:
        await client.aclose()
