"""What all lanes of a process send with, and what they know of whom they send to."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from hub.account import Account
from hub.audit import Audit
from hub.breakers import Breakers
from hub.channels.origins import Origins, origin
from hub.channels.rest_hook import RestHook
from hub.credentials import Credentials
from hub.disclosure import Disclosure
from hub.due import Due
from hub.families import EVENTS_WITHHELD
from hub.instants import instant
from hub.keyring import Keyring
from hub.keys import SubscriptionKey
from hub.meter import Meter
from hub.outbox import Outboxes
from hub.registry import Registry
from hub.seal import Seal
from hub.sight import Sight
from hub.stream import Changes
from hub.telling import Telling
from hub.tenancy import Tenancy
from hub.tracing import Traces
from subscriptions.audit import HUB, Act, Kind
from subscriptions.errors import Rejected
from subscriptions.reach import Reach
from subscriptions.retry import Policy
from subscriptions.subscription import Subscription, types_told
from subscriptions.versions.forms import FORMS
from subscriptions.withheld import Withheld, of_subscription

#: Seconds that a lease is longer than a request may take.
MARGIN = 5.0


def lease_ms(timeout: float) -> int:
    """How long a lease is taken for, in ms: longer than any request."""
    return int((timeout + MARGIN) * 1000)


@dataclass(slots=True)
class Recipient:
    """
    What a lane needs to know of a subscription, kept between its lanes.

    resource: As it is kept, without its headers.
    credentials: What its endpoint is shown.
    account: Of what is told to it.
    types: The resource types that it reaches, see `Reach`; none where nobody asks.
    slow: Its last request was slow or failed.
    """

    subscription: Subscription
    revision: int
    resource: bytes
    origin: str
    credentials: Credentials
    account: Account
    types: frozenset[str] = frozenset()
    slow: bool = False


@dataclass
class Sender:
    """
    What all lanes of a process send with.

    hub: The random id of the store; stands in the bundles' ids.
    timeout: Seconds for one request, unless the subscription asks for less.
    most_bytes: Of resources in one notification, beyond its first event's.
    policy: When a failed attempt is followed by another, unless the subscription says so itself.
    telling: Who may be told of what.
    dice, now: Chance in [0, 1) and the time, for the decisions.
    stopping: Lanes end after the notification that they are sending.
    """

    due: Due
    outboxes: Outboxes
    changes: Changes
    registry: Registry
    keyring: Keyring
    seal: Seal
    channel: RestHook
    origins: Origins
    breakers: Breakers
    hub: str
    tenancy: Tenancy
    disclosure: Disclosure
    audit: Audit
    timeout: float
    most_bytes: int
    policy: Policy
    telling: Telling
    dice: Callable[[], float]
    now: Callable[[], datetime]
    meter: Meter = field(default_factory=Meter)
    traces: Traces = field(default_factory=Traces)
    stopping: bool = False
    _recipients: dict[SubscriptionKey, Recipient] = field(default_factory=dict)

    @property
    def lease_ms(self) -> int:
        return lease_ms(self.timeout)

    async def recipient(self, key: SubscriptionKey, revision: int) -> Recipient | None:
        """
        Whom to send to; None when the subscription isn't at this revision any more.

        Raises:
            Rejected: It can't be read.
            Unopened: Its secrets can't.
        """
        known = self._recipients.get(key)
        if known is not None and known.revision == revision:
            return known
        state = await self.outboxes.read(key)
        if state is None or state.revision != revision:
            return None
        form = FORMS[key.version]
        resource = msgspec.json.decode(self.seal.sent(key.version, state.resource, state.headers))
        subscription = form.parse_subscription(resource, now=instant(0), allow_http=True, legacy=state.style)
        if len(self._recipients) >= 10_000:
            self._recipients.clear()
        where = origin(subscription.endpoint)
        credentials = await self.keyring.of(key, where)
        kept, _ = form.withhold(state.resource)  # of an earlier release there may be headers in it
        account = Account(self.audit, key, state.owner)
        types = frozenset[str]() if self.telling.standings.open else await self._types(key, subscription)
        found = Recipient(subscription, revision, kept, where, credentials, account, types)
        self._recipients[key] = found
        return found

    def barred(self, key: SubscriptionKey, recipient: Recipient) -> Withheld | None:
        """Why nothing is sent to a subscription any more, by what its owner may now; None if something may be."""
        standings = self.telling.standings
        if standings.open:
            return None
        asked = recipient.subscription.content
        return of_subscription(standings.of(key.tenant, recipient.account.owner), recipient.types, asked)

    def sight(self, key: SubscriptionKey, recipient: Recipient) -> Sight | None:
        """What it may be told of its events now; None for everything."""
        if self.telling.unlimited(key.tenant, key.version):
            return None
        return Sight(self.disclosure.store, self.telling, lambda judgement: judgement.of(recipient.account.owner))

    async def note(self, key: SubscriptionKey, sight: Sight) -> None:
        """Have it audited what was kept from a subscription of what it was owed, by whom the resources are."""
        acts = defaultdict[str, list[Act]](list)
        for event, resource, number, withheld in sight.withheld:
            self.meter.count(EVENTS_WITHHELD, resource.tenant, withheld.reason)
            own = resource.tenant == key.tenant
            acts[resource.tenant].append(
                Act(
                    Kind.SUPPRESSED,
                    HUB,
                    f"Subscription/{key.id}" if own else f"tenant/{key.tenant}",
                    key.version,
                    text=f"event {event}: {withheld}" if own else str(withheld),
                    also=(f"{resource.type}/{resource.id}/_history/{number}",),
                )
            )
        for tenant, of_tenant in acts.items():
            await self.audit.record(tenant, *of_tenant)

    async def _types(self, key: SubscriptionKey, subscription: Subscription) -> frozenset[str]:
        """The resource types that a subscription reaches; as far as its filters say if its topic is gone."""
        await self.tenancy.met([key.tenant])
        topics = self.tenancy.topics(key.tenant)
        if (topic := topics.of(subscription)) is None:
            await topics.refresh()
            topic = topics.of(subscription)
        if topic is None:
            return frozenset(each.resource_type for each in subscription.filters if each.resource_type)
        try:
            reach = Reach.of(subscription, topic, topics.contexts[key.version])
        except Rejected:  # what it was accepted by has changed: matching has set it aside
            return types_told(topic, subscription.filters)
        return reach.told | reach.along | reach.beyond
