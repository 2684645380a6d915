"""
Filters: read from criteria strings, and made into criteria that can be evaluated.

    filter    = [type ("?" | ".")] condition *("&" condition)
    condition = [type "."] parameter [":" modifier] "=" value *("," value)

Nothing in a filter is ignored: what can't be evaluated here is rejected. http://hl7.org/fhir/uv/subscriptions-backport
(extension backport-filter-criteria) has the forms, https://hl7.org/fhir/R4/search.html what they mean.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

from subscriptions.codes import Comparator, FhirVersion, IssueCode, SearchType
from subscriptions.errors import Issue, Rejected
from subscriptions.search import date, reference, string, token, uri
from subscriptions.search.comparison import Criterion, Meets, source
from subscriptions.search.escapes import split
from subscriptions.search.extraction import Extraction, extraction
from subscriptions.search.parameters import SearchParameter, parameters, resource_types
from subscriptions.subscription import Filter

#: The types of parameters that can be compared.
COMPARED = frozenset({SearchType.DATE, SearchType.REFERENCE, SearchType.STRING, SearchType.TOKEN, SearchType.URI})

_NAME = re.compile(r"(?:([A-Z][A-Za-z]+)\.)?([_a-z][A-Za-z0-9_.\-]*)(?::(.*))?", re.DOTALL)
_TYPE = re.compile(r"([A-Z][A-Za-z]+)\?")


@dataclass(frozen=True, slots=True)
class Scope:
    """
    What filters are understood in.

    resource_types: The types of the topic.
    bases: The hub's own base URLs: references below them are the relative ones.
    """

    version: FhirVersion
    resource_types: frozenset[str]
    bases: frozenset[str]


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
        found.append(_filter(type_, parsed[2], parsed[3], _decoded(value), written))
    return tuple(found)


def criteria(filters: Iterable[Filter], scope: Scope, expression: str = "") -> dict[str, tuple[Criterion, ...]]:
    """
    What a resource has to meet, for each resource type whose changes notify: all criteria of its type.

    Without filters these are the topic's types. A filter that names no type is one for each of the topic's types. If
    filters name types, only changes of these notify (US Core, patient data feed).

    Args:
        expression: The element that the filters stand in, for the issues.

    Raises:
        Rejected: For each filter that can't be evaluated on one of its types.
    """
    filters = tuple(filters)
    named = {filter_.resource_type for filter_ in filters} - {None}
    found: dict[str, list[Criterion]] = {type_: [] for type_ in sorted(scope.resource_types)}
    issues: list[Issue] = []
    for filter_ in filters:
        try:
            for type_ in _types(filter_, scope):
                found[type_].append(criterion(filter_, type_, scope.version, scope.bases))
        except Rejected as rejected:
            issues += _about(filter_, rejected, expression)
    if issues:
        raise Rejected(*issues)
    return {type_: tuple(met) for type_, met in found.items() if not named or type_ in named}


def search(
    query: Iterable[tuple[str, str]], resource_type: str, version: FhirVersion, bases: frozenset[str]
) -> tuple[Criterion, ...]:
    """
    What a resource has to meet to be found by a search: the same as filters, with the parameter as `expression`.

    Args:
        query: Names, perhaps with `:modifier`, and values, percent-decoded.

    Raises:
        Rejected: For each parameter that can't be evaluated.
    """
    found: list[Criterion] = []
    issues: list[Issue] = []
    for name, value in query:
        code, colon, modifier = name.partition(":")
        filter_ = None
        try:
            filter_ = _filter(resource_type, code, modifier if colon else None, value, f"{name}={value}")
            found.append(criterion(filter_, resource_type, version, bases))
        except Rejected as rejected:
            issues += _about(filter_, rejected, name)
    if issues:
        raise Rejected(*issues)
    return tuple(found)


def searchable(version: FhirVersion, resource_type: str) -> tuple[SearchParameter, ...]:
    """The parameters that filters and searches on a type understand, by code."""
    own = (parameter for (type_, _), parameter in parameters(version).items() if type_ == resource_type)
    return tuple(sorted(filter(_is_compared, own), key=lambda parameter: parameter.code))


def criterion(filter_: Filter, resource_type: str, version: FhirVersion, bases: frozenset[str]) -> Criterion:
    """
    What a filter asks of a resource of this type.

    Raises:
        Rejected: It can't be evaluated, or its value is malformed for the parameter's type.
    """
    found = extraction(version, resource_type, _compared(filter_, resource_type, version).code)
    if found.parameter.type is not SearchType.STRING and any(value != value.strip() for value in filter_.values):
        raise Rejected(Issue(IssueCode.VALUE, "a value begins or ends with a blank"))
    compare = {
        SearchType.TOKEN: _token,
        SearchType.REFERENCE: _reference,
        SearchType.STRING: _string,
        SearchType.URI: _uri,
        SearchType.DATE: _date,
    }
    return compare[found.parameter.type](filter_.values, found, bases)


def _token(values: Sequence[str], found: Extraction, _: frozenset[str]) -> Criterion:
    held = found.parameter.held(found.resource_type)
    if found.parameter.code == "_id":
        values = [value.removeprefix(f"{found.resource_type}/") for value in values]
    keys = frozenset().union(*(token.parse(value, held) for value in values))
    return Criterion(source(found, token.Reading(held.get("code") or "")), Meets(keys))


def _reference(values: Sequence[str], found: Extraction, bases: frozenset[str]) -> Criterion:
    keys = frozenset().union(*(reference.parse(value, found, bases) for value in values))
    return Criterion(source(found, reference.Reading(bases)), Meets(keys))


def _string(values: Sequence[str], found: Extraction, _: frozenset[str]) -> Criterion:
    beginnings = sorted({string.parse(value) for value in values})
    return Criterion(source(found, string.Reading()), string.StartsWith(tuple(beginnings)))


def _uri(values: Sequence[str], found: Extraction, _: frozenset[str]) -> Criterion:
    held = found.parameter.held(found.resource_type)
    keys = frozenset().union(*(uri.parse(value, held) for value in values))
    return Criterion(source(found, uri.Reading()), Meets(keys))


def _date(values: Sequence[str], found: Extraction, _: frozenset[str]) -> Criterion:
    ranges = frozenset(date.parse(value) for value in values)
    return Criterion(source(found, date.Reading()), date.Within(ranges))


def _filter(type_: str | None, code: str, modifier: str | None, value: str, text: str) -> Filter:
    values = tuple(split(value, ","))
    if not all(values):
        raise Rejected(Issue(IssueCode.VALUE, f"`{text}`: a value is missing"))
    return Filter(type_, "_id" if code == "id" else code, modifier, None, values, text)


def _decoded(text: str) -> str:
    """Percent-decoded, if the whole text can be; else as it is."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _types(filter_: Filter, scope: Scope) -> Sequence[str]:
    """The types whose changes a filter is for."""
    if filter_.resource_type is None:
        return sorted(scope.resource_types)
    if filter_.resource_type not in resource_types(scope.version):
        reason = f"`{filter_.resource_type}` is not a resource type of FHIR {scope.version.upper()}"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    if filter_.resource_type not in scope.resource_types:
        reason = f"the topic is about {_listed(scope.resource_types)}, not {filter_.resource_type}"
        raise Rejected(Issue(IssueCode.VALUE, reason))
    return (filter_.resource_type,)


