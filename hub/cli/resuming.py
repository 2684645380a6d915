"""`hub subscriptions resume`: endpoints are asked anew and, where it is wanted, what they have missed is sent."""

import argparse
import asyncio
from time import monotonic
from typing import Any

from hub.cli import REJECTED
from hub.cli.named import path_of
from hub.cli.pages import pages
from hub.cli.remote import Remote
from hub.cli.showing import as_json, line
from hub.errors import Mistaken

#: Of all in error, so many are resumed at once.
AT_ONCE = 8

#: Seconds between two looks whether an endpoint has accepted, and for which it is looked at most.
LOOK, LONGEST = 0.5, 120.0


def check(arguments: argparse.Namespace) -> None:
    """Raises Mistaken for neither one nor all, and for both."""
    if arguments.all == bool(arguments.subscription):
        raise Mistaken("say which one to resume, or --all for those in error")


async def resume(hub: Remote, arguments: argparse.Namespace) -> int:
    if arguments.all:
        return await _all(hub, arguments)
    text, missed = await _resumed(hub, await path_of(hub, arguments.subscription), resend=arguments.resend)
    if arguments.json:
        as_json({"text": text, "missed": missed})
    else:
        line(text)
    return 0


async def _all(hub: Remote, arguments: argparse.Namespace) -> int:
    """Each of those in `error`; one that is refused, or refuses, stops none of the others."""
    wanted = {"status": "error", "owner": arguments.owner, "origin": arguments.origin}
    names = [
        f"{row['version']}/{row['id']}"
        async for row in pages(hub, "/admin/subscriptions", "subscriptions", sort="id", **wanted)
    ]
    done, refused, turns = dict[str, int](), dict[str, str](), asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        path = f"/admin/subscriptions/{name}"
        async with turns:
            try:
                if (await hub.read(path, timeline="false"))["status"] == "error":  # the list is some seconds old
                    _, done[name] = await _resumed(hub, path, resend=arguments.resend)
            except Mistaken as error:
                refused[name] = str(error)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))
    status, missed = "active" if arguments.resend else "requested", sum(done.values())
    if arguments.json:
        as_json({status: sorted(done), "refused": refused, "missed": missed})
    else:
        for name, why in sorted(refused.items()):
            line(f"{name}: {why}")
        then = (
            f"the {missed} events that they missed are sent"
            if arguments.resend
            else "once its handshake is accepted, each is active. What they missed waits for --resend, or `hub resend`"
        )
        line(f"{len(done)} of {len(done) + len(refused)} are `{status}`: {then}.")
    return REJECTED if refused else 0


async def _resumed(hub: Remote, path: str, *, resend: bool) -> tuple[str, int]:
    """
    What is said of it, and how many events are sent once more.

    Raises:
        Mistaken: The hub refuses, or its endpoint has not accepted.
    """
    asked = (await hub.ask("POST", f"{path}/resume")).json()
    if not resend:
        return asked["text"], 0
    found = await _answered(hub, path)
    if found["status"] != "active":
        raise Mistaken(f"it is `{found['status']}`, and nothing is resent: {found['error'] or found['outcome']}")
    missed = 0
    for each in found["missed"]:
        await hub.ask("POST", f"{path}/redeliver", json={"from": each["first"], "to": each["last"]})
        missed += each["last"] - each["first"] + 1
    return f"It is `active`: the {missed} events that it missed are sent.", missed


async def _answered(hub: Remote, path: str) -> Any:
    """How it stands when its endpoint has answered, or after a while."""
    until = monotonic() + LONGEST
    while True:
        found = await hub.read(path, timeline="false")
        if found["status"] != "requested" or monotonic() > until:
            return found
        await asyncio.sleep(LOOK)
