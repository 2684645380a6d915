"""Filters become criteria: https://hl7.org/fhir/R4/search.html. What can't be evaluated is rejected, never ignored."""

from collections.abc import Callable, Mapping

from subscriptions.codes import IssueCode, SearchType
from subscriptions.errors import Issue, Rejected
from subscriptions.search import (
    composite,
    date,
    missing,
    number,
    quantity,
    reference,
    special,
    string,
    token_modifiers,
    uri,
)
from subscriptions.search.asking import Asked, Context
from subscriptions.search.chains import Chain, Reverse
from subscriptions.search.comparison import Criterion
from subscriptions.search.definition import defined
from subscriptions.search.extraction import Extraction, extraction
from subscriptions.search.following import extracted
from subscriptions.search.parameters import SearchParameter, parameters
from subscriptions.search.paths import path
from subscriptions.subscription import Filter
from subscriptions.topic import Definition


def _composite(asked: Asked) -> Criterion:
    return composite.criterion(asked, lambda component: _BY_TYPE[component.found.parameter.type](component))


_BY_TYPE: Mapping[SearchType, Callable[[Asked], Criterion]] = {
    SearchType.COMPOSITE: _composite,
    SearchType.DATE: date.criterion,
    SearchType.NUMBER: number.criterion,
    SearchType.QUANTITY: quantity.criterion,
    SearchType.REFERENCE: reference.criterion,
    SearchType.SPECIAL: special.criterion,
    SearchType.STRING: string.criterion,
    SearchType.TOKEN: token_modifiers.criterion,
    SearchType.URI: uri.criterion,
}


def criterion(filter_: Filter, resource_type: str, context: Context, definition: Definition | None = None) -> Criterion:
    """
    What a filter asks of a resource of this type.

    Args:
        definition: What the topic defines the parameter as; None for the official one.

    Raises:
        Rejected: It can't be evaluated, or its value is malformed for the parameter's type.
    """
    found, modifier = extraction_of(filter_, resource_type, context, definition)
    type_ = found.parameter.type
    if type_ is not SearchType.STRING and any(value != value.strip() for value in filter_.values):
        raise Rejected(Issue(IssueCode.VALUE, "a value begins or ends with a blank"))
    asked = Asked(found, modifier, filter_.comparator, filter_.values, context)
    _check_presence(asked)
    return missing.criterion(asked) if modifier == missing.MODIFIER else _BY_TYPE[type_](asked)


def _check_presence(asked: Asked) -> None:
    """
    Raises:
        Rejected: What other resources don't have is asked for. `patient.gender:not=male` would hold of a change without
            patient as well as of one whose patient the hub doesn't hold.
    """
    negated = asked.modifier in ("not", "not-in") or (asked.modifier == missing.MODIFIER and "true" in asked.values)
    if negated and isinstance(asked.found, Chain | Reverse):
        text = f"`:{asked.modifier}` of what other resources have is not supported: the hub may not hold them all"
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, f"`{asked.found.name}`: {text}"))


def extraction_of(
    filter_: Filter, resource_type: str, context: Context, definition: Definition | None = None
) -> tuple[Extraction, str | None]:
    """
    What a filter looks at, and its modifier.

    Raises:
        Rejected: It can't be evaluated, whatever its values are.
    """
    if definition:
        found, modifier = defined(definition, resource_type, context.version), filter_.modifier
        if not is_evaluated(found.parameter):
            reason = f"the parameter `{definition.code}` of type {definition.type} is not supported"
            raise Rejected(Issue(IssueCode.NOT_SUPPORTED, reason))
        return found, modifier
    asked = path(filter_.parameter, filter_.modifier)

    def plain(type_: str, code: str) -> Extraction:
        return _plain(type_, code, context)

    return extracted(asked, resource_type, context, plain), asked.modifier


def is_evaluated(parameter: SearchParameter) -> bool:
    """Whether filters on it can be compiled."""
    match parameter.type:
        case SearchType.COMPOSITE:
            return composite.is_evaluated(parameter)
        case SearchType.SPECIAL:
            return parameter.expression in special.EVALUATED
        case _:
            return bool(parameter.expression or parameter.code == "_in")


def _plain(resource_type: str, code: str, context: Context) -> Extraction:
    """The extraction of a type's own parameter."""
    known = parameters(context.version)
    parameter = known.get((resource_type, code))
    if parameter is None:
        reason = f"{resource_type} has no search parameter `{code}`"
    elif not is_evaluated(parameter):
        reason = f"the parameter `{code}` of type {parameter.type} is not supported"
    elif parameter.type is SearchType.COMPOSITE:
        return composite.composition(context.version, resource_type, code)
    else:
        return extraction(context.version, resource_type, code)
    supported = sorted(one.code for (type_, _), one in known.items() if type_ == resource_type and is_evaluated(one))
    raise Rejected(Issue(IssueCode.NOT_SUPPORTED, f"{reason}; supported for {resource_type}: {', '.join(supported)}"))
