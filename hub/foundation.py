"""
What the hub stands on: a Redis that doesn't forget, with the layout and the settings that it was begun with.

`hub:{registry}:epoch` is a hash: `id` (random; it also stands in the ids of notifications), `layout`, `partitions` and
`canonical_base` (with another one, subscriptions would be on topics that don't exist), `count` (ms by Redis' clock,
raised every second; see memory.py), and of recoveries `before` (the ids that it had, newest first), `recovering` (the
id that it gets) and `jump` (see recovery.py). The data directory, where there is one, keeps a mark of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from redis.exceptions import AuthenticationError, InvalidResponse, RedisClusterException, ResponseError

from hub.errors import NotTheHub, Unavailable
from hub.keys import EPOCH, LAYOUT
from hub.mark import Mark
from hub.memory import LOST
from hub.pipeline import Pipeline, read_info
from hub.settings import Settings
from hub.wire import FAILURES

#: What the hub needs of Redis so that what it confirmed is on disk.
NEEDED = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}

#: Settings that can't be changed afterwards.
FIXED = ("partitions", "canonical_base")

#: The oldest Redis with all the commands that are used.
OLDEST = (6, 2)


@dataclass(frozen=True, slots=True)
class Foundation:
    """
    The checked Redis. `epoch` is the store's id, `layout` the one that it was found in.

    count: As it was found; see `Memory`.
    """

    pipeline: Pipeline
    settings: Settings
    epoch: str
    layout: int = LAYOUT
    count: int = 0

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


@dataclass(frozen=True, slots=True)
class Found:
    """
    What Redis holds of a store, and what is noted of it.

    held: The fields of the epoch; no `id` where there is no store.
    mark: None where there is no note.
    """

    held: Mapping[str, str]
    mark: Mark | None
    file: Path

    @property
    def count(self) -> int:
        return int(self.held.get("count", 0))

    @property
    def other(self) -> bool:
        """Whether it has an id that nothing noted accounts for."""
        mark, id_ = self.mark, self.held.get("id", "")
        if mark is None or not id_:
            return False
        return id_ not in (mark.id, *mark.before) and mark.id not in self.held.get("before", "").split()

    @property
    def forgotten(self) -> str:
        """What it has forgotten, as far as it can be seen; empty when nothing. What to do is left to say."""
        mark, id_ = self.mark, self.held.get("id", "")
        if self.held.get("recovering"):
            return "a recovery of this store was begun and not finished"
        if mark is None or self.other:
            return ""
        if not id_:
            return f"Redis is empty, but {self.file} says that it held a hub's data ({mark.id})"
        if id_ in mark.before:
            return f"Redis holds an older state than {self.file} says: it is from before it was recovered"
        if id_ == mark.id and self.count < mark.count:
            return (
                f"Redis holds an older state than {self.file} says: it is of {_moment(self.count)}, and {self.file}"
                f" saw it at {_moment(mark.count)}"
            )
        return ""


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
    await fitting(pipeline, settings)
    found = await look(pipeline, settings)
    if found.forgotten:
        raise NotTheHub(f"{found.forgotten}: restore a later state, or see `hub recover`")
    held, mark = found.held, found.mark
    if mark and found.other:
        raise NotTheHub(
            f"Redis holds the data of another hub ({held['id']}) than {found.file} says ({mark.id}): correct"
            f" HUB_REDIS_URL or HUB_DATA_DIR, or remove {found.file} if this is the right Redis"
        )
    if "id" not in held:
        held = await begin(pipeline, settings)
    fits(held, settings)
    keep(settings.data_dir, Mark(held["id"], found.count, tuple(held.get("before", "").split())), anew=True)
    return Foundation(pipeline, settings, held["id"], int(held["layout"]), found.count)


async def fitting(pipeline: Pipeline, settings: Settings) -> str:
    """
    What this Redis may forget, as far as that is allowed; empty when nothing.

    Raises:
        NotTheHub: It is too old, or may forget.
        Unavailable: It does not answer.
    """
    try:
        await _check_version(pipeline)
    except Unavailable as error:
        raise unusable(error, "HUB_REDIS_URL") from error
    return await _volatile(pipeline, settings)


async def look(pipeline: Pipeline, settings: Settings) -> Found:
    """What Redis holds of a store, and what is noted of it. NotTheHub if the note can't be read."""
    file = settings.data_dir / "epoch"
    mark = Mark.read(file)  # first: what Redis then says is of later than the note
    held = await pipeline.command("HGETALL", EPOCH)
    pairs = held.items() if isinstance(held, dict) else zip(held[::2], held[1::2], strict=True)
    return Found({name.decode(): value.decode() for name, value in pairs}, mark, file)


