"""
Who is told of subscriptions beside their channels: each one's owner, and the operator.

Nobody delays what others are told. As with notifications, requests to one origin have so many places, and slow ones
half of those; all slow ones together have so many, too. Who finds none is told later, and so is who was told enough in
this minute. At an origin that an operator has drained nobody is told anything until that is over.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from time import monotonic

from hub.channels.origins import SLOW, Origins, origin
from hub.channels.rest_hook import RestHook
from hub.credentials import Credentials
from hub.instants import now_ms
from hub.keyring import Keyring
from hub.keys import SubscriptionKey, alerts_spent
from hub.pipeline import Pipeline, script
from hub.secrets import Unopened
from subscriptions.message import Message
from subscriptions.retry import Accepted
from subscriptions.subscription import Subscription

SPEND = script("spend")

#: Seconds that one request may take.
SECONDS = 10.0
#: Requests to one origin in a minute, in all processes.
IN_A_MINUTE = 60
#: Requests of a process at once: to one origin, and slow ones to all.
AT_ONE, SLOW_ONES = 8, 32
#: ms until it is asked again whether an origin is still drained.
HELD = 30_000
#: Origins of which is remembered that they were slow.
REMEMBERED = 10_000


class Addressee(StrEnum):
    """Who is told."""

    OWNER = "owner"
    OPERATOR = "operator"


class Telling(StrEnum):
    """What became of telling somebody."""

    #: He knows, or wants to know nothing.
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Operator:
    """
    Who runs the hub.

    url: Empty when he is told nothing.
    channel: May call that URL's host, although its address may be private.
    """

    url: str
    credentials: Credentials
    channel: RestHook


@dataclass
class Addressees:
    """
    All of them.

    channel: For the owners' endpoints.
    is_drained: Whether nothing is sent to an origin now.
    """

    pipeline: Pipeline
    keyring: Keyring
    channel: RestHook
    operator: Operator
    is_drained: Callable[[str], Awaitable[bool]]
    _origins: Origins = field(default_factory=lambda: Origins(AT_ONE, SLOW_ONES))
    _slow: set[str] = field(default_factory=set)

    async def tell(
        self, who: Addressee, key: SubscriptionKey, subscription: Subscription, message: Message
    ) -> Telling | int:
        """Send it to one of them; or say in how many ms that may be possible, if it isn't now."""
        operator = self.operator
        url = operator.url if who is Addressee.OPERATOR else subscription.alert_endpoint
        if not url:
            return Telling.DONE
        channel, credentials = operator.channel, operator.credentials
        if who is Addressee.OWNER:
            try:
                theirs = await self.keyring.of(key, None)
            except Unopened:
                return Telling.FAILED
            # The secret is the owner's; what the hub shows to the channel's endpoint is for nobody else.
            channel, credentials = self.channel, theirs
        return await self._post(channel, replace(subscription, endpoint=url, headers=()), message, credentials)

    async def _post(
        self, channel: RestHook, addressed: Subscription, message: Message, credentials: Credentials
    ) -> Telling | int:
        where, now = origin(addressed.endpoint), now_ms()
        if await self.is_drained(where):
            return HELD
        visit = self._origins.enter(where, slow=where in self._slow, now=now)
        if isinstance(visit, int):
            return visit - now
        try:
            if wait := int(await self.pipeline.run(SPEND, [alerts_spent(where)], IN_A_MINUTE)):
                return wait
            began = monotonic()
            request = channel.send(addressed, message, seconds=SECONDS, credentials=credentials, accepted=visit.accept)
            outcome = await self._origins.answer(visit, now_ms, request)
            self._remember(where, slow=monotonic() - began > SLOW or not isinstance(outcome, Accepted))
            if outcome is None:
                return self._origins.broken_off(now_ms()) - now_ms()
            return Telling.DONE if isinstance(outcome, Accepted) else Telling.FAILED
        finally:
            self._origins.leave(visit, now_ms())

    def _remember(self, where: str, *, slow: bool) -> None:
        if len(self._slow) >= REMEMBERED:
            self._slow.clear()
        self._slow.add(where) if slow else self._slow.discard(where)
