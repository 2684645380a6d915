"""`hub secrets reseal`: seal all secrets anew with the key in front, so that the others can go."""

import argparse
import asyncio

from hub.cli import FAILED
from hub.cli.at_rest import at_rest, data_argument
from hub.resealing import Resealed
from hub.settings import Settings
from hub.wiring.commands import resealing

#: Names of what can't be opened that are shown.
SHOWN = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["reseal"], help="seal all secrets anew with the first key")
    parser.add_argument("--forget", action="store_true", help="give up what none of the keys opens: its key is lost")
    data_argument(parser)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    with at_rest(settings, arguments.data) as found:
        done = asyncio.run(_reseal(found, arguments.forget))
    print(f"sealed anew: what {done.changed} of {done.subscriptions} subscriptions have; the rest was already")
    if done.unopened:
        print(f"not opened by any of the keys: {len(done.unopened)}, which are left as they are")
        for name in done.unopened[:SHOWN]:
            print(f"  {name}")
        if not arguments.forget:
            return FAILED
    print("no other key than the first one is needed now")
    for fingerprint in done.retired:
        print(f"not needed any more: the key with the fingerprint {fingerprint}")
    return 0


async def _reseal(settings: Settings, forget: bool) -> Resealed:
    async with resealing(settings) as found:
        return await found.run(forget=forget)