def _compared(filter_: Filter, resource_type: str, version: FhirVersion) -> SearchParameter:
    """The parameter of a filter that asks for nothing but what is supported."""
    code = filter_.parameter
    parameter = parameters(version).get((resource_type, code))
    if code == "_has":
        reason = "reverse chaining with `_has` is not supported"
    elif parameter is None and "." in code:
        reason = f"the chained parameter `{code}` is not supported"
    elif parameter is None:
        reason = f"{resource_type} has no search parameter `{code}`"
    elif not _is_compared(parameter):
        reason = f"the parameter `{code}` of type {parameter.type} is not supported"
    elif filter_.modifier is not None:
        reason = (
            f"the modifier `:{filter_.modifier}` of `{code}` is not supported; only equality is, without a modifier"
        )
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, reason))
    elif filter_.comparator not in (None, Comparator.EQ):
        reason = f"the comparator `{filter_.comparator}` of `{code}` is not supported; only equality (`eq`) is"
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, reason))
    else:
        return parameter
    supported = _listed(parameter.code for parameter in searchable(version, resource_type))
    raise Rejected(Issue(IssueCode.NOT_SUPPORTED, f"{reason}; supported for {resource_type}: {supported}"))


def _is_compared(parameter: SearchParameter) -> bool:
    return parameter.type in COMPARED and bool(parameter.expression)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _about(filter_: Filter | None, rejected: Rejected, expression: str) -> Iterator[Issue]:
    for issue in rejected.issues:
        text = f"`{filter_.text}`: {issue.text}" if filter_ else issue.text
        yield replace(issue, text=text, expression=expression)
