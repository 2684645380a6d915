"""
FHIR R5, where Subscription, SubscriptionTopic and SubscriptionStatus are at home: https://hl7.org/fhir/R5/subscription.html

What R6's ballot calls by another name is named once, in `Names`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from subscriptions.codes import ChannelType, Comparator, Content, FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.filters import filter_of
from subscriptions.notification import Notification
from subscriptions.subscription import Filter, Interest, Reading, Style, Subscription
from subscriptions.topic import MODIFIERS
from subscriptions.versions import bundles, extensions, own, values
from subscriptions.versions.form import Form

_CHANNEL_TYPES = "http://terminology.hl7.org/CodeSystem/subscription-channel-type"
_HOMES = dict.fromkeys((own.DELIVERY_WINDOW, own.RETRY_WAITS, own.START, own.ALERT_ENDPOINT), "Subscription")
_PARAMETER = re.compile(r"[A-Za-z_][\w.\-]*|https?://[^\s|]+", re.ASCII)
_TYPE = re.compile(r"(?:http://hl7\.org/fhir/StructureDefinition/)?([A-Z][A-Za-z]+)")

C = TypeVar("C", Comparator, Content)


@dataclass(frozen=True, slots=True)
class Names:
    """Elements that have another name in the next version. filter_type: Of a filter, the type that it is for."""

    filter_type: str = "resourceType"


class R5(Form):
    """R5."""

    version = FhirVersion.R5
    topic_element = "Subscription.topic"
    endpoint_element = "Subscription.endpoint"
    content_element = "Subscription.content"
    headers = ("parameter",)
    has_error = False
    names = Names()

    def read_subscription(
        self,
        resource: Mapping[str, Any],
        *,
        now: datetime,
        allow_http: bool = False,
        legacy: Style = Style.R4,  # noqa: ARG002 (R5 has no criteria that are a search)
    ) -> Reading:
        issues = [
            *extensions.refused(resource, _HOMES, _foreign),
            *values.implicit_rules(resource),
            *values.contacts(resource),
        ]
        found = _filters(resource, self.names, issues)
        type_ = _channel_type(resource.get("channelType"), issues)
        endpoint = ""
        if type_ is ChannelType.REST_HOOK:
            endpoint = values.endpoint(resource.get("endpoint"), self.endpoint_element, issues, allow_http=allow_http)
        heartbeat_period = _number(resource, "heartbeatPeriod", issues)
        content = _content(resource, issues)
        subscription = Subscription(
            version=self.version,
            status=values.status(resource.get("status"), issues),
            topic=_topic(resource, issues),
            filters=tuple(chain.from_iterable(found.values())),
            channel=type_,
            endpoint=endpoint,
            headers=_headers(resource, issues),
            content=content,
            content_type=_content_type(resource, content, self.version, issues),
            heartbeat_period=heartbeat_period,
            window=own.window(resource, "Subscription", heartbeat_period, issues),
            retry_waits=own.retry_waits(resource, "Subscription", issues),
            timeout=_number(resource, "timeout", issues),
            max_count=_number(resource, "maxCount", issues),
            end=values.end(resource.get("end"), issues, now=now),
            start=own.start(resource, issues),
            alert_endpoint=own.alert_endpoint(resource, issues, allow_http=allow_http),
        )
        return Reading(subscription, found, tuple(issues))

    def read_interest(self, resource: Mapping[str, Any], *, legacy: Style) -> Interest:  # noqa: ARG002
        issues: list[Issue] = []
        topic, found = _topic(resource, issues), _filters(resource, self.names, issues)
        if issues:
            raise Rejected(*issues)
        return Interest(topic, None, tuple(chain.from_iterable(found.values())))

    def notification_bundle(self, notification: Notification) -> bytes:
        first = bundles.status_entry(notification, self.status(notification))
        return bundles.bundle(notification, "subscription-notification", first)

    def status(self, notification: Notification) -> dict[str, Any]:
        return bundles.subscription_status(notification)


def _foreign(url: str) -> str | None:
    if url.startswith(f"{extensions.BACKPORT}/"):
        return "is for R4 and R4B: R5 has an element for it."
    return None


def _topic(resource: Mapping[str, Any], issues: list[Issue]) -> str:
    expression = R5.topic_element

    def otherwise(_: str) -> Issue:
        return Issue(IssueCode.VALUE, "The topic must be the canonical URL of a SubscriptionTopic.", expression)

    return values.canonical(resource.get("topic"), expression, otherwise, issues)


def _filters(resource: Mapping[str, Any], names: Names, issues: list[Issue]) -> dict[str, tuple[Filter, ...]]:
    """By the element that they stand in."""
    found: dict[str, tuple[Filter, ...]] = {}
    for i, each in _objects(resource, "filterBy", issues):
        expression = f"Subscription.filterBy[{i}]"
        faults: list[Issue] = []
        read = _filter(each, names, expression, faults)
        if read and not faults:
            found[expression] = (read,)
        issues += faults
    return found


def _filter(each: Mapping[str, Any], names: Names, expression: str, issues: list[Issue]) -> Filter | None:
    type_ = parsed = None
    if each.get(names.filter_type) is not None:
        at = f"{expression}.{names.filter_type}"
        parsed = _TYPE.fullmatch(values.text(each[names.filter_type], at, issues))
        if parsed:
            type_ = parsed[1]
        else:
            text = "A filter's type is the name of a resource type, such as `Encounter`, or its StructureDefinition."
            issues.append(Issue(IssueCode.VALUE, text, at))
    at = f"{expression}.filterParameter"
    parameter = values.text(each.get("filterParameter"), at, issues)
    if parameter and not _PARAMETER.fullmatch(parameter):
        text = f"`{parameter}` is no parameter's name: modifier and comparator have elements of their own."
        issues.append(Issue(IssueCode.VALUE, text, at))
    comparator = _code(each, "comparator", Comparator, expression, issues)
    modifier = each.get("modifier")
    if modifier is not None and modifier not in MODIFIERS:
        text = f"The modifier must be one of {', '.join(MODIFIERS)}."
        issues.append(Issue(IssueCode.VALUE, text, f"{expression}.modifier"))
    if comparator and modifier is not None:
        text = "A filter has a comparator or a modifier, not both (scr-1)."
        issues.append(Issue(IssueCode.INVARIANT, text, expression))
    value = values.text(each.get("value"), f"{expression}.value", issues)
    if issues:
        return None
    name = f"{parameter}:{modifier}" if modifier else parameter
    text = f"{type_}?{name}={comparator or ''}{value}" if type_ else f"{name}={comparator or ''}{value}"
    try:
        return filter_of(type_, parameter, modifier, value, text, comparator)
    except Rejected as rejected:
        issues += (Issue(issue.code, issue.text, expression) for issue in rejected.issues)
        return None


def _channel_type(coding: object, issues: list[Issue]) -> ChannelType:
    """`rest-hook` of FHIR's code system, which may be left out."""
    expression = "Subscription.channelType"
    if not isinstance(coding, Mapping):
        wrong = IssueCode.REQUIRED if coding is None else IssueCode.STRUCTURE
        issues.append(Issue(wrong, f"{expression} must be a Coding with a code.", expression))
        return ChannelType.REST_HOOK
    code = values.text(coding.get("code"), f"{expression}.code", issues)
    if code and (code != ChannelType.REST_HOOK or coding.get("system", _CHANNEL_TYPES) != _CHANNEL_TYPES):
        named = "|".join(filter(None, (str(coding.get("system") or ""), code)))
        issue = f"The channel type `{named}` is not supported: use `rest-hook` of {_CHANNEL_TYPES}."
        issues.append(Issue(IssueCode.NOT_SUPPORTED, issue, expression))
    return ChannelType.REST_HOOK


