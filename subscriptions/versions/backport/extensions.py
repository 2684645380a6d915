"""The extensions that a Subscription of R4 or R4B may have: the Backport IG's, Medplum's and our own."""

from collections.abc import Iterator, Mapping
from typing import Any

from subscriptions.errors import Issue
from subscriptions.subscription import Style
from subscriptions.versions import extensions
from subscriptions.versions.extensions import BACKPORT, MEDPLUM
from subscriptions.versions.own import ALERT_ENDPOINT, DELIVERY_WINDOW, RETRY_WAITS, START

FILTER_CRITERIA = f"{BACKPORT}/backport-filter-criteria"
PAYLOAD_CONTENT = f"{BACKPORT}/backport-payload-content"
CHANNEL_TYPE = f"{BACKPORT}/backport-channel-type"
HEARTBEAT_PERIOD = f"{BACKPORT}/backport-heartbeat-period"
TIMEOUT = f"{BACKPORT}/backport-timeout"
MAX_COUNT = f"{BACKPORT}/backport-max-count"

SUPPORTED_INTERACTION = f"{MEDPLUM}/subscription-supported-interaction"
FHIR_PATH_CRITERIA = f"{MEDPLUM}/fhir-path-criteria-expression"

_HOMES = {
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


def refused(resource: Mapping[str, Any], style: Style) -> Iterator[Issue]:
    """The extensions for which a Subscription of a style is not accepted, wherever they stand in it."""
    return extensions.refused(resource, _HOMES, lambda url: _out_of_style(url, style))


def _out_of_style(url: str, style: Style) -> str | None:
    """Why an extension says nothing to a Subscription of this style; None if it may."""
    if (url.startswith(f"{BACKPORT}/") or url == DELIVERY_WINDOW) and style is not Style.TOPIC:
        return "is for criteria that are the canonical URL of a topic; here they are a search: leave it out."
    if url.startswith(f"{MEDPLUM}/") and style is Style.TOPIC:
        return "is for criteria that are a search; here they are the canonical URL of a topic: leave it out."
    if url.startswith(f"{MEDPLUM}/") and style is Style.R4:
        return "is understood only by a hub whose operator has set HUB_LEGACY_STYLE=medplum: leave it out."
    return None
