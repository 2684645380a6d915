"""
A topic, from a SubscriptionTopic of R4B or R5, or from the Basic that stands for one in R4.

https://hl7.org/fhir/R5/subscriptiontopic.html, https://hl7.org/fhir/R4B/subscriptiontopic.html. What it says is read
here; whether the hub can do it is for `triggers` to say.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from subscriptions.codes import Comparator, FhirVersion, Interaction, IssueCode, PublicationStatus, SearchType
from subscriptions.errors import Issue, Rejected
from subscriptions.topic import (
    ANY,
    MODIFIERS,
    CanFilterBy,
    Definition,
    EventTrigger,
    NotificationShape,
    QueryCriteria,
    ResourceTrigger,
    Topic,
)
from subscriptions.versions.topics.element import Element, Extended, Native

E = TypeVar("E", bound=StrEnum)

_ABSOLUTE = re.compile(r"(?:https?://|urn:)[^\s|#]+")
_TYPE = re.compile(r"(?:http://hl7\.org/fhir/StructureDefinition/)?([A-Z][A-Za-z]+)")
_PARAMETER = re.compile(r"[A-Za-z_][\w.\-]*|https?://[^\s|]+", re.ASCII)
_TYPE_CODE = ("http://hl7.org/fhir/fhir-types", "SubscriptionTopic")

#: http://hl7.org/fhir/R4B/valueset-subscription-search-modifier.html: R4B has no comparators, which stand among the
#: modifiers, where `=` is plain equality.
R4B_MODIFIERS = ("=", *Comparator, "above", "below", "in", "not-in", "of-type")


def is_topic(resource: Mapping[str, Any]) -> bool:
    """Whether a Basic stands for a SubscriptionTopic."""
    code = resource.get("code")
    codings = code.get("coding") if isinstance(code, Mapping) else None
    return resource.get("resourceType") == "Basic" and any(
        isinstance(each, Mapping) and (each.get("system"), each.get("code")) == _TYPE_CODE
        for each in (codings if isinstance(codings, list) else ())
    )


def read_topic(resource: Mapping[str, Any], version: FhirVersion) -> Topic:
    """
    Read a topic in the form that it has in a FHIR version.

    Raises:
        Rejected: For all faults at once.
    """
    issues: list[Issue] = []
    wanted = "Basic" if version is FhirVersion.R4 else "SubscriptionTopic"
    root: Element
    if resource.get("resourceType") != wanted:
        text = f"A topic of FHIR {version.upper()} is a {wanted}, not a {resource.get('resourceType')}."
        raise Rejected(Issue(IssueCode.STRUCTURE, text))
    if version is FhirVersion.R4 and not is_topic(resource):
        text = f"A Basic that is a topic has the code `{_TYPE_CODE[1]}` of {_TYPE_CODE[0]}."
        raise Rejected(Issue(IssueCode.VALUE, text, "Basic.code"))
    root = Extended(wanted, resource, wanted) if version is FhirVersion.R4 else Native(resource, wanted)
    modifiers = R4B_MODIFIERS if version is FhirVersion.R4B else MODIFIERS
    topic = _Reader(issues, modifiers).topic(root, resource)
    if issues:
        raise Rejected(*issues)
    return topic


class _Reader:
    """Reads on after a fault, and notes each. `modifiers`: The codes that are modifiers in its FHIR version."""

    def __init__(self, issues: list[Issue], modifiers: tuple[str, ...]) -> None:
        self._issues = issues
        self._modifiers = modifiers

    def topic(self, root: Element, resource: Mapping[str, Any]) -> Topic:
        if resource.get("implicitRules") is not None:
            text = "Implicit rules are not supported: they could change what the topic means."
            self._fault(IssueCode.NOT_SUPPORTED, text, f"{root.path}.implicitRules")
        self._issues += root.refused()
        url = self._text(root, "url", required=True)
        if url and not _ABSOLUTE.fullmatch(url):
            text = "The url is the topic's canonical: absolute, without `|version`."
            self._fault(IssueCode.VALUE, text, root.at("url"))
        triggers = tuple(map(self._trigger, self._parts(root, "resourceTrigger")))
        events = tuple(map(self._event, self._parts(root, "eventTrigger")))
        if not triggers and not events:
            text = "A topic without resourceTrigger and eventTrigger can never fire."
            self._fault(IssueCode.REQUIRED, text, root.at("resourceTrigger"))
        definitions = tuple(self._definitions(root.path, resource))
        allowed = tuple(self._allowed(each, definitions) for each in self._parts(root, "canFilterBy"))
        return Topic(
            url=url,
            version=self._text(root, "version"),
            title=self._text(root, "title") or self._text(root, "name"),
            description=self._text(root, "description"),
            triggers=triggers,
            event_triggers=events,
            can_filter_by=allowed,
            shapes=tuple(map(self._shape, self._parts(root, "notificationShape"))),
            definitions=definitions,
            derived_from=tuple(self._texts(root, "derivedFrom")),
            status=self._code(root, "status", PublicationStatus, required=True) or PublicationStatus.UNKNOWN,
        )

    def _trigger(self, element: Element) -> ResourceTrigger:
        criteria = self._parts(element, "queryCriteria", most=1)
        named = frozenset(self._codes(element, "supportedInteraction", Interaction))
        return ResourceTrigger(
            resource=self._type(element, required=True) or ANY,
            interactions=named or frozenset(Interaction),
            query=self._query(criteria[0]) if criteria else None,
            fhirpath=self._text(element, "fhirPathCriteria"),
            description=self._text(element, "description"),
        )

    def _query(self, element: Element) -> QueryCriteria:
        previous, current = self._text(element, "previous"), self._text(element, "current")
        if not element.of("previous", []) and not element.of("current", []):
            text = "A queryCriteria has `previous`, `current` or both."
            self._fault(IssueCode.REQUIRED, text, element.path)
        return QueryCriteria(
            previous=previous,
            current=current,
            result_for_create=self._result(element, "resultForCreate"),
            result_for_delete=self._result(element, "resultForDelete"),
            require_both=self._boolean(element, "requireBoth"),
        )

    def _result(self, element: Element, name: str) -> bool | None:
        result = self._code(element, name, _Result)
        return None if result is None else result is _Result.TEST_PASSES

    def _event(self, element: Element) -> EventTrigger:
        codings: set[tuple[str, str]] = set()
        for event in self._parts(element, "event", most=1):
            found = event.data.get("coding") if isinstance(event.data, Mapping) else None
            for coding in found if isinstance(found, list) else ():
                match coding:
                    case {"system": str(system), "code": str(code)}:
                        codings.add((system, code))
        if not codings:
            text = "An event has a coding with system and code: publishers name it by these."
            self._fault(IssueCode.REQUIRED, text, element.at("event"))
        type_ = self._type(element, required=True) or ANY
        return EventTrigger(frozenset(codings), type_, self._text(element, "description"))

    def _allowed(self, element: Element, definitions: Iterable[Definition]) -> CanFilterBy:
        parameter = self._text(element, "filterParameter", required=True)
        if parameter and not _PARAMETER.fullmatch(parameter):
            text = f"`{parameter}` is no parameter's name: modifiers and comparators have elements of their own."
            self._fault(IssueCode.VALUE, text, element.at("filterParameter"))
        definition = self._text(element, "filterDefinition")
        if definition.startswith("#") and all(definition != f"#{each.id}" for each in definitions):
            text = f"The topic contains no SearchParameter with the id `{definition[1:]}`."
            self._fault(IssueCode.NOT_FOUND, text, element.at("filterDefinition"))
        comparators = set(self._codes(element, "comparator", Comparator))
        modifiers: set[str] = set()
        for code in self._parts(element, "modifier"):
            known = self._modifiers if isinstance(code, Native) else (*R4B_MODIFIERS, *MODIFIERS)
            if code.data not in known:
                text = f"`{code.data}` is no search modifier; there are {', '.join(known)}."
                self._fault(IssueCode.VALUE, text, code.path)
            elif comparator := _code(code.data, Comparator):
                comparators.add(comparator)
            elif code.data != "=":
                modifiers.add(str(code.data))
        return CanFilterBy(
            resource=self._type(element),
            parameter=parameter,
            definition=definition,
            comparators=frozenset(comparators),
            modifiers=frozenset(modifiers),
            description=self._text(element, "description"),
        )

    def _shape(self, element: Element) -> NotificationShape:
        return NotificationShape(
            resource=self._type(element, required=True) or ANY,
            include=tuple(self._texts(element, "include")),
            rev_include=tuple(self._texts(element, "revInclude")),
        )

    def _definitions(self, path: str, resource: Mapping[str, Any]) -> Iterable[Definition]:
        contained = Native(resource, path)
        for element in self._parts(contained, "contained"):
            if not isinstance(element.data, Mapping) or element.data.get("resourceType") != "SearchParameter":
                continue
            yield Definition(
                id=self._text(element, "id", required=True),
                code=self._text(element, "code", required=True),
                type=self._code(element, "type", SearchType, required=True) or SearchType.SPECIAL,
                base=frozenset(self._texts(element, "base", required=True)),
                expression=self._text(element, "expression", required=True),
                targets=frozenset(self._texts(element, "target")),
            )

    def _type(self, element: Element, *, required: bool = False) -> str | None:
        """A resource type; `*` is how some topics write `Resource`. None when it is not given, or not one."""
        text = self._text(element, "resource", required=required)
        found = _TYPE.fullmatch(text)
        if found or text in ("", "*"):
            return found[1] if found else (ANY if text else None)
        reason = f"`{text}` is no resource type: write `Encounter`, or its StructureDefinition's URL."
        self._fault(IssueCode.VALUE, reason, element.at("resource"))
        return None

    def _parts(self, element: Element, name: str, *, most: int | None = None) -> list[Element]:
        found = element.of(name, self._issues)
        if most is not None and len(found) > most:
            self._fault(IssueCode.STRUCTURE, f"There can be {most} only.", found[most].path)
        for each in found:
            self._issues += each.refused()
        return found

    def _texts(self, element: Element, name: str, *, required: bool = False) -> list[str]:
        found = self._parts(element, name)
        if required and not found:
            self._fault(IssueCode.REQUIRED, f"The {name} is missing.", element.at(name))
        for each in found:
            if not isinstance(each.data, str) or not each.data.strip():
                self._fault(IssueCode.STRUCTURE, f"The {name} is a text, and not empty.", each.path)
        return [each.data for each in found if isinstance(each.data, str) and each.data.strip()]

    def _text(self, element: Element, name: str, *, required: bool = False) -> str:
        """Empty when it is not there, or not a text."""
        found = self._texts(element, name, required=required)
        if len(found) > 1:
            self._fault(IssueCode.STRUCTURE, f"There is one {name} only.", element.at(name))
        return found[0] if found else ""

    def _codes(self, element: Element, name: str, codes: type[E], *, required: bool = False) -> list[E]:
        found, parts, known = [], self._parts(element, name), ", ".join(codes)
        if required and not parts:
            self._fault(IssueCode.REQUIRED, f"The {name} is missing; there are {known}.", element.at(name))
        for each in parts:
            if code := _code(each.data, codes):
                found.append(code)
            else:
                self._fault(IssueCode.VALUE, f"`{each.data}` is no {name}; there are {known}.", each.path)
        return found

    def _code(self, element: Element, name: str, codes: type[E], *, required: bool = False) -> E | None:
        found = self._codes(element, name, codes, required=required)
        if len(found) > 1:
            self._fault(IssueCode.STRUCTURE, f"There is one {name} only.", element.at(name))
        return found[0] if found else None

    def _boolean(self, element: Element, name: str) -> bool:
        found = self._parts(element, name, most=1)
        if found and not isinstance(found[0].data, bool):
            self._fault(IssueCode.STRUCTURE, f"{name} is `true` or `false`.", found[0].path)
        return bool(found) and found[0].data is True

    def _fault(self, code: IssueCode, text: str, path: str) -> None:
        self._issues.append(Issue(code, text, path))


class _Result(StrEnum):
    """http://hl7.org/fhir/ValueSet/subscriptiontopic-cr-behavior."""

    TEST_PASSES = "test-passes"
    TEST_FAILS = "test-fails"


def _code(data: Any, codes: type[E]) -> E | None:
    try:
        return codes(data)
    except ValueError:
        return None
