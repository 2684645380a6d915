"""Places are kept, by each kind of store, and by a file beyond the process."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.receiver import FileStore, MemoryStore, Place, Store

URL = "https://hub.example/fhir/r4/Subscription/1"
AT = datetime(2026, 11, 21, 10, 0, 0, 123000, UTC)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with FileStore(tmp_path / "places.db") as store:
        yield store


async def test_kept(store: Store) -> None:
    """The last one of each Subscription; None for one that was never heard of."""
    assert await store.get(URL) is None
    for place in (Place(1), Place((1 << 63) - 1, AT), Place(0, AT)):
        await store.put(URL, place)
        assert await store.get(URL) == place
    await store.put(URL + "2", Place(7))
    assert (await store.get(URL), await store.get(URL + "2")) == (Place(0, AT), Place(7))


async def test_many_at_once(store: Store) -> None:
    """Of many Subscriptions, each has its own."""
    await asyncio.gather(*(store.put(f"{URL}{number}", Place(number)) for number in range(100)))
    found = await asyncio.gather(*(store.get(f"{URL}{number}") for number in range(100)))
    assert found == [Place(number) for number in range(100)]


async def test_killed(tmp_path: Path) -> None:
    """What `put` has returned from is in the file, however its process ends."""
    path = tmp_path / "places.db"
    program = (
        "import asyncio, os, signal, sys; from hub.receiver import FileStore, Place;"
        "asyncio.run(FileStore(sys.argv[1]).put('a', Place(17))); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program, str(path)])
    assert ended.returncode == -9
    with FileStore(path) as store:
        assert await store.get("a") == Place(17)


def test_its_log(tmp_path: Path) -> None:
    """What makes it quick, a log before the file, is gone when it is closed, and leaves all in the file."""
    path = tmp_path / "places.db"
    with FileStore(path) as store:
        asyncio.run(store.put("a", Place(17)))
        assert (tmp_path / "places.db-wal").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["places.db"]
    with FileStore(path) as store:
        assert asyncio.run(store.get("a")) == Place(17)
