"""
The R4 Subscription, in and out: the Backport IG's, and the one whose criteria are a search (`legacy`).

http://hl7.org/fhir/uv/subscriptions-backport/STU1.1/StructureDefinition-backport-subscription.html
"""

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec

from subscriptions import filters
from subscriptions.codes import ChannelType, FhirVersion, IssueCode, SubscriptionStatus
from subscriptions.errors import Issue, Rejected
from subscriptions.subscription import Filter, Interest, Reading, Style, Subscription
from subscriptions.topic import Topic
from subscriptions.versions import instant
from subscriptions.versions.r4 import channel as channels
from subscriptions.versions.r4 import extensions
from subscriptions.versions.r4 import legacy as legacies

_CANONICAL = re.compile(r"(https?://|urn:)[^\s]+")
_STARS = re.compile(r"\[.*\](\?.*)?", re.DOTALL)


def parse_subscription(
    resource: Mapping[str, Any], *, now: datetime, allow_http: bool = False, legacy: Style = Style.R4
) -> Subscription:
    """
    The Subscription of a `read_subscription` that found no issues.

    Raises:
        Rejected: For all of them at once.
    """
    reading = read_subscription(resource, now=now, allow_http=allow_http, legacy=legacy)
    if reading.issues:
        raise Rejected(*reading.issues)
    return reading.subscription


