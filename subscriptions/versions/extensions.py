"""
The extensions of a Subscription, wherever they stand in it.

An extension that changes what a Subscription means is honoured or refused, never ignored; any other one is kept.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
MEDPLUM = "https://medplum.com/fhir/StructureDefinition"
OWN = "https://fhir-event-hub.example/StructureDefinition"

#: HAPI's, which change what is sent, or when.
_HAPI = "http://hapifhir.io/fhir/StructureDefinition/subscription-"

_CROSS_VERSION = re.compile(r"http://hl7\.org/fhir/\d+\.\d+/", re.ASCII)
_IDENTIFIER = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.identifier"

#: Why an extension of this URL says nothing to a Subscription; None if it may.
Reason = Callable[[str], str | None]


def of(element: object, url: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The extensions of this URL that an element bears directly, each with its index among all of the element's."""
    found = element.get("extension") if isinstance(element, Mapping) else None
    if not isinstance(found, list):
        return []
    return [(i, each) for i, each in enumerate(found) if isinstance(each, Mapping) and each.get("url") == url]


def refused(resource: Mapping[str, Any], homes: Mapping[str, str], reason: Reason) -> Iterator[Issue]:
    """
    The extensions for which a Subscription is not accepted.

    Args:
        homes: The element that each one that is understood belongs to. Anywhere else it would not be read.
    """
    for extension, bearer, at in _all(resource, "Subscription"):
        url = extension.get("url") if isinstance(extension, Mapping) else None
        if bearer.endswith(".modifierExtension"):
            yield Issue(IssueCode.NOT_SUPPORTED, "Modifier extensions are not supported: leave it out.", bearer)
        elif not isinstance(url, str):
            yield Issue(IssueCode.STRUCTURE, "An extension is an object with a `url`.", at)
        elif _CROSS_VERSION.match(url) and url != _IDENTIFIER:
            text = (
                f"The cross-version extension {url} is not supported: use the elements and extensions of this version."
            )
            yield Issue(IssueCode.NOT_SUPPORTED, text, at)
        elif why := reason(url):
            yield Issue(IssueCode.NOT_SUPPORTED, f"The extension {url} {why}", at)
        elif url in homes and bearer != homes[url]:
            yield Issue(IssueCode.STRUCTURE, f"The extension {url} belongs to {homes[url]}.", at)
        elif url.startswith((f"{BACKPORT}/", f"{MEDPLUM}/", f"{OWN}/", _HAPI)) and url not in homes:
            yield Issue(IssueCode.NOT_SUPPORTED, f"The extension {url} is not supported.", at)


def _all(element: Mapping[str, Any], path: str) -> Iterator[tuple[object, str, str]]:
    """Each extension, the element that bears it, and where it stands; of modifier extensions the member as a whole."""
    for key, member in element.items():
        # FHIR's JSON keeps the extensions of a primitive `criteria` in `_criteria`.
        where = f"{path}.{key.removeprefix('_')}"
        if key == "modifierExtension":
            yield member, where, where
        for i, each in enumerate(member if isinstance(member, list) else [member]):
            at = f"{where}[{i}]" if isinstance(member, list) else where
            if key == "extension":
                yield each, path, at
            if isinstance(each, Mapping):
                yield from _all(each, at)
