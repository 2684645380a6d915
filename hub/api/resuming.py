"""A Subscription that is in `error` or `off` is begun again, without its client."""

from dataclasses import dataclass

import msgspec

from hub.access import Caller
from hub.api.subscriptions import Subscriptions, topic_changed
from hub.errors import Refused
from hub.membership import Member
from hub.outbox import Subscribed
from subscriptions.audit import Kind
from subscriptions.codes import IssueCode, SubscriptionStatus
from subscriptions.withheld import Withheld

_REQUESTED = msgspec.Raw(msgspec.json.encode(SubscriptionStatus.REQUESTED))


@dataclass(frozen=True, slots=True)
class Resuming:
    """At one FHIR base."""

    subscriptions: Subscriptions

    async def resume(self, caller: Caller, member: Member) -> Subscribed:
        """
        Have it be `requested`, as its client could by sending it again; what its owner may counts, as it does then.

        Raises:
            Refused, Rejected: It would not be accepted now.
            Unopened: Its headers can't be read.
        """
        s, key, state = self.subscriptions, member.key, member.state
        await s.standings.latest()  # who was given a right back just now has it
        standing = s.standings.of(s.tenant, state.owner)
        if isinstance(standing, Withheld) and state.owner != caller.name:
            text = f"It would be told nothing, since {standing}. Mend that, and try again."
            raise Refused.because(403, IssueCode.FORBIDDEN, text, "Subscription")
        sent = s.membership.seal.sent(key.version, state.resource, state.headers)
        elements = msgspec.json.decode(sent, type=dict[str, msgspec.Raw])
        body = msgspec.json.encode(elements | {"status": _REQUESTED})
        wanted = await s.admitted(s.parsed(body))
        await s.check(caller, wanted.subscription, body, member)
        with topic_changed(s.form.topic_element):
            written = await s.membership.update(
                member,
                wanted.subscription,
                body,
                expected=str(state.revision),
                now=s.now(),
                on=wanted.on,
                agent=caller.name,
                kind=Kind.SUBSCRIPTION_RESUMED,
            )
        return written.outcome
