"""`:missing`, which every type has: https://hl7.org/fhir/R4/search.html#modifiers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Access, Criterion, source
from subscriptions.search.extraction import Value

MODIFIER = "missing"


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values is neither `true` nor `false`.
    """
    asked.uncompared()
    if not {"true", "false"}.issuperset(asked.values):
        raise Rejected(Issue(IssueCode.VALUE, "the value of `:missing` is `true` or `false`"))
    return Criterion(source(asked.found, Reading()), Missing(frozenset(value == "true" for value in asked.values)))


@dataclass(frozen=True, slots=True)
class Reading:
    """That there is a value, of whatever data type. An element that has only extensions has none."""

    def __call__(self, value: Value) -> Iterator[bool]:  # noqa: ARG002 (any will do)
        yield True


@dataclass(frozen=True, slots=True)
class Missing:
    """Whether values are missing is one of these."""

    wanted: frozenset[bool]

    @property
    def access(self) -> Access:
        return None

    def passes(self, read: frozenset[Any]) -> bool:
        return (not read) in self.wanted
