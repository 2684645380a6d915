"""What a receiver remembers: of each Subscription the last event that its app has handled."""

import asyncio
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Place:
    """
    How far a Subscription's events are handled.

    number: Of the last one; 0 for none.
    at: When the newest notification was made that was heeded, aware; None when that was not told.
    """

    number: int
    at: datetime | None = None


class Store(Protocol):
    """
    Where places are kept. What `put` has returned from is there after a crash, where that matters.

    An app with a database of its own may keep them there.
    """

    async def get(self, subscription: str) -> Place | None:
        """The place of a Subscription, by its URL; None for one that was never heard of."""
        ...

    async def put(self, subscription: str, place: Place) -> None:
        """Keep it, in place of the one before."""
        ...


class MemoryStore:
    """
    Forgets with its process: after a restart whatever comes first is where it begins.

    >>> store = MemoryStore()
    >>> asyncio.run(store.put("http://hub.example/fhir/r4/Subscription/1", Place(7)))
    >>> asyncio.run(store.get("http://hub.example/fhir/r4/Subscription/1"))
    Place(number=7, at=None)
    """

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    async def get(self, subscription: str) -> Place | None:
        return self._places.get(subscription)

    async def put(self, subscription: str, place: Place) -> None:
        self._places[subscription] = place


class FileStore:
    """
    A file, on disk before `put` returns. It is SQLite's, and has URLs, numbers and times in it, nothing else. While it
    is open there are two more beside it, `-wal` and `-shm`, which belong to it; it can't be on a network's file system.

    Args:
        path: Made when there is none; its directory must be there.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        # Each statement is a transaction, and threads take turns at the connection.
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        # A log before the file: the disk is waited for once each time, where it would be three or four times.
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.execute("CREATE TABLE IF NOT EXISTS place (subscription TEXT PRIMARY KEY, number INTEGER, at TEXT)")

    async def get(self, subscription: str) -> Place | None:
        return await asyncio.to_thread(self._get, subscription)

    async def put(self, subscription: str, place: Place) -> None:
        await asyncio.to_thread(self._put, subscription, place)

    def _get(self, subscription: str) -> Place | None:
        row = self._file.execute("SELECT number, at FROM place WHERE subscription = ?", (subscription,)).fetchone()
        return Place(row[0], datetime.fromisoformat(row[1]) if row[1] else None) if row else None

    def _put(self, subscription: str, place: Place) -> None:
        row = (subscription, place.number, place.at.isoformat() if place.at else None)
        self._file.execute("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", row)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
