"""What the hub refuses to stand on, and what it begins in an empty Redis."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.errors import NotTheHub, Unavailable
from hub.foundation import Foundation, check
from hub.keys import EPOCH, LAYOUT
from hub.memory import LOST, Memory
from hub.pipeline import Pipeline
from hub.settings import Settings
from hub.wiring.parts import connect
from tests.hub.conftest import close
from tests.redis_server import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One of its own, whose settings may be changed."""
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def pipeline(url: str) -> AsyncIterator[Pipeline]:
    client = connect(Settings(redis_url=url), Memory())
    try:
        yield Pipeline(client)
    finally:
        await close(client)


async def start(url: str, data: Path, **more: Any) -> Foundation:
    """What each process does first."""
    async with pipeline(url) as redis:
        return await check(redis, Settings(redis_url=url, data_dir=data, **more))


async def forgets(url: str, data: Path, **more: Any) -> str:
    """What a Redis that was accepted may forget."""
    async with pipeline(url) as redis:
        return await (await check(redis, Settings(redis_url=url, data_dir=data, **more))).standing()


async def refusal(url: str, data: Path, **more: Any) -> str:
    with pytest.raises(NotTheHub) as refused:
        await start(url, data, **more)
    text = str(refused.value)
    assert "\n" not in text
    return text


async def test_a_store_is_begun_once_and_found_again(redis_url: str, tmp_path: Path) -> None:
    first = await start(redis_url, tmp_path)
    assert len(first.epoch) == 32
    assert (tmp_path / "epoch").read_text() == f"{first.epoch} 0\n"
    assert (await start(redis_url, tmp_path)).epoch == first.epoch
    assert os.listdir(tmp_path) == ["epoch"]
    assert stat.S_IMODE((tmp_path / "epoch").stat().st_mode) == 0o600


async def test_where_there_is_no_data_directory_none_is_made(redis_url: str, tmp_path: Path) -> None:
    await start(redis_url, tmp_path / "none")
    assert os.listdir(tmp_path) == []


async def test_processes_that_start_together_begin_the_same_store(redis_url: str, tmp_path: Path) -> None:
    begun = await asyncio.gather(*(start(redis_url, tmp_path) for _ in range(8)))
    assert len({each.epoch for each in begun}) == 1
    assert (tmp_path / "epoch").read_text().split() == [begun[0].epoch, "0"]


async def test_a_start_that_was_killed_while_it_began_a_store_is_no_obstacle(redis_url: str, tmp_path: Path) -> None:
    async with pipeline(redis_url) as redis:
        await redis.command("HSET", EPOCH, "partitions", 4)
    assert (await start(redis_url, tmp_path)).epoch


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("appendonly", "no", "appendonly is no, not yes"),
        ("appendfsync", "everysec", "appendfsync is everysec, not always"),
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy is allkeys-lru, not noeviction"),
    ],
)
async def test_a_redis_that_may_forget_is_refused_unless_that_is_allowed(
    server: RedisServer, tmp_path: Path, name: str, value: str, said: str
) -> None:
    """Allowed, it is named; attested by the operator, it is not looked at."""
    with server.client() as redis:
        redis.config_set(name, value)
    assert said in await refusal(server.url, tmp_path)
    assert await forgets(server.url, tmp_path, allow_volatile_redis=True) == said
    assert await forgets(server.url, tmp_path, durability_attested=True) == ""


async def test_a_redis_whose_settings_are_not_shown_needs_the_operators_word(
    server: RedisServer, tmp_path: Path
) -> None:
    """As managed ones do."""
    with server.client() as redis:
        redis.execute_command("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all", "-config")
    url = f"{server.url}?username=guest&password=x"
    assert "appendonly is unreadable" in await refusal(url, tmp_path)
    assert await forgets(url, tmp_path, durability_attested=True) == ""


async def test_a_redis_that_begins_to_forget_does_not_stand(server: RedisServer, tmp_path: Path) -> None:
    """Until its settings are right again."""
    async with pipeline(server.url) as redis:
        begun = await check(redis, Settings(redis_url=server.url, data_dir=tmp_path))
        await redis.command("CONFIG SET", "appendfsync", "everysec")
        with pytest.raises(Unavailable, match="appendfsync is everysec"):
            await begun.standing()
        await redis.command("CONFIG SET", "appendfsync", "always")
        assert await begun.standing() == ""


async def test_another_number_of_partitions_is_refused(redis_url: str, tmp_path: Path) -> None:
    await start(redis_url, tmp_path, partitions=4)
    said = await refusal(redis_url, tmp_path, partitions=8)
    assert said.startswith("HUB_PARTITIONS is 8, but the store was begun with 4")


async def test_another_base_of_the_topics_is_refused(redis_url: str, tmp_path: Path) -> None:
    """Subscriptions would be on topics that don't exist any more, and match nothing."""
    await start(redis_url, tmp_path, canonical_base="https://one.example")
    said = await refusal(redis_url, tmp_path, canonical_base="https://two.example")
    assert said == (
        "HUB_CANONICAL_BASE is https://two.example, but the store was begun with https://one.example: set it back"
    )


