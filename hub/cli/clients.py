"""`hub clients`: who may call, and what each may do and be told."""

import argparse
from dataclasses import replace
from functools import partial

from hub.access import DEFAULT, Client
from hub.cli.listing import Row, done, json_argument, listed
from hub.cli.reaching import data_argument, on_store
from hub.cli.scopes import clearance, scopes
from hub.errors import Mistaken
from hub.operating import Operating
from hub.settings import Settings
from hub.wiring.commands import operating
from subscriptions.codes import Content
from subscriptions.rights import Rights

COLUMNS = ("name", "tenant", "scopes", "content", "clearance", "known as", "state")


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    setting = actions.add_parser("set", help="make a client, or change what is named of it")
    setting.add_argument("--tenant", metavar="NAME", help=f"whose it is ({DEFAULT}); it stays there")
    setting.add_argument(
        "--scopes",
        type=scopes,
        help='what it may do, in one argument: "system/Immunization.r system/Subscription.cruds"',
    )
    setting.add_argument(
        "--content", choices=list(Content), help=f"the most that notifications tell it ({Content.ID_ONLY})"
    )
    setting.add_argument(
        "--clearance", type=clearance, help='the labels that it may see (N): its rank, and codes: "R HIV"'
    )
    setting.add_argument("--known-as", metavar="ID", help="what its tokens' issuer calls it (its name)")
    setting.add_argument("--on", action="store_true", help="turn it on again")
    listing = actions.add_parser("list", help="list the clients")
    off = actions.add_parser("off", help="grant a client nothing any more; what it had is kept")
    remove = actions.add_parser("remove", help="forget a client and its keys; its Subscriptions stay under its name")
    for action in (setting, off, remove):
        action.add_argument("name", metavar="NAME")
    for action in (setting, listing, off, remove):
        data_argument(action)
        json_argument(action)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    on_store(settings, arguments.data, operating, partial(_act, arguments))
    return 0


async def _act(arguments: argparse.Namespace, found: Operating) -> None:
    match arguments.action:
        case "list":
            rows = sorted(found.access.clients.values(), key=lambda client: (client.tenant, client.name))
            listed(COLUMNS, map(_row, rows), as_json=arguments.json)
        case "set":
            client = _wanted(arguments, found)
            await found.set_client(client)
            listed(COLUMNS, [_row(client)], as_json=arguments.json)
        case "off":
            await found.turn_off(arguments.name)
            told = {"name": arguments.name, "state": "off"}
            done(f"off: {arguments.name}, and its keys and tokens with it", told, as_json=arguments.json)
        case _:
            keys = await found.remove_client(arguments.name)
            text = (
                f"removed: {arguments.name}, and its keys: {keys}\n"
                "What it had registered is not sent any more, and belongs to the next client of this name."
            )
            done(text, {"name": arguments.name, "keys": str(keys)}, as_json=arguments.json)


def _wanted(arguments: argparse.Namespace, found: Operating) -> Client:
    """The client as it is to be: what is not named stays as it is."""
    before = found.access.clients.get(arguments.name)
    if before is None:
        if arguments.scopes is None:
            raise Mistaken(f"{arguments.name[:80]} is new: say by --scopes what it may do")
        before = Client(arguments.name, arguments.tenant or DEFAULT, Rights(arguments.scopes))
    rights = before.rights
    return replace(
        before,
        tenant=arguments.tenant or before.tenant,
        rights=Rights(
            arguments.scopes or rights.scopes,
            Content(arguments.content or rights.content),
            arguments.clearance or rights.clearance,
        ),
        known_as=before.known_as if arguments.known_as is None else arguments.known_as,
        off=before.off and not arguments.on,
    )


def _row(client: Client) -> Row:
    return {
        "name": client.name,
        "tenant": client.tenant,
        "scopes": str(client.rights.scopes),
        "content": client.rights.content,
        "clearance": str(client.rights.clearance),
        "known as": client.known_as or None,
        "state": "off" if client.off else "on",
    }
