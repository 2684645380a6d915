"""
What a client may subscribe to: the checks on a Subscription that need more than its own text.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/components.html#accepting-subscription-requests
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from hub.channels.guard import Guard
from hub.registry import Topics
from subscriptions.codes import FhirVersion, IssueCode, SubscriptionStatus
from subscriptions.errors import Issue, Rejected
from subscriptions.filters import Scope, criteria
from subscriptions.subscription import Subscription
from subscriptions.versions.forms import FORMS

ENDPOINT = "Subscription.channel.endpoint"


@dataclass(frozen=True, slots=True)
class Admission:
    """
    Decides which Subscriptions are accepted.

    trusted_hosts: Host names that may have private addresses.
    """

    topics: Topics
    guard: Guard
    trusted_hosts: frozenset[str]
    bases: Mapping[FhirVersion, str]
    allow_http: bool

    async def admit(self, version: FhirVersion, resource: Mapping[str, Any], *, now: datetime) -> Subscription:
        """
        The Subscription that a client asks for.

        Raises:
            Rejected: For all reasons that could be found at once.
        """
        wanted = FORMS[version].parse_subscription(resource, now=now, allow_http=self.allow_http)
        issues = list(self._about_topic(wanted))
        # A subscription that is off sends nothing: it may keep an endpoint that is not allowed any more.
        if wanted.status is not SubscriptionStatus.OFF:
            issues += await self._about_endpoint(wanted)
        if issues:
            raise Rejected(*issues)
        return wanted

    def _about_topic(self, wanted: Subscription) -> tuple[Issue, ...]:
        topic = self.topics.find(wanted.version, wanted.topic)
        if topic is None:
            text = (
                f"The topic {wanted.topic} is not supported; the CapabilityStatement at metadata lists those that are."
            )
            return (Issue(IssueCode.NOT_SUPPORTED, text, "Subscription.criteria"),)
        scope = Scope(wanted.version, topic.resource_types, frozenset({self.bases[wanted.version]}))
        try:
            criteria(wanted.filters, scope, "Subscription.criteria.extension")
        except Rejected as rejected:
            return rejected.issues
        return ()

    async def _about_endpoint(self, wanted: Subscription) -> tuple[Issue, ...]:
        """A courtesy: every connection is guarded again."""
        endpoint = urlsplit(wanted.endpoint)
        host = endpoint.hostname or ""
        if host in self.trusted_hosts:
            return ()
        port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
        refusal = await self.guard.refusal_of(host, port)
        if refusal is None:
            return ()
        text = f"The hub must not send to this endpoint: {refusal}. Its operator can allow it."
        return (Issue(IssueCode.SECURITY, text, ENDPOINT),)