async def test_the_layout_of_a_newer_hub_is_refused(redis_url: str, tmp_path: Path) -> None:
    await start(redis_url, tmp_path)
    async with pipeline(redis_url) as redis:
        await redis.command("HSET", EPOCH, "layout", LAYOUT + 1)
    assert (
        await refusal(redis_url, tmp_path)
        == f"Redis was written in layout {LAYOUT + 1}; this hub knows layout {LAYOUT}"
    )


async def test_an_empty_redis_is_refused_when_the_directory_remembers_another(redis_url: str, tmp_path: Path) -> None:
    """And stays empty: the data may be restored."""
    begun = await start(redis_url, tmp_path)
    async with pipeline(redis_url) as redis:
        await redis.command("FLUSHALL")
        said = await refusal(redis_url, tmp_path)
        assert await redis.command("DBSIZE") == 0
    assert said.startswith("Redis is empty, but ")
    assert begun.epoch in said
    assert said.endswith(": restore a later state, or see `hub recover`")


async def test_an_older_state_is_refused(redis_url: str, tmp_path: Path) -> None:
    """By the count that is noted, which every process raises; a note of a hub that didn't count yet will do."""
    begun = await start(redis_url, tmp_path)
    async with pipeline(redis_url) as redis:
        await redis.command("HSET", EPOCH, "count", 1_000_000)
        assert (await start(redis_url, tmp_path)).count == 1_000_000
        assert (tmp_path / "epoch").read_text() == f"{begun.epoch} 1000000\n"
        await redis.command("HSET", EPOCH, "count", 999_999)
        said = await refusal(redis_url, tmp_path)
        assert said == (
            f"Redis holds an older state than {tmp_path / 'epoch'} says: it is of 1970-01-01 00:16:39 UTC, and"
            f" {tmp_path / 'epoch'} saw it at 1970-01-01 00:16:40 UTC: restore a later state, or see `hub recover`"
        )
    (tmp_path / "epoch").write_text(f"{begun.epoch}\n")
    assert (await start(redis_url, tmp_path)).count == 999_999


async def test_a_state_from_before_a_recovery_is_refused(redis_url: str, tmp_path: Path) -> None:
    """And so is one whose recovery was cut short; one that was recovered since the note is the same store."""
    begun = await start(redis_url, tmp_path)
    (tmp_path / "epoch").write_text(f"new 5 {begun.epoch}\n")
    assert "it is from before it was recovered" in await refusal(redis_url, tmp_path)
    (tmp_path / "epoch").write_text("old 5\n")
    async with pipeline(redis_url) as redis:
        await redis.command("HSET", EPOCH, "before", "old older")
        await start(redis_url, tmp_path)
        assert (tmp_path / "epoch").read_text() == f"{begun.epoch} 0 old older\n"
        await redis.command("HSET", EPOCH, "recovering", "newer")
        assert "was begun and not finished" in await refusal(redis_url, tmp_path)


async def test_a_damaged_mark_is_refused(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "epoch").write_text("one two\n")
    assert "is damaged" in await refusal(redis_url, tmp_path)


async def test_the_redis_of_another_hub_is_refused(redis_url: str, tmp_path: Path) -> None:
    begun = await start(redis_url, tmp_path)
    (tmp_path / "epoch").write_text("another\n")
    said = await refusal(redis_url, tmp_path)
    assert said == (
        f"Redis holds the data of another hub ({begun.epoch}) than {tmp_path / 'epoch'} says (another): correct"
        f" HUB_REDIS_URL or HUB_DATA_DIR, or remove {tmp_path / 'epoch'} if this is the right Redis"
    )


async def test_a_memory_that_cannot_be_read_or_written_is_refused(redis_url: str, tmp_path: Path) -> None:
    """Without it nobody would notice that Redis lost its data."""
    mark = tmp_path / "epoch"
    mark.mkdir()
    assert await refusal(redis_url, tmp_path) == f"{mark} can't be read: Is a directory; make it readable to this user"
    said = await refusal(redis_url, Path("/proc/self"))
    assert said.startswith("/proc/self/epoch can't be written: ")


async def test_a_redis_that_is_too_old_is_refused(tmp_path: Path) -> None:
    """Nobody has one at hand: this one says so and nothing else."""

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            info = b"redis_version:6.0.16\r\n"
            writer.write(b"$%d\r\n%b\r\n" % (len(info), info) if b"INFO\r\n" in data else b"+OK\r\n" * data.count(b"*"))
        writer.close()

    listening = await asyncio.start_server(old, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        said = await refusal(f"redis://127.0.0.1:{port}?protocol=2", tmp_path)
    assert said == "Redis 6.0.16 is too old: 6.2 or newer is needed"


async def test_a_redis_that_lost_its_memory_does_not_stand(redis_url: str, tmp_path: Path) -> None:
    async with pipeline(redis_url) as redis:
        begun = await check(redis, Settings(redis_url=redis_url, data_dir=tmp_path))
        await begun.standing()
        await redis.command("FLUSHALL")
        with pytest.raises(Unavailable, match=LOST):
            await begun.standing()
        await redis.command("HSET", EPOCH, "id", "another")
        with pytest.raises(Unavailable, match=LOST):
            await begun.standing()


async def test_a_redis_that_does_not_answer_is_not_refused_but_unavailable(server: RedisServer, tmp_path: Path) -> None:
    server.kill()
    with pytest.raises(Unavailable):
        await start(server.url, tmp_path)
