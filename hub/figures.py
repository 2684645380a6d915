"""What was counted, to be read: the totals, what they were made of lately, and how long things took."""

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self, TypeAlias

import msgspec

from hub.families import BUCKETS, Family
from hub.keys import meter
from hub.meter import SUM
from hub.metering import SAMPLED
from hub.pipeline import Client, Pipeline, Streams, script

FIGURES = script("figures")

#: ms for which steps are told of after they were last asked for.
WATCHED = 5_000

Fields: TypeAlias = Mapping[tuple[str, ...], int]


@dataclass(frozen=True, slots=True)
class Timing:
    """
    How long something took.

    buckets: How often no longer than each of BUCKETS, but longer than the one before; the last one beyond all of them.
    seconds: In all.
    """

    buckets: tuple[int, ...]
    seconds: float

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def percentile(self, percent: float) -> float | None:
        """
        The seconds that so many percent took at most, as near as the buckets tell; None when nothing was timed.

        What is beyond the last of BUCKETS is taken for it.
        """
        if not self.count:
            return None
        wanted, sums = self.count * percent / 100, list(accumulate(self.buckets))
        place = bisect_left(sums, wanted)
        while not self.buckets[place]:  # of 0 percent
            place += 1
        if place == len(BUCKETS):
            return BUCKETS[-1]
        least = BUCKETS[place - 1] if place else 0.0
        share = (wanted - (sums[place] - self.buckets[place])) / self.buckets[place]
        return least + (BUCKETS[place] - least) * share


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted. `fields`: By the parts of each field, its family's name first."""

    fields: Fields

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str | bytes]]) -> Self:
        """Read what stands in Redis."""
        return cls({tuple(name.split("|")): int(value) for name, value in rows if name})

    def total(self, family: Family, **labels: str) -> int:
        """How often it happened, with these labels."""
        return sum(self.each(family, **labels).values())

    def by(self, family: Family, label: str, **labels: str) -> dict[str, int]:
        """The same for each value of one label."""
        found, place = defaultdict[str, int](int), family.labels.index(label)
        for values, value in self.each(family, **labels).items():
            found[values[place]] += value
        return dict(found)

    def each(self, family: Family, **labels: str) -> dict[tuple[str, ...], int]:
        """How often it happened with each values of the labels, of those that have these."""
        return {parts[1:]: value for parts, value in self._of(family, labels)}

    def timing(self, family: Family, **labels: str) -> Timing:
        """How long it took, with these labels."""
        buckets, microseconds = [0] * (len(BUCKETS) + 1), 0
        for parts, value in self._of(family, labels):
            if parts[-1] == SUM:
                microseconds += value
            else:
                buckets[int(parts[-1])] += value
        return Timing(tuple(buckets), microseconds / 1_000_000)

    def __sub__(self, other: "Figures") -> "Figures":
        names = {**self.fields, **other.fields}
        return Figures({name: self.fields.get(name, 0) - other.fields.get(name, 0) for name in names})

    def _of(self, family: Family, labels: Mapping[str, str]) -> Iterable[tuple[tuple[str, ...], int]]:
        wanted = [(family.labels.index(label) + 1, value) for label, value in labels.items()]
        for parts, value in self.fields.items():
            if parts[0] == family.name and all(parts[place] == wish for place, wish in wanted):
                yield parts, value


@dataclass(frozen=True, slots=True)
class Span:
    """What was counted within a while."""

    milliseconds: int
    figures: Figures

    def rate(self, family: Family, **labels: str) -> float:
        """How often a second it happened, with these labels."""
        return self.figures.total(family, **labels) * 1000 / self.milliseconds if self.milliseconds else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """
    What was counted until `at` (ms), in some ten seconds.

    behind: Seconds that matching was behind then.
    unmatched: How many changes it was.
    """

    at: int
    span: Span
    behind: float
    unmatched: int


@dataclass(frozen=True, slots=True)
class Reading:
    """
    All that was counted until `at` (ms).

    since: What was counted after the last sample.
    samples: Those that were asked for, the latest first.
    """

    at: int
    totals: Figures
    since: Span
    samples: tuple[Sample, ...]

    def over(self, seconds: float) -> Span:
        """What was counted in at least the last seconds, as far as there are samples of them."""
        milliseconds, counted = self.since.milliseconds, Counter(self.since.figures.fields)
        for sample in self.samples:
            if milliseconds >= seconds * 1000:
                break
            milliseconds += sample.span.milliseconds
            counted.update(sample.span.figures.fields)
        return Span(milliseconds, Figures(counted))


@dataclass(frozen=True, slots=True)
class Readings:
    """Reads what was counted in the whole hub."""

    pipeline: Pipeline

    async def read(self, seconds: float = 0) -> Reading:
        """All of it. `seconds`: For how long ago the samples are wanted."""
        samples = int(seconds // SAMPLED) + 2 if seconds else 0
        keys = [meter(name) for name in ("totals", "sampled", "history")]
        at, totals, sampled, history = await self.pipeline.run(FIGURES, keys, samples)
        rows = dict(_pairs(totals))
        figures = Figures.of(rows.items())
        since = max(0, int(at) - int(rows.get("", at)))
        read = []
        for number, entry in enumerate(history, 1):
            read.append(_sample(dict(_pairs(entry[1]))))
            if number % 100 == 0:  # six hours of them would hold up others
                await asyncio.sleep(0)
        return Reading(int(at), figures, Span(since, figures - Figures.of(_pairs(sampled))), tuple(read))

    async def costs(self, most: int) -> list[tuple[str, int]]:
        """Whose criteria cost the most lately, by name in `subscriptions`: microseconds."""
        rows = await self.pipeline.command("ZREVRANGE", meter("criteria"), 0, most - 1, "WITHSCORES")
        pairs = rows if rows and isinstance(rows[0], list | tuple) else zip(rows[::2], rows[1::2], strict=True)
        return [(name.decode(), round(float(score))) for name, score in pairs]


class Tail:
    """What happens, step by step, to be followed."""

    def __init__(self, client: Client, pipeline: Pipeline) -> None:
        self._streams = Streams(client)
        self._pipeline = pipeline

    async def watch(self) -> None:
        """Ask to be told for the next five seconds. All processes know within a second."""
        await self._pipeline.command("SET", meter("watched"), "1", "PX", WATCHED)

    async def end(self) -> str:
        """What to follow from, for what comes from now on."""
        last = await self._pipeline.command("XREVRANGE", meter("tail"), "+", "-", "COUNT", 1)
        return str(last[0][0].decode()) if last else "0-0"

    async def follow(self, mark: str) -> list[tuple[str, dict[str, Any]]]:
        """The steps behind a mark, each with its own; waits for one, a second at most."""
        found = await self._streams.follow(meter("tail"), mark, count=1_000, wait_ms=1_000)
        return [(id_, msgspec.json.decode(fields[b"step"])) for id_, fields in found]


def _pairs(rows: Any) -> list[tuple[str, str]]:
    """What a script answers for a hash or the fields of an entry."""
    texts = [each.decode() for each in rows]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _sample(entry: dict[str, str]) -> Sample:
    rows = (line.rpartition(" ") for line in entry["counts"].splitlines())
    figures = Figures.of((name, value) for name, _, value in rows)
    return Sample(
        int(entry["at"]), Span(int(entry["ms"]), figures), int(entry["behind"]) / 1000, int(entry["unmatched"])
    )
