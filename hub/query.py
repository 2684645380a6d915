"""
A search, compiled: https://hl7.org/fhir/R4/search.html. What the store can look up apart from what is to be evaluated.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from subscriptions.codes import Comparator, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.filters import search, searchable
from subscriptions.search import date, token
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion
from subscriptions.search.escapes import split, unescape
from subscriptions.search.ranges import prefixed

#: 1970 in nanoseconds since the year 1, as date ranges count.
_EPOCH = 719_163 * 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, not including, `end`, in ms since 1970."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Query:
    """
    A search, compiled. All parts must hold.

    ids: The only ids that can match; None for any.
    identifiers: One of these, `system|value`, is borne by whatever matches; None for any.
    updated: For each `_lastUpdated` the times that match.
    """

    type: str
    ids: frozenset[str] | None
    identifiers: frozenset[str] | None
    updated: tuple[tuple[Window, ...], ...]
    criteria: tuple[Criterion, ...]

    @property
    def everything(self) -> bool:
        return self.ids is None and not self.updated and not self.criteria

    def covers(self, at: int) -> bool:
        """Whether it is about what was updated at this time, in ms since 1970."""
        return all(any(window.start <= at < window.end for window in windows) for windows in self.updated)


def compiled(parameters: Iterable[tuple[str, str]], type_: str, context: Context) -> Query:
    """
    Compile a search's parameters, but those of its paging.

    Raises:
        Rejected: For each parameter that is unknown, malformed or not supported; `expression` is its name.
    """
    ids: frozenset[str] | None = None
    identifiers: frozenset[str] | None = None
    updated: list[tuple[Window, ...]] = []
    rest: list[tuple[str, str]] = []
    issues: list[Issue] = []
    known = {parameter.code for parameter in searchable(context.version, type_)}
    for name, value in parameters:
        if name in ("_id", "_lastUpdated"):
            try:
                if name == "_id":
                    named = _ids(value, type_)
                    ids = named if ids is None else ids & named
                else:
                    updated.append(tuple(window for part in split(value, ",") for window in _windows(part)))
            except Rejected as rejected:
                issues += [Issue(issue.code, f"`{name}={value}`: {issue.text}", name) for issue in rejected.issues]
        elif name.startswith("_") and name.partition(":")[0] not in known | {"_has"}:
            issues.append(Issue(IssueCode.NOT_SUPPORTED, f"The parameter `{name}` is not supported.", name))
        else:
            rest.append((name, value))
            if name == "identifier" and (borne := _borne(value)):
                identifiers = borne
    criteria: tuple[Criterion, ...] = ()
    try:
        criteria = search(rest, type_, context)
    except Rejected as rejected:
        issues += rejected.issues
    if issues:
        raise Rejected(*issues)
    return Query(type_, ids, identifiers, tuple(updated), criteria)


def _ids(value: str, type_: str) -> frozenset[str]:
    """The ids that a value of `_id` names."""
    named = frozenset(part.removeprefix(f"{type_}/") for part in split(value, ","))
    for id_ in named:
        token.parse(id_, {"id": None})
    return named


def _borne(value: str) -> frozenset[str] | None:
    """The identifiers that a value asks for, where it says the system of each; else None."""
    try:
        parts = [[unescape(part) for part in split(one, "|")] for one in split(value, ",")]
    except Rejected:
        return None
    if any(len(part) != 2 or not part[1] for part in parts):
        return None
    return frozenset("|".join(part) for part in parts)


def _windows(text: str) -> tuple[Window, ...]:
    """The times that a value of `_lastUpdated` matches. A version's time is a point, so most comparators are alike."""
    prefix, literal = prefixed(text)
    found = date.parse(literal)
    near = date.approximate(found)
    forever = float("inf")
    match prefix or Comparator.EQ:
        case Comparator.EQ:
            return (_window(found.start, found.end),)
        case Comparator.NE:
            return _window(-forever, found.start), _window(found.end, forever)
        case Comparator.GT | Comparator.SA:
            return (_window(found.end, forever),)
        case Comparator.GE:
            return (_window(found.start, forever),)
        case Comparator.LT | Comparator.EB:
            return (_window(-forever, found.start),)
        case Comparator.LE:
            return (_window(-forever, found.end),)
        case Comparator.AP:
            return (_window(near.start, near.end),)


def _window(start: float, end: float) -> Window:
    return Window((start - _EPOCH) / 10**6, (end - _EPOCH) / 10**6)
