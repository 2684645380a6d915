"""`hub tenants`: which organisations there are, and what they grant each other."""

import argparse
from functools import partial

from hub.access import DEFAULT
from hub.cli.listing import Row, done, json_argument, listed
from hub.cli.reaching import data_argument, on_store
from hub.cli.scopes import scopes
from hub.operating import Operating
from hub.settings import Settings
from hub.tenancy import bases
from hub.wiring.commands import operating
from subscriptions.codes import FhirVersion

COLUMNS = ("name", "base", "clients", "grants")


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    setting = actions.add_parser("set", help="make a tenant")
    grant = actions.add_parser("grant", help="let another tenant's clients do so much in a tenant, and no more")
    revoke = actions.add_parser("revoke", help="grant another tenant's clients nothing in a tenant any more")
    listing = actions.add_parser("list", help="list the tenants")
    for action in (setting, grant, revoke):
        action.add_argument("name", metavar="TENANT")
    for action in (grant, revoke):
        action.add_argument("to", metavar="OTHER", help="whose clients they are")
    grant.add_argument("scopes", type=scopes, metavar="SCOPES", help='in one argument: "system/Immunization.rs"')
    for action in (setting, grant, revoke, listing):
        data_argument(action)
        json_argument(action)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    on_store(settings, arguments.data, operating, partial(_act, arguments))
    return 0


async def _act(arguments: argparse.Namespace, found: Operating) -> None:
    match arguments.action:
        case "list":
            listed(COLUMNS, _rows(found), as_json=arguments.json)
        case "set":
            await found.make_tenant(arguments.name)
            row = {"name": arguments.name, "base": _base(arguments.name)}
            done(f"made: {arguments.name}; its base is {row['base']}", row, as_json=arguments.json)
        case "grant":
            await found.grant(arguments.name, arguments.to, arguments.scopes)
            row = {"name": arguments.name, "to": arguments.to, "scopes": str(arguments.scopes)}
            text = f"granted: clients of {arguments.to} may {arguments.scopes} in {arguments.name}, as far as each may"
            done(text, row, as_json=arguments.json)
        case _:
            await found.withdraw(arguments.name, arguments.to)
            text = f"revoked: clients of {arguments.to} may do nothing in {arguments.name} any more"
            done(text, {"name": arguments.name, "to": arguments.to, "scopes": None}, as_json=arguments.json)


def _rows(found: Operating) -> list[Row]:
    names = sorted({DEFAULT, *found.access.tenants})
    clients = [client.tenant for client in found.access.clients.values()]
    return [
        {
            "name": name,
            "base": _base(name),
            "clients": str(clients.count(name)),
            "grants": "; ".join(f"{to}: {scopes}" for to, scopes in found.tenant(name).grants.items()),
        }
        for name in names
    ]


def _base(name: str) -> str:
    return bases("", name)[FhirVersion.R4]
