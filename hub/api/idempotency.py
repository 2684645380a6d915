"""The `Idempotency-Key` of a create: a repeat with the same one gets the first answer."""

from dataclasses import dataclass
from hashlib import blake2b
from uuid import NAMESPACE_URL, uuid5

from hub.write import NO_EVENTS, Events, written


@dataclass(frozen=True, slots=True)
class Idempotency:
    """
    What makes a repeated create the same one.

    scope: Client, type and key: the id is derived from them.
    fingerprint: Of the body and the events that are named with it.
    """

    scope: str
    fingerprint: str

    @classmethod
    def of(cls, client: str, type_: str, key: str, body: bytes, events: Events = NO_EVENTS) -> "Idempotency":
        return cls(f"{client}/{type_}/{key}", fingerprint_of(body, events))

    def id(self, number: int) -> str:
        """An id that nobody else gets; another one for each number."""
        return str(uuid5(NAMESPACE_URL, f"{self.scope}#{number}"))


def fingerprint_of(body: bytes, events: Events) -> str:
    """What tells one request from another with the same key."""
    named = f"\n{written(events)}".encode() if events else b""
    return blake2b(body + named, digest_size=16).hexdigest()
