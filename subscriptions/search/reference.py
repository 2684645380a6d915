"""Reference search: https://hl7.org/fhir/R4/search.html#reference. What is behind a reference is never looked at."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Asked
from subscriptions.search.comparison import Criterion, Meets, source
from subscriptions.search.escapes import split, unescape
from subscriptions.search.extraction import Extraction, Value
from subscriptions.search.parameters import resource_types

_ID = r"[A-Za-z0-9\-.]{1,64}"
_LOCAL = re.compile(rf"([A-Z][A-Za-z]+)/({_ID})(/_history/{_ID})?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")


def criterion(asked: Asked) -> Criterion:
    """
    Raises:
        Rejected: One of the values is no reference, or can't be what the parameter finds.
    """
    asked.plain()
    bases = asked.context.bases
    keys = frozenset().union(*(parse(value, asked.found, bases) for value in asked.values))
    return Criterion(source(asked.found, Reading(bases)), Meets(keys))


def parse(text: str, extraction: Extraction, bases: frozenset[str]) -> frozenset[str]:
    """
    Read `id`, `Type/id`, `Type/id/_history/version`, an absolute URL, a URN, or a canonical with `|version`.

    A reference without a version is equal to one with any version, not the other way round.

    Raises:
        Rejected: It is none of these, or points to a type that no value can point to.
    """
    held = extraction.parameter.held(extraction.resource_type)
    parts = [unescape(part) for part in split(text, "|")]
    if held and "Reference" not in held:
        if not parts[0] or len(parts) > 2:
            raise _rejected("a canonical is written `url` or `url|version`")
        return frozenset({"|".join(parts)})
    if len(parts) > 1:
        raise _rejected("a reference has no `|`: it is written `id`, `Type/id` or as an absolute URL")
    literal = _relative(parts[0], bases)
    if local := _LOCAL.fullmatch(literal):
        _check_type(local[1], extraction)
    elif not re.fullmatch(_ID, literal) and not _ABSOLUTE.fullmatch(literal):
        raise _rejected("a reference is written `id`, `Type/id` or as an absolute URL")
    return frozenset({literal})


def _check_type(type_: str, extraction: Extraction) -> None:
    allowed = extraction.targets or resource_types(extraction.version)
    if type_ not in allowed:
        some = ", ".join(sorted(allowed)) if len(allowed) < 20 else "any resource type"
        raise _rejected(f"it can point to {some}, not to {type_}")


def _rejected(text: str) -> Rejected:
    return Rejected(Issue(IssueCode.VALUE, text))


def _relative(literal: str, bases: frozenset[str]) -> str:
    """A URL below one of the hub's own bases is the relative reference."""
    for base in bases:
        if literal.startswith(f"{base.rstrip('/')}/"):
            return literal[len(base.rstrip("/")) + 1 :]
    return literal


@dataclass(frozen=True, slots=True)
class Reading:
    """
    The keys of a reference.

    bases: The hub's own base URLs: `Patient/1` and `{base}/Patient/1` are equal.
    """

    bases: frozenset[str]

    def __call__(self, value: Value) -> Iterator[str]:
        match value.type, value.data:
            case "Reference", {"reference": str(literal)} if not literal.startswith("#"):
                yield from self._literal(literal)
            case _, {"resourceType": str(type_), "id": str(id_)}:
                yield from self._literal(f"{type_}/{id_}")
            case _, str(canonical):
                yield canonical
                yield canonical.partition("|")[0]

    def _literal(self, literal: str) -> Iterator[str]:
        literal = _relative(literal, self.bases)
        yield literal
        yield literal.partition("/_history/")[0]
        if local := _LOCAL.fullmatch(literal):
            yield local[2]
