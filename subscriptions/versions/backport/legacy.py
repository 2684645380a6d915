"""
Criteria that are a search, as R4 has them without the Backport IG: https://hl7.org/fhir/R4/subscription.html

They come to a topic that the Subscription has for itself: a create or update of one type; and filters on the new
version. Medplum's extensions say more: which interactions fire it, and a FHIRPath over `%previous` and `%current`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from subscriptions import filters
from subscriptions.codes import FhirVersion, Interaction, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.predicate import predicate
from subscriptions.search.parameters import resource_types
from subscriptions.subscription import Filter, Style
from subscriptions.topic import ResourceTrigger, Topic
from subscriptions.versions.backport import extensions
from subscriptions.versions.extensions import of

CRITERIA = "Subscription.criteria"

_SEARCH = re.compile(r"/?([A-Z][A-Za-z]+)(?:\?(.*))?", re.DOTALL)
_USUAL = frozenset({Interaction.CREATE, Interaction.UPDATE})


def is_search(criteria: object) -> bool:
    """Whether criteria are a search: `Immunization?patient=Patient/1`, or a type alone."""
    return isinstance(criteria, str) and _SEARCH.fullmatch(criteria) is not None


def read(
    resource: Mapping[str, Any], style: Style, version: FhirVersion, issues: list[Issue]
) -> tuple[Topic, dict[str, tuple[Filter, ...]]]:
    """The topic and the filters, by element, of a Subscription whose criteria are a search."""
    found = _SEARCH.fullmatch(resource["criteria"])
    type_, query = found.groups("") if found else ("", "")
    if type_ not in resource_types(version):
        issues.append(Issue(IssueCode.VALUE, f"`{type_}` is not a resource type of FHIR {version.upper()}.", CRITERIA))
    elif type_ == "Subscription":
        issues.append(Issue(IssueCode.NOT_SUPPORTED, "Nobody is told of changes of Subscriptions.", CRITERIA))
    asked: tuple[Filter, ...] = ()
    try:
        asked = filters.parse(f"{type_}?{query}") if query else ()
    except Rejected as rejected:
        issues += (Issue(issue.code, issue.text, CRITERIA) for issue in rejected.issues)
    interactions, expression = _USUAL, ""
    if style is Style.MEDPLUM:
        interactions = frozenset(_interactions(resource, issues)) or _USUAL
        expression = _expression(resource, version, issues)
    # Those that mean the same share one topic, and have the same name, so that its triggers are tried once.
    name = " ".join(filter(None, (type_, *sorted(interactions), expression)))
    trigger = ResourceTrigger(type_, interactions, fhirpath=expression)
    return Topic(url=name, version="", title=name, description="", triggers=(trigger,)), {CRITERIA: asked}


def _interactions(resource: Mapping[str, Any], issues: list[Issue]) -> Iterator[Interaction]:
    for i, extension in of(resource, extensions.SUPPORTED_INTERACTION):
        code = extension.get("valueCode")
        if isinstance(code, str) and code in list(Interaction):
            yield Interaction(code)
        else:
            text = f"The interaction must be a valueCode, one of {', '.join(Interaction)}."
            issues.append(Issue(IssueCode.VALUE, text, f"Subscription.extension[{i}]"))


def _expression(resource: Mapping[str, Any], version: FhirVersion, issues: list[Issue]) -> str:
    found = of(resource, extensions.FHIR_PATH_CRITERIA)
    for i, _ in found[1:]:
        text = f"Only one {extensions.FHIR_PATH_CRITERIA} is allowed."
        issues.append(Issue(IssueCode.STRUCTURE, text, f"Subscription.extension[{i}]"))
    for i, extension in found[:1]:
        expression, where = extension.get("valueString"), f"Subscription.extension[{i}]"
        if not isinstance(expression, str) or not expression.strip():
            issues.append(Issue(IssueCode.VALUE, "The expression must be a valueString that says something.", where))
            continue
        try:
            return predicate(expression, version).expression
        except Rejected as rejected:
            issues += (Issue(issue.code, issue.text, where) for issue in rejected.issues)
    return ""
