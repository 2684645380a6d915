"""
A trigger's FHIRPath: https://hl7.org/fhir/R5/subscriptiontopic-definitions.html (resourceTrigger.fhirPathCriteria).

`%previous` and `%current` are the versions before and after, empty where there is none. Paths that begin with neither
start at the newer of both.
"""

from functools import lru_cache
from typing import Any

from fhirpathpy.engine.nodes import ResourceNode

from subscriptions.change import Change, Resource
from subscriptions.codes import FhirVersion, Interaction
from subscriptions.errors import EvaluationError
from subscriptions.search.fhirpath import accept
from subscriptions.search.metered import TooCostly, metered


class NoTruthValue(EvaluationError):
    """An expression gives something that is neither true nor false."""


class Costly(EvaluationError):
    """An evaluation would take too long."""


class Predicate:
    """An expression that is true or not. Get it from `predicate`: there is one object of each."""

    def __init__(self, expression: str, version: FhirVersion) -> None:
        """
        Raises:
            Rejected: It is not accepted.
        """
        accept(expression)
        self.expression = expression
        self._evaluate = metered(expression, version)

    def holds(self, change: Change) -> bool | EvaluationError:
        """Whether it is true of a change. Empty is not; anything but a truth value is an error."""
        said = self.says(change)
        return False if said is None else said

    def says(self, change: Change) -> bool | EvaluationError | None:
        """`holds`, with None for empty."""
        previous = None if change.interaction is Interaction.CREATE else change.previous
        current = None if change.interaction is Interaction.DELETE else change.resource
        if previous is None and change.interaction is not Interaction.CREATE:
            return EvaluationError(f"the version of {change.type}/{change.id} before the change is not known")
        try:
            variables = {"previous": _nodes(previous), "current": _nodes(current)}
            nodes = self._evaluate(current or previous or {}, variables)
        except TooCostly as error:
            return Costly(f"`{self.expression}` failed: {error}")
        except Exception as error:  # whatever the engine's operators meet
            return EvaluationError.within(f"`{self.expression}` failed", error)
        found = [node.data if isinstance(node, ResourceNode) else node for node in nodes]
        match found:
            case []:
                return None
            case [bool(truth)]:
                return truth
        what = f"{len(found)} values" if len(found) > 1 else "a value that is neither true nor false"
        return NoTruthValue(f"`{self.expression}` gives {what}")


def _nodes(resource: Resource | None) -> list[Any]:
    """A version with its type, so that `%current is Patient` holds. An empty list, and no empty object, is nothing."""
    # fhirpathpy has no types.
    return [ResourceNode.create_node(resource)] if resource else []  # type: ignore[no-untyped-call]


@lru_cache(maxsize=4096)
def predicate(expression: str, version: FhirVersion) -> Predicate:
    """
    Raises:
        Rejected: As `Predicate` does.
    """
    return Predicate(expression, version)
