"""What has become of a run: how many, and of the rejects why."""

import os
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from hub.cli.listing import Stdout
from hub.cli.plain import plain
from hub.cli.publishing.pieces import Piece
from hub.cli.publishing.sender import ALREADY, Result
from hub.errors import Mistaken

#: Reasons that are shown, those of the most rejects first; in JSON all that are kept. A reason that names what it is
#: about is another one each time.
SHOWN, KEPT = 10, 1_000

#: Characters of a reason that are shown.
LONGEST = 300


@dataclass(slots=True)
class Tally:
    """
    rejects: Where rejects are written to.
    first: Of each status and reason, the first place.
    """

    rejects: Path | None
    created: int = 0
    updated: int = 0
    other: int = 0
    already: int = 0
    rejected: int = 0
    reasons: Counter[tuple[int, str]] = field(default_factory=Counter)
    first: dict[tuple[int, str], str] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)
    _descriptor: int = -1

    @property
    def published(self) -> int:
        return self.created + self.updated + self.other

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    def open(self) -> None:
        """Begin the file of rejects anew. They may be patients' data: it is nobody else's to read."""
        if self.rejects is not None:
            try:
                self._descriptor = os.open(self.rejects, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            except OSError as error:
                raise Mistaken(f"{self.rejects}: {error.strerror}") from None

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def count(self, piece: Piece, result: Result) -> None:
        if result.refusal:
            self._reject(piece, result)
        elif result is ALREADY:
            self.already += 1
        elif result.status == 201:
            self.created += 1
        elif piece.method == "PUT":
            self.updated += 1
        else:
            self.other += 1

    def _reject(self, piece: Piece, result: Result) -> None:
        self.rejected += 1
        reason = result.refusal
        if "/" in piece.path:  # what is said of others by their names is the same
            reason = reason.replace(piece.path, f"{piece.path.partition('/')[0]}/…")
        why = result.status, re.sub(r" \(byte \d+\)", "", reason)
        if why in self.reasons or len(self.reasons) < KEPT:
            self.reasons[why] += 1
            self.first.setdefault(why, piece.place)
        if self._descriptor >= 0:
            told = {
                "place": piece.place,
                "status": result.status or None,
                "reason": result.refusal,
                **_content(piece.body),
            }
            try:
                with os.fdopen(os.dup(self._descriptor), "wb") as file:
                    file.write(msgspec.json.encode(told) + b"\n")
            except OSError as error:
                raise Mistaken(f"{self.rejects}: {error.strerror}") from None

    def json(self) -> dict[str, Any]:
        return {
            "published": self.published,
            "created": self.created,
            "updated": self.updated,
            "already": self.already,
            "rejected": self.rejected,
            "seconds": round(self.seconds, 3),
            "reasons": [
                {"count": count, "status": status or None, "reason": reason, "first": self.first[status, reason]}
                for (status, reason), count in self.reasons.most_common()
            ],
        }

    def say(self, *, as_json: bool) -> None:
        """On stdout."""
        if as_json:
            print(msgspec.json.format(msgspec.json.encode(self.json()), indent=2).decode())
            return
        console = Stdout(file=sys.stdout, highlight=False)
        kinds = {"created": self.created, "updated": self.updated}
        how = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
        rate = f"{self.published / self.seconds:.0f} a second" if self.published and self.seconds > 1 else ""
        said = "; ".join(filter(None, (how, rate)))
        console.print(f"published: {self.published}" + (f" ({said})" if said else ""), soft_wrap=True)
        if self.already:
            console.print(f"published before: {self.already}", soft_wrap=True)
        if not self.rejected:
            return
        console.print(f"rejected: {self.rejected}", soft_wrap=True)
        for (status, reason), count in self.reasons.most_common(SHOWN):
            said = plain(reason) if len(reason) <= LONGEST else f"{plain(reason[:LONGEST])}…"
            console.print(Text(f"  {count} × {status or 'not sent'}: {said}"), soft_wrap=True)
            first = self.first[status, reason].removeprefix(f"{Path.cwd()}/")
            console.print(Text(f"      first at {plain(first)}", "dim"), soft_wrap=True)
        if (more := len(self.reasons) - SHOWN) > 0:
            where = f"; see {self.rejects}" if self.rejects else "; --rejects FILE writes them all"
            console.print(f"  … and {more} other reasons{where}", soft_wrap=True)


def _content(body: bytes) -> dict[str, Any]:
    """The resource as it was read; what is no JSON as text."""
    try:
        return {"resource": msgspec.json.decode(body, type=msgspec.Raw)}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"text": body.decode(errors="replace")}
