"""All that a Redis holds, and what its files do: for whoever looks for something that must not be there."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

READS: dict[bytes, tuple[Any, ...]] = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"stream": ("XRANGE", "-", "+"),
    b"zset": ("ZRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"list": ("LRANGE", 0, -1),
}


async def everything(command: Callable[..., Awaitable[Any]], pattern: str = "*") -> bytes:
    """The names and values of all keys, or of those that match, whatever their type: an unknown one fails."""
    found = list[bytes]()
    for key in await command("KEYS", pattern):
        type_ = await command("TYPE", key)
        if type_ == b"none":  # it is gone by now
            continue
        name, *rest = READS[type_]
        found += (key, repr(await command(name, key, *rest)).encode())
    return b"\n".join(found)


def files(data: Path) -> bytes:
    """What is in all files of Redis' append-only log, byte for byte."""
    found = [file.read_bytes() for file in sorted(data.rglob("appendonly*")) if file.is_file()]
    assert found, f"there is no append-only file in {data}"
    return b"\n".join(found)
