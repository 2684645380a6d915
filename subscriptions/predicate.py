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

#: Types that have an element called `resourceType`, R5's Consent.provision and R4's ExampleScenario.instance.
_MISTAKEN = frozenset({"Consent", "ExampleScenario"})
#: The elements that hold resources.
_HOLDERS = frozenset({"contained", "resource"})


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
            before, after = _seen(previous), _seen(current)
            nodes = self._evaluate(after or before or {}, {"previous": _nodes(before), "current": _nodes(after)})
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


class _Element(dict[str, Any]):
    """An object that is no resource. The engine takes whatever has a `resourceType` for one."""

    def __contains__(self, name: object) -> bool:
        return name != "resourceType" and super().__contains__(name)


def _seen(resource: Resource | None) -> Resource | None:
    """A version as the engine is to see it. (In a Bundle such types are too rare to look for.)"""
    if resource is None or resource.get("resourceType") not in _MISTAKEN:
        return resource
    return {name: _element(value, name) for name, value in resource.items()}


def _element(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_element(each, name) for each in value]
    if isinstance(value, dict) and name not in _HOLDERS:
        return _Element({key: _element(each, key) for key, each in value.items()})
    return value


def _nodes(resource: Resource | None) -> list[Any]:
    """A version with its type, so that `%current is Patient` holds. An empty list, and no empty object, is nothing."""
    # fhirpathpy has no types.
    return [ResourceNode.create_node(resource)] if resource else []  # type: ignore[no-untyped-call]


# What is in force is kept by the topics; the largest take 1 MB each.
@lru_cache(maxsize=256)
def predicate(expression: str, version: FhirVersion) -> Predicate:
    """
    Raises:
        Rejected: As `Predicate` does.
    """
    return Predicate(expression, version)