def read_subscription(
    resource: Mapping[str, Any], *, now: datetime, allow_http: bool = False, legacy: Style = Style.R4
) -> Reading:
    """
    Read a Subscription that a client wants to have, as far as it can be judged without topics and network.

    Args:
        now: When the client sent it, aware. One that was accepted earlier is read again with the time of its
            acceptance, so that the result stays the same after its `end`.
        allow_http: Whether endpoints without TLS are accepted.
        legacy: The style in which criteria that are a search are understood; that of its acceptance, when it is read
            again.
    """
    style = legacy if legacies.is_search(resource.get("criteria")) else Style.TOPIC
    issues = list(extensions.refused(resource, style))
    if resource.get("implicitRules") is not None:
        issue = "Implicit rules are not supported: they could change what the Subscription means."
        issues.append(Issue(IssueCode.NOT_SUPPORTED, issue, "Subscription.implicitRules"))
    channel = resource.get("channel", {})
    if not isinstance(channel, Mapping):
        issues.append(Issue(IssueCode.STRUCTURE, "Subscription.channel must be an object.", "Subscription.channel"))
        channel = {}
    status = _status(resource, issues)
    topic, own_topic, found = _criteria(resource, style, issues)
    channels.text(resource.get("reason"), "Subscription.reason", issues)
    end = _end(resource, issues, now=now)
    start = _start(resource, issues)
    alert_endpoint = _alert_endpoint(resource, issues, allow_http=allow_http)
    type_ = channels.channel_type(channel, issues)
    endpoint = channels.endpoint(channel, issues, allow_http=allow_http) if type_ is ChannelType.REST_HOOK else ""
    headers = channels.headers(channel, issues)
    heartbeat_period = window = timeout = max_count = None
    retry_waits = channels.retry_waits(channel, issues)
    if style is Style.TOPIC:
        content = channels.content(channel, issues)
        content_type = channels.content_type(channel, issues)
        heartbeat_period = channels.number(channel, extensions.HEARTBEAT_PERIOD, issues)
        window = channels.window(channel, heartbeat_period, issues)
        timeout = channels.number(channel, extensions.TIMEOUT, issues)
        max_count = channels.number(channel, extensions.MAX_COUNT, issues)
    else:
        content, content_type = channels.payload(channel, style, issues)
    subscription = Subscription(
        version=FhirVersion.R4,
        status=status,
        topic=topic,
        filters=tuple(chain.from_iterable(found.values())),
        channel=type_,
        endpoint=endpoint,
        headers=headers,
        content=content,
        content_type=content_type,
        notification_version=FhirVersion.R4,
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


def read_interest(resource: Mapping[str, Any], *, legacy: Style) -> Interest:
    """
    What a Subscription that was accepted in this style is to be told of: a small part of it, read quickly.

    Raises:
        Rejected: It can't be read any more.
    """
    issues: list[Issue] = []
    style = legacy if legacies.is_search(resource.get("criteria")) else Style.TOPIC
    topic, own_topic, found = _criteria(resource, style, issues)
    if issues:
        raise Rejected(*issues)
    return Interest(topic, own_topic, tuple(chain.from_iterable(found.values())))


def to_json(
    sent: bytes,
    *,
    id: str,
    version_id: int,
    last_updated: datetime,
    status: SubscriptionStatus,
    error: str | None = None,
) -> bytes:
    """
    Render a Subscription as it is returned: the client's own bytes, apart from what is the hub's to say.

    Args:
        sent: What the client sent and `parse_subscription` accepted.
        status: In force.
        error: What went wrong last; the client's own is dropped.
    """
    members = msgspec.json.decode(sent, type=dict[str, msgspec.Raw])
    meta = msgspec.json.decode(members.get("meta", b"null"), type=dict[str, msgspec.Raw] | None) or {}
    meta["versionId"] = _raw(str(version_id))
    meta["lastUpdated"] = _raw(instant.write(last_updated))
    ours = {"resourceType": _raw("Subscription"), "id": _raw(id), "meta": _raw(meta)}
    rest = {name: value for name, value in members.items() if name not in (*ours, "error", "_error")}
    rest["status"] = _raw(status)
    if error:
        rest["error"] = _raw(error)
    return msgspec.json.encode(ours | rest)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _status(resource: Mapping[str, Any], issues: list[Issue]) -> SubscriptionStatus:
    """
    What the client wants. R4 lets it say `requested` and `off` only, but the IG's own examples say `active`; the hub
    then answers with `requested` all the same.
    """
    expression = "Subscription.status"
    code = channels.text(resource.get("status"), expression, issues)
    if code in (SubscriptionStatus.REQUESTED, SubscriptionStatus.ACTIVE, SubscriptionStatus.OFF):
        return SubscriptionStatus(code)
    if code == SubscriptionStatus.ERROR:
        issue = "Only the hub sets the status `error`: send `requested` to start, or `off`."
        issues.append(Issue(IssueCode.BUSINESS_RULE, issue, expression))
    elif code:
        issues.append(Issue(IssueCode.VALUE, f"The status must be `requested` or `off`, not `{code}`.", expression))
    return SubscriptionStatus.OFF


def _criteria(
    resource: Mapping[str, Any], style: Style, issues: list[Issue]
) -> tuple[str, Topic | None, dict[str, tuple[Filter, ...]]]:
    """The topic's canonical, or one of its own; and the filters, by the element that they stand in."""
    if style is Style.TOPIC:
        return _topic(resource, issues), None, _filters(resource, issues)
    own_topic, found = legacies.read(resource, style, issues)
    return "", own_topic, found


def _topic(resource: Mapping[str, Any], issues: list[Issue]) -> str:
    expression = "Subscription.criteria"
    criteria = channels.text(resource.get("criteria"), expression, issues)
    if not criteria or _CANONICAL.fullmatch(criteria):
        return criteria
    if _STARS.fullmatch(criteria):
        issue = "Criteria for several types are not supported: register a Subscription for each type."
        issues.append(Issue(IssueCode.NOT_SUPPORTED, issue, expression))
    else:
        issue = "The criteria must be the canonical URL of a topic, or a search such as `Patient?active=true`."
        issues.append(Issue(IssueCode.VALUE, issue, expression))
    return criteria


def _filters(resource: Mapping[str, Any], issues: list[Issue]) -> dict[str, tuple[Filter, ...]]:
    """By the element that they stand in."""
    found: dict[str, tuple[Filter, ...]] = {}
    for i, extension in extensions.of(resource.get("_criteria"), extensions.FILTER_CRITERIA):
        expression = f"Subscription.criteria.extension[{i}]"
        criterion = channels.text(extension.get("valueString"), f"{expression}.value", issues)
        try:
            found[expression] = filters.parse(criterion) if criterion else ()
        except Rejected as rejected:
            issues += (Issue(issue.code, issue.text, expression) for issue in rejected.issues)
    return found


def _end(resource: Mapping[str, Any], issues: list[Issue], *, now: datetime) -> datetime | None:
    expression = "Subscription.end"
    if resource.get("end") is None:
        return None
    value = channels.text(resource["end"], expression, issues)
    try:
        end = instant.read(value)
    except ValueError:
        issue = "The end must be an instant, such as `2027-12-31T12:00:00Z`."
        issues.append(Issue(IssueCode.VALUE, issue, expression))
        return None
    if end <= now:
        issues.append(Issue(IssueCode.BUSINESS_RULE, "The end is in the past: set a later one or none.", expression))
    return end


def _start(resource: Mapping[str, Any], issues: list[Issue]) -> datetime | None:
    """Whether it may be then is for whoever knows which changes are kept."""
    found, start = extensions.of(resource, extensions.START), None
    for place, (i, extension) in enumerate(found):
        try:
            start = instant.read(str(extension.get("valueInstant")))
            issue = f"Only one {extensions.START} is allowed." if place else ""
        except ValueError:
            issue = "The start must be a valueInstant, such as `2026-11-21T09:59:59Z`."
        if issue:
            issues.append(Issue(IssueCode.VALUE, issue, f"Subscription.extension[{i}]"))
    return start


def _alert_endpoint(resource: Mapping[str, Any], issues: list[Issue], *, allow_http: bool) -> str:
    """A URL as the channel's endpoint is one; whether its address may be called is judged as there."""
    found, url = extensions.of(resource, extensions.ALERT_ENDPOINT), ""
    for place, (i, extension) in enumerate(found):
        expression = f"Subscription.extension[{i}]"
        url = channels.text(extension.get("valueUrl"), f"{expression}.value", issues)
        issue = f"Only one {extensions.ALERT_ENDPOINT} is allowed." if place else None
        if issue := issue or (channels.wrong_url(url, allow_http=allow_http) if url else None):
            issues.append(Issue(IssueCode.VALUE, issue, expression))
    return url
