"""What can't be evaluated: it is set aside, counted and logged, and delays nothing else."""

from collections import Counter
from dataclasses import dataclass
from logging import getLogger

from hub.families import EVALUATIONS_FAILED
from hub.meter import Meter
from hub.stream import Entry

log = getLogger("hub.fanout")


@dataclass(frozen=True, slots=True)
class Poison:
    """
    What one process has set aside.

    counts: How many changes and evaluations, by reason.
    """

    meter: Meter
    counts: Counter[str]

    def note(self, reason: str, *, by: int = 1) -> None:
        """Something was set aside, so often. `reason`: One of REASONS."""
        self.counts[reason] += by
        self.meter.count(EVALUATIONS_FAILED, reason, by=by)

    def set_aside(self, reason: str, entry: Entry, text: str, **ids: str) -> None:
        """Go on without this change, or without somebody whom it may concern."""
        self.note(reason)
        log.error(
            "change.set-aside", extra={"change": entry.change, "resource": str(entry.resource), "reason": text, **ids}
        )
