"""Redis as it stands: how much it holds of what it may, and whether it keeps what it confirmed."""

from collections.abc import Mapping
from dataclasses import dataclass

from hub.errors import Unavailable
from hub.foundation import Foundation, redis_setting
from hub.pipeline import read_info
from hub.settings import Settings


@dataclass(frozen=True, slots=True)
class Kept:
    """
    How Redis stands; of a Cluster's primaries the fullest counts.

    used, most: Bytes of memory.
    policy, appendonly, fsync: Its settings; `unreadable` where it doesn't say.
    volatile: What it may forget, as far as that is allowed; empty for nothing.
    unfit: Why publishers are told to come back: it may forget, or is not the one that it was. Empty if they are not.
    append_bytes: Of its append-only files.
    """

    version: str
    used: int
    most: int
    policy: str
    appendonly: str
    fsync: str
    volatile: str
    append_bytes: int
    unfit: str = ""


def memory(info: Mapping[str, str], settings: Settings) -> tuple[int, int]:
    """The bytes that a server uses, and may use, by its INFO."""
    most = int(info["maxmemory"]) or settings.max_memory_bytes or int(info["total_system_memory"])
    return int(info["used_memory"]) - int(info.get("mem_not_counted_for_evict", 0)), most


@dataclass(frozen=True, slots=True)
class Keeping:
    """Looks at it."""

    foundation: Foundation

    async def look(self) -> Kept:
        """Raises Unavailable when it does not answer."""
        pipeline, settings = self.foundation.pipeline, self.foundation.settings
        version = read_info(await pipeline.command("INFO", "server"))["redis_version"]
        infos = list(map(read_info, await pipeline.of_each("INFO", "memory")))
        written = list(map(read_info, await pipeline.of_each("INFO", "persistence")))
        used, most = max((memory(info, settings) for info in infos), key=lambda pair: pair[0] / pair[1])
        policy, appendonly, fsync = [
            await redis_setting(pipeline, name) for name in ("maxmemory-policy", "appendonly", "appendfsync")
        ]
        volatile = unfit = ""
        try:
            volatile = await self.foundation.standing()
        except Unavailable as error:
            unfit = str(error)
        size = sum(int(info.get("aof_current_size", 0)) for info in written)
        return Kept(version, used, most, policy, appendonly, fsync, volatile, size, unfit)
