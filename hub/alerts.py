"""
Owners are told, and the operator: what happens to a subscription, by a way that is not its own channel.

`settle` notes it in the same step (`alerts` in the hash of the subscription, one of each kind, the latest); then the
subscription is marked in `hub:{alerts}:due`, and if that mark is lost, the clock's repair sets it. Any deliver worker
tells it, apart from the lanes. One of each kind is told every ten minutes, a number in a minute in all; what there is
no room for waits, and is told as it is then. A try that fails comes again some times.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from logging import getLogger
from typing import Any

import msgspec

from hub.channels.rest_hook import RestHook
from hub.credentials import Credentials
from hub.errors import Unavailable
from hub.keyring import Keyring
from hub.keys import ALERTS, ALERTS_SPENT, SubscriptionKey
from hub.pipeline import Pipeline, script
from hub.secrets import Unopened
from hub.store import instant
from subscriptions.alert import Alert, AlertKind
from subscriptions.codes import FhirVersion
from subscriptions.message import Message
from subscriptions.ranges import Range
from subscriptions.retry import Accepted
from subscriptions.subscription import Style, Subscription
from subscriptions.versions.forms import FORMS

ALARM, ALARMED, TOLD = script("alarm"), script("alarmed"), script("told")

log = getLogger("hub.alerts")

#: Seconds between two looks, and that one request may take.
EVERY, SECONDS = 1.0, 10.0
#: Subscriptions of which something is told in a minute, and at once.
IN_A_MINUTE, AT_ONCE = 60, 10
#: ms until a subscription is claimed again that nobody has brought to an end: more than its requests take.
CLAIMED = 120_000
#: ms in which no second alert of a kind is told.
QUIET = 600_000
#: ms before each further try.
TRIES = (10_000, 60_000, 300_000)

_QUIETS = tuple(f"quiet:{kind}" for kind in AlertKind)
OWNER, OPERATOR = "owner", "operator"


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


@dataclass(frozen=True, slots=True)
class _Noted:
    """What is noted of a subscription. `quiet`: ms before which no alert of a kind is told."""

    resource: dict[str, Any]
    subscription: Subscription
    alerts: dict[AlertKind, dict[str, Any]]
    quiet: dict[AlertKind, int]

    @property
    def in_order(self) -> list[tuple[AlertKind, dict[str, Any]]]:
        """What happened first comes first."""
        return sorted(self.alerts.items(), key=lambda item: int(item[1]["at"]))


@dataclass
class Alerting:
    """Tells it. `hub` is the store's id; `bases` the FHIR base of each version."""

    pipeline: Pipeline
    keyring: Keyring
    channel: RestHook
    operator: Operator
    hub: str
    bases: dict[FhirVersion, str]

    async def run(self) -> None:
        """Tell what is to be told; never returns by itself."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                log.warning("alerts.wait", extra={"reason": str(error)})
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Tell what is due, as far as there is room."""
        reply = await self.pipeline.run(ALARM, [ALERTS, ALERTS_SPENT], IN_A_MINUTE, AT_ONCE, CLAIMED)
        now, claimed = int(reply[0]), int(reply[1])
        keys = [SubscriptionKey.parse(name.decode()) for name in reply[2:]]
        await asyncio.gather(*(self._tell_all(key, now, claimed) for key in keys))

    async def _tell_all(self, key: SubscriptionKey, now: int, claimed: int) -> None:
        """Tell all that may be told of a subscription now, and say when the rest may."""
        following = list[int]()
        try:
            if noted := await self._noted(key):
                for kind, each in noted.in_order:
                    due = max(noted.quiet.get(kind, 0), int(each.get("next", 0)))
                    again = due if due > now else await self._tell(key, noted, kind, each, now)
                    if again is not None:
                        following.append(again)
        except Unavailable as error:  # it comes again when its claim has run out
            log.warning("alerts.wait", extra={"subscription": str(key), "reason": str(error)})
            return
        except Exception:  # a bug of ours on this one must not stop the others
            log.exception("alert.failed", extra={"subscription": str(key)})
            return
        await self.pipeline.run(ALARMED, [ALERTS], str(key), claimed, min(following, default=""))

    async def _noted(self, key: SubscriptionKey) -> _Noted | None:
        names = ("resource", "style", "alerts", *_QUIETS)
        resource, style, alerts, *quiet = await self.pipeline.command("HMGET", key.subscription, *names)
        if resource is None or alerts is None:
            return None
        parsed = msgspec.json.decode(resource)
        legacy = Style((style or Style.TOPIC.encode()).decode())
        reading = FORMS[key.version].read_subscription(parsed, now=instant(0), allow_http=True, legacy=legacy)
        return _Noted(
            parsed,
            reading.subscription,
            {AlertKind(kind): each for kind, each in msgspec.json.decode(alerts).items()},
            {kind: int(at) for kind, at in zip(AlertKind, quiet, strict=True) if at},
        )

    async def _tell(
        self, key: SubscriptionKey, noted: _Noted, kind: AlertKind, each: dict[str, Any], now: int
    ) -> int | None:
        """Tell one alert to whoever is to be told; returns when (ms) that is tried again, or None."""
        alert = _alert(kind, each)
        url = f"{self.bases[key.version]}/Subscription/{key.id}"
        message = Message(alert.body(noted.resource, url), "application/json", id=alert.id(self.hub, str(key)))
        wanted = each["left"].split() or [OWNER, OPERATOR]
        told = await asyncio.gather(*(self._send(to, key, noted, message) for to in wanted))
        left, tries = [to for to, done in zip(wanted, told, strict=True) if not done], int(each["tries"]) + 1
        log.info(
            "alert.told",
            extra={"subscription": str(key), "alert": kind, "attempt": tries, "not_told": " ".join(left)},
        )
        if left and tries > len(TRIES):
            log.error("alert.given-up", extra={"subscription": str(key), "alert": kind, "not_told": " ".join(left)})
            left = []
        again = now + TRIES[tries - 1] if left else None
        rest = (" ".join(left), tries, again or "", now + QUIET)
        waits = await self.pipeline.run(TOLD, [key.subscription], kind, each["at"], *rest)
        if again is None and waits:  # perhaps a newer one of this kind
            return now + QUIET
        return again

    async def _send(self, to: str, key: SubscriptionKey, noted: _Noted, message: Message) -> bool:
        """Whether somebody has been told, or wants nothing."""
        subscription, operator = noted.subscription, self.operator
        url = operator.url if to == OPERATOR else subscription.alert_endpoint
        if not url:
            return True
        addressed = replace(subscription, endpoint=url, headers=())
        if to == OPERATOR:
            channel, credentials = operator.channel, operator.credentials
        else:
            try:
                theirs = await self.keyring.of(key)
            except Unopened:
                return False
            # What the hub shows to the channel's endpoint is for nobody else; the secret is the owner's.
            channel, credentials = self.channel, replace(theirs, oauth=None, certificate=None)
        outcome = await channel.send(addressed, message, seconds=SECONDS, credentials=credentials)
        return isinstance(outcome, Accepted)


def _alert(kind: AlertKind, each: dict[str, Any]) -> Alert:
    missed = Range(int(each["first"]), int(each["last"])) if each["first"] else None
    at: datetime = instant(int(each["at"]))
    return Alert(kind, at, each["status"], each["code"], each["text"], missed, int(each["times"]))
