"""How often the changes of late would have found an access: what selectivity is measured by."""

from collections import deque
from collections.abc import Collection, Hashable
from itertools import islice
from typing import Any

from subscriptions.postings import reaches
from subscriptions.search.comparison import Beginning, Equal, Reaching, Source

#: The readings of one source that are kept, and the values of one that are. What is older is forgotten.
READINGS, VALUES = 256, 64


class Frequencies:
    """The last readings of each source. A source that isn't read any more keeps what it had."""

    def __init__(self) -> None:
        self._readings: dict[Source, deque[Collection[Hashable]]] = {}

    def note(self, source: Source, read: frozenset[Hashable]) -> None:
        """Note what was read in one change."""
        kept: Collection[Any] = read if len(read) <= VALUES else tuple(islice(read, VALUES))
        readings = self._readings.get(source)
        if readings is None:
            readings = self._readings[source] = deque(maxlen=READINGS)
        readings.append(kept)

    def of(self, source: Source, access: Equal | Beginning | tuple[Reaching, ...], prior: float) -> float:
        """
        The share of changes that find an access.

        Args:
            prior: What is believed before anything is seen, from 0 to 1; it weighs as much as one reading.
        """
        readings = self._readings.get(source, ())
        return (sum(reaches(read, access) for read in readings) + prior) / (len(readings) + 1)
