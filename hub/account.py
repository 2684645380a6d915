"""What the audit is told of an attempt at a notification, and of what became of its Subscription by that."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hub.audit import Audit
from hub.keys import SubscriptionKey
from hub.turn import OwedEvent, Sending, Sent, Verb
from subscriptions.audit import HUB, Act, Kind, Outcome

#: What a Subscription comes to.
_BECOMES = {
    Verb.ACTIVE: (Kind.SUBSCRIPTION_ACTIVATED, Outcome.SUCCESS),
    Verb.ERROR: (Kind.SUBSCRIPTION_FAILED, Outcome.FAILED),
    Verb.OFF: (Kind.SUBSCRIPTION_OFF, Outcome.SUCCESS),
}
_OUTCOMES = {Verb.AGAIN: Outcome.REFUSED, Verb.ERROR: Outcome.FAILED, Verb.OFF: Outcome.FAILED}


@dataclass(frozen=True, slots=True)
class Account:
    """
    The account of one subscription's notifications.

    owner: The client that is told.
    """

    audit: Audit
    key: SubscriptionKey
    owner: str

    def acts(
        self, sending: Sending | None, verb: Verb, said: str, sent: Sent | None, events: Iterable[OwedEvent]
    ) -> Mapping[str, list[Act]]:
        """
        What is to be recorded, by tenant.

        said: What is said of the decision.
        sent: None when nothing was tried.
        events: Those that were told.
        """
        found = dict[str, list[Act]]()
        if sending is not None and sent is not None and self.audit.level.has(Kind.NOTIFIED):
            for tenant, act in self._notified(sending, verb, said, events):
                found[tenant] = [act]
        if verb in _BECOMES:
            kind, outcome = _BECOMES[verb]
            text = "" if verb is Verb.ACTIVE else said
            act = Act(kind, HUB, self._subscription, self.key.version, outcome, text)
            found.setdefault(self.key.tenant, []).append(act)
        return found

    def _notified(
        self, sending: Sending, verb: Verb, said: str, events: Iterable[OwedEvent]
    ) -> Iterator[tuple[str, Act]]:
        own, text, outcome = self.key.tenant, f"{_named(sending)}: {said}", _OUTCOMES.get(verb, Outcome.SUCCESS)
        told = {own: list[str]()}
        for event in events:
            told.setdefault(event.tenant or own, []).append(f"{event.type}/{event.id}/_history/{event.version}")
        for tenant, focus in told.items():
            whom = self._subscription if tenant == own else f"tenant/{own}"
            yield tenant, Act(Kind.NOTIFIED, self.owner, whom, self.key.version, outcome, text, tuple(focus))

    @property
    def _subscription(self) -> str:
        return f"Subscription/{self.key.id}"


def _named(sending: Sending) -> str:
    if sending.eventless:
        return sending.kind.value
    numbers = f"{sending.first}" if sending.first == sending.last else f"{sending.first} to {sending.last}"
    return f"{sending.kind.value} {numbers}"
