"""
`hub tail`: what a hub does, step by step, as it happens: ids of the trip, and never content.

Exit codes: 0 when it was ended by Ctrl-C; 1 when no hub answers; 2 when it refuses.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from hub.cli.events import events
from hub.cli.listing import json_argument, unfolded
from hub.cli.plain import plain
from hub.cli.remote import Remote, hub_argument, remote
from hub.errors import Unavailable
from hub.settings import Settings

#: What is shown of a step by its first word, and how.
SHORT = {
    "change.stored": ("stored", "cyan"),
    "change.matched": ("matched", "blue"),
    "delivery.attempted": ("attempt", "green"),
}

#: What is said of each step anyway, or is the same of all.
_SAID = frozenset({"at", "step", "tenant"})

#: What comes of an attempt, where the log's word is none.
THEN = {"tryagain": "to be tried again", "giveup": "given up", "turnoff": "turned off"}

#: Seconds before a hub that broke off is asked again.
AGAIN = 1.0


def arguments(parser: argparse.ArgumentParser) -> None:
    kinds = [short for short, _ in SHORT.values()]
    parser.add_argument("--step", choices=kinds, action="append", help="only these; may be repeated")
    parser.add_argument("--grep", metavar="TEXT", help="only steps with it in one of their ids")
    hub_argument(parser)
    json_argument(parser, "a JSON object a line")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    with suppress(KeyboardInterrupt):
        asyncio.run(_tail(arguments))
    return 0


async def _tail(arguments: argparse.Namespace) -> None:
    """A hub that broke off after it had answered is asked again, and one that has told for as long as it does."""
    console = unfolded()
    answered = away = False
    async with remote(arguments.hub) as hub:
        while True:
            try:
                async with aclosing(_steps(hub)) as steps:
                    async for step in steps:
                        answered, away = True, False
                        if step and _wanted(step, arguments):
                            _show(console, step, in_json=arguments.json)
            except Unavailable as error:
                if not answered:
                    raise
                if not away:  # said once
                    print(f"hub tail: {plain(str(error))}", file=sys.stderr)
                away = True
                await asyncio.sleep(AGAIN)


async def _steps(hub: Remote) -> AsyncGenerator[dict[str, Any], None]:
    """Each step; an empty one for whatever else shows that the hub is there."""
    async with hub.stream("/admin/live", tail="true") as response:
        async for name, data in events(response.aiter_bytes()):
            yield msgspec.json.decode(data) if name == "step" else {}


def _wanted(step: Mapping[str, Any], arguments: argparse.Namespace) -> bool:
    short = SHORT.get(step["step"], (step["step"], ""))[0]
    if arguments.step and short not in arguments.step and step["step"] in SHORT:
        return False
    return not arguments.grep or any(arguments.grep in str(value) for value in step.values())


def _show(console: Console, step: Mapping[str, Any], *, in_json: bool) -> None:
    if in_json:
        print(msgspec.json.encode(step).decode(), flush=True)
        return
    at = f"{datetime.fromisoformat(step['at']).astimezone():%H:%M:%S.%f}"[:-3]
    short, style = SHORT.get(step["step"], (step["step"], "yellow"))
    if step.get("outcome") not in (None, "accepted"):
        style = "red"
    what, said = _words(step)
    console.print(
        Text.assemble((at, "dim"), "  ", (f"{short:<9}", style), plain(what), "  ", plain(said)), soft_wrap=True
    )


def _words(step: Mapping[str, Any]) -> tuple[str, str]:
    """What a step is about, as in a URL behind `/fhir/`, and what is said of it."""
    resource = f"{step.get('resource', '').partition('/')[2]}/_history/{step.get('number')}"
    match step["step"]:
        case "change.stored":
            return resource, f"{step['interaction']} by {step['publisher']}"
        case "change.matched":
            return resource, f"concerns {step['subscriptions']}"
        case "delivery.attempted":
            _, version, id_, *_ = step["subscription"].split("/")
            first, last = step["first_event"], step["last_event"]
            numbers = f" {first}" if first == last else f" {first}–{last}"
            what = f"{step['kind']}{numbers if last else ''}, attempt {step['attempt']}"
            then = THEN.get(step["decision"], step["decision"])
            return f"{version}/{id_}", f"{what}: {step['outcome']} in {step['milliseconds']} ms, {then}"
    return "", " ".join(f"{name}={_text(value)}" for name, value in step.items() if name not in _SAID)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
