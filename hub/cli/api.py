"""`hub api`: the HTTP side, one process."""

import argparse
import asyncio
import signal

import uvicorn
import uvloop

from hub.cli.address import Address, listening
from hub.settings import Settings
from hub.wiring.web import application

#: Seconds that requests in flight get after SIGTERM.
GRACE = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    listening(parser)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    address = Address(arguments.host, arguments.port)
    address.permit(settings)
    address = address.claimed()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, address))
    return 0


async def _serve(settings: Settings, address: Address) -> None:
    """Serve until SIGTERM or SIGINT."""
    async with application(settings) as app:
        config = uvicorn.Config(
            app,
            host=address.host,
            port=address.port,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=GRACE,
        )
        # uvicorn raises the signal that ended it again once it has ended; then our own way out is still to be gone.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        await uvicorn.Server(config).serve()
