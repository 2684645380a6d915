"""
Changes with their bodies, as they are matched: the stream only points at them.

One whose body is broken, or gone though it should be there, is set aside; one whose body was erased concerns nobody any
more.
"""

from dataclasses import dataclass
from decimal import Decimal
from logging import getLogger

import msgspec

from hub.instants import instant
from hub.poison import Poison
from hub.store import Store
from hub.stream import Entry
from subscriptions.change import Change
from subscriptions.codes import Interaction

log = getLogger("hub.fanout")

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class Bodies:
    """Reads them."""

    store: Store
    poison: Poison

    async def read(self, entries: list[Entry], *, remember: bool = True) -> list[Change | None]:
        """
        The changes with their bodies; None for one whose body is erased, gone or broken.

        remember: Have ValueSets, CodeSystems and Consents count, if their writer couldn't.
        """
        wanted = []
        for entry in entries:
            wanted += [(entry.resource, entry.number), (entry.resource, entry.number - 1)]
        bodies = await self.store.bodies(wanted)
        if remember:
            for entry, body in zip(entries, bodies[::2], strict=True):
                if body is not None or entry.interaction is Interaction.DELETE:
                    await self.store.remember(entry.resource, entry.number, body)
        erased = await self._erased(entries, bodies)
        return [
            None if place in erased else self._change(entry, current, before)
            for place, (entry, current, before) in enumerate(zip(entries, bodies[::2], bodies[1::2], strict=True))
        ]

    async def _erased(self, entries: list[Entry], bodies: list[bytes | None]) -> set[int]:
        """The places of the changes that can't be told of any more, since what they were about was erased."""
        bare = [
            place
            for place, entry in enumerate(entries)
            if bodies[2 * place + (entry.interaction is Interaction.DELETE)] is None
        ]
        last = await self.store.erased([entries[place].resource for place in bare]) if bare else []
        found = set[int]()
        for place, number in zip(bare, last, strict=True):
            entry = entries[place]
            if number >= entry.number - (entry.interaction is Interaction.DELETE):
                log.info("change.erased", extra={"change": entry.change, "resource": str(entry.resource)})
                found.add(place)
        return found

    def _change(self, entry: Entry, current: bytes | None, before: bytes | None) -> Change | None:
        created, deleted = entry.interaction is Interaction.CREATE, entry.interaction is Interaction.DELETE
        try:
            if (current is None and not deleted) or (before is None and deleted):
                raise LookupError("its body is gone")
            return Change(
                version=entry.resource.version,
                interaction=entry.interaction,
                type=entry.resource.type,
                id=entry.resource.id,
                version_id=entry.number,
                at=instant(entry.at),
                resource=None if current is None or deleted else _decode(current),
                previous=None if before is None or created else _decode(before),
                events=entry.events,
            )
        except (ValueError, LookupError, RecursionError) as error:
            self.poison.set_aside("body", entry, type(error).__name__)
            return None
