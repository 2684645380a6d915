"""A TCP proxy in front of Redis, by which the network between the two becomes slow, is cut, or swallows everything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from tests.hub.wire import reset


@dataclass
class Proxy:
    """
    Listens on a free port of loopback and passes everything on to a Unix socket.

    latency: Seconds that each piece waits, in both directions.
    silent: Nothing is passed on, in neither direction, and nobody is told.
    cut_after: Bytes of answers after which all connections are reset; None: never.
    """

    socket: str
    latency: float = 0
    silent: bool = False
    cut_after: int | None = None
    port: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._heard.set()
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def silence(self, silent: bool) -> None:
        """Swallow everything from now on, or let through again what has come meanwhile."""
        self.silent = silent
        self._heard.clear() if silent else self._heard.set()

    def cut(self) -> None:
        """Reset all connections."""
        for writer in list(self._writers):
            if not writer.is_closing():
                reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(self.socket)
        except OSError:  # it is down
            reset(writer)
            return
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, back, answers=False))
                group.create_task(self._pass(there, writer, answers=True))
        except* OSError:
            pass
        finally:
            self._writers -= {writer, back}
            for each in (writer, back):
                each.close()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self._heard.wait()
                if self.latency:
                    await asyncio.sleep(self.latency)
                if target.is_closing():
                    return
                if answers and self.cut_after is not None:
                    target.write(data[: self.cut_after])
                    self.cut_after -= len(data)
                    if self.cut_after <= 0:
                        self.cut_after = None
                        self.cut()
                        return
                else:
                    target.write(data)
                await target.drain()
        if not target.is_closing():
            target.close()
