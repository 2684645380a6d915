"""
Redis' files, written anew: what was removed from a store still stands in them, until then.

Every server of the store is asked, replicas too. A rewrite that runs already began before, so it doesn't count.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from hub.errors import Unavailable
from hub.pipeline import Pipeline, read_info

#: Seconds between two looks whether it is done.
PAUSE = 0.1

Server = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _File:
    """A kind of file: what writes it anew, and the fields of INFO that say how that goes."""

    command: str
    at_work: tuple[str, ...]
    went: str

    def busy(self, info: dict[str, str]) -> bool:
        return any(info.get(name, "0") != "0" for name in self.at_work)


_LOG = _File("BGREWRITEAOF", ("aof_rewrite_in_progress", "aof_rewrite_scheduled"), "aof_last_bgrewrite_status")
_SNAPSHOT = _File("BGSAVE", ("rdb_bgsave_in_progress",), "rdb_last_bgsave_status")


class Unwritten(Exception):
    """A server writes none of its files anew when it is asked to: a managed one may not."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Has all files of a store written anew."""

    pipeline: Pipeline

    async def run(self) -> None:
        """
        Returns when all of it is done: what was removed before is in no file any more, nor in a log of slow commands.

        Raises:
            Unwritten: A server refuses. The others were asked all the same.
            Unavailable: A server can't be asked, or has failed: it is to be done again.
        """
        done = await asyncio.gather(*map(_all_of, self.pipeline.servers()), return_exceptions=True)
        failures = [each for each in done if isinstance(each, BaseException)]
        if failures:
            raise min(failures, key=lambda failure: isinstance(failure, Unwritten))  # what may go better next time


async def _all_of(server: Server) -> None:
    try:
        await server("SLOWLOG", "RESET")
        if (await _persistence(server)).get("aof_enabled") == "1":
            await _again(server, _LOG)
        saves = await server("CONFIG", "GET", "save")
        if any(saves.values() if isinstance(saves, dict) else saves[1::2]):
            await _again(server, _SNAPSHOT)
    except Unavailable as error:
        if isinstance(error.__cause__, ResponseError):
            raise Unwritten(str(error.__cause__)) from None
        raise


async def _again(server: Server, file: _File) -> None:
    """Have one begin and end after this was called."""
    while True:
        await _rest(server, file)
        try:
            await server(file.command)
            break
        except Unavailable as error:
            # Somebody else was quicker, or is writing another file: it can't begin now.
            if not any(word in str(error.__cause__) for word in ("in progress", "is active")):
                raise
        await asyncio.sleep(PAUSE)
    await _rest(server, file)
    if (said := (await _persistence(server)).get(file.went)) != "ok":
        raise Unavailable(f"Redis could not write its files anew ({file.command}: {said}); see its log")


async def _rest(server: Server, file: _File) -> None:
    """Wait until none is under way."""
    while file.busy(await _persistence(server)):  # noqa: ASYNC110 (another process: there is nothing to wait on)
        await asyncio.sleep(PAUSE)


async def _persistence(server: Server) -> dict[str, str]:
    return read_info(await server("INFO", "persistence"))