def fits(held: Mapping[str, str], settings: Settings) -> None:
    """Raise NotTheHub for a store that a newer hub has written, or that was begun with other settings."""
    if int(held["layout"]) > LAYOUT:
        raise NotTheHub(f"Redis was written in layout {held['layout']}; this hub knows layout {LAYOUT}")
    for name in FIXED:
        if held[name] != (wanted := str(getattr(settings, name))):
            raise NotTheHub(f"HUB_{name.upper()} is {wanted}, but the store was begun with {held[name]}: set it back")


def keep(data_dir: Path, mark: Mark, *, apart: int = 0, anew: bool = False) -> None:
    """
    Note a mark in the data directory, where there is one, unless what is noted will do.

    apart: ms that a noted count may be behind. It never goes back.
    anew: Also over the mark of another id.

    Raises:
        NotTheHub: It can't be read or written.
    """
    file = data_dir / "epoch"
    if not data_dir.is_dir():
        return
    old = Mark.read(file)
    if old is None or (anew and old.id != mark.id) or (old.id == mark.id and mark.count > old.count + apart):
        mark.write(file)


async def begin(pipeline: Pipeline, settings: Settings) -> dict[str, str]:
    """Begin a store in an empty Redis; returns its epoch. Of those that start together the first one decides."""
    first = {name: str(getattr(settings, name)) for name in FIXED} | {"layout": str(LAYOUT), "id": uuid4().hex}
    for name, value in first.items():
        await pipeline.command("HSETNX", EPOCH, name, value)
    values = await pipeline.command("HMGET", EPOCH, *first)
    return {name: value.decode() for name, value in zip(first, values, strict=True)}


def _moment(count: int) -> str:
    """A count as the time that it was."""
    return f"{datetime.fromtimestamp(count / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


async def _check_version(pipeline: Pipeline) -> None:
    version = read_info(await pipeline.command("INFO", "server"))["redis_version"]
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise NotTheHub(f"Redis {version} is too old: {'.'.join(map(str, OLDEST))} or newer is needed")


async def _volatile(pipeline: Pipeline, settings: Settings) -> str:
    """What this Redis may forget; empty when nothing. NotTheHub when that is not allowed."""
    if settings.durability_attested:
        return ""
    found = {name: await redis_setting(pipeline, name) for name in NEEDED}
    wrong = [f"{name} is {found[name]}, not {value}" for name, value in NEEDED.items() if found[name] != value]
    if wrong and not settings.allow_volatile_redis:
        raise NotTheHub(
            f"this Redis may forget what it confirmed ({'; '.join(wrong)}): change its settings, or set"
            " HUB_ALLOW_VOLATILE_REDIS=true if that may happen"
        )
    return "; ".join(wrong)


async def redis_setting(pipeline: Pipeline, name: str) -> str:
    """One of Redis' settings; `unreadable` where it doesn't say."""
    try:
        reply = await pipeline.command("CONFIG GET", name)
    except Unavailable as error:
        if isinstance(error.__cause__, ResponseError):  # it answers, and does not say: such as a managed one
            return "unreadable"
        raise
    values = reply.values() if isinstance(reply, dict) else reply[1::2]
    return next((value.decode() if isinstance(value, bytes) else str(value) for value in values), "unknown")
