"""
The process' way to Redis: commands, scripts, and streams to be followed.

Redis with `appendfsync always` confirms all that arrived in one turn after one fsync. So commands that are asked for at
once travel together: many waiters, one write, one fsync.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from importlib.resources import files
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import NoScriptError

from hub.cluster import Nodes
from hub.errors import Unavailable
from hub.failpoints import failpoint
from hub.memory import Memory
from hub.wire import FAILURES, Argument, Wire

Client: TypeAlias = Redis | RedisCluster
#: ms that a read waits at most: well below the silence that a connection is given up for.
LONGEST_WAIT = 1_000
#: Keys that one step of a scan looks at.
SCANNED = 1_000

#: One entry of a stream.
Fields: TypeAlias = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Script:
    """One atomic step, written in Lua. `digest` is how Redis knows it."""

    name: str
    source: str
    digest: str


def script(name: str) -> Script:
    """
    Read `lua/{name}.lua`. Its head says what it does, its KEYS and ARGV, and what it returns.

    A first line `-- include: other another` puts `lua/other.lua` and `lua/another.lua` before it.
    """
    source = _lua(name)
    first, _, rest = source.partition("\n")
    if first.startswith("-- include: "):
        source = "".join(map(_lua, first.removeprefix("-- include: ").split())) + rest
    return Script(name, source, sha1(source.encode(), usedforsecurity=False).hexdigest())


def _lua(name: str) -> str:
    return files("hub").joinpath("lua", f"{name}.lua").read_text()


def read_info(reply: Any) -> dict[str, str]:
    """The fields of INFO, which a Cluster's client has parsed."""
    if isinstance(reply, dict):
        return {name: str(value) for name, value in reply.items()}
    pairs = (line.partition(":") for line in reply.decode().splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in pairs}


class Streams:
    """Streams that are followed, each by a connection of its own, since a read that waits blocks it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._wires: dict[str, Wire] = {}

    async def follow(self, stream: str, mark: str, *, count: int, wait_ms: int) -> list[tuple[str, Fields]]:
        """
        Up to `count` entries of a stream behind a mark; when there are none, wait for one, at most `wait_ms`.

        It may wait shorter. One stream only, since a Cluster has no read over two slots.
        """
        wait = min(max(wait_ms, 1), LONGEST_WAIT)
        if isinstance(self._client, RedisCluster):
            return await self._follow_on_cluster(self._client, stream, mark, count, wait)
        wire = self._wires.get(stream) or self._wires.setdefault(stream, Wire(self._client.connection_pool))
        reply = await wire.ask(("XREAD", "COUNT", count, "BLOCK", wait, "STREAMS", stream, mark))
        return [(id_.decode(), dict(zip(flat[::2], flat[1::2], strict=True))) for id_, flat in _entries(reply)]

    @staticmethod
    async def _follow_on_cluster(
        client: RedisCluster, stream: str, mark: str, count: int, wait: int
    ) -> list[tuple[str, Fields]]:
        try:
            reply: Any = await client.xread({stream: mark}, count=count, block=wait)
        except FAILURES as error:
            raise Unavailable(f"Redis can't be read: {error}") from error
        # Before Python 3.12 `asyncio.wait_for`, with which redis-py sends, may swallow a cancellation.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        return [(id_.decode(), fields) for _, entries in reply or () for id_, fields in entries]


def _entries(reply: Any) -> Any:
    """Those of the one stream that was asked for, whichever protocol is spoken."""
    if isinstance(reply, dict):
        (entries,) = reply.values()
        return entries
    return reply[0][1] if reply else ()


class Pipeline:
    """
    The process' way to Redis for everything that doesn't block.

    Every failure of Redis comes out as `Unavailable`: whether a write was done is then unknown, and every step here may
    be repeated.
    """

    def __init__(self, client: Client, memory: Memory | None = None) -> None:
        self._client = client
        self._memory = memory or Memory()
        way = Wire(client.connection_pool) if isinstance(client, Redis) else Nodes(client)
        self._ask: Callable[[tuple[Argument, ...]], Awaitable[Any]] = way.ask
        self._run = self._evaluate
        if crash := failpoint():
            self._ask = lambda arguments: crash.around(str(arguments[0]).lower(), lambda: way.ask(arguments))
            self._run = lambda step, call: crash.around(step.name, lambda: self._evaluate(step, call))

    @property
    def lost(self) -> str:
        """Why nothing may be asked of this Redis; empty when it may. See `Memory`."""
        return self._memory.lost

    def run(self, step: Script, keys: list[str], *arguments: Argument) -> Coroutine[Any, Any, Any]:
        """Run a script. All of `keys` have one hash tag. Declined: see `Memory`."""
        self._memory.check()
        return self.run_anyway(step, keys, *arguments)

    def run_anyway(self, step: Script, keys: list[str], *arguments: Argument) -> Coroutine[Any, Any, Any]:
        """The same on a store that is lost, or not: to find out."""
        return self._run(step, (len(keys), *keys, *arguments))

    async def _evaluate(self, step: Script, call: tuple[Argument, ...]) -> Any:
        try:
            return await self._ask(("EVALSHA", step.digest, *call))
        except NoScriptError:
            return await self._ask(("EVAL", step.source, *call))

    def command(self, *arguments: Argument) -> Awaitable[Any]:
        """Ask for one command, at once. Its reply is bytes, int, float, list, dict or None. Declined: see `Memory`."""
        self._memory.check()
        return self._ask(arguments)

    async def of_each(self, *arguments: Argument) -> list[Any]:
        """What each server that holds data answers to one command: one Redis, or all primaries of a Cluster."""
        return [await server(*arguments) for server in self.primaries()]

    def primaries(self) -> list[Callable[..., Awaitable[Any]]]:
        """What asks each server that holds data: one Redis, or all primaries of a Cluster."""
        if isinstance(self._client, Redis):
            return [self.command]
        return [partial(self._of_node, self._client, node) for node in self._client.get_primaries()]

    async def scan(self, pattern: str) -> AsyncIterator[list[bytes]]:
        """The names of the keys that match, some at a time: each at least once that is there all the while."""
        for server in self.primaries():
            cursor = -1
            while cursor != 0:
                reply, keys = await server("SCAN", max(cursor, 0), "MATCH", pattern, "COUNT", SCANNED)
                # A Cluster's client says it by node.
                cursor = int(next(iter(reply.values())) if isinstance(reply, dict) else reply)
                if keys:
                    yield keys

    def servers(self) -> list[Callable[..., Awaitable[Any]]]:
        """What asks each server, of a Cluster the replicas too."""
        if isinstance(self._client, Redis):
            return [self.command]
        return [partial(self._of_node, self._client, node) for node in self._client.get_nodes()]

    async def _of_node(self, client: RedisCluster, node: ClusterNode, *arguments: Argument) -> Any:
        self._memory.check()
        try:
            return await client.execute_command(*arguments, target_nodes=node)
        except FAILURES as error:
            raise Unavailable(f"Redis can't be read: {error}") from error

    async def all(self, commands: list[tuple[Argument, ...]]) -> list[Any]:
        """Ask for many commands; all replies, in their order."""
        self._memory.check()
        return list(await asyncio.gather(*map(self._ask, commands)))
