"""A write of one version of a resource, and what became of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from hub.keys import Index, ResourceId
from subscriptions.codes import Interaction

#: Codings of events, such as HL7 v2's A01: system and code, neither of which has a line break.
Events: TypeAlias = frozenset[tuple[str, str]]

NO_EVENTS: Events = frozenset()

#: What a write expects when there must be no live version: `If-None-Match: *`.
NOTHING = "*"


class Put(StrEnum):
    """What became of a write. Only STORED made a change."""

    STORED = "stored"
    REPEATED = "repeated"
    ABSENT = "absent"
    DIFFERS = "differs"
    EXISTS = "exists"
    CONFLICT = "conflict"
    RESERVED = "reserved"
    FENCED = "fenced"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock on a conditional create: its name (type and normalised query) and its token."""

    name: str
    token: str


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that somebody else has: another request's token, or the transaction that keeps it until it is decided."""

    name: str
    by: str


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a resource is found by in an index: a key and, behind NULs, what else is to be known. See `hub.keys`."""

    index: Index
    text: str


@dataclass(frozen=True, slots=True)
class Write:
    """
    One version to be stored.

    method: `create` (the id must be new), `update` (create or update) or `delete`.
    expected: Empty for anything, NOTHING, or the number of the version that must be in force.
    head, tail: The JSON before and after the number of its version; empty for a delete.
    at: When, in ms since 1970.
    indexed: All that the resource is found by from then on.
    fingerprint: Of an idempotent request; the id was derived from its key.
    transaction: The transaction that has reserved the resource.
    events: What the publisher says has happened, beside the write itself.
    trace: What it follows from, as a `traceparent`; empty when it is not traced.
    """

    resource: ResourceId
    method: str
    at: int
    head: bytes = b""
    tail: bytes = b""
    expected: str = ""
    publisher: str = ""
    indexed: tuple[Indexed, ...] = ()
    fingerprint: str = ""
    transaction: str = ""
    lock: Lock | None = None
    events: Events = NO_EVENTS
    trace: str = ""

    def body(self, number: int) -> bytes:
        """The JSON of the version, if this is its number."""
        return self.head + b"%d" % number + self.tail


@dataclass(frozen=True, slots=True)
class PutResult:
    """`version`: the one stored, repeated or in the way; 0 for none. `by`: the transaction that has reserved it."""

    outcome: Put
    version: int = 0
    interaction: Interaction | None = None
    by: str = ""


def written(events: Events) -> str:
    """Events as a text: `system|code`, one on a line."""
    return "\n".join(sorted(f"{system}|{code}" for system, code in events))


def read(events: str) -> Events:
    """The events that were `written`."""
    return frozenset(
        (system, code) for system, _, code in (line.partition("|") for line in filter(None, events.split("\n")))
    )
