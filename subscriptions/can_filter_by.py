"""
Which filters a topic allows: https://hl7.org/fhir/R5/subscriptiontopic-definitions.html (canFilterBy).

A filter is listed by the name of a search parameter, chained or not, or by a label of the topic's own. Listed without
comparators and modifiers, it is one on equality only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import product

from subscriptions.codes import Comparator, FhirVersion, IssueCode, SearchType
from subscriptions.errors import Issue, Rejected
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Criterion
from subscriptions.search.compiling import criterion, is_evaluated
from subscriptions.search.composite import composition
from subscriptions.search.escapes import split
from subscriptions.search.extraction import Extraction
from subscriptions.search.parameters import SearchParameter, parameters, resource_types
from subscriptions.search.paths import Backward, Path, path
from subscriptions.search.ranges import prefixed
from subscriptions.search.vocabulary import Vocabulary
from subscriptions.subscription import Filter
from subscriptions.topic import ANY, MODIFIERS, CanFilterBy, Definition, Topic

_ORDERED = frozenset({SearchType.DATE, SearchType.NUMBER, SearchType.QUANTITY})
#: One of these is a value of any parameter, with any modifier.
_VALUES = ("true", "2026", "1", "https://example.org/1", "a|b", "a|b|c")


def listed(topic: Topic, filter_: Filter, resource_type: str) -> tuple[CanFilterBy, ...]:
    """What a topic lists for this filter on a type: nothing if it doesn't allow it."""
    names = {filter_.parameter, _name(path(filter_.parameter, filter_.modifier))}
    return tuple(each for each in _of_type(topic, resource_type) if each.parameter in names)


def concerns(filter_: Filter, resource_type: str, topic: Topic) -> bool:
    """Whether a filter is one for changes of this type: it names it, or names none and is listed for it."""
    if topic.resource_types.isdisjoint({ANY, resource_type}) or filter_.resource_type not in (None, resource_type):
        return False
    if filter_.resource_type or topic.can_filter_by is None:
        return True
    return bool(listed(topic, filter_, resource_type))


def permitted(filter_: Filter, resource_type: str, topic: Topic, context: Context) -> Criterion:
    """
    What a filter asks of a resource of this type, if the topic allows it.

    Raises:
        Rejected: It doesn't, or the filter can't be evaluated.
    """
    if topic.can_filter_by is None:
        return criterion(filter_, resource_type, context)
    allowed = listed(topic, filter_, resource_type)
    if not allowed:
        raise not_listed(filter_, topic, (resource_type,))
    defined = next((each for each in allowed if each.definition), None)
    wanted = _compiled(filter_, resource_type, topic, defined, context)
    modifier = filter_.modifier if defined else path(filter_.parameter, filter_.modifier).modifier
    _check_modifier(modifier, allowed, context)
    if modifier is None:
        _check_comparators(filter_, wanted.source.extraction, allowed)
    return wanted


@cache
def evaluable(resource_type: str, version: FhirVersion) -> tuple[CanFilterBy, ...]:
    """Every filter on a type that can be evaluated from the resource alone, as a topic lists it. Found by trying."""
    context = Context(version, frozenset(), vocabulary=_trial(version))
    known = (each for (type_, _), each in parameters(version).items() if type_ == resource_type)
    return tuple(
        CanFilterBy(
            resource=resource_type,
            parameter=each.code,
            definition=each.url,
            comparators=frozenset(Comparator) if _is_ordered(each, resource_type, version) else frozenset(),
            modifiers=frozenset(code for code in MODIFIERS if _works(each, resource_type, context, code)),
        )
        for each in sorted(known, key=lambda each: each.code)
        if is_evaluated(each)
    )


def _is_ordered(parameter: SearchParameter, resource_type: str, version: FhirVersion) -> bool:
    """Whether its values, or a part of them, have an order."""
    if parameter.type is SearchType.COMPOSITE:
        components = composition(version, resource_type, parameter.code).components
        return any(component.parameter.type in _ORDERED for component in components)
    return parameter.type in _ORDERED


@cache
def _trial(version: FhirVersion) -> Vocabulary:
    """What the `_VALUES` name, in every system: filters on a ValueSet are listed, whichever ones the hub is given."""
    held = (each.held(type_) for (type_, _), each in parameters(version).items())
    systems = {system for systems in held for system in systems.values() if system} | {"a"}
    code_systems = [
        {"resourceType": "CodeSystem", "url": url, "content": "complete", "concept": [{"code": "1"}, {"code": "b"}]}
        for url in sorted(systems)
    ]
    compose = {"include": [{"system": "a"}]}
    return Vocabulary([*code_systems, {"resourceType": "ValueSet", "url": "https://example.org/1", "compose": compose}])


