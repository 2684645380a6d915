"""How the parts are connected to Redis: nothing is done twice, and never on the wrong store."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from hub.errors import Unavailable
from hub.memory import Memory
from hub.pipeline import Pipeline
from hub.settings import Settings
from hub.wiring.parts import connect, parts
from tests.hub.conftest import close, settings
from tests.redis_server import RedisServer


async def test_a_write_whose_answer_is_lost_is_not_repeated() -> None:
    """redis-py would send it again by itself; a version would then be stored twice."""
    writes = 0

    async def hang_up_after_the_write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal writes
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if b"EVALSHA" in data:
                    writes += 1
                    break
                writer.write(b"+OK\r\n" * data.count(b"*"))
        writer.close()

    server = await asyncio.start_server(hang_up_after_the_write, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = connect(Settings(redis_url=f"redis://127.0.0.1:{port}?protocol=2"), Memory())
    pipeline = Pipeline(client)
    async with server:
        with pytest.raises(Unavailable):
            await pipeline.command("EVALSHA", "put", 0)
        first = writes
        await asyncio.gather(*(pipeline.command("EVALSHA", "put", 0) for _ in range(5)), return_exceptions=True)
    await close(client)
    assert (first, writes) == (1, 2)


async def test_a_redis_that_lost_its_memory_is_not_written_to(tmp_path: Path) -> None:
    """A Redis that comes back empty gets no command of a process that was started on its data."""
    with RedisServer() as server:
        built = await parts(settings(server.url, tmp_path))
        server.kill()
        for file in server.directory.glob("*.aof*"):
            file.unlink()
        server.start()
        for said in ("closed the connection", "lost its memory"):
            with pytest.raises(Unavailable, match=said):
                await built.pipeline.command("SET", "hub:{0}:matched", "0-0")
        await close(built.client)
        async with Redis.from_url(server.url) as plain:
            assert await plain.dbsize() == 0
