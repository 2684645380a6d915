"""
What was entrusted to the hub for one endpoint is shown to no other.

Whoever may change a Subscription need not know its credentials: sent to where the endpoint points next, they would be
given away. So they are bound to the endpoint's origin (https://www.rfc-editor.org/rfc/rfc6454#section-4). Its headers
come with every write of the endpoint itself.
"""

from dataclasses import dataclass

import msgspec

from hub.channels.origins import origin
from hub.keyring import Keyring
from hub.membership import Member
from hub.store import instant
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue
from subscriptions.subscription import Subscription
from subscriptions.versions.forms import FORMS


@dataclass(frozen=True, slots=True)
class Binding:
    """The credentials that bind an endpoint to its origin."""

    keyring: Keyring

    async def against(self, wanted: Subscription, held: Member | None) -> list[Issue]:
        """What is against the endpoint that a Subscription wants, given the one that is there already."""
        if held is None or not wanted.endpoint:
            return []
        before, after = origin(endpoint(held)), origin(wanted.endpoint)
        if before == after or not await self.keyring.holds(held.key):
            return []
        text = (
            f"The Subscription's credentials were given for {before} and are not shown to {after}. Take them back by"
            " $credentials without parameters, then change the endpoint, and give those that are for it."
        )
        return [Issue(IssueCode.BUSINESS_RULE, text, FORMS[wanted.version].endpoint_element)]


def endpoint(member: Member) -> str:
    """Where a Subscription is sent to."""
    state = member.state
    form = FORMS[member.key.version]
    resource = msgspec.json.decode(state.resource)
    reading = form.read_subscription(resource, now=instant(0), allow_http=True, legacy=state.style)
    return reading.subscription.endpoint
