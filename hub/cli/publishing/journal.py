"""
What was published, noted in a file while it is: a run that was killed is taken up by it.

    hub publish 1 http://127.0.0.1:8000/fhir/r4
    begun ID 1795000000
    done ID

`begun` with the hub's time, before a request is sent; `done` or `refused` by the hub's answer. What was only begun may
have come or not: whoever goes on looks first. A line that was not written to its end counts for nothing.
"""

import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from hub.errors import Mistaken

_HEAD = "hub publish 1 "


class Journal:
    """
    Of one run and those that take it up. Without a path it notes nothing.

    done: The ids of what the hub has.
    begun: Seconds since 1970, by the hub's clock, at which the others were sent.
    """

    def __init__(self, path: Path | None, base: str) -> None:
        self.done = set[str]()
        self.begun = dict[str, int]()
        self._path = path
        self._base = base
        self._descriptor = -1

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                self._take()
            except OSError as error:
                raise Mistaken(f"the journal {self._path}: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    @property
    def kept(self) -> bool:
        """Whether a later run takes this one up."""
        return self._path is not None

    def begin(self, id_: str, at: int) -> None:
        """Note that it is sent now, for the first time."""
        if id_ not in self.begun:
            self.begun[id_] = at
            self._write(f"begun {id_} {at}\n")

    def finish(self, id_: str) -> None:
        """Note that the hub has it."""
        self.begun.pop(id_, None)
        if self._descriptor >= 0:
            self.done.add(id_)
            self._write(f"done {id_}\n")

    def refuse(self, id_: str) -> None:
        """Note that the hub doesn't have it."""
        self.begun.pop(id_, None)
        self._write(f"refused {id_}\n")

    def _take(self) -> None:
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise Mistaken(f"the journal {self._path} is no file that could be read again")
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Mistaken(f"the journal {self._path} is that of a run that goes on") from None
        with open(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            text = file.read()
        head, *lines = text.decode(errors="replace").split("\n")
        if not text:
            self._write(f"{_HEAD}{self._base}\n")
        elif head != _HEAD + self._base:
            was = head.removeprefix(_HEAD)
            why = f"that of a run to {was[:200]}" if head.startswith(_HEAD) else "no journal of `hub publish`"
            raise Mistaken(f"{self._path} is {why}: name another file by --journal")
        if text and not text.endswith(b"\n"):
            self._write("\n")
        for line in lines[:-1]:
            match line.split(" "):
                case ["begun", id_, at] if at.isdecimal():
                    self.begun[id_] = int(at)
                case ["refused", id_]:
                    self.begun.pop(id_, None)
                case ["done", id_]:
                    self.done.add(id_)
                    self.begun.pop(id_, None)

    def _write(self, line: str) -> None:
        if self._descriptor >= 0:
            try:
                os.write(self._descriptor, line.encode())
            except OSError as error:
                raise Mistaken(f"the journal {self._path}: {error.strerror}") from None
