"""
A change as it is seen from another base: nothing in it names a resource that is there.

On the base where it happened `Patient/1` is one person, on another base another one. So references that are relative
become absolute, and so does the id: a filter that names a `Patient/1` of its own base doesn't find this one, while one
with the absolute URL does. What lies behind a reference is not looked at across bases: see `Apart`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from subscriptions.change import Change, Resource
from subscriptions.errors import EvaluationError
from subscriptions.search.held import Held, Wanted
from subscriptions.search.target import local

#: Why nobody can say whether a change elsewhere meets a filter.
ELSEWHERE = "other resources are not looked at for a change on another base"


def abroad(change: Change, base: str) -> Change:
    """A change on a FHIR base, which has no slash at its end, as it is seen from any other."""
    return replace(change, resource=_seen(change.resource, base), previous=_seen(change.previous, base))


class Apart(Held):
    """Of whoever looks at a change elsewhere: he is held nothing, and whoever asks can't be judged."""

    def _want(self, wanted: Wanted) -> None:  # noqa: ARG002 (whatever it is)
        raise EvaluationError(ELSEWHERE)


def is_elsewhere(error: EvaluationError) -> bool:
    """Whether it is for this alone that somebody can't be judged."""
    return error.text.endswith(ELSEWHERE)


def _seen(resource: Resource | None, base: str) -> Resource | None:
    if resource is None:
        return None
    seen: dict[str, Any] = _absolute(resource, base)
    return seen | {"id": f"{base}/{resource.get('resourceType')}/{resource.get('id')}"}


def _absolute(value: Any, base: str) -> Any:
    if isinstance(value, Mapping):
        return {
            name: f"{base}/{each}" if name == "reference" and local(each, ()) else _absolute(each, base)
            for name, each in value.items()
        }
    return [_absolute(each, base) for each in value] if isinstance(value, list) else value
