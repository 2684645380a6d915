"""
The Subscription of R4 and R4B, read: the Backport IG's, and the one whose criteria are a search (`legacy`).

http://hl7.org/fhir/uv/subscriptions-backport/STU1.1/StructureDefinition-backport-subscription.html
"""

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import Any

from subscriptions import filters
from subscriptions.codes import ChannelType, FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.subscription import Filter, Interest, Reading, Style, Subscription
from subscriptions.topic import Topic
from subscriptions.versions import own, values
from subscriptions.versions.backport import channel as channels
from subscriptions.versions.backport import extensions
from subscriptions.versions.backport import legacy as legacies
from subscriptions.versions.extensions import of

CHANNEL = "Subscription.channel"
CRITERIA = "Subscription.criteria"
ENDPOINT = "Subscription.channel.endpoint"

_STARS = re.compile(r"\[.*\](\?.*)?", re.DOTALL)


def read_subscription(
    resource: Mapping[str, Any], version: FhirVersion, *, now: datetime, allow_http: bool, legacy: Style
) -> Reading:
    """Read a Subscription of R4 or R4B, as `Form.read_subscription` says."""
    style = legacy if legacies.is_search(resource.get("criteria")) else Style.TOPIC
    issues = [*extensions.refused(resource, style), *values.implicit_rules(resource), *values.contacts(resource)]
    channel = resource.get("channel", {})
    if not isinstance(channel, Mapping):
        issues.append(Issue(IssueCode.STRUCTURE, "Subscription.channel must be an object.", CHANNEL))
        channel = {}
    status = values.status(resource.get("status"), issues)
    topic, own_topic, found = _criteria(resource, style, version, issues)
    values.text(resource.get("reason"), "Subscription.reason", issues)
    end = values.end(resource.get("end"), issues, now=now)
    start = own.start(resource, issues)
    alert_endpoint = own.alert_endpoint(resource, issues, allow_http=allow_http)
    type_ = channels.channel_type(channel, issues)
    endpoint = ""
    if type_ is ChannelType.REST_HOOK:
        endpoint = values.endpoint(channel.get("endpoint"), ENDPOINT, issues, allow_http=allow_http)
    headers = channels.headers(channel, issues)
    heartbeat_period = window = timeout = max_count = None
    retry_waits = own.retry_waits(channel, CHANNEL, issues)
    if style is Style.TOPIC:
        content = channels.content(channel, issues)
        content_type = channels.content_type(channel, version, issues)
        heartbeat_period = own.number(channel, extensions.HEARTBEAT_PERIOD, CHANNEL, issues)
        window = own.window(channel, CHANNEL, heartbeat_period, issues)
        timeout = own.number(channel, extensions.TIMEOUT, CHANNEL, issues)
        max_count = own.number(channel, extensions.MAX_COUNT, CHANNEL, issues)
    else:
        content, content_type = channels.payload(channel, style, version, issues)
    subscription = Subscription(
        version=version,
        status=status,
        topic=topic,
        filters=tuple(chain.from_iterable(found.values())),
        channel=type_,
        endpoint=endpoint,
        headers=headers,
        content=content,
        content_type=content_type,
        heartbeat_period=heartbeat_period,
        window=window,
        retry_waits=retry_waits,
        timeout=timeout,
        max_count=max_count,
        end=end,
        start=start,
        alert_endpoint=alert_endpoint,
        style=style,
        own_topic=own_topic,
    )
    return Reading(subscription, found, tuple(issues))


def read_interest(resource: Mapping[str, Any], version: FhirVersion, *, legacy: Style) -> Interest:
    """
    What a Subscription that was accepted in this style is to be told of: a small part of it, read quickly.

    Raises:
        Rejected: It can't be read any more.
    """
    issues: list[Issue] = []
    style = legacy if legacies.is_search(resource.get("criteria")) else Style.TOPIC
    topic, own_topic, found = _criteria(resource, style, version, issues)
    if issues:
        raise Rejected(*issues)
    return Interest(topic, own_topic, tuple(chain.from_iterable(found.values())))


def _criteria(
    resource: Mapping[str, Any], style: Style, version: FhirVersion, issues: list[Issue]
) -> tuple[str, Topic | None, dict[str, tuple[Filter, ...]]]:
    """The topic's canonical, or one of its own; and the filters, by the element that they stand in."""
    if style is Style.TOPIC:
        topic = values.canonical(resource.get("criteria"), CRITERIA, _no_topic, issues)
        return topic, None, _filters(resource, issues)
    own_topic, found = legacies.read(resource, style, version, issues)
    return "", own_topic, found


def _no_topic(criteria: str) -> Issue:
    if _STARS.fullmatch(criteria):
        text = "Criteria for several types are not supported: register a Subscription for each type."
        return Issue(IssueCode.NOT_SUPPORTED, text, CRITERIA)
    text = "The criteria must be the canonical URL of a topic, or a search such as `Patient?active=true`."
    return Issue(IssueCode.VALUE, text, CRITERIA)


def _filters(resource: Mapping[str, Any], issues: list[Issue]) -> dict[str, tuple[Filter, ...]]:
    """By the element that they stand in."""
    found: dict[str, tuple[Filter, ...]] = {}
    for i, extension in of(resource.get("_criteria"), extensions.FILTER_CRITERIA):
        expression = f"{CRITERIA}.extension[{i}]"
        criterion = values.text(extension.get("valueString"), f"{expression}.value", issues)
        try:
            found[expression] = filters.parse(criterion) if criterion else ()
        except Rejected as rejected:
            issues += (Issue(issue.code, issue.text, expression) for issue in rejected.issues)
    return found
