"""What a transaction is going to do, and how far it has come."""

from dataclasses import dataclass
from enum import StrEnum

from hub.errors import HubError
from hub.write import PutResult, Write


class State(StrEnum):
    """Of an attempt. GONE: it is superseded or forgotten, so it was undone or ended long ago."""

    OPEN = "open"
    COMMITTED = "committed"
    UNDONE = "undone"
    DONE = "done"
    GONE = ""


@dataclass(frozen=True, slots=True)
class Key:
    """
    An idempotent request: `id` is derived from its key, `fingerprint` from its body.

    name: What the client calls the key.
    """

    id: str
    fingerprint: str
    name: str = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to run a transaction. As text it stands in reservations."""

    id: str
    number: str

    def __str__(self) -> str:
        return f"{self.id}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Attempt":
        id_, _, number = text.partition(".")
        return cls(id_, number)


@dataclass(frozen=True, slots=True)
class Intent:
    """What an attempt is going to write."""

    attempt: Attempt
    writes: tuple[Write, ...]


class Blocked(HubError):
    """A precondition of one write does not hold: `result` says why. Nothing was written."""

    def __init__(self, write: Write, result: PutResult) -> None:
        super().__init__(f"{write.resource}: {result.outcome}")
        self.write = write
        self.result = result