def _headers(resource: Mapping[str, Any], issues: list[Issue]) -> tuple[tuple[str, str], ...]:
    """`parameter`: on the channel `rest-hook` each is a header."""
    given = resource.get("parameter")
    if isinstance(given, list) and values.too_many_headers(len(given), "Subscription.parameter", issues):
        return ()
    found = []
    for i, each in _objects(resource, "parameter", issues):
        expression = f"Subscription.parameter[{i}]"
        faults: list[Issue] = []
        name = values.text(each.get("name"), f"{expression}.name", faults)
        value = values.text(each.get("value"), f"{expression}.value", faults)
        if not faults and (issue := values.wrong_header(name, value)):
            faults.append(Issue(IssueCode.VALUE, issue, expression))
        issues += faults
        found.append((name, value.strip(" \t")))
    return tuple(found)


def _content(resource: Mapping[str, Any], issues: list[Issue]) -> Content:
    """How much a notification says; as little as can be unless more is asked for."""
    return _code(resource, "content", Content, "Subscription", issues) or Content.EMPTY


def _content_type(resource: Mapping[str, Any], content: Content, version: FhirVersion, issues: list[Issue]) -> str:
    """The MIME type of the notifications. It may be left out with the content `empty` alone."""
    expression = "Subscription.contentType"
    if resource.get("contentType") is None:
        if content is not Content.EMPTY:
            text = f"Without contentType there is no payload: say `application/fhir+json` for the content `{content}`."
            issues.append(Issue(IssueCode.REQUIRED, text, expression))
        return "application/fhir+json"
    return values.content_type(values.text(resource["contentType"], expression, issues), version, expression, issues)


def _number(resource: Mapping[str, Any], name: str, issues: list[Issue]) -> int | None:
    found = resource.get(name)
    return None if found is None else values.whole(found, name, f"Subscription.{name}", issues)


def _code(element: Mapping[str, Any], name: str, codes: type[C], path: str, issues: list[Issue]) -> C | None:
    """A code; None when it isn't there."""
    found = element.get(name)
    if found is None or found in list(codes):
        return None if found is None else codes(found)
    text = f"The {name} must be one of {', '.join(codes)}."
    issues.append(Issue(IssueCode.VALUE, text, f"{path}.{name}"))
    return None


def _objects(resource: Mapping[str, Any], name: str, issues: list[Issue]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of an array, with their places."""
    found = resource.get(name, [])
    for i, each in enumerate(found if isinstance(found, list) else [found]):
        if isinstance(found, list) and isinstance(each, Mapping):
            yield i, each
        else:
            text = f"Subscription.{name} must be a list of objects."
            issues.append(Issue(IssueCode.STRUCTURE, text, f"Subscription.{name}"))
