"""
One connection to a Redis server that all coroutines of a process share.

What is asked for in one turn of the loop is written at once, and answers come in the order of the questions. redis-py
connects (TLS, credentials, whether it is the store); then its stream gives way to this protocol, and a round trip costs
a seventh of the processor time that it costs through redis-py's client.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any, TypeAlias, cast

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from hub.errors import Unavailable

Argument: TypeAlias = str | bytes | int | float

#: Seconds.
PATIENCE = 5.0

#: How Redis fails. redis-py has two roots.
FAILURES = (RedisError, RedisClusterException, OSError)

#: How uvloop says, by a RuntimeError, that a connection was lost before something was written to it.
_CLOSED = "the handler is closed"

#: What the parser says when there is no whole answer yet. Its default is False, which is an answer in RESP 3.
_NOTHING = object()


class Wire(asyncio.Protocol):
    """
    The shared connection: made when it is first needed, and again when it is needed after it was lost.

    A Redis that can't be reached, or that is gone before it has answered, is Unavailable to each who waits: whether a
    write was done is then unknown. Nothing is sent twice.
    """

    def __init__(self, pool: ConnectionPool, *, patience: float = PATIENCE) -> None:
        self._pool = pool
        self._patience = patience
        self._unsent: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._due: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def ask(self, arguments: tuple[Argument, ...]) -> "asyncio.Future[Any]":
        """
        Ask for one command. The answer is as hiredis reads it: bytes, int, float, list, dict or None.

        Raises NoScriptError as it is, any other refusal and every failure as Unavailable.
        """
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        try:
            # As redis-py has it, `CONFIG GET` is one name; on the wire it is two.
            words: Any = (*str(arguments[0]).split(), *arguments[1:])
            packed = hiredis.pack_command(words)
        except (TypeError, ValueError) as bug:  # such as half a character
            answer.set_exception(bug)
            return answer
        self._unsent.append((packed, answer))
        if len(self._unsent) == 1:
            loop.call_soon(self._send)
        return answer

    def _send(self) -> None:
        if self._transport is None:
            return self._begin(self._connect())
        loop = asyncio.get_running_loop()
        if not self._due:
            self._heard = loop.time()
        self._transport.write(b"".join(packed for packed, _ in self._unsent))
        self._due.extend(answer for _, answer in self._unsent)
        self._unsent.clear()
        if self._watch is None:
            self._watch = loop.call_later(self._patience, self._look)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        try:
            connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call] # theirs
            await self._take_over(connection)
        except Exception as error:  # whatever it is, nobody must be left waiting
            unsent, self._unsent = self._unsent, []
            lost = isinstance(error, RuntimeError) and _CLOSED in str(error)
            _fail((answer for _, answer in unsent), RedisConnectionError(str(error)) if lost else error)
        else:
            self._send()

    async def _take_over(self, connection: AbstractConnection) -> None:
        """Take the place of redis-py's stream, which goes on looking after the connection's end."""
        writer = connection._writer  # redis-py has no public way to it
        if writer is None or writer.transport.is_closing():
            await self._give_back(connection)
            raise RedisConnectionError("it was closed at once")
        transport = cast(asyncio.Transport, writer.transport)  # uvloop's is one by its methods only
        self._connection, self._stream, self._transport = connection, transport.get_protocol(), transport
        self._reader = hiredis.Reader(replyError=_refusal, notEnoughData=_NOTHING)
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not _NOTHING:
            if isinstance(reply, hiredis.PushNotification):
                continue
            answer = self._due.popleft()
            if answer.done():  # whoever asked has stopped waiting
                continue
            if isinstance(reply, Exception):
                answer.set_exception(reply if isinstance(reply, NoScriptError) else unavailable(reply))
            else:
                answer.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._stream.connection_lost(error)
        self._transport = None
        due, self._due = self._due, deque()
        _fail(due, error or RedisConnectionError("it closed the connection"))
        self._begin(self._give_back(self._connection))

    async def _give_back(self, connection: AbstractConnection) -> None:
        await connection.disconnect(nowait=True)
        await self._pool.release(connection)

    def _look(self) -> None:
        """Give the connection up if an answer is due and nothing has come for too long."""
        self._watch = None
        if not self._due or self._transport is None:
            return
        loop = asyncio.get_running_loop()
        silent = loop.time() - self._heard
        if silent >= self._patience:
            self._transport.abort()
        else:
            self._watch = loop.call_later(self._patience - silent, self._look)


def _refusal(text: str) -> RedisError:
    return (NoScriptError if text.startswith("NOSCRIPT") else ResponseError)(text)


def unavailable(error: Exception) -> Exception:
    """Redis' failures and refusals as ours; anything else is a bug and stays what it is."""
    if not isinstance(error, FAILURES):
        return error
    failure = Unavailable(f"Redis did not confirm: {error}")
    failure.__cause__ = error
    return failure


def _fail(answers: "Iterable[asyncio.Future[Any]]", error: Exception) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(unavailable(error))
