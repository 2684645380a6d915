"""`hub origins`: where nothing can be sent, or shall not be sent for a while, and its end."""

import argparse
import asyncio
from collections.abc import Mapping
from typing import Any

from hub.cli.listing import json_argument
from hub.cli.remote import hub_argument, remote
from hub.cli.showing import ago, as_json, line, moment, table
from hub.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list those that are left alone, drained or failing")
    draining = actions.add_parser("drain", help="send nothing new to one for some minutes; what comes waits, in order")
    resuming = actions.add_parser("resume", help="end that: what waits goes on its way")
    for action in (draining, resuming):
        action.add_argument("origin", metavar="URL", help="scheme, host and port of endpoints: https://ward.example")
    draining.add_argument("--minutes", type=int, default=30, metavar="N", help="for how long (30)")
    for action in (listing, draining, resuming):
        hub_argument(action)
        json_argument(action, "as JSON, with all that the hub says")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    asyncio.run(_act(arguments))
    return 0


async def _act(arguments: argparse.Namespace) -> None:
    async with remote(arguments.hub) as hub:
        if arguments.action == "list":
            found = (await hub.read("/admin/origins"))["origins"]
            as_json(found) if arguments.json else table(
                ("origin", "state", "since", "wait", "until"), map(_row, found), numbers=("wait",)
            )
            return
        asked = {"origin": arguments.origin}
        if arguments.action == "drain":
            asked["minutes"] = arguments.minutes
        done = (await hub.ask("POST", f"/admin/origins/{arguments.action}", json=asked)).json()
    as_json(done) if arguments.json else line(done["text"])


def _row(of: Mapping[str, Any]) -> tuple[Any, ...]:
    """How it stands with one. Subscriptions wait for it."""
    until = of["until"] and f"{moment(of['until'])} by {of['by']}"
    return of["origin"], of["state"], ago(of["since"]), of["parked"], until or (of["probeAt"] and moment(of["probeAt"]))
