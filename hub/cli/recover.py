"""`hub recover`: go on after Redis was restored to an earlier state, or begin anew after it lost everything."""

import argparse
import asyncio

from hub.cli.at_rest import at_rest, data_argument
from hub.recovery import Recovered
from hub.settings import Settings
from hub.wiring.commands import recovery


def arguments(parser: argparse.ArgumentParser) -> None:
    data_argument(parser)
    parser.add_argument("--force", action="store_true", help="also when nothing seems to be wrong")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    with at_rest(settings, arguments.data) as found:
        _say(asyncio.run(_recover(found, arguments.force)))
    return 0


async def _recover(settings: Settings, force: bool) -> Recovered:
    async with recovery(settings) as found:
        return await found.run(force=force)


def _say(did: Recovered) -> None:
    if did.reason:
        print(f"found: {did.reason}")
    if not did.jump:
        print("begun: a new, empty store. Publishers and subscribers of before have to come again")
    else:
        print(f"in error: {did.failed} subscriptions, until each is set to requested; off or gone: {did.off}")
        print(f"numbers: {did.jump:,} or more are left out, since as many may have been given")
    print(f"id: {did.id}. Parts of the hub that run begin anew by themselves; start the others")
