"""
`hub subscribe`: register a Subscription, listen, and show each notification as it comes, with gaps and duplicates.

Exit codes: 0 when it was ended, by Ctrl-C or SIGTERM; 1 when no hub answers, or the Subscription does not become
active, with the reason on stderr; 2 when the hub refuses, or it can't listen.
"""

import argparse
import asyncio
import signal
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hub.cli.address import port
from hub.cli.endpoint import listening
from hub.cli.notices import Notices
from hub.cli.registration import Registration, Wanted, canonical, register
from hub.cli.remote import Remote, hub_argument, remote
from hub.errors import Unavailable
from hub.receiver import Event, Notification, Receiver, Source, Verifier
from hub.settings import Settings
from subscriptions.codes import Content, FhirVersion, SubscriptionStatus

#: Seconds between two looks at how the Subscription stands: until it is active, and from then on.
SOON, LATER = 0.2, 5.0


def arguments(parser: argparse.ArgumentParser) -> None:
    hub_argument(parser)
    parser.add_argument("--version", choices=[each.value for each in FhirVersion], default="r4", help="of FHIR (r4)")
    parser.add_argument("--topic", required=True, metavar="URL|TYPE", help="a topic's canonical, or a resource type")
    parser.add_argument(
        "--filter",
        dest="filters",
        action="append",
        default=[],
        metavar="CRITERIA",
        help="'Immunization?patient=Patient/1'; may be repeated",
    )
    parser.add_argument(
        "--content",
        choices=[each.value for each in Content],
        default="full-resource",
        help="how much is told (full-resource)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=port, default=0, metavar="N", help="port (a free one)")
    parser.add_argument("--endpoint", metavar="URL", help="where the hub reaches that, if it is elsewhere")
    parser.add_argument("--keep", action="store_true", help="leave the Subscription there at the end")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    return asyncio.run(_until_told(_subscribe(arguments)))


async def _until_told(work: Coroutine[Any, Any, None]) -> int:
    """Do it until a signal ends it, which is how it ends well."""
    doing = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # under nohup it stays
            asyncio.get_running_loop().add_signal_handler(number, doing.cancel)
    with suppress(asyncio.CancelledError):
        await doing
    return 0


@dataclass
class Desk:
    """
    Takes what comes, once it is known by which secret it is signed, and has it shown.

    showing: What is ended when that can't be.
    """

    notices: Notices
    showing: "asyncio.Task[Any]"
    receiver: "asyncio.Future[Receiver]"
    _handled: list[Event] = field(default_factory=list)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    def open(self, registration: Registration, secret: str) -> None:
        base = f"{registration.hub.url}/fhir/{registration.version}"
        verifier = Verifier(secret) if secret else None
        source = Source(base, client=registration.hub.http)
        self.receiver.set_result(Receiver(self._handle, verifier=verifier, source=source, patience=None))

    async def take(self, body: bytes, headers: Mapping[str, str]) -> int:
        receiver = await asyncio.shield(self.receiver)
        async with self._one:
            self._handled = []
            receipt = await receiver.receive(body, headers)
            try:
                self.notices.received(receipt, self._handled)
            except OSError:  # nobody reads on: what is said at the end fails by that, too
                if not self.showing.cancelling():
                    self.showing.cancel()
        return receipt.status

    async def _handle(self, event: Event) -> None:
        self._handled.append(event)


async def _subscribe(arguments: argparse.Namespace) -> None:
    notices = Notices(arguments.json)
    ours = asyncio.current_task()
    assert ours  # noqa: S101
    desk = Desk(notices, ours, asyncio.get_running_loop().create_future())
    async with remote(arguments.hub) as hub:
        version = FhirVersion(arguments.version)
        topic = await canonical(hub, version, arguments.topic)
        async with listening(desk.take, arguments.host, arguments.port) as url:
            endpoint = arguments.endpoint or url
            notices.say("listening", f"listening at {url}", url=url, endpoint=endpoint)
            wanted = Wanted(version, topic, endpoint, tuple(arguments.filters), Content(arguments.content))
            await _registered(hub, wanted, desk, keep=arguments.keep)


async def _registered(hub: Remote, wanted: Wanted, desk: Desk, *, keep: bool) -> None:
    """Have a Subscription for as long as this is awaited, and beyond that if it is kept."""
    registration, notices = await register(hub, wanted), desk.notices
    where = f"{hub.url}{registration.path}"
    try:
        notices.say("registered", f"registered: {where}", url=where, topic=wanted.topic, filters=wanted.filters)
        secret = await registration.secret()
        if not secret:
            notices.say("unsigned", "this hub signs nothing: whatever comes is believed", "yellow")
        desk.open(registration, secret)
        await registration.activate()
        await _watch(registration, notices)
    finally:
        if keep:
            notices.say("kept", f"kept: {where}", url=where)
        else:
            await registration.remove()
            notices.say("deleted", f"deleted: {where}", url=where)


async def _watch(registration: Registration, notices: Notices) -> None:
    """Say how it stands whenever that changes. Raises Unavailable if it does not become active."""
    last, active, away = None, False, False
    while True:
        try:
            stands = await registration.stands()
        except Unavailable as error:
            if not away:
                notices.say("away", str(error), "red", reason=str(error))
            away = True
            await asyncio.sleep(SOON if not active else LATER)
            continue
        if away:
            notices.say("back", "the hub answers again", "green")
        away = False
        if stands.status is not last:
            _stands(stands, notices, active=active)
        last = stands.status
        active = active or last is SubscriptionStatus.ACTIVE
        await asyncio.sleep(LATER if active else SOON)


def _stands(stands: Notification, notices: Notices, *, active: bool) -> None:
    """Raise Unavailable if it has failed before it was active."""
    why = "; ".join(stands.errors)
    if stands.status is SubscriptionStatus.ACTIVE:
        text, style = "active: what changes from now on is told; Ctrl-C ends it", "green"
    elif stands.status in (SubscriptionStatus.ERROR, SubscriptionStatus.OFF):
        if not active:
            raise Unavailable(
                f"the Subscription did not become active: {why or stands.status}; --endpoint says by which URL the hub"
                " reaches this machine"
            )
        text, style = f"{stands.status}: nothing is sent any more. {why}", "red"
    else:
        text, style = f"{stands.status}: the hub is about to send a handshake", ""
    notices.say("status", text, style, status=stands.status, errors=stands.errors)
