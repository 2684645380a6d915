"""`hub subscriptions`: how a hub's Subscriptions stand, and what an operator does with one."""

import argparse
import asyncio
from typing import Any

from hub.cli import resuming
from hub.cli.listing import json_argument
from hub.cli.named import path_of, subscription_argument
from hub.cli.pages import pages
from hub.cli.remote import Remote, hub_argument, remote
from hub.cli.showing import ago, as_json, line, moment, pairs, table
from hub.settings import Settings
from subscriptions.codes import FhirVersion, SubscriptionStatus

#: What is shown of the last attempts, and of what happened.
ATTEMPTS, HAPPENED = 10, 20

#: What is done by one request that has no body.
ACTIONS = {
    "test": "send a notification without events now",
    "resume": "ask the endpoint of one in error or off anew; then it is active",
    "off": "turn it off: nothing more is numbered nor sent",
    "rotate-secret": "make a new secret to sign with, which is shown this once",
}

_FILTERS = ("topic", "owner", "origin", "version", "q", "sort")


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list them, those that lag most first")
    statuses = list(SubscriptionStatus)
    listing.add_argument("--status", choices=statuses, action="append", help="of this status; may be repeated")
    listing.add_argument("--topic", metavar="URL", help="on this topic")
    listing.add_argument("--owner", metavar="CLIENT", help="of this client")
    listing.add_argument("--origin", metavar="URL", help="told at https://host:port")
    listing.add_argument("--version", choices=list(FhirVersion), help="of FHIR")
    listing.add_argument("--lagging", action="store_true", help="that have events which wait")
    listing.add_argument("--missed", action="store_true", help="that have missed events which were not sent since")
    listing.add_argument("--search", dest="q", metavar="TEXT", help="with it in id, owner, topic, origin or error")
    listing.add_argument("--sort", choices=("lag", "updated", "id"), help="in this order (lag)")
    listing.add_argument("--limit", type=_limit, default=100, metavar="N", help="at most so many (100); 0: all")
    showing = actions.add_parser("show", help="all that is known of how one stands")
    for name, what in ACTIONS.items():
        subscription_argument(actions.add_parser(name, help=what), optional=name == "resume")
    resumed = actions.choices["resume"]
    resumed.add_argument(
        "--all", action="store_true", help="all of those in error; with --resend also those that missed events before"
    )
    resumed.add_argument("--owner", metavar="CLIENT", help="with --all: of this client")
    resumed.add_argument("--origin", metavar="URL", help="with --all: told at https://host:port")
    resumed.add_argument("--resend", action="store_true", help="wait until it accepts, and send what it has missed")
    subscription_argument(showing)
    for action in actions.choices.values():
        hub_argument(action)
        json_argument(action, "as JSON, with all that the hub says")


def _limit(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} should be a number, or 0 for all")
    return int(text)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    if arguments.action == "resume":
        resuming.check(arguments)
    return asyncio.run(_act(arguments))


async def _act(arguments: argparse.Namespace) -> int:
    async with remote(arguments.hub) as hub:
        match arguments.action:
            case "resume":
                return await resuming.resume(hub, arguments)
            case "list":
                await _list(hub, arguments)
            case "show":
                await _show(hub, await path_of(hub, arguments.subscription), arguments.json)
            case action:
                path = await path_of(hub, arguments.subscription)
                done = (await hub.ask("POST", f"{path}/{action}")).json()
                if arguments.json:
                    as_json(done)
                    return 0
                line(done["text"])
                pairs((name, done.get(name)) for name in ("secret", "publicKey", "previousUntil"))
    return 0


async def _list(hub: Remote, arguments: argparse.Namespace) -> None:
    asked = {name: getattr(arguments, name) for name in _FILTERS}
    asked |= {name: "true" for name in ("lagging", "missed") if getattr(arguments, name)}
    asked |= {"status": ",".join(arguments.status or ()) or None}
    rows, more = list[dict[str, Any]](), False
    async for row in pages(hub, "/admin/subscriptions", "subscriptions", **asked):
        if arguments.limit and len(rows) == arguments.limit:
            more = True
            break
        rows.append(row)
    if arguments.json:
        as_json(rows)
        return
    columns = ["subscription", "status", "wait", "oldest", "told at"]
    if reasons := any(row["error"] for row in rows):
        columns.append("why")
    shown = (
        (
            f"{row['version']}/{row['id']}",
            row["status"],
            row["undelivered"] or None,
            ago(row["oldestAt"]),
            row["origin"].removeprefix("https://"),
            *([row["error"]] if reasons else ()),
        )
        for row in rows
    )
    table(columns, shown, numbers=("wait", "oldest"))
    if more:
        line(f"These are the first {arguments.limit}: --limit 0 shows all.", "dim")


async def _show(hub: Remote, path: str, in_json: bool) -> None:
    found = await hub.read(path)
    attempts = (await hub.read(f"{path}/attempts"))["attempts"]
    if in_json:
        as_json(found | {"attempts": attempts})
        return
    oldest = f", the oldest for {ago(found['oldestAt'])}" if found["oldestAt"] else ""
    sending, resend = found["sending"], found["resend"]
    pairs(
        (
            ("subscription", f"{found['version']}/{found['id']}"),
            ("status", found["status"]),
            ("owner", found["owner"]),
            ("topic", found["topic"]),
            ("told at", found["origin"]),
            ("content", found["content"]),
            ("events", f"{found['events']}, delivered to {found['delivered']}"),
            ("wait", f"{found['undelivered']}{oldest}" if found["undelivered"] else None),
            ("dropped", found["dropped"] or None),
            ("skipped", found["skipped"] or None),
            ("missed", ", ".join(_numbers("", each["first"], each["last"]) for each in found["missed"])),
            ("last", found["outcome"] and f"{found['outcome']} ({moment(found['outcomeAt'])})"),
            ("error", found["error"]),
            ("sends", sending and _numbers(sending["kind"], sending["firstEvent"], sending["lastEvent"])),
            ("next try", _next(found["nextAt"], found["attempt"])),
            ("once more", ", ".join(_numbers("", each["first"], each["last"]) for each in resend)),
        )
    )
    if attempts:
        line("")
        columns = ("attempt at", "what", "ms", "then", "it said")
        rows = (
            (
                moment(each["at"]),
                _numbers(each["kind"], each["firstEvent"], each["lastEvent"]),
                each["milliseconds"],
                each["decision"],
                each["said"],
            )
            for each in attempts[:ATTEMPTS]
        )
        table(columns, rows, numbers=("ms",))
    if found["timeline"]:
        line("")
        happened = found["timeline"][:HAPPENED]
        table(("happened at", "what", "by", ""), ((moment(e["at"]), e["what"], e["by"], e["text"]) for e in happened))


def _next(at: str | None, tried: int) -> str | None:
    return f"{moment(at)}, after {tried} in vain" if at and tried else None


def _numbers(what: str, first: int | None, last: int | None) -> str:
    """`handshake`, `event-notification 7` or `7–9`."""
    numbers = "" if first is None else str(first) if first == last else f"{first}–{last}"
    return f"{what} {numbers}".strip()
