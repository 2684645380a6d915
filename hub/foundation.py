"""
What the hub stands on: a Redis that doesn't forget, with the layout and the settings that it was begun with.

`hub:{registry}:epoch` is a hash written once: `id` (random; it also stands in the ids of notifications), `layout`,
`partitions` and `canonical_base` (with another one, subscriptions would be on topics that don't exist). The data
directory, where there is one, keeps the id too: a Redis that has lost it has lost everything.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, InvalidResponse, RedisClusterException, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from hub.errors import NotTheHub, Unavailable
from hub.keys import EPOCH, LAYOUT
from hub.pipeline import Pipeline
from hub.settings import Settings
from hub.wire import FAILURES

#: What the hub needs of Redis so that what it confirmed is on disk.
NEEDED = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}

#: Settings that can't be changed afterwards.
FIXED = ("partitions", "canonical_base")

LOST = "Redis has lost its memory: it is not the store that the hub was started on. Restore its data"

#: The oldest Redis with all the commands that are used.
OLDEST = (6, 2)


@dataclass
class Memory:
    """
    Sees to it that a process speaks only to the store that it was started on.

    A Redis that lost its memory was restarted, so each connection asks once, when it is made. Until `epoch` is known,
    and on a Cluster, where it is one node's, nothing is asked.
    """

    epoch: str = ""

    async def connected(self, connection: AbstractConnection) -> None:
        """Called by the client with each new connection; ConnectionError when it leads to another store."""
        await connection.on_connect()
        if self.epoch:
            await connection.send_command("HGET", EPOCH, "id")
            if await connection.read_response() != self.epoch.encode():
                raise RedisConnectionError(LOST)


@dataclass(frozen=True, slots=True)
class Foundation:
    """The checked Redis. `epoch` is the store's id, `layout` the one that it was found in."""

    pipeline: Pipeline
    settings: Settings
    epoch: str
    layout: int = LAYOUT

    async def standing(self) -> str:
        """
        What this Redis may forget, as far as that is allowed; empty when nothing.

        Raises:
            Unavailable: It does not answer, is not the one any more that the hub was started on, or may forget by now.
        """
        held = await self.pipeline.command("HGET", EPOCH, "id")
        if (held or b"").decode() != self.epoch:
            raise Unavailable(LOST, retry_after=60)
        try:
            return await _volatile(self.pipeline, self.settings)
        except NotTheHub as changed:
            raise Unavailable(str(changed), retry_after=60) from changed


def unusable(error: Exception, variable: str) -> NotTheHub | Unavailable:
    """
    Why a process that starts can't use the Redis at the URL in a variable, and what to do.

    NotTheHub if it answers and refuses us, Unavailable if it doesn't answer.
    """
    cause: BaseException = error
    while isinstance(cause.__cause__, FAILURES):
        cause = cause.__cause__
    reason = str(cause).rstrip(".")
    if isinstance(cause, AuthenticationError):
        return NotTheHub(
            f"the Redis at {variable} doesn't take the user and password in {variable}: correct them there"
        )
    if isinstance(cause, (ResponseError, InvalidResponse, RedisClusterException)):
        return NotTheHub(f"the Redis at {variable} refuses the hub ({reason}): correct {variable}")
    return Unavailable(f"no answer from the Redis at {variable} ({reason}): start it, or correct {variable}")


async def check(pipeline: Pipeline, settings: Settings) -> Foundation:
    """
    Check the Redis, and begin a store in an empty one.

    Raises:
        NotTheHub: It is too old, may forget, has lost its memory, or was begun with other settings or by a newer hub.
        Unavailable: It does not answer.
    """
    try:
        await _check_version(pipeline)
    except Unavailable as error:
        raise unusable(error, "HUB_REDIS_URL") from error
    await _volatile(pipeline, settings)
    mark = settings.data_dir / "epoch"
    remembered = noted(mark)
    if remembered and not await pipeline.command("HEXISTS", EPOCH, "id"):
        raise NotTheHub(
            f"Redis is empty, but {mark} says that it held a hub's data ({remembered}): restore it,"
            f" or remove {mark} to begin anew"
        )
    held = await _begun(pipeline, settings)
    if remembered and remembered != held["id"]:
        raise NotTheHub(
            f"Redis holds the data of another hub ({held['id']}) than {mark} says ({remembered}): correct"
            f" HUB_REDIS_URL or HUB_DATA_DIR, or remove {mark} if this is the right Redis"
        )
    if int(held["layout"]) > LAYOUT:
        raise NotTheHub(f"Redis was written in layout {held['layout']}; this hub knows layout {LAYOUT}")
    for name in FIXED:
        if held[name] != (wanted := str(getattr(settings, name))):
            raise NotTheHub(f"HUB_{name.upper()} is {wanted}, but the store was begun with {held[name]}: set it back")
    if settings.data_dir.is_dir() and not remembered:
        _remember(mark, held["id"])
    return Foundation(pipeline, settings, held["id"], int(held["layout"]))


async def _begun(pipeline: Pipeline, settings: Settings) -> dict[str, str]:
    """What the store was begun with; now, if it is a new one. Of those that start together the first one decides."""
    first = {name: str(getattr(settings, name)) for name in FIXED} | {"layout": str(LAYOUT), "id": uuid4().hex}
    for name, value in first.items():
        await pipeline.command("HSETNX", EPOCH, name, value)
    values = await pipeline.command("HMGET", EPOCH, *first)
    return {name: value.decode() for name, value in zip(first, values, strict=True)}


def noted(file: Path) -> str:
    """What a small file in the data directory says; empty if there is none. NotTheHub if it can't be read."""
    try:
        return file.read_text(errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise NotTheHub(f"{file} can't be read: {error.strerror}; make it readable to this user") from None


def _remember(mark: Path, epoch: str) -> None:
    fresh = mark.with_suffix(f".{uuid4().hex}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(epoch + "\n")
        fresh.rename(mark)
    except OSError as error:
        raise NotTheHub(f"{mark} can't be written: {error.strerror}; let this user write there") from None


async def _check_version(pipeline: Pipeline) -> None:
    version = _field(await pipeline.command("INFO", "server"), "redis_version")
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise NotTheHub(f"Redis {version} is too old: {'.'.join(map(str, OLDEST))} or newer is needed")


async def _volatile(pipeline: Pipeline, settings: Settings) -> str:
    """What this Redis may forget; empty when nothing. NotTheHub when that is not allowed."""
    if settings.durability_attested:
        return ""
    found = {name: await _setting(pipeline, name) for name in NEEDED}
    wrong = [f"{name} is {found[name]}, not {value}" for name, value in NEEDED.items() if found[name] != value]
    if wrong and not settings.allow_volatile_redis:
        raise NotTheHub(
            f"this Redis may forget what it confirmed ({'; '.join(wrong)}): change its settings, or set"
            " HUB_ALLOW_VOLATILE_REDIS=true if that may happen"
        )
    return "; ".join(wrong)


async def _setting(pipeline: Pipeline, name: str) -> str:
    try:
        reply = await pipeline.command("CONFIG GET", name)
    except Unavailable as error:
        if isinstance(error.__cause__, ResponseError):  # it answers, and does not say: such as a managed one
            return "unreadable"
        raise
    values = reply.values() if isinstance(reply, dict) else reply[1::2]
    return next((value.decode() if isinstance(value, bytes) else str(value) for value in values), "unknown")


def _field(info: object, name: str) -> str:
    """A field of INFO, which a Cluster's client has parsed."""
    if isinstance(info, dict):
        return str(info[name])
    text = info.decode() if isinstance(info, bytes) else str(info)
    return next(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(f"{name}:"))
