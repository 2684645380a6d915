"""
What a client may subscribe to: the checks on a Subscription that need more than its own text.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/components.html#accepting-subscription-requests
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from hub.channels.guard import Guard, Never
from hub.errors import Refused, insufficient
from hub.registry import On
from hub.secrets import LACKING
from hub.topics import Topics
from subscriptions.codes import FhirVersion, IssueCode, SubscriptionStatus
from subscriptions.errors import Issue, Rejected
from subscriptions.filters import criteria, queries, refusals, understood
from subscriptions.reach import Reach, excess
from subscriptions.rights import EVERYTHING, Rights
from subscriptions.search.asking import Context
from subscriptions.subscription import Reading, Style, Subscription
from subscriptions.versions.forms import FORMS

ALERT_ENDPOINT = "Subscription.extension"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A Subscription that may be, and the topic that it was judged by."""

    subscription: Subscription
    on: On


@dataclass(frozen=True, slots=True)
class Admission:
    """
    Decides which Subscriptions are accepted.

    trusted_hosts: Host names that may have private addresses.
    legacy: The style of those whose criteria are a search.
    keeps_secrets: Without, none has headers.
    """

    topics: Topics
    guard: Guard
    trusted_hosts: frozenset[str]
    contexts: Mapping[FhirVersion, Context]
    allow_http: bool
    legacy: Style = Style.R4
    keeps_secrets: bool = True

    async def admit(self, version: FhirVersion, resource: Mapping[str, Any], *, now: datetime) -> Admitted:
        """
        The Subscription that a client asks for.

        Raises:
            Rejected: For all reasons that could be found at once.
        """
        judged = await self.judge(version, resource, now=now)
        if judged.issues:
            raise Rejected(*judged.issues)
        return Admitted(judged.subscription, self._on(judged.subscription))

    async def judge(self, version: FhirVersion, resource: Mapping[str, Any], *, now: datetime) -> Reading:
        """The Subscription that a client asks for, and all that is to be said against it."""
        await self.topics.refresh()
        form = FORMS[version]
        reading = form.read_subscription(resource, now=now, allow_http=self.allow_http, legacy=self.legacy)
        wanted, issues = reading.subscription, [*reading.issues, *self._about_topic(reading)]
        if wanted.headers and not self.keeps_secrets and _sound(reading.issues, form.headers_element):
            text = f"Headers are kept as secrets are, and {LACKING}. Its operator can set it."
            issues.append(Issue(IssueCode.NOT_SUPPORTED, text, form.headers_element))
        # A subscription that is off sends nothing: it may keep an endpoint that is not allowed any more.
        if wanted.status is not SubscriptionStatus.OFF and wanted.endpoint and reading.is_sound(form.endpoint_element):
            issues += await self._about_endpoint(wanted.endpoint, form.endpoint_element)
        if wanted.status is not SubscriptionStatus.OFF and wanted.alert_endpoint and _sound(issues, ALERT_ENDPOINT):
            issues += await self._about_endpoint(wanted.alert_endpoint, ALERT_ENDPOINT)
        return replace(reading, issues=tuple(issues))

    def _on(self, wanted: Subscription) -> On:
        topic = self.topics.published(wanted.topic)
        if wanted.own_topic or topic is None or topic.built_in:
            return On()
        tenant = self.topics.tenant
        return On(f"{tenant}/{topic.topic.url}", f"{tenant}/{topic.id}", str(topic.number))

    def understood(self, accepted: Reading) -> Iterator[Issue]:
        """What the filters of a Subscription that is accepted are understood as, each at its element."""
        if topic := self.topics.of(accepted.subscription):
            context = self.contexts[accepted.subscription.version]
            for element, filters in accepted.filters.items():
                for each in understood(filters, topic, context):
                    yield Issue(IssueCode.INFORMATIONAL, each.text, element)

    def forbidden(self, accepted: Subscription, rights: Rights) -> Refused | None:
        """Why a client with these rights can't have a Subscription that is accepted otherwise; None if it can."""
        form, topic = FORMS[accepted.version], self.topics.of(accepted)
        # One that is off tells nothing.
        if rights is EVERYTHING or topic is None or accepted.status is SubscriptionStatus.OFF:
            return None
        reach = Reach.of(accepted, topic, self.contexts[accepted.version])
        found = [*reach.issues(rights, form.topic_element), *excess(accepted, rights, form.content_element)]
        if not found:
            return None
        scopes = " ".join(reach.lacking(rights))
        return Refused(403, *found, headers=insufficient(scopes) if scopes else None)

    def lost(self, accepted: Subscription) -> str:
        """Why a Subscription that was accepted is told of nothing any more; empty if it is."""
        topic = self.topics.of(accepted)
        if topic is None:
            return self._refused(accepted)
        try:
            criteria(accepted.filters, topic, self.contexts[accepted.version])
        except Rejected as rejected:
            return f"Its filters can't be evaluated any more, so that no change concerns it: {rejected}"
        return ""

    def _about_topic(self, reading: Reading) -> Iterator[Issue]:
        """What is wrong with the topic and the filters; without a topic, filters that name a type are judged by it."""
        wanted = reading.subscription
        topic, element = self.topics.of(wanted), FORMS[wanted.version].topic_element
        if reading.is_sound(element) and (text := self._refused(wanted)):
            yield Issue(IssueCode.NOT_SUPPORTED, text, element)
        named = frozenset(each.resource_type for each in wanted.filters if each.resource_type)
        context = self.contexts[wanted.version]
        if topic:
            yield from refusals(reading.filters, topic, context)
            return
        for element, filters in reading.filters.items():
            try:
                queries((each for each in filters if each.resource_type), named, context, element)
            except Rejected as rejected:
                yield from rejected.issues

    def _refused(self, wanted: Subscription) -> str:
        """Why nobody can subscribe to its topic; empty when it can be subscribed to."""
        if wanted.own_topic:
            return ""
        found = self.topics.published(wanted.topic)
        if found is None:
            return (
                f"The topic {wanted.topic} is not supported; the CapabilityStatement at metadata lists those that are."
            )
        if found.topic.retired and wanted.status is not SubscriptionStatus.OFF:
            return f"The topic {wanted.topic} is retired: who has subscribed stays, but nobody does any more."
        if why := self.topics.unusable(wanted.version, found.topic):
            return f"The topic {wanted.topic} can't be used in FHIR {wanted.version.upper()}: {why}"
        return ""

    async def _about_endpoint(self, url: str, element: str) -> tuple[Issue, ...]:
        """A courtesy: every connection is guarded again."""
        refusal = await self.refusal_of(url)
        if refusal is None:
            return ()
        text = f"The hub must not send to this endpoint: {refusal}"
        return (Issue(IssueCode.SECURITY, text, element),)

    async def refusal_of(self, url: str) -> str | None:
        """
        Why the hub must not call the address of a URL, and who can allow it, in sentences; None if it may call it.

        Every connection is guarded again.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        guard = replace(self.guard, allow_private=True) if host in self.trusted_hosts else self.guard
        refusal = await guard.refusal_of(host, parts.port or (443 if parts.scheme == "https" else 80))
        if refusal is None:
            return None
        return f"{refusal}. {'Nobody' if isinstance(refusal, Never) else 'Its operator'} can allow it."


def _sound(issues: Iterable[Issue], element: str) -> bool:
    """Whether nothing is wrong with an element, or in it."""
    return not any((issue.expression or "").startswith(element) for issue in issues)
