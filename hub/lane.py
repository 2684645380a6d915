"""
One subscription being served: strictly one notification in flight, oldest first.

What a notification holds was pinned by `take` or `settle`, so a repeat has the same bytes. Whatever happens to a lane,
its lease runs out and somebody else goes on with the same pinned notification.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from logging import getLogger
from time import monotonic
from typing import assert_never

from hub.breakers import ASK_AGAIN, FREE, Pass
from hub.channels.origins import SLOW, Visit
from hub.due import Lease
from hub.errors import Unavailable
from hub.families import EVENTS_WITHHELD
from hub.instants import ms
from hub.rendering import Rendering
from hub.secrets import Unopened
from hub.sender import Recipient, Sender
from hub.turn import Sending, Sent, Turn, Verb
from hub.witness import Witness
from subscriptions.audit import Act
from subscriptions.breaker import well
from subscriptions.codes import SubscriptionStatus as Status
from subscriptions.errors import Rejected
from subscriptions.message import Message
from subscriptions.retry import (
    Accepted,
    Blocked,
    Decision,
    Delivered,
    GiveUp,
    Outcome,
    Policy,
    Refused,
    TryAgain,
    TurnOff,
    Unauthorized,
    decide,
    decide_handshake,
)
from subscriptions.subscription import Style, Subscription
from subscriptions.versions.forms import FORMS
from subscriptions.withheld import Withheld

log = getLogger("hub.delivery")

#: A lane gives its place to others after so many notifications or seconds.
FAIR_SHARE = 20
FAIR_SECONDS = 1.0

#: ms until a subscription that is not registered is looked at again: its delete is under way.
STRAY = 60_000


#: What is said of a subscription to which nothing more is sent after a failure.
_ENDS = {Verb.ERROR: "subscription.error", Verb.OFF: "subscription.off"}


@dataclass
class Lane:
    """The serving of one subscription under one lease."""

    sender: Sender
    lease: Lease
    turn: Turn
    _rendering: Rendering = field(init=False)

    def __post_init__(self) -> None:
        sender, key = self.sender, self.lease.subscription
        base, ahead = sender.tenancy.base(key.tenant, key.version), {owed.number: owed for owed in self.turn.ahead}
        self._rendering = Rendering(
            sender.outboxes, sender.disclosure, sender.hub, base, key, FAIR_SHARE, sender.most_bytes, ahead
        )

    async def run(self) -> None:
        """Send until there is nothing to send, the fair share is used, or it must wait; then give the lease back."""
        began, sent, sender = monotonic(), 0, self.sender
        # Where rights are told apart, also who has nothing to be sent may have lost them.
        looks = not sender.telling.standings.open and self.turn.status in (Status.REQUESTED, Status.ACTIVE)
        # Whoever has made it due, since rights are others now or since a new client registers, must not know more.
        await sender.telling.standings.latest()
        while self.turn.sending is not None or looks:
            if self.sender.stopping or sent >= FAIR_SHARE or monotonic() - began > FAIR_SECONDS:
                return await self._release(more=True)
            try:
                recipient = await self.sender.recipient(self.lease.subscription, self.turn.revision)
            except Rejected as error:
                log.error("delivery.broken", extra={"subscription": str(self.lease.subscription), "reason": str(error)})
                return await self._release()
            except Unopened as error:  # the operator's to mend, and not the subscriber's fault
                log.error("delivery.broken", extra={"subscription": str(self.lease.subscription), "reason": str(error)})
                return await self._release(wait_until=self.sender.due.now() + STRAY)
            if recipient is None:
                return await self._release(more=True)
            await sender.telling.current()
            looks = False
            if withheld := sender.barred(self.lease.subscription, recipient):
                turn: Turn | int | None = await self._withdraw(recipient, withheld)
            elif self.turn.sending is None:
                break
            else:
                turn = await self._visit(recipient, self.turn.sending)
            if isinstance(turn, int):
                return await self._release(wait_until=turn)
            if turn is None:
                return await self._release(more=True)
            self.turn = turn
            sent += 1
        await self.sender.due.release(self.lease, wait_until=self.turn.quiet_until, at=self.turn.beat_at)

    async def _release(self, *, more: bool = False, wait_until: int | None = None) -> None:
        await self.sender.due.release(self.lease, more=more, wait_until=wait_until)

    async def _outlasts(self) -> bool:
        """Make sure that the lease outlasts a request that begins now; False when it doesn't, or is somebody else's."""
        if self._lasts():
            return True
        longer = await self.sender.due.renew(self.lease, milliseconds=self.sender.lease_ms)
        self.lease = longer or self.lease
        return longer is not None and self._lasts()  # Redis may have taken its time to answer

    def _lasts(self) -> bool:
        return self.sender.due.now() + (self.sender.timeout + 0.1) * 1000 <= self.lease.ends

    async def _visit(self, recipient: Recipient, sending: Sending) -> Turn | int | None:
        """Attempt it if the origin has a place. Returns as `_attempt` does."""
        sender = self.sender
        if sending.handshake and recipient.subscription.style is not Style.TOPIC:
            return await self._activated(recipient)  # R4 had no handshake
        slow = recipient.slow or self.turn.attempt > 0
        visit = sender.origins.enter(recipient.origin, slow=slow, now=sender.due.now())
        while isinstance(visit, int):
            if slow or not await sender.origins.come_free(recipient.origin, sender.due.now):
                return visit
            visit = sender.origins.enter(recipient.origin, slow=slow, now=sender.due.now())
        try:
            passed: Pass | int = FREE
            if sending.handshake:  # its client waits for an answer
                if await sender.breakers.is_drained(recipient.origin):
                    return sender.due.now() + ASK_AGAIN
            else:
                key, token = self.lease.subscription, self.lease.token
                passed = await sender.breakers.admit(recipient.origin, key, token)
            if isinstance(passed, int):
                return passed
            return await self._attempt(recipient, sending, visit, passed)
        finally:
            sender.origins.leave(visit, sender.due.now())

    async def _attempt(self, recipient: Recipient, sending: Sending, visit: Visit, passed: Pass) -> Turn | int | None:
        """
        Send the pinned notification once and settle it.

        Returns the next turn; or the ms before which nothing is sent; or None when this lane has no say any more.
        """
        sender, subscription, key = self.sender, recipient.subscription, self.lease.subscription
        await sender.telling.current()  # the origin may have had no place for long
        if withheld := sender.barred(key, recipient):
            return await self._withdraw(recipient, withheld)
        self._rendering.sight = sight = sender.sight(key, recipient)
        if (rendered := await self._rendering.message(subscription, sending, events=self.turn.events)) is None:
            return await self._pass_by(sending)
        message, sending = rendered
        if sight is not None and sight.withheld and self.turn.attempt == 0:
            await sender.note(key, sight)
        if not await self._outlasts():  # the last question to Redis: the request begins at once
            return None
        witness = Witness(sender.meter, sender.traces, self._rendering, key, sending, self.turn.attempt + 1)
        trace, started = witness.begun(subscription, message), monotonic()
        seconds = min(subscription.timeout or sender.timeout, sender.timeout)
        request = sender.channel.send(
            subscription,
            message,
            seconds=seconds,
            credentials=recipient.credentials,
            accepted=visit.accept,
            trace=trace,
        )
        outcome = await sender.origins.answer(visit, sender.due.now, request)
        if outcome is None:
            recipient.slow = True
            witness.postponed()
            return sender.origins.broken_off(sender.due.now())
        took, answered = monotonic() - started, ms(sender.now())
        sender.origins.went(recipient.origin, well=well(outcome))
        early = await self._early(outcome)
        decision = self._decide(outcome, sending, subscription, early)
        recipient.slow = took > SLOW or not isinstance(decision, Delivered)
        witness.ended(outcome, decision, took, len(message.body))
        await self._tell(recipient, outcome, passed)
        sent = _sent(outcome, message, took)
        if isinstance(decision, Delivered) and sending.handshake:
            turn = await self._activated(recipient, sent)
            if isinstance(turn, Turn):  # else it goes out again: this lane had no say any more
                witness.delivered(answered)
            return turn
        verb, said, code, wait = _verdict(decision)
        again_at = None if wait is None else sender.due.now() + int(wait * 1000)
        acts = recipient.account.acts(sending, verb, said, sent, self._rendering.told)
        turn = await self._until_confirmed(
            lambda: self._along(
                acts,
                sender.outboxes.settle(
                    self.lease.subscription,
                    self.lease.token,
                    self.turn,
                    verb,
                    said=said,
                    code=code,
                    again_at=again_at,
                    charged=early is None,
                    sent=sent,
                    told=sending,
                ),
            )
        )
        if isinstance(decision, Delivered):
            if isinstance(turn, Turn):
                witness.delivered(answered)
        elif turn is not None and verb in _ENDS:
            log.warning(_ENDS[verb], extra={"subscription": str(key), "code": code, "reason": said})
        return again_at if turn is not None and again_at is not None else turn

    async def _withdraw(self, recipient: Recipient, withheld: Withheld) -> Turn | int | None:
        """Send nothing more: its owner may not be told what it asked for. What was pinned is not sent either."""
        key, said = self.lease.subscription, str(withheld)
        log.warning("delivery.withdrawn", extra={"subscription": str(key), "reason": said})
        acts = recipient.account.acts(self.turn.sending, Verb.ERROR, said, None, ())
        return await self._until_confirmed(
            lambda: self._along(
                acts, self.sender.outboxes.settle(key, self.lease.token, self.turn, Verb.ERROR, said=said)
            )
        )

    async def _pass_by(self, sending: Sending) -> Turn | int | None:
        """Go on without a notification of which nothing is left to be told: it must not hold up those behind it."""
        sender, key, said = (
            self.sender,
            self.lease.subscription,
            "its version is not kept any more or may not be told, or its id makes no URL",
        )
        turn = await self._until_confirmed(
            lambda: sender.outboxes.settle(key, self.lease.token, self.turn, Verb.DELIVERED, said=said)
        )
        if turn is not None:  # else it was deleted, with what was owed to it
            log.error("delivery.set-aside", extra={"subscription": str(key), "event": sending.first, "reason": said})
            sender.meter.count(EVENTS_WITHHELD, key.tenant, "set-aside")
        return turn

    def _decide(self, outcome: Outcome, sending: Sending, subscription: Subscription, early: float | None) -> Decision:
        attempt, sender, elements = self.turn.attempt + 1, self.sender, FORMS[subscription.version].elements
        if sending.handshake:
            return decide_handshake(outcome, attempt=attempt, elements=elements)
        if early is not None:  # the schedule stays where it is
            return decide(outcome, attempt=1, dice=0, now=sender.now(), policy=Policy((early,)), elements=elements)
        policy = sender.policy if subscription.retry_waits is None else Policy(subscription.retry_waits)
        return decide(outcome, attempt=attempt, dice=sender.dice(), now=sender.now(), policy=policy, elements=elements)

    async def _early(self, outcome: Outcome) -> float | None:
        """Seconds until this attempt's own time, if the origin's breaker called it before that, and it failed."""
        if isinstance(outcome, Accepted) or self.turn.attempt == 0:
            return None
        own = None
        with suppress(Unavailable):
            own = await self.sender.outboxes.early(self.lease.subscription)
        ahead = 0 if own is None else own - self.sender.due.now()
        return ahead / 1000 if ahead > 0 else None

    async def _tell(self, recipient: Recipient, outcome: Outcome, passed: Pass) -> None:
        """Tell the origin's breaker; when it can't be told, the next attempt does."""
        with suppress(Unavailable):
            await self.sender.breakers.tell(recipient.origin, self.lease.subscription, outcome, passed)

    async def _until_confirmed(self, settle: Callable[[], Awaitable[Turn | int | None]]) -> Turn | int | None:
        """Settle as long as the lease lasts: what the subscriber took should not reach it twice for our own failure."""
        pause = 0.05
        while True:
            try:
                return await settle()
            except Unavailable:
                if self.sender.due.now() + pause * 1000 > self.lease.ends:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    async def _activated(self, recipient: Recipient, sent: Sent | None = None) -> Turn | int | None:
        """Activate it, and say so."""
        turn = await self._until_confirmed(lambda: self._activate(recipient, sent))
        if isinstance(turn, Turn):
            log.info("subscription.active", extra={"subscription": str(self.lease.subscription)})
        return turn

    async def _activate(self, recipient: Recipient, sent: Sent | None = None) -> Turn | int | None:
        """
        The handshake was accepted. What was put before now is not numbered, unless it wants to start earlier; what is
        put after this is.
        """
        sender, key = self.sender, self.lease.subscription
        registered = await sender.registry.find(key.tenant, key.version, key.id)
        if registered is None or registered.key != key:
            return sender.due.now() + STRAY
        # Whatever a crash left undone: it is in the index before it is active.
        if not await sender.registry.put(
            replace(
                registered,
                on=True,
                revision=recipient.revision,
                resource=recipient.resource,
                style=recipient.subscription.style,
            )
        ):
            return sender.due.now() + STRAY
        start = recipient.subscription.start
        if start is not None:
            await sender.changes.to_fill(key)
        ends = await sender.changes.ends()
        assert self.turn.sending  # noqa: S101 (a handshake)
        return await self._along(
            recipient.account.acts(self.turn.sending, Verb.ACTIVE, "accepted", sent, ()),
            sender.outboxes.settle(
                key,
                self.lease.token,
                self.turn,
                Verb.ACTIVE,
                said="active",
                ends=ends,
                start=None if start is None else ms(start),
                sent=sent,
            ),
        )

    async def _along(self, acts: Mapping[str, list[Act]], settling: Awaitable[Turn | None]) -> Turn | None:
        """Settle, and have the audit know along with it, in the same round trip."""
        if not acts:
            return await settling
        *_, turn = await asyncio.gather(
            *(self.sender.audit.record(tenant, *of_tenant) for tenant, of_tenant in acts.items()), settling
        )
        return turn


def _sent(outcome: Outcome, message: Message, seconds: float) -> Sent:
    """What the operator may see of an attempt; of the answer no control characters, which could do harm there."""
    said = outcome.said if isinstance(outcome, Accepted | Refused) else ""
    shown = "".join(character if character.isprintable() else " " for character in said)
    return Sent(round(seconds * 1000), 0 if isinstance(outcome, Blocked | Unauthorized) else len(message.body), shown)


def _verdict(decision: Decision) -> tuple[Verb, str, str, float | None]:
    """What is written of a decision: verb, text, FHIR error code, and the seconds to wait."""
    match decision:
        case Delivered():
            return Verb.DELIVERED, "delivered", "", None
        case TryAgain(wait, code, text):
            return Verb.AGAIN, text, code, wait
        case GiveUp(code, text):
            return Verb.ERROR, text, code, None
        case TurnOff(code, text):
            return Verb.OFF, text, code, None
    assert_never(decision)
