"""`hub topics`: what can be subscribed to, and who does."""

import argparse
import asyncio
from typing import Any

from hub.cli.listing import json_argument
from hub.cli.remote import hub_argument, remote
from hub.cli.showing import as_json, line, pairs, table
from hub.errors import Mistaken
from hub.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "topic", nargs="?", metavar="URL", help="all about one of them: its canonical, or how that ends"
    )
    parser.add_argument("--all", action="store_true", help="also the built-in ones that nobody has subscribed to")
    hub_argument(parser)
    json_argument(parser)


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    topics = asyncio.run(_read(arguments.hub))
    if arguments.topic:
        found = _one(topics, arguments.topic)
        as_json(found) if arguments.json else _show(found)
        return 0
    shown = [
        each for each in topics if arguments.all or each["kind"] != "built-in" or sum(each["subscriptions"].values())
    ]
    if arguments.json:
        as_json(shown)
        return 0
    columns = ("topic", "kind", "on", "active", "error", "other")
    table(columns, map(_row, shown), numbers=columns[3:], whole=False)
    if hidden := len(topics) - len(shown):
        line(f"{hidden} more are built in, one for each type of resource: --all shows them.", "dim")
    return 0


async def _read(url: str) -> list[dict[str, Any]]:
    async with remote(url) as hub:
        return list((await hub.read("/admin/topics"))["topics"])


def _one(topics: list[dict[str, Any]], name: str) -> dict[str, Any]:
    url = name.partition("|")[0]
    found = [each for each in topics if each["url"] == url] or [e for e in topics if e["url"].endswith(f"/{url}")]
    if len(found) != 1:
        raise Mistaken(f"there is no topic {name[:200]}" if not found else f"several topics end in {name[:200]}")
    return found[0]


def _row(topic: dict[str, Any]) -> tuple[Any, ...]:
    by = topic["subscriptions"]
    other = sum(count for status, count in by.items() if status not in ("active", "error"))
    kind = f"{topic['kind']}, retired" if topic["retired"] else topic["kind"]
    return (
        topic["url"],
        kind,
        ", ".join(topic["resourceTypes"]),
        by["active"] or None,
        by["error"] or None,
        other or None,
    )


def _show(topic: dict[str, Any]) -> None:
    pairs(
        (
            ("topic", topic["url"]),
            ("version", topic["version"]),
            ("title", topic["title"]),
            ("kind", f"{topic['kind']}, retired" if topic["retired"] else topic["kind"]),
            ("on", ", ".join(topic["resourceTypes"])),
            ("description", topic["description"]),
            ("purpose", topic["purpose"]),
            (
                "subscriptions",
                ", ".join(f"{count} {status}" for status, count in topic["subscriptions"].items() if count),
            ),
        )
    )
    line("")
    if topic["filters"] is None:
        line("It can be filtered by every search parameter that the hub has.")
        return
    rows = (
        (
            f"{each['resource']}?{each['parameter']}" if each["resource"] else each["parameter"],
            " ".join((*each["modifiers"], *each["comparators"])),
            each["description"],
        )
        for each in topic["filters"]
    )
    table(("filter", "modifiers, comparators", ""), rows)
