"""An endpoint on this machine, for what a hub sends to whoever sits at it."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

from aiohttp import web

from hub.errors import NotTheHub

#: Takes the body and the headers of a request, and says with which status it is answered.
Take: TypeAlias = Callable[[bytes, Mapping[str, str]], Awaitable[int]]

#: Bytes of a notification that are taken: more than a hub sends by default, with everything around the resources.
MOST = 64 * 1024 * 1024


@asynccontextmanager
async def listening(take: Take, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """
    Listen, on a free port for port 0; gives the URL of the endpoint. Each path and method leads to it.

    Raises:
        NotTheHub: It can't listen there.
    """

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=await take(await request.read(), request.headers))

    app = web.Application(client_max_size=MOST)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise NotTheHub(f"can't listen on {host}:{port}: {why}; choose another --host or --port") from None
        found, port = runner.addresses[0][:2]
        yield f"http://{f'[{found}]' if ':' in found else found}:{port}/notifications"
    finally:
        await runner.cleanup()
