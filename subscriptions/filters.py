"""
Filters: read from criteria strings, and made into criteria that can be evaluated.

    filter    = [type ("?" | ".")] condition *("&" condition)
    condition = [type "."] parameter [":" modifier] "=" value *("," value)

Nothing in a filter is ignored: what can't be evaluated here is rejected. http://hl7.org/fhir/uv/subscriptions-backport
(extension backport-filter-criteria) has the forms, https://hl7.org/fhir/R4/search.html what they mean.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from urllib.parse import unquote

from subscriptions.can_filter_by import concerns, not_listed, permitted
from subscriptions.codes import Comparator, FhirVersion, IssueCode, SearchType
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion
from subscriptions.search.compiling import criterion, is_evaluated
from subscriptions.search.escapes import split
from subscriptions.search.parameters import SearchParameter, parameters, resource_types
from subscriptions.search.paths import path
from subscriptions.subscription import Filter
from subscriptions.topic import ANY, Topic

_NAME = re.compile(r"(?:([A-Z][A-Za-z]+)\.)?([_a-z][A-Za-z0-9_.\-]*)(?::(.*))?", re.DOTALL)
_TYPE = re.compile(r"([A-Z][A-Za-z]+)\?")

#: Values in all filters of a Subscription, or a search, counted for each type that they are compiled for: who has them
#: compiled holds up all others for so long.
MOST_VALUES = 10_000

#: Modifiers that name a ValueSet or a concept of a CodeSystem, if they are asked of a token.
_OF_VOCABULARY = frozenset({"in", "not-in", "above", "below"})


def parse(text: str) -> tuple[Filter, ...]:
    """
    Read a criteria string, whether percent-encoded or not. Joined by `&` are filters of their own.

    A type holds for the conditions after it too. A `+` is a plus, never a blank. `id` is read as `_id`.

    Raises:
        Rejected: It is not of the form above.
    """
    if "=" not in text:
        text = _decoded(text)
    leading = _TYPE.match(text)
    type_ = leading[1] if leading else None
    found = []
    for condition in text[leading.end() if leading else 0 :].split("&"):
        name, equals, value = condition.partition("=")
        parsed = _NAME.fullmatch(_decoded(name))
        if not equals or not parsed or (leading and parsed[1] not in (None, leading[1])):
            form = "`parameter=value`, `Type.parameter=value` or `Type?parameter=value&parameter=value`"
            raise Rejected(Issue(IssueCode.VALUE, f"`{condition}` is not a filter, which is written {form}"))
        type_ = parsed[1] or type_
        written = f"{type_}?{condition}" if type_ and not parsed[1] else condition
        found.append(filter_of(type_, parsed[2], parsed[3], _decoded(value), written))
    return tuple(found)


def criteria(
    filters: Iterable[Filter], topic: Topic, context: Context, expression: str = ""
) -> dict[str, tuple[Criterion, ...]]:
    """
    What a resource has to meet, for each resource type whose changes notify: all criteria of its type.

    Without filters these are the topic's types. A filter that names no type is one for each type that the topic lists
    it for. If filters name types, only changes of these notify (US Core, patient data feed).

    Args:
        expression: The element that the filters stand in, for the issues.

    Raises:
        Rejected: For each filter that the topic doesn't allow, or that can't be evaluated on one of its types.
    """

    every = _every(topic.resource_types, context)

    def compiled(filter_: Filter, type_: str) -> Criterion:
        return permitted(filter_, type_, topic, context)

    def concerned(filter_: Filter) -> Sequence[str]:
        types = _types(filter_, every, context)
        found = [type_ for type_ in types if concerns(filter_, type_, topic)]
        if not found:
            raise not_listed(filter_, topic, types)
        return found

    return _criteria(filters, every, concerned, compiled, expression)


def refusals(filters: Mapping[str, tuple[Filter, ...]], topic: Topic, context: Context) -> list[Issue]:
    """Why a Subscription's filters, by the elements that they stand in, are not accepted; empty if they are."""
    found: list[Issue] = []
    for element, each in filters.items():
        try:
            criteria(each, topic, context, element)
        except Rejected as rejected:
            found += rejected.issues
    if not found and len(filters) > 1:
        try:  # each may be few enough, and all of them not
            criteria(chain.from_iterable(filters.values()), topic, context, "Subscription")
        except Rejected as rejected:
            found += rejected.issues
    return found


def queries(
    filters: Iterable[Filter], types: frozenset[str], context: Context, expression: str = ""
) -> dict[str, tuple[Criterion, ...]]:
    """
    `criteria` where everything is allowed that can be evaluated.

    Args:
        types: Perhaps `Resource` for all.

    Raises:
        Rejected: For each filter that can't be evaluated on one of its types.
    """

    def compiled(filter_: Filter, type_: str) -> Criterion:
        return criterion(filter_, type_, context)

    def concerned(filter_: Filter) -> Sequence[str]:
        return _types(filter_, _every(types, context), context)

    return _criteria(filters, _every(types, context), concerned, compiled, expression)


def _criteria(
    filters: Iterable[Filter],
    types: frozenset[str],
    concerned: Callable[[Filter], Sequence[str]],
    compiled: Callable[[Filter, str], Criterion],
    expression: str,
) -> dict[str, tuple[Criterion, ...]]:
    filters = tuple(filters)
    named = {filter_.resource_type for filter_ in filters} - {None}
    found: dict[str, list[Criterion]] = {type_: [] for type_ in sorted(types)}
    issues: list[Issue] = []
    values = 0
    for filter_ in filters:
        try:
            for type_ in concerned(filter_):
                values += _affordable(filter_, values, expression)
                found[type_].append(compiled(filter_, type_))
        except _TooMany:
            raise
        except Rejected as rejected:
            issues += _about(filter_, rejected, expression)
    if issues:
        raise Rejected(*issues)
    return {type_: tuple(met) for type_, met in found.items() if not named or type_ in named}


