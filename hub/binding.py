"""
What was entrusted to the hub for one endpoint is shown to no other.

Whoever may change a Subscription need not know its credentials: sent to where the endpoint points next, they would be
given away. So they are bound to the endpoint's origin (https://www.rfc-editor.org/rfc/rfc6454#section-4). So are its
headers, as far as they come redacted, as they are read: then those that are held stay.
"""

from dataclasses import dataclass

import msgspec

from hub.channels.origins import origin
from hub.instants import instant
from hub.keyring import Keyring
from hub.membership import Member
from hub.seal import Seal
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.subscription import Subscription
from subscriptions.versions.confidential import REDACTED
from subscriptions.versions.forms import FORMS


@dataclass(frozen=True, slots=True)
class Binding:
    """The credentials and headers that bind an endpoint to its origin."""

    keyring: Keyring
    seal: Seal

    async def against(self, wanted: Subscription, sent: bytes, held: Member | None) -> list[Issue]:
        """What is against the endpoint and the headers that a Subscription wants, given what is there already."""
        if not wanted.endpoint:
            return []
        try:
            self.filled(sent, wanted, held)
        except Rejected as rejected:
            return list(rejected.issues)
        if held is None:
            return []
        before, after = origin(endpoint(held)), origin(wanted.endpoint)
        if before == after or not await self.keyring.holds(held.key):
            return []
        text = (
            f"The Subscription's credentials were given for {before} and are not shown to {after}. Take them back by"
            " $credentials without parameters, then change the endpoint, and give those that are for it."
        )
        return [Issue(IssueCode.BUSINESS_RULE, text, FORMS[wanted.version].endpoint_element)]

    def filled(self, sent: bytes, wanted: Subscription, held: Member | None) -> bytes:
        """
        A Subscription's JSON as it is to be kept: headers that came redacted are those that are there already.

        Raises:
            Rejected: There are none, or they are for another origin.
            Unopened: They can't be read.
        """
        if not any(value == REDACTED for _, value in wanted.headers):
            return sent
        form = FORMS[wanted.version]
        if held is None:
            return form.refill(sent, b"")
        before, after = origin(endpoint(held)), origin(wanted.endpoint)
        if before != after:
            text = f"`{REDACTED}` stands for what was given for {before} and is not shown to {after}: give the values."
            raise Rejected(Issue(IssueCode.BUSINESS_RULE, text, form.headers_element))
        state = held.state
        _, headers = form.withhold(self.seal.sent(wanted.version, state.resource, state.headers))
        return form.refill(sent, headers)


def endpoint(member: Member) -> str:
    """Where a Subscription is sent to."""
    state = member.state
    form = FORMS[member.key.version]
    resource = msgspec.json.decode(state.resource)
    reading = form.read_subscription(resource, now=instant(0), allow_http=True, legacy=state.style)
    return reading.subscription.endpoint
