"""A filter that a topic defines itself: a SearchParameter that it contains, made into what can be extracted."""

from functools import lru_cache

from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.search.extraction import Expression
from subscriptions.search.fhirpath import accept
from subscriptions.search.metered import metered
from subscriptions.search.parameters import SearchParameter
from subscriptions.topic import ANY, Definition


# As with predicates, the largest take 1 MB each.
@lru_cache(maxsize=256)
def defined(definition: Definition, resource_type: str, version: FhirVersion) -> Expression:
    """
    What a definition finds in resources of a type. Its expression knows `%interaction`: create, update or delete.

    Raises:
        Rejected: It is not for the type, or its expression is not accepted.
    """
    accept(definition.expression)
    if definition.base.isdisjoint({resource_type, ANY, "DomainResource"}):
        text = f"the topic defines `{definition.code}` for {', '.join(sorted(definition.base))}, not {resource_type}"
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, text))
    parameter = SearchParameter(
        url=f"#{definition.id}",
        code=definition.code,
        base=tuple(sorted(definition.base)),
        type=definition.type,
        expression=definition.expression,
        components=(),
        targets=definition.targets,
        holds={},
    )
    found = Expression(version, resource_type, parameter, metered)
    if not found.finds_something:
        text = f"no branch of `{definition.expression}` begins with `{resource_type}.`, as it has to"
        raise Rejected(Issue(IssueCode.NOT_SUPPORTED, text))
    return found
