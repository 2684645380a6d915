"""A Subscription that a command is told of: `r4/ID`, as lists show it, or ID alone where no other has it."""

import argparse
import re
from urllib.parse import quote

from hub.cli.pages import pages
from hub.cli.remote import Remote
from hub.errors import Mistaken
from subscriptions.codes import FhirVersion

_NAME = re.compile(rf"(?:({'|'.join(FhirVersion)})/)?(?:Subscription/)?([A-Za-z0-9.-]{{1,64}})")


def subscription_argument(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument(
        "subscription",
        type=_name,
        nargs="?" if optional else None,
        metavar="SUBSCRIPTION",
        help="its id, or r5/ID where others have it too",
    )


def _name(text: str) -> tuple[str | None, str]:
    found = _NAME.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} should be the id of a Subscription, or VERSION/ID")
    return found[1], found[2]


async def path_of(hub: Remote, name: tuple[str | None, str]) -> str:
    """Its path below `/admin`. Raises Mistaken when none has the id, or several have it."""
    version, id_ = name
    if version is None:
        rows = pages(hub, "/admin/subscriptions", "subscriptions", q=id_)
        found = [row["version"] async for row in rows if row["id"] == id_]
        if len(found) != 1:
            names = ", ".join(f"{each}/{id_}" for each in found)
            raise Mistaken(f"there are several of that id: {names}" if found else f"there is no Subscription {id_}")
        version = found[0]
    return f"/admin/subscriptions/{version}/{quote(id_)}"
