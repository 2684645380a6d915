"""`hub suppress`: what is told to nobody, or not to one client."""

import argparse
from functools import partial

from hub.access import DEFAULT
from hub.cli.listing import Row, done, json_argument, listed
from hub.cli.reaching import data_argument, on_store
from hub.settings import Settings
from hub.suppressing import Suppressing
from hub.wiring.commands import suppressing
from subscriptions.suppression import Rule

COLUMNS = ("rule", "criteria", "kept from")


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="have changes of what meets criteria be notified to nobody")
    add.add_argument("criteria", metavar="CRITERIA", help="as a filter has them: 'Immunization?patient=Patient/1'")
    add.add_argument("--client", metavar="NAME", default="", help="to keep it from this client alone")
    remove = actions.add_parser("remove", help="have a rule hold no more; what it has suppressed stays untold")
    remove.add_argument("rule", metavar="RULE")
    listing = actions.add_parser("list", help="list the rules")
    for action in (add, remove, listing):
        action.add_argument("--tenant", metavar="NAME", default=DEFAULT, help=f"whose resources they are ({DEFAULT})")
        data_argument(action)
        json_argument(action)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    on_store(settings, arguments.data, suppressing, partial(_act, arguments))
    return 0


async def _act(arguments: argparse.Namespace, found: Suppressing) -> None:
    match arguments.action:
        case "list":
            rules = found.of(arguments.tenant).values()
            listed(COLUMNS, map(_row, sorted(rules, key=lambda rule: rule.id)), as_json=arguments.json)
        case "add":
            rule = await found.add(arguments.tenant, arguments.criteria, arguments.client)
            text = f"added: {rule.id}, which keeps {rule.criteria} from {rule.client or 'everybody'}"
            done(text, _row(rule), as_json=arguments.json)
        case _:
            rule = await found.remove(arguments.tenant, arguments.rule)
            text = f"removed: {rule.id}, which kept {rule.criteria} from {rule.client or 'everybody'}"
            done(text, _row(rule), as_json=arguments.json)


def _row(rule: Rule) -> Row:
    return {"rule": rule.id, "criteria": rule.criteria, "kept from": rule.client or "everybody"}