class _TooMany(Rejected):
    """There are more than MOST_VALUES."""


def _affordable(filter_: Filter, values: int, expression: str) -> int:
    """The number of a filter's values, if there are not too many with those before it."""
    if values + len(filter_.values) > MOST_VALUES:
        text = f"there are too many values to look for, from `{filter_.text[:80]}` on: {MOST_VALUES} are taken in all"
        raise _TooMany(Issue(IssueCode.TOO_COSTLY, text, expression))
    return len(filter_.values)


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a filter was understood as: for each kind of search parameter the resource types on which it is one."""

    filter: Filter
    kinds: Mapping[SearchType, tuple[str, ...]]

    @property
    def text(self) -> str:
        """In words."""
        kinds = (f"a filter of type {kind} on {_named(types)}" for kind, types in self.kinds.items())
        return f"`{self.filter.text}` is understood as {', and '.join(kinds)}."


def understood(filters: Iterable[Filter], topic: Topic, context: Context) -> Iterator[Understanding]:
    """
    What each filter that a topic allows is understood as.

    Raises:
        Rejected: One of them can't be evaluated.
    """
    for filter_ in filters:
        kinds: dict[SearchType, list[str]] = {}
        for type_ in _types(filter_, _every(topic.resource_types, context), context):
            if concerns(filter_, type_, topic):
                found = permitted(filter_, type_, topic, context).source.extraction.parameter
                kinds.setdefault(found.type, []).append(type_)
        yield Understanding(filter_, {kind: tuple(types) for kind, types in kinds.items()})


def ask_vocabulary(filters: Iterable[Filter]) -> bool:
    """Whether what they mean may depend on the vocabulary of their context."""
    return any((filter_.modifier or "").rpartition(":")[2] in _OF_VOCABULARY for filter_ in filters)


def look_beyond(filters: Iterable[Filter]) -> bool:
    """Whether some look at other resources than the one that they are held against."""
    paths = (path(each.parameter, each.modifier) for each in filters)
    return any(each.links or each.code == "_in" for each in paths)


def topic_looks_beyond(topic: Topic) -> bool:
    """Whether a topic's triggers do."""
    queries = (trigger.query for trigger in topic.triggers if trigger.query)
    texts = (text for query in queries for text in (query.previous, query.current) if text)
    return any(look_beyond(parse(text)) for text in texts)


def search(query: Iterable[tuple[str, str]], resource_type: str, context: Context) -> tuple[Criterion, ...]:
    """
    What a resource has to meet to be found by a search: the same as filters, with the parameter as `expression`.

    Args:
        query: Names, perhaps with `:modifier`, and values, percent-decoded.

    Raises:
        Rejected: For each parameter that can't be evaluated.
    """
    found: list[Criterion] = []
    issues: list[Issue] = []
    values = 0
    for name, value in query:
        code, colon, modifier = name.partition(":")
        filter_ = None
        try:
            filter_ = filter_of(resource_type, code, modifier if colon else None, value, f"{name}={value}")
            values += _affordable(filter_, values, name)
            found.append(criterion(filter_, resource_type, context))
        except _TooMany:
            raise
        except Rejected as rejected:
            issues += _about(filter_, rejected, name)
    if issues:
        raise Rejected(*issues)
    return tuple(found)


def searchable(version: FhirVersion, resource_type: str) -> tuple[SearchParameter, ...]:
    """The parameters that filters and searches on a type understand, by code."""
    own = (parameter for (type_, _), parameter in parameters(version).items() if type_ == resource_type)
    return tuple(sorted(filter(is_evaluated, own), key=lambda parameter: parameter.code))


def filter_of(
    type_: str | None,
    code: str,
    modifier: str | None,
    value: str,
    text: str,
    comparator: Comparator | None = None,
) -> Filter:
    """
    One filter of its parts. `value`: Percent-decoded, perhaps several joined by commas.

    Raises:
        Rejected: A value is missing.
    """
    values = tuple(split(value, ","))
    if not all(values):
        raise Rejected(Issue(IssueCode.VALUE, f"`{text}`: a value is missing"))
    return Filter(type_, "_id" if code == "id" else code, modifier, comparator, values, text)


def _decoded(text: str) -> str:
    """Percent-decoded, if the whole text can be; else as it is."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _named(types: Sequence[str]) -> str:
    return ", ".join(types) if len(types) < 20 else f"{len(types)} resource types"


def _every(types: frozenset[str], context: Context) -> frozenset[str]:
    return resource_types(context.version) if ANY in types else types


def _types(filter_: Filter, types: frozenset[str], context: Context) -> Sequence[str]:
    """The types whose changes a filter is for."""
    if filter_.resource_type is None:
        return sorted(types)
    if filter_.resource_type not in resource_types(context.version):
        reason = f"`{filter_.resource_type}` is not a resource type of FHIR {context.version.upper()}"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    if filter_.resource_type not in types:
        reason = f"the topic is about {', '.join(sorted(types))}, not {filter_.resource_type}"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    return (filter_.resource_type,)


def _about(filter_: Filter | None, rejected: Rejected, expression: str) -> Iterator[Issue]:
    for issue in rejected.issues:
        text = f"`{filter_.text}`: {issue.text}" if filter_ else issue.text
        yield replace(issue, text=text, expression=expression)
