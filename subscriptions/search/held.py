"""What else the hub holds, for whatever looks behind a reference: fetched for it, never by it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from subscriptions.change import Resource
from subscriptions.codes import Interaction
from subscriptions.errors import EvaluationError


@dataclass(frozen=True, slots=True)
class WantedResource:
    """The version in force of what a relative reference (`Patient/1`) points to."""

    reference: str


@dataclass(frozen=True, slots=True)
class WantedRosters:
    """The Groups, Lists and CareTeams that have what a relative reference points to as a member."""

    reference: str


@dataclass(frozen=True, slots=True)
class WantedReferrers:
    """All resources of a type that refer, by whatever element, to what a relative reference points to."""

    type: str
    reference: str


Wanted: TypeAlias = WantedResource | WantedRosters | WantedReferrers


@dataclass(frozen=True, slots=True)
class Membership:
    """
    That something is a member of a roster.

    roster: `Group/102`, relative.
    start, end: Aware, the end exclusive; None where it is open.
    """

    roster: str
    start: datetime | None = None
    end: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


@dataclass(slots=True)
class Held:
    """
    Other resources, as far as they were fetched, at the time of a change.

    What is asked for and was not fetched counts as absent and is noted in `wanted`: whoever evaluates fetches it and
    evaluates again, until nothing is wanted. So evaluating never waits, and never asks for what it doesn't need.

    interaction: The change's; None where resources are only searched.
    failed: What was asked for and can't be had, and why: an EvaluationError for whoever asks.
    """

    at: datetime
    resources: dict[str, Resource | None] = field(default_factory=dict)
    rosters: dict[str, tuple[Membership, ...]] = field(default_factory=dict)
    referrers: dict[tuple[str, str], tuple[Resource, ...]] = field(default_factory=dict)
    failed: dict[Wanted, str] = field(default_factory=dict)
    wanted: set[Wanted] = field(default_factory=set)
    interaction: Interaction | None = None

    def at_time(self, at: datetime) -> "Held":
        """The same resources for a change at another time: what is fetched for one is there for the other."""
        return Held(at, self.resources, self.rosters, self.referrers, self.failed)

    def resource(self, reference: str) -> Resource | None:
        if reference not in self.resources:
            self._want(WantedResource(reference))
        return self.resources.get(reference)

    def rosters_of(self, reference: str) -> Iterator[str]:
        """The rosters that it is a member of at the time of the change."""
        if reference not in self.rosters:
            self._want(WantedRosters(reference))
        return (each.roster for each in self.rosters.get(reference, ()) if each.holds(self.at))

    def referring(self, type_: str, reference: str) -> Iterable[Resource]:
        if (type_, reference) not in self.referrers:
            self._want(WantedReferrers(type_, reference))
        return self.referrers.get((type_, reference), ())

    def _want(self, wanted: Wanted) -> None:
        if wanted in self.failed:
            raise EvaluationError(self.failed[wanted])
        self.wanted.add(wanted)
