"""What is known of one change: nothing is read or evaluated twice, however many topics and subscriptions ask."""

from collections.abc import Hashable, Iterable, Iterator

from subscriptions.change import Change, Resource
from subscriptions.codes import Interaction
from subscriptions.errors import EvaluationError
from subscriptions.predicate import Predicate
from subscriptions.search.comparison import Criterion, Source
from subscriptions.search.held import Held


class Facts:
    """One version of a resource, and what was read from it. Where nobody knows the version, all that's asked fails."""

    def __init__(self, resource: Resource | EvaluationError, held: Held) -> None:
        self._resource = resource
        self._held = held
        self._read: dict[Source, frozenset[Hashable] | EvaluationError] = {}
        self._verdicts: dict[Criterion, bool | EvaluationError] = {}

    @property
    def evaluated(self) -> int:
        """How many criteria were."""
        return len(self._verdicts)

    @property
    def readings(self) -> Iterator[tuple[Source, frozenset[Hashable]]]:
        """All that was read so far, and did not fail."""
        return ((source, read) for source, read in self._read.items() if not isinstance(read, EvaluationError))

    def read(self, source: Source) -> frozenset[Hashable] | EvaluationError:
        if source not in self._read:
            try:
                resource = self._resource
                read = resource if isinstance(resource, EvaluationError) else source.read(resource, self._held)
            except EvaluationError as error:
                read = error
            self._read[source] = read
        return self._read[source]

    def meets(self, criterion: Criterion) -> bool | EvaluationError:
        if criterion not in self._verdicts:
            read = self.read(criterion.source)
            self._verdicts[criterion] = read if isinstance(read, EvaluationError) else criterion.test.passes(read)
        return self._verdicts[criterion]

    def all(self, criteria: Iterable[Criterion]) -> bool | EvaluationError:
        """Whether all are met. One that isn't outweighs one that failed."""
        return every(self.meets(criterion) for criterion in criteria)


class Findings:
    """
    One change, and what was found in it.

    before, after: The version before the change, and the one that it made.
    subject: What filters look at: the version after, and for a delete the one before (R6 framework).
    """

    def __init__(self, change: Change, held: Held) -> None:
        self.change = change
        held.interaction = change.interaction
        self.before = Facts(_known(change, change.previous, "before the change"), held)
        self.after = Facts(_known(change, change.resource, "that the change made"), held)
        self.subject = self.before if change.interaction is Interaction.DELETE else self.after
        self._predicates: dict[Predicate, bool | EvaluationError] = {}

    @property
    def evaluated(self) -> int:
        """How many criteria and FHIRPath expressions were."""
        return self.before.evaluated + self.after.evaluated + len(self._predicates)

    def holds(self, predicate: Predicate) -> bool | EvaluationError:
        if predicate not in self._predicates:
            self._predicates[predicate] = predicate.holds(self.change)
        return self._predicates[predicate]


def _known(change: Change, resource: Resource | None, which: str) -> Resource | EvaluationError:
    if resource is not None:
        return resource
    return EvaluationError(f"the version of {change.type}/{change.id} {which} is not known")


def every(verdicts: Iterable[bool | EvaluationError]) -> bool | EvaluationError:
    """AND: one no outweighs what failed."""
    failed: EvaluationError | None = None
    for verdict in verdicts:
        if verdict is False:
            return False
        if isinstance(verdict, EvaluationError):
            failed = failed or verdict
    return failed or True


def some(verdicts: Iterable[bool | EvaluationError]) -> bool | EvaluationError:
    """OR: one yes outweighs what failed."""
    failed: EvaluationError | None = None
    for verdict in verdicts:
        if verdict is True:
            return True
        if isinstance(verdict, EvaluationError):
            failed = failed or verdict
    return failed or False
