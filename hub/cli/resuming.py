"""`hub subscriptions resume`: endpoints are asked anew and, where it is wanted, what they have missed is sent."""

import argparse
import asyncio
import sys
from dataclasses import dataclass
from time import monotonic
from typing import Any

from hub.cli import FAILED, REJECTED
from hub.cli.named import path_of
from hub.cli.pages import pages
from hub.cli.remote import Denied, Remote
from hub.cli.showing import as_json, line
from hub.errors import HubError, Mistaken, Unavailable

#: Of all in error, so many are resumed at once.
AT_ONCE = 8

#: Seconds between two looks whether an endpoint has accepted, and for which it is looked at most.
LOOK, LONGEST = 0.5, 120.0

#: What goes on with one that was left in the middle, whatever its status.
AGAIN = "`hub subscriptions resume NAME --resend` goes on with one of them."


def check(arguments: argparse.Namespace) -> None:
    """Raises Mistaken for neither one nor all, for both, and for one with what chooses among all."""
    if arguments.all == bool(arguments.subscription):
        raise Mistaken("say which one to resume, or --all for those in error")
    if not arguments.all and (arguments.owner or arguments.origin):
        raise Mistaken("--owner and --origin choose among --all")


async def resume(hub: Remote, arguments: argparse.Namespace) -> int:
    if arguments.all:
        return await _all(hub, arguments)
    path = await path_of(hub, arguments.subscription)
    if not arguments.resend:
        text, sent = await _asked(hub, path), Sent()
    else:
        sent = await _resent(hub, path, await hub.read(path, timeline="false"))
        text = f"It is `active`: the {sent.events} events that it missed are sent{sent.but}."
    if arguments.json:
        as_json({"text": text, "missed": sent.events, "lost": sent.lost})
    else:
        line(text)
    return REJECTED if sent.lost else 0


@dataclass(frozen=True, slots=True)
class Sent:
    """How many events are sent once more, and how many of those missed are not kept any more."""

    events: int = 0
    lost: int = 0

    @property
    def but(self) -> str:
        return f", and {self.lost} more are not kept any more" if self.lost else ""

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(self.events + other.events, self.lost + other.lost)


async def _all(hub: Remote, arguments: argparse.Namespace) -> int:
    """
    Each of those in `error`; one that is refused, or refuses, or isn't answered for, stops none of the others.

    With --resend also those that have missed events and were resumed without it, or by a command that was cut short.
    """
    wanted = {"owner": arguments.owner, "origin": arguments.origin}
    which = [{"status": "error"}, {"status": "requested,active", "missed": "true"}]
    names = {
        f"{row['version']}/{row['id']}": None
        for each in which[: 2 if arguments.resend else 1]
        async for row in pages(hub, "/admin/subscriptions", "subscriptions", sort="id", **wanted, **each)
    }
    done, refused, turns = dict[str, Sent](), dict[str, HubError](), asyncio.Semaphore(AT_ONCE)
    begun = set[str]()

    async def one(name: str) -> None:
        path = f"/admin/subscriptions/{name}"
        async with turns:
            try:
                stands = await hub.read(path, timeline="false")
                missed = arguments.resend and stands["status"] != "off" and stands["missed"]
                if stands["status"] != "error" and not missed:  # the list is some seconds old
                    return
                begun.add(name)
                if arguments.resend:
                    done[name] = await _resent(hub, path, stands)
                else:
                    await _asked(hub, path)
                    done[name] = Sent()
            except (Mistaken, Unavailable) as error:
                refused[name] = error

    try:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(one(name))
    except asyncio.CancelledError:
        left = sorted(begun - done.keys() - refused.keys()) if arguments.resend else ()
        for name in left:
            print(f"{name} is asked; what it missed is not sent yet.", file=sys.stderr)
        if left:
            print(AGAIN, file=sys.stderr)
        raise
    status, sent = "active" if arguments.resend else "requested", sum(done.values(), Sent())
    if arguments.json:
        why = {name: str(error) for name, error in refused.items()}
        as_json({status: sorted(done), "refused": why, "missed": sent.events, "lost": sent.lost})
    else:
        for name, error in sorted(refused.items()):
            line(f"{name}: {error}")
        then = (
            f"the {sent.events} events that they missed are sent{sent.but}"
            if arguments.resend
            else "once its handshake is accepted, each is active. What they missed waits for --resend, or `hub resend`"
        )
        line(f"{len(done)} of {len(done) + len(refused)} are `{status}`: {then}.")
        if refused and arguments.resend:
            line(AGAIN)
    if any(isinstance(error, Unavailable) for error in refused.values()):
        return FAILED
    return REJECTED if refused or sent.lost else 0


async def _asked(hub: Remote, path: str) -> str:
    """Have its endpoint asked; what the hub says."""
    return str((await hub.ask("POST", f"{path}/resume")).json()["text"])


async def _resent(hub: Remote, path: str, stands: Any) -> Sent:
    """
    Have its endpoint asked unless that was done before, and what it missed sent once it accepts.

    Args:
        stands: How it stands.

    Raises:
        Mistaken: The hub refuses, or its endpoint has not accepted.
        Unavailable: The hub doesn't answer.
    """
    if stands["status"] in ("error", "off"):
        await _asked(hub, path)
    found = await _answered(hub, path)
    if found["status"] != "active":
        raise Mistaken(f"it is `{found['status']}`, and nothing is resent: {found['error'] or found['outcome']}")
    sent = Sent()
    for each in found["missed"]:
        sent += await _once_more(hub, path, each["first"], each["last"])
    return sent


async def _once_more(hub: Remote, path: str, first: int, last: int) -> Sent:
    try:
        told = (await hub.ask("POST", f"{path}/redeliver", json={"from": first, "to": last})).json()
    except Denied as error:
        if error.status != 410:
            raise
        return Sent(lost=last - first + 1)
    kept = told["first"] or first  # none is named when all of it is still to be sent anyway
    return Sent(last - kept + 1, kept - first)


async def _answered(hub: Remote, path: str) -> Any:
    """How it stands when its endpoint has answered, or after a while."""
    until = monotonic() + LONGEST
    while True:
        found = await hub.read(path, timeline="false")
        if found["status"] != "requested" or monotonic() > until:
            return found
        await asyncio.sleep(LOOK)
