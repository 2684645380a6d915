"""
What of what is stored is there for whoever makes a request: what it is cleared for. The rest is as if it were not.

A version is there as long as its own labels are covered, and those of the version in force: what has become more
confidential is not read in its history either. A delete is there for whoever was cleared for what was deleted.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from hub.access import Caller
from hub.keys import ResourceId
from hub.store import Store, Version
from subscriptions.clearance import FULL, Clearance
from subscriptions.codes import Interaction
from subscriptions.labels import labels_in

#: Of whoever has not said who it is.
LEAST = Clearance("U")


@dataclass(frozen=True, slots=True)
class Cleared:
    """Knows what is there for whoever has a clearance."""

    clearance: Clearance

    @property
    def full(self) -> bool:
        """Whether everything is there."""
        return self.clearance == FULL

    def shows(self, body: bytes | None) -> bool:
        """Whether the version in force is there. `body`: Its JSON."""
        return self.full or body is None or self.clearance.cover(labels_in(body))


class Visibility:
    """Knows who makes the request that is being answered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clearance = ContextVar("clearance", default=LEAST)

    def answering(self, caller: Caller) -> None:
        """From now on this request is answered, and whatever is begun for it."""
        self._clearance.set(caller.rights.clearance)

    @property
    def full(self) -> bool:
        """Whether everything is there."""
        return self._cleared.full

    def shows(self, body: bytes | None) -> bool:
        """Whether the version in force is there. `body`: Its JSON."""
        return self._cleared.shows(body)

    @property
    def _cleared(self) -> Cleared:
        return Cleared(self._clearance.get())

    async def of(self, versions: Sequence[tuple[ResourceId, Version]]) -> list[bool]:
        """Which of these versions are there."""
        if self.full or not versions:
            return [True] * len(versions)
        lineages = await self._store.lineages([(resource, version.number) for resource, version in versions])
        found = []
        for (_, version), lineage in zip(versions, lineages, strict=True):
            gone = version.interaction is Interaction.DELETE
            bodies = [lineage.before if gone else lineage.body, *([lineage.latest] if lineage.overtaken else [])]
            # What is not kept any more can't be judged; there is nothing to be seen of it but that it was.
            found.append(all(body is not None and self.shows(body) for body in bodies))
        return found
