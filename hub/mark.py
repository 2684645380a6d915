"""
The mark: the file `epoch` in the data directory, by which a start notices that Redis is empty, older or another one.

One line: the store's id, its count at most some seconds ago, and the ids that it had before it was recovered.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from hub.errors import NotTheHub

#: Free bytes below which a disk is full for whoever writes there all the time.
ROOM = 1_000_000


def full(directory: Path) -> str:
    """That there is no room where a directory is, and what to do; empty where there is some, or no such directory."""
    try:
        free = shutil.disk_usage(directory).free
    except OSError:
        return ""
    return "" if free >= ROOM else f"The disk is full ({free:,} bytes are free where {directory} is): make room"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is noted of a store. `count` is 0 where no count was noted yet."""

    id: str
    count: int = 0
    before: tuple[str, ...] = ()

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """The mark in a file; None if there is none. NotTheHub if it can't be read."""
        match noted(file).split():
            case []:
                return None
            case [id_]:  # of before there were counts
                return cls(id_)
            case [id_, count, *before] if count.isdecimal():
                return cls(id_, int(count), tuple(before))
        raise NotTheHub(f"{file} is damaged: restore it, or remove it if Redis holds the right data")

    def write(self, file: Path) -> None:
        """Put it into a file, whole or not at all. NotTheHub if that can't be."""
        fresh = file.with_suffix(f".{uuid4().hex}")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
                opened.write(" ".join((self.id, str(self.count), *self.before)) + "\n")
                opened.flush()
                os.fsync(opened.fileno())
            fresh.rename(file)
        except OSError as error:
            raise NotTheHub(f"{file} can't be written: {error.strerror}; let this user write there") from None


def noted(file: Path) -> str:
    """What a small file in the data directory says; empty if there is none. NotTheHub if it can't be read."""
    try:
        return file.read_text(errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise NotTheHub(f"{file} can't be read: {error.strerror}; make it readable to this user") from None
