"""URI search: https://hl7.org/fhir/R4/search.html#uri. The whole URI, literally."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Criterion, Meets, source
from subscriptions.search.escapes import split, unescape
from subscriptions.search.extraction import Value


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values is no URI.
    """
    asked.plain()
    held = asked.found.parameter.held(asked.found.resource_type)
    keys = frozenset().union(*(parse(value, held) for value in asked.values))
    return Criterion(source(asked.found, Reading()), Meets(keys))


def parse(text: str, held: Mapping[str, str | None]) -> frozenset[str]:
    """
    Read a URI, or a canonical with `|version` where the values are canonicals.

    Raises:
        Rejected: It is empty, or has a version although the values have none.
    """
    url, *version = (unescape(part) for part in split(text, "|"))
    if not url or len(version) > 1:
        raise Rejected(Issue(IssueCode.VALUE, "a URI is expected"))
    if version and "canonical" not in held:
        reason = r"the values are URIs without a version: give the URI alone; a literal `|` is written `\|`"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    return frozenset({"|".join((url, *version))})


@dataclass(frozen=True, slots=True)
class Reading:
    """The keys of a URI: itself, and for a canonical also without its version."""

    def __call__(self, value: Value) -> Iterator[str]:
        yield value.data
        if value.type == "canonical":
            yield value.data.partition("|")[0]
