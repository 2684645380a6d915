"""Where what is published comes from: files, directories, stdin; a document each, or one on each line."""

import os
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import msgspec

from hub.cli.publishing.pieces import Piece, pieces
from hub.errors import Mistaken

#: How the names of the files end that are looked for in a directory; and of those that have a document on each line.
ENDINGS = (".json", ".ndjson", ".jsonl")
LINES = (".ndjson", ".jsonl")

#: On the command line, and as a place.
STDIN, STDIN_PLACE = "-", "stdin"


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or stdin. `size` in bytes, None where nobody knows it."""

    name: str
    size: int | None

    def pieces(self, by_id: bool | None) -> Iterator[Piece]:
        """What is published of it, as it is read. Raises Mistaken when it can't be read."""
        try:
            # A file of our own over stdin: a thread that waits on sys.stdin can't be left behind at the end.
            with open(os.dup(0) if self.name == STDIN else self.name, "rb") as file:
                place = STDIN_PLACE if self.name == STDIN else self.name
                yield from _read(place, file, by_id, by_line=self.name.endswith(LINES))
        except OSError as error:
            raise Mistaken(f"{self.name}: {error.strerror}") from None


def sources(names: Iterable[str]) -> list[Source]:
    """Files as they are named, and of directories all that look like FHIR's. Mistaken when one is missing."""
    found = list[Source]()
    for name in names:
        if name == STDIN:
            found.append(Source(STDIN, None))
            continue
        path = Path(name).absolute()  # resuming from another directory finds the same places
        try:
            if path.is_dir():
                files = [each for each in sorted(path.rglob("*")) if each.suffix in ENDINGS and each.is_file()]
                files = [each for each in files if not any(part[0] == "." for part in each.relative_to(path).parts)]
                if not files:
                    raise Mistaken(f"{name}: no file in it ends in {', '.join(ENDINGS)}")
            else:
                files = [path]
            found += (Source(str(each), each.stat().st_size or None) for each in files)
        except OSError as error:
            raise Mistaken(f"{name}: {error.strerror}") from None
    if sum(each.name == STDIN for each in found) > 1:
        raise Mistaken("- is stdin, which can be read once only")
    return found


def _read(place: str, file: BinaryIO, by_id: bool | None, *, by_line: bool) -> Iterator[Piece]:
    """A document on each line if the first one is a whole one, or if the name says so; otherwise one in all."""
    head, first = 0, b""
    for head, first in enumerate(file, 1):
        first = first.removeprefix(BOM_UTF8) if head == 1 else first
        if first.strip():
            break
    if place == STDIN_PLACE and not first.strip():  # whatever is piped in has found nothing
        return
    if not by_line and not _whole(first):
        yield from pieces(place, first + file.read(), by_id)
        return
    for number, line in enumerate(chain((first,), file), head):
        if line.strip():
            yield from pieces(f"{place}:{number}", line.strip(), by_id)


def _whole(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
