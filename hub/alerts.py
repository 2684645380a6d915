"""
Owners are told, and the operator: what happens to a subscription, by a way that is not its own channel.

The step by which it happens notes it (`alerts` in the hash of the subscription, one of each kind, the latest); then the
subscription is marked in `hub:{alerts}:due`, and if that mark is lost, the clock's repair sets it. Any deliver worker
tells it, apart from the lanes. One of each kind is told to each of both every ten minutes; what comes meanwhile waits,
and is told as it is then. A try that fails comes again some times.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from logging import getLogger
from typing import Any

import msgspec

from hub.addressees import SECONDS, Addressee, Addressees, Telling
from hub.errors import Unavailable
from hub.instants import instant
from hub.keys import ALERTS, SubscriptionKey
from hub.outbox import Outboxes
from hub.pipeline import Pipeline, script
from hub.tenancy import Tenancy
from subscriptions.alert import Alert, AlertKind, Kept
from subscriptions.message import Message
from subscriptions.ranges import Range
from subscriptions.subscription import Style, Subscription
from subscriptions.versions.forms import FORMS

ALARM, ALARMED, TOLD = script("alarm"), script("alarmed"), script("told")

log = getLogger("hub.alerts")

#: Seconds between two looks.
EVERY = 1.0
#: Subscriptions in hand at once. Many more than there are places for slow requests, so that some are always free.
AT_ONCE = 100
#: ms until a subscription is claimed again that nobody has brought to an end: more than its requests take.
CLAIMED = 120_000
#: ms in which no second alert of a kind is told.
QUIET = 600_000
#: ms before each further try.
TRIES = (10_000, 60_000, 300_000)

_QUIETS = [(kind, who) for kind in AlertKind for who in Addressee]


@dataclass(frozen=True, slots=True)
class _Noted:
    """What is noted of a subscription. `quiet`: ms before which somebody is told no alert of a kind."""

    key: SubscriptionKey
    resource: dict[str, Any]
    subscription: Subscription
    events: int
    delivered: int
    alerts: dict[AlertKind, dict[str, Any]]
    quiet: dict[tuple[AlertKind, Addressee], int]

    def of(self, who: Addressee) -> list[tuple[AlertKind, dict[str, Any]]]:
        """What he is to be told; what happened first comes first."""
        his = [(kind, each) for kind, each in self.alerts.items() if who in each["to"]]
        return sorted(his, key=lambda item: int(item[1]["at"]))


@dataclass(frozen=True, slots=True)
class _Claim:
    """A subscription of which something is to be told. `now`, and when it is claimed again (`again`), in ms."""

    key: SubscriptionKey
    now: int
    again: int


@dataclass
class Alerting:
    """Tells it. `hub` is the store's id."""

    pipeline: Pipeline
    outboxes: Outboxes
    addressees: Addressees
    hub: str
    tenancy: Tenancy
    _in_hand: int = 0
    _being_told: set[tuple[SubscriptionKey, Addressee]] = field(default_factory=set)

    async def run(self) -> None:
        """Tell what is to be told; never returns by itself. Who is slow to hear of it holds up nobody else."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    for claim in await self._claim():
                        group.create_task(self._tell_all(claim))
                except Unavailable as error:
                    log.warning("alerts.wait", extra={"reason": str(error)})
                await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Tell what is due, and wait until that is done."""
        await asyncio.gather(*map(self._tell_all, await self._claim()))

    async def close(self) -> None:
        """To be called when nothing is told any more."""
        await self.addressees.operator.channel.close()

    async def _claim(self) -> list[_Claim]:
        if self._in_hand >= AT_ONCE:
            return []
        reply = await self.pipeline.run(ALARM, [ALERTS], AT_ONCE - self._in_hand, CLAIMED)
        claims = [_Claim(SubscriptionKey.parse(name.decode()), int(reply[0]), int(reply[1])) for name in reply[2:]]
        self._in_hand += len(claims)
        return claims

    async def _tell_all(self, claim: _Claim) -> None:
        """Tell all that may be told of a subscription now, and say when the rest may."""
        key = str(claim.key)
        try:
            following: list[int] = []
            if noted := await self._noted(claim.key):
                for times in await asyncio.gather(*(self._tell_all_to(who, noted, claim.now) for who in Addressee)):
                    following += times
            await self.pipeline.run(ALARMED, [ALERTS], key, claim.again, min(following, default=""))
        except Unavailable as error:  # it comes again when its claim has run out
            log.warning("alerts.wait", extra={"subscription": key, "reason": str(error)})
        except Exception:  # a bug of ours on this one must not stop the others
            log.exception("alert.failed", extra={"subscription": key})
        finally:
            self._in_hand -= 1

    async def _noted(self, key: SubscriptionKey) -> _Noted | None:
        quiets = [f"quiet:{kind}:{who}" for kind, who in _QUIETS]
        names = ("resource", "style", "events", "delivered", "alerts", *quiets)
        reply = await self.pipeline.command("HMGET", key.subscription, *names)
        resource, style, events, delivered, alerts, *quiet = reply
        if resource is None or alerts is None:
            return None
        parsed = msgspec.json.decode(resource)
        legacy = Style((style or Style.TOPIC.encode()).decode())
        reading = FORMS[key.version].read_subscription(parsed, now=instant(0), allow_http=True, legacy=legacy)
        return _Noted(
            key,
            parsed,
            reading.subscription,
            int(events),
            int(delivered),
            {AlertKind(kind): each for kind, each in msgspec.json.decode(alerts).items()},
            {place: int(at) for place, at in zip(_QUIETS, quiet, strict=True) if at},
        )

    async def _tell_all_to(self, who: Addressee, noted: _Noted, now: int) -> list[int]:
        """Tell somebody all that he may be told now, one after the other; when (ms) there is more."""
        place, following = (noted.key, who), list[int]()
        if place in self._being_told and noted.of(who):  # by the claim before this, which was for less
            return [now + int(SECONDS * 1000)]
        self._being_told.add(place)
        try:
            for kind, each in noted.of(who):
                due = max(noted.quiet.get((kind, who), 0), int(each["to"][who].get("next", 0)))
                again = due if due > now else await self._tell(who, noted, kind, each, now)
                if again is not None:
                    following.append(again)
        finally:
            self._being_told.discard(place)
        return following

    async def _tell(self, who: Addressee, noted: _Noted, kind: AlertKind, each: dict[str, Any], now: int) -> int | None:
        """Tell somebody one alert; returns when (ms) that is tried again, or None."""
        key, alert = noted.key, _alert(kind, each)
        url = f"{self.tenancy.base(key.tenant, key.version)}/Subscription/{key.id}"
        body = alert.body(noted.resource, url, await self._kept(noted, alert))
        message = Message(body, "application/json", id=alert.id(self.hub, str(key)))
        told = await self.addressees.tell(who, key, noted.subscription, message)
        if not isinstance(told, Telling):
            return now + told
        tries, done = int(each["to"][who]["tries"]) + 1, told is Telling.DONE
        said = {"subscription": str(key), "alert": kind, "to": who, "attempt": tries}
        log.info("alert.told" if done else "alert.not-told", extra=said)
        again = None if done or tries > len(TRIES) else now + TRIES[tries - 1]
        if not done and again is None:
            log.error("alert.given-up", extra=said)
        rest = (who, tries, again or "", now + QUIET)
        await self.pipeline.run(TOLD, [key.subscription], kind, each["at"], *rest)
        return again

    async def _kept(self, noted: _Noted, alert: Alert) -> Kept:
        """What can still be had of what the alert tells of, and of what waits to be sent."""
        waiting = Range(noted.delivered + 1, noted.events) if noted.events > noted.delivered else None
        return Kept(await self._ends(noted.key, alert.missed), await self._ends(noted.key, waiting))

    async def _ends(self, key: SubscriptionKey, of: Range | None) -> Range | None:
        """From the first to the last event of a range that is kept; None if none is."""
        if of is None:
            return None
        first = await self.outboxes.events(key, of.first, of.last, most=1)
        last = await self.outboxes.events(key, of.first, of.last, most=1, newest=True)
        return Range(first[0].number, last[0].number) if first and last else None


def _alert(kind: AlertKind, each: dict[str, Any]) -> Alert:
    missed = Range(int(each["first"]), int(each["last"])) if each["first"] else None
    at: datetime = instant(int(each["at"]))
    return Alert(kind, at, each["status"], each["code"], each["text"], missed, int(each["times"]))
