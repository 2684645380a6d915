"""`hub api`: the HTTP side, one process."""

import argparse
import asyncio
import signal
from contextlib import suppress

import uvicorn
import uvloop

from hub.api.protection import Protection
from hub.cli.address import Address, listening
from hub.cli.connection import Limited, Limits
from hub.cli.tls import Certificate
from hub.settings import Settings
from hub.wiring.web import application

#: Seconds that requests in flight get after SIGTERM.
GRACE = 5
#: Bodies of the largest size that may be incomplete at once.
BODIES = 16


def arguments(parser: argparse.ArgumentParser) -> None:
    listening(parser)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    certificate = Certificate.of(settings)
    address = Address(arguments.host, arguments.port, certificate is not None)
    address.permit(settings)
    address = address.claimed()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, address, certificate))
    return 0


async def _serve(settings: Settings, address: Address, certificate: Certificate | None) -> None:
    """Serve until SIGTERM or SIGINT."""
    async with application(settings) as app:
        config = Limited(
            Protection(app),
            limits(settings),
            host=address.host,
            port=address.port,
            lifespan="off",
            access_log=False,
            log_config=None,
            # Whoever is on the way could say that it is somebody else.
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=settings.keep_alive,
            timeout_graceful_shutdown=GRACE,
            ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
        )
        # uvicorn raises the signal that ended it again once it has ended; then our own way out is still to be gone.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        watching = asyncio.create_task(certificate.watch()) if certificate else None
        try:
            await uvicorn.Server(config).serve()
        finally:
            if watching:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching


def limits(settings: Settings) -> Limits:
    """What connections may take."""
    return Limits(
        head=settings.header_timeout,
        body=settings.body_timeout,
        head_bytes=settings.max_header_bytes,
        connections=settings.max_connections,
        body_bytes=BODIES * settings.max_body_bytes,
    )
