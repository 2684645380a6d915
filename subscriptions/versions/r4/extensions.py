"""
The extensions that a Subscription may have, the Backport IG's, Medplum's and our own, and those that it must not have.

An extension that changes what a Subscription means is honoured or refused, never ignored; any other one is kept.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from subscriptions.codes import IssueCode
from subscriptions.errors import Issue
from subscriptions.subscription import Style

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"

FILTER_CRITERIA = f"{BACKPORT}/backport-filter-criteria"
PAYLOAD_CONTENT = f"{BACKPORT}/backport-payload-content"
CHANNEL_TYPE = f"{BACKPORT}/backport-channel-type"
HEARTBEAT_PERIOD = f"{BACKPORT}/backport-heartbeat-period"
TIMEOUT = f"{BACKPORT}/backport-timeout"
MAX_COUNT = f"{BACKPORT}/backport-max-count"

MEDPLUM = "https://medplum.com/fhir/StructureDefinition"

SUPPORTED_INTERACTION = f"{MEDPLUM}/subscription-supported-interaction"
FHIR_PATH_CRITERIA = f"{MEDPLUM}/fhir-path-criteria-expression"

OWN = "https://fhir-event-hub.example/StructureDefinition"

DELIVERY_WINDOW = f"{OWN}/delivery-window"
RETRY_WAITS = f"{OWN}/retry-waits"
START = f"{OWN}/start"
ALERT_ENDPOINT = f"{OWN}/alert-endpoint"

#: HAPI's, which change what is sent, or when.
_HAPI = "http://hapifhir.io/fhir/StructureDefinition/subscription-"

#: The element that each one belongs to. Anywhere else it would not be read.
_HOME = {
    FILTER_CRITERIA: "Subscription.criteria",
    PAYLOAD_CONTENT: "Subscription.channel.payload",
    CHANNEL_TYPE: "Subscription.channel.type",
    HEARTBEAT_PERIOD: "Subscription.channel",
    TIMEOUT: "Subscription.channel",
    MAX_COUNT: "Subscription.channel",
    DELIVERY_WINDOW: "Subscription.channel",
    RETRY_WAITS: "Subscription.channel",
    SUPPORTED_INTERACTION: "Subscription",
    FHIR_PATH_CRITERIA: "Subscription",
    START: "Subscription",
    ALERT_ENDPOINT: "Subscription",
}

_CROSS_VERSION = re.compile(r"http://hl7\.org/fhir/\d+\.\d+/", re.ASCII)
_IDENTIFIER = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.identifier"


def of(element: object, url: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The extensions of this URL that an element bears directly, each with its index among all of the element's."""
    found = element.get("extension") if isinstance(element, Mapping) else None
    if not isinstance(found, list):
        return []
    return [(i, each) for i, each in enumerate(found) if isinstance(each, Mapping) and each.get("url") == url]


def refused(resource: Mapping[str, Any], style: Style) -> Iterator[Issue]:
    """The extensions for which a Subscription of a style is not accepted, wherever they stand in it."""
    return _refused(resource, style, "Subscription")


def _refused(element: Mapping[str, Any], style: Style, path: str) -> Iterator[Issue]:
    for key, member in element.items():
        # FHIR's JSON keeps the extensions of a primitive `criteria` in `_criteria`.
        where = f"{path}.{key.removeprefix('_')}"
        if key == "modifierExtension":
            yield Issue(IssueCode.NOT_SUPPORTED, "Modifier extensions are not supported: leave it out.", where)
        for i, each in enumerate(member if isinstance(member, list) else [member]):
            at = f"{where}[{i}]" if isinstance(member, list) else where
            if key == "extension":
                yield from _judge(each, style, path, at)
            if isinstance(each, Mapping):
                yield from _refused(each, style, at)


def _judge(extension: object, style: Style, bearer: str, at: str) -> Iterator[Issue]:
    url = extension.get("url") if isinstance(extension, Mapping) else None
    if not isinstance(url, str):
        yield Issue(IssueCode.STRUCTURE, "An extension is an object with a `url`.", at)
    elif _CROSS_VERSION.match(url) and url != _IDENTIFIER:
        text = f"The cross-version extension {url} is not supported: use the Backport IG's own extensions."
        yield Issue(IssueCode.NOT_SUPPORTED, text, at)
    elif reason := _out_of_style(url, style):
        yield Issue(IssueCode.NOT_SUPPORTED, f"The extension {url} {reason}", at)
    elif url in _HOME and bearer != _HOME[url]:
        yield Issue(IssueCode.STRUCTURE, f"The extension {url} belongs to {_HOME[url]}.", at)
    elif url.startswith((f"{BACKPORT}/", f"{MEDPLUM}/", f"{OWN}/", _HAPI)) and url not in _HOME:
        yield Issue(IssueCode.NOT_SUPPORTED, f"The extension {url} is not supported.", at)


def _out_of_style(url: str, style: Style) -> str | None:
    """Why an extension says nothing to a Subscription of this style; None if it may."""
    if (url.startswith(f"{BACKPORT}/") or url == DELIVERY_WINDOW) and style is not Style.TOPIC:
        return "is for criteria that are the canonical URL of a topic; here they are a search: leave it out."
    if url.startswith(f"{MEDPLUM}/") and style is Style.TOPIC:
        return "is for criteria that are a search; here they are the canonical URL of a topic: leave it out."
    if url.startswith(f"{MEDPLUM}/") and style is Style.R4:
        return "is understood only by a hub whose operator has set HUB_LEGACY_STYLE=medplum: leave it out."
    return None
