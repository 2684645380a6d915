"""
The elements of a topic, in the form of a SubscriptionTopic or in that of the cross-version extensions of a Basic.

http://hl7.org/fhir/uv/subscriptions-backport (1.2.0-ballot, R4 topics) has the second form. Both are read alike.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue

#: The elements that are arrays in JSON.
_REPEATING = frozenset(
    {
        *("contained", "derivedFrom", "resourceTrigger", "eventTrigger", "canFilterBy", "notificationShape"),
        *("supportedInteraction", "comparator", "modifier", "include", "revInclude", "base", "target"),
    }
)

#: The extensions that stand for elements of a SubscriptionTopic. The IG's own example mixes both prefixes.
CROSS_VERSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic."
_CROSS_VERSION = re.compile(r"http://hl7\.org/fhir/(?:5\.0|4\.3)/StructureDefinition/extension-SubscriptionTopic\.(.+)")
#: The same of 1.2.0's later text, which takes two of the elements from extensions for all artifacts.
_ARTIFACT = {
    "http://hl7.org/fhir/StructureDefinition/artifact-url": "url",
    "http://hl7.org/fhir/StructureDefinition/artifact-status": "status",
}


class Element(Protocol):
    """
    An element of a topic, wherever it stands.

    data: Its JSON; for an extension that of its value.
    path: Its FHIRPath.
    """

    @property
    def data(self) -> Any: ...
    @property
    def path(self) -> str: ...

    def of(self, name: str, issues: list[Issue]) -> "list[Element]":
        """Its children of this name. What can't be one is left out and noted."""

    def at(self, name: str) -> str:
        """Where a child of this name is, or would be."""

    def refused(self) -> Iterator[Issue]:
        """The modifier extensions in it: they could change what it means."""


@dataclass(frozen=True, slots=True)
class Native:
    """An element of a SubscriptionTopic."""

    data: Any
    path: str

    def of(self, name: str, issues: list[Issue]) -> list[Element]:
        found = self.data.get(name) if isinstance(self.data, Mapping) else None
        own: list[Element] = []
        if found is not None and isinstance(found, list) is not (name in _REPEATING):
            form = "an array" if name in _REPEATING else "a single value"
            issues.append(Issue(IssueCode.STRUCTURE, f"`{name}` is {form}.", self.at(name)))
        elif isinstance(found, list):
            own = [Native(each, f"{self.path}.{name}[{i}]") for i, each in enumerate(found)]
        elif found is not None:
            own = [Native(found, self.at(name))]
        # What this FHIR version has no element for, or no code: `name` and most modifiers in R4B.
        others = (each for each in _extensions(self.data, self.path, issues) if ":" in each.extension["url"])
        return own + [each for each in others if each.name.rpartition(".")[2] == name]

    def at(self, name: str) -> str:
        return f"{self.path}.{name}"

    def refused(self) -> Iterator[Issue]:
        if isinstance(self.data, Mapping) and "modifierExtension" in self.data:
            yield _modifier(f"{self.path}.modifierExtension")


@dataclass(frozen=True, slots=True)
class Extended:
    """
    An extension of a Basic that stands for an element, or the Basic itself.

    name: The element's, as the extension's URL has it.
    extension: Its JSON.
    """

    name: str
    extension: Any
    path: str

    @property
    def data(self) -> Any:
        values = [value for key, value in self.extension.items() if re.match(r"value[A-Z]", key)]
        return values[0] if values else None

    def of(self, name: str, issues: list[Issue]) -> list[Element]:
        return [each for each in _extensions(self.extension, self.path, issues) if each.name == name]

    def at(self, name: str) -> str:
        return f"{self.path}.extension.where(url.endsWith('{name}'))"

    def refused(self) -> Iterator[Issue]:
        for i, each in enumerate(_list(self.extension.get("modifierExtension"))):
            if _name(each.get("url") if isinstance(each, Mapping) else None) != "status":
                yield _modifier(f"{self.path}.modifierExtension[{i}]")


def _extensions(bearer: Any, path: str, issues: list[Issue]) -> Iterator[Extended]:
    """The extensions of an element that stand for elements of a topic."""
    if not isinstance(bearer, Mapping):
        return
    for member in ("extension", "modifierExtension"):
        for i, each in enumerate(_list(bearer.get(member))):
            where = f"{path}.{member}[{i}]"
            if not isinstance(each, Mapping) or not isinstance(each.get("url"), str):
                issue = Issue(IssueCode.STRUCTURE, "An extension is an object with a `url`.", where)
                issues += () if issue in issues else (issue,)
            elif name := _name(each["url"]):
                yield Extended(name, each, where)


def _name(url: object) -> str:
    """The element that an extension stands for: the whole URL inside of another such extension; empty for none."""
    if not isinstance(url, str):
        return ""
    found = _CROSS_VERSION.fullmatch(url)
    if found:
        return found[1]
    return _ARTIFACT.get(url, "" if ":" in url else url)


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _modifier(where: str) -> Issue:
    return Issue(IssueCode.NOT_SUPPORTED, "Modifier extensions are not supported: leave it out.", where)
