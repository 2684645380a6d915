"""`hub keys`: the API keys of clients. What `create` prints on stdout is the key, shown this once, and nothing else."""

import argparse
import re
import sys
from functools import partial

from hub.access import Access, Key
from hub.cli.listing import Row, done, json_argument, listed, moment
from hub.cli.reaching import data_argument, on_store
from hub.cli.scopes import scopes
from hub.operating import Operating
from hub.settings import Settings
from hub.wiring.commands import operating
from subscriptions.scopes import ALL

COLUMNS = ("id", "client", "tenant", "scopes", "created", "expires", "state")

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000}


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key and print it: it can't be shown again")
    create.add_argument("client", metavar="CLIENT")
    create.add_argument(
        "--scopes", type=scopes, default=ALL, help="what of its client's rights it carries (all), in one argument"
    )
    create.add_argument("--expires", type=_lasting, metavar="90d", help="when it ends: in days, or 12h, or 30m (never)")
    listing = actions.add_parser("list", help="list the keys, without their secrets")
    revoke = actions.add_parser("revoke", help="have a key be good for nothing, within two seconds")
    revoke.add_argument("id", metavar="ID", help="as it is listed; it stands in the key too: hubkey_ID_…")
    for action in (create, listing, revoke):
        data_argument(action)
        json_argument(action)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    on_store(settings, arguments.data, operating, partial(_act, arguments))
    return 0


async def _act(arguments: argparse.Namespace, found: Operating) -> None:
    match arguments.action:
        case "create":
            key, text = await found.create_key(arguments.client, arguments.scopes, arguments.expires)
            if arguments.json:
                done("", {**_row(found.access, key), "key": text}, as_json=True)
                return
            print(text)
            ends = f"good until {moment(key.expires)}" if key.expires else "good until it is revoked"
            print(f"key {key.id} of {key.client}, {ends}; it is not shown again", file=sys.stderr)
        case "list":
            rows = sorted(found.access.keys.values(), key=lambda key: (key.client, key.created))
            listed(COLUMNS, [_row(found.access, key) for key in rows], as_json=arguments.json)
        case _:
            key = await found.revoke_key(arguments.id)
            done(f"revoked: key {key.id} of {key.client}", {"id": key.id, "client": key.client}, as_json=arguments.json)


def _row(access: Access, key: Key) -> Row:
    client = access.clients.get(key.client)
    otherwise = "its client is not there" if client is None else "its client is off" if client.off else "good"
    return {
        "id": key.id,
        "client": key.client,
        "tenant": client.tenant if client else None,
        "scopes": "all of its client's" if key.scopes == ALL else str(key.scopes),
        "created": moment(key.created),
        "expires": moment(key.expires) if key.expires else None,
        "state": key.fault(access.now()) or otherwise,
    }


def _lasting(text: str) -> int:
    """ms"""
    found = re.fullmatch(r"([1-9]\d{0,5})([dhm])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number of days, hours or minutes: 90d, 12h, 30m")
    return int(found[1]) * _UNITS[found[2]]