def _works(parameter: SearchParameter, resource_type: str, context: Context, modifier: str) -> bool:
    """Whether a filter with this modifier can be compiled with one of the values that somebody could give."""
    if modifier == "type":
        modifiers: Iterable[str] = sorted(parameter.targets) or sorted(resource_types(context.version))[:1]
    else:
        modifiers = [modifier]
    for value, written in product(_VALUES, modifiers):
        asked = Filter(resource_type, parameter.code, written, None, (value,), value)
        try:
            criterion(asked, resource_type, context)
        except Rejected:
            continue
        return True
    return False


def official(canonical: str, resource_type: str, context: Context) -> SearchParameter | None:
    """The search parameter of a canonical, if it is one for this type."""
    known = parameters(context.version).items()
    url = canonical.partition("|")[0]
    return next((each for (type_, _), each in known if type_ == resource_type and each.url == url), None)


def definition(topic: Topic, reference: str) -> Definition | None:
    """What `#id` points to."""
    return next((each for each in topic.definitions if f"#{each.id}" == reference), None)


def not_listed(filter_: Filter, topic: Topic, types: Iterable[str]) -> Rejected:
    """Why a filter that is `listed` for none of some types is rejected."""
    types = sorted(types)
    some = ", ".join(types) if len(types) < 20 else "its types"
    entries = {_described(each): None for type_ in types for each in _of_type(topic, type_)}
    allowed = ", ".join(entries) or "no filters"
    text = f"the topic has no filter `{filter_.parameter}`; for {some} it allows: {allowed}"
    return Rejected(Issue(IssueCode.NOT_SUPPORTED, text))


def _of_type(topic: Topic, resource_type: str) -> Iterator[CanFilterBy]:
    return (each for each in topic.can_filter_by or () if each.resource in (None, ANY, resource_type))


def _name(asked: Path) -> str:
    """A path as `filterParameter` has it, without colons: `subject:Patient.name` is listed as `subject.name`."""
    if any(isinstance(link, Backward) for link in asked.links):
        return ""
    return ".".join((*(link.code for link in asked.links), asked.code))


def _compiled(
    filter_: Filter, resource_type: str, topic: Topic, allowed: CanFilterBy | None, context: Context
) -> Criterion:
    if allowed is None:
        return criterion(filter_, resource_type, context)
    if allowed.definition.startswith("#"):
        return criterion(filter_, resource_type, context, definition(topic, allowed.definition))
    found = official(allowed.definition, resource_type, context)
    if found is None:
        text = f"{resource_type} has no search parameter {allowed.definition}, which `{allowed.parameter}` stands for"
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, text))
    return criterion(replace(filter_, parameter=found.code), resource_type, context)


def _check_modifier(modifier: str | None, allowed: tuple[CanFilterBy, ...], context: Context) -> None:
    code = "type" if modifier in resource_types(context.version) else modifier
    if code is not None and all(code not in each.modifiers for each in allowed):
        text = f"the topic does not allow the modifier `:{modifier}`; it allows: {', '.join(map(_described, allowed))}"
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, text))


def _check_comparators(filter_: Filter, found: Extraction, allowed: tuple[CanFilterBy, ...]) -> None:
    named = {prefixed(value)[0] for value in _ordered(filter_, found)}
    for comparator in sorted((named | {filter_.comparator}) - {None, Comparator.EQ}, key=str):
        if all(comparator not in each.comparators for each in allowed):
            text = f"the topic does not allow the comparator `{comparator}`; it allows: "
            raise Rejected(Issue(IssueCode.NOT_SUPPORTED, text + ", ".join(map(_described, allowed))))


def _ordered(filter_: Filter, found: Extraction) -> Iterator[str]:
    """The values, and parts of a composite's values, that a comparator can stand in front of."""
    parameter = found.parameter
    if parameter.type in _ORDERED:
        yield from filter_.values
    elif parameter.type is SearchType.COMPOSITE:
        components = composition(found.version, found.resource_type, parameter.code).components
        for value in filter_.values:
            parts = zip(components, split(value, "$"), strict=True)
            yield from (part for component, part in parts if component.parameter.type in _ORDERED)


def _described(allowed: CanFilterBy) -> str:
    more = [code.value for code in Comparator if code in allowed.comparators]
    more += [f":{modifier}" for modifier in sorted(allowed.modifiers)]
    return f"`{allowed.parameter}`" + (f" ({' '.join(more)})" if more else "")
