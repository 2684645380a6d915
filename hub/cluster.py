"""
Commands of many coroutines to a Redis Cluster, joined into few round trips.

At most `LANES` pipelines are under way at once; what is asked for meanwhile travels together with the next one.
"""

import asyncio
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError

from hub.wire import Argument, unavailable

#: Pipelines at once, and commands in one.
LANES = 4
MOST = 512


class Nodes:
    """The nodes of a Cluster, asked as one. Answers and errors are those of `Wire`."""

    def __init__(self, client: RedisCluster) -> None:
        self._client = client
        self._waiting: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._scheduled = False

    def ask(self, arguments: tuple[Argument, ...]) -> "asyncio.Future[Any]":
        """Ask for one command."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((arguments, future))
        self._schedule()
        return future

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and len(self._under_way) < LANES:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if batch:
            task = asyncio.get_running_loop().create_task(self._send(batch))
            self._under_way.add(task)
            task.add_done_callback(self._done)
        self._schedule()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._schedule()

    async def _send(self, batch: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]]) -> None:
        try:
            replies = await self._replies([arguments for arguments, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # a bug of ours must not leave anybody waiting for ever
            replies = [error] * len(batch)
        for (_, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, Exception):
                future.set_exception(reply if isinstance(reply, NoScriptError) else unavailable(reply))
            else:
                future.set_result(reply)

    async def _replies(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        if len(commands) == 1:
            return [await self._client.execute_command(*commands[0])]
        pipeline = self._client.pipeline()
        for arguments in commands:
            pipeline.execute_command(*arguments)
        return list(await pipeline.execute(raise_on_error=False))
