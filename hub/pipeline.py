"""
Commands of all coroutines of a process, joined into few round trips.

Redis with `appendfsync always` confirms all that arrived in one turn after one fsync. So commands that are asked for
while others are on their way travel together in the next pipeline: many waiters, one write, one fsync.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError, RedisError

from hub.errors import Unavailable

Client: TypeAlias = Redis | RedisCluster
Argument: TypeAlias = str | bytes | int | float
#: One entry of a stream.
Fields: TypeAlias = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Script:
    """One atomic step, written in Lua. `digest` is how Redis knows it."""

    source: str
    digest: str


def script(name: str) -> Script:
    """
    Read `lua/{name}.lua`. Its head says what it does, its KEYS and ARGV, and what it returns.

    A first line `-- include: other` puts `lua/other.lua` before it.
    """
    source = _lua(name)
    first, _, rest = source.partition("\n")
    if first.startswith("-- include: "):
        source = _lua(first.removeprefix("-- include: ")) + rest
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


def _lua(name: str) -> str:
    return files("hub").joinpath("lua", f"{name}.lua").read_text()


async def follow(client: Client, stream: str, mark: str, *, count: int, wait_ms: int) -> list[tuple[str, Fields]]:
    """
    Up to `count` entries of a stream behind a mark; when there are none, wait for one, at most `wait_ms` (from 1).

    Blocks a connection of its own. One stream only, since a Cluster has no read over two slots.
    """
    try:
        reply: Any = await client.xread({stream: mark}, count=count, block=max(wait_ms, 1))
    except (RedisError, OSError) as error:
        raise Unavailable(f"Redis can't be read: {error}") from error
    # Before Python 3.12 `asyncio.wait_for`, with which redis-py sends, may swallow a cancellation.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    return [(id_.decode(), fields) for _, entries in reply or () for id_, fields in entries]


class Pipeline:
    """
    The process' way to Redis for everything that doesn't block.

    At most `lanes` pipelines are under way at once; what is asked for meanwhile goes with the next one. Every failure
    of Redis comes out as `Unavailable`: whether a write was done is then unknown, and every step here may be repeated.
    """

    def __init__(self, client: Client, *, lanes: int = 4, most: int = 512) -> None:
        self._client = client
        self._lanes = lanes
        self._most = most
        self._waiting: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def run(self, step: Script, keys: list[str], *arguments: Argument) -> Any:
        """Run a script. All of `keys` have one hash tag."""
        call = (len(keys), *keys, *arguments)
        try:
            return await self.command("EVALSHA", step.digest, *call)
        except NoScriptError:
            return await self.command("EVAL", step.source, *call)

    def command(self, *arguments: Argument) -> Awaitable[Any]:
        """Ask for one command. Its reply comes as redis-py decodes it without callbacks: bytes, int, list or None."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((arguments, future))
        self._schedule()
        return future

    async def all(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        """Ask for many commands; all replies, in their order."""
        return list(await asyncio.gather(*(self.command(*arguments) for arguments in commands)))

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and len(self._under_way) < self._lanes:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
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
            if isinstance(reply, (RedisError, OSError)) and not isinstance(reply, NoScriptError):
                failure = Unavailable(f"Redis did not confirm: {reply}")
                failure.__cause__ = reply
                future.set_exception(failure)
            elif isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    async def _replies(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        if len(commands) == 1:
            return [await self._client.execute_command(*commands[0])]
        pipeline = (
            self._client.pipeline(transaction=False) if isinstance(self._client, Redis) else self._client.pipeline()
        )
        for arguments in commands:
            pipeline.execute_command(*arguments)
        return list(await pipeline.execute(raise_on_error=False))
