"""`hub resend`: have events sent once more that were sent or skipped, as far as they are kept."""

import argparse
import asyncio

from hub.cli.listing import json_argument
from hub.cli.named import path_of, subscription_argument
from hub.cli.remote import hub_argument, remote
from hub.cli.showing import as_json, line
from hub.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    subscription_argument(parser)
    what = "a number, or an instant such as 2026-11-21T09:59:59Z"
    parser.add_argument(
        "--from", dest="first", metavar="EVENT", type=_event, help=f"the first: {what} (the oldest kept)"
    )
    parser.add_argument("--to", dest="last", metavar="EVENT", type=_event, help="the last, likewise (the newest)")
    hub_argument(parser)
    json_argument(parser, "as JSON")


def _event(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdecimal() else text


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    asyncio.run(_resend(arguments))
    return 0


async def _resend(arguments: argparse.Namespace) -> None:
    wanted = {"from": arguments.first, "to": arguments.last}
    given = {name: value for name, value in wanted.items() if value is not None}
    async with remote(arguments.hub) as hub:
        path = await path_of(hub, arguments.subscription)
        done = (await hub.ask("POST", f"{path}/redeliver", json=given)).json()
    if arguments.json:
        as_json(done)
    else:
        line(done["text"])
