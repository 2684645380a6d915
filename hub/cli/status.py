"""
`hub status`: whether something is wrong with a hub, what to do about it, and its figures.

Exit codes: 0 nothing is wrong; 1 no hub answers; 2 it refuses; 3 something is wrong; 4 something may soon be.
"""

import argparse
import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hub.cli.examining.findings import sized
from hub.cli.listing import json_argument, show, unfolded
from hub.cli.plain import plain
from hub.cli.remote import Remote, hub_argument, remote
from hub.cli.showing import ago, as_json, figure, moment, span, styled
from hub.errors import Unavailable
from hub.settings import Settings

#: Exit codes by the worst problem.
WRONG = {"error": 3, "warning": 4}

#: Seconds between two looks.
EVERY = 2.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="look again and again, until Ctrl-C")
    hub_argument(parser)
    json_argument(parser, "all that the hub says, as JSON; with --watch an object a line")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    del settings
    if arguments.watch:
        with suppress(KeyboardInterrupt):
            asyncio.run(_watch(arguments))
        return 0
    found = asyncio.run(_read(arguments.hub))
    as_json(found) if arguments.json else show(_shown(found, arguments.hub))
    return min((WRONG.get(each["severity"], 4) for each in found["problems"]), default=0)


async def _read(url: str) -> dict[str, Any]:
    async with remote(url) as hub:
        return await _overview(hub)


async def _overview(hub: Remote) -> dict[str, Any]:
    """
    All of it.

    Raises:
        Unavailable: The hub can't say; if it is not ready, this is what it says to that.
    """
    found: Any
    ready: Any
    asked = hub.read("/admin/overview"), hub.read(f"{hub.root}/readyz")
    found, ready = await asyncio.gather(*asked, return_exceptions=True)
    if isinstance(found, Unavailable) and isinstance(ready, Unavailable):
        raise ready
    if isinstance(found, BaseException):
        raise found
    return dict(found)


async def _watch(arguments: argparse.Namespace) -> None:
    """Show it anew; a hub that doesn't answer is waited for."""
    console = unfolded()
    with Live(console=console, auto_refresh=False, screen=False, transient=False) as live:
        async with remote(arguments.hub) as hub:
            while True:
                shown: RenderableType
                try:
                    found = await _overview(hub)
                    shown = _shown(found, arguments.hub)
                except Unavailable as error:
                    found, shown = {"error": str(error)}, Text(plain(str(error)), "bold red")
                if arguments.json:
                    print(msgspec.json.encode(found).decode(), flush=True)
                elif console.is_terminal:
                    live.update(shown, refresh=True)
                else:
                    console.print(shown)
                await asyncio.sleep(EVERY)


def _shown(found: Mapping[str, Any], url: str) -> RenderableType:
    return Group(*_problems(found["problems"], url), Text(), _figures(found))


def _problems(problems: list[dict[str, Any]], url: str) -> Iterator[RenderableType]:
    if not problems:
        yield Text("Nothing is wrong.", "bold green")
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    for each in problems:
        table.add_row(styled(each["severity"]), Text(plain(each["text"]), overflow="fold"))
        action, command = plain(each["action"]), plain(each.get("command", ""))
        table.add_row("", Text(f"→ {action}: {command}" if command else f"→ {action}", "bold", overflow="fold"))
        if each["link"]:  # a line of its own: the command is copied without it
            table.add_row("", Text(plain(f"  {url}/console{each['link']}"), "dim", overflow="fold"))
    yield table


def _figures(found: Mapping[str, Any]) -> Table:
    """Two columns; what only the hub's own operator is told is left out for others."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, value in _told(found):
        if value:
            table.add_row(Text(name, "dim"), Text(plain(value), overflow="fold"))
    return table


def _told(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rates, latency, subscriptions = found["rates"], found["latency"], found["subscriptions"]
    names = ("stored", "owed", "delivered", "attempts", "failed")
    yield "each second", ", ".join(f"{figure(rates[name])} {name}" for name in names)
    percentiles = [
        f"{name} {_milliseconds(latency[name])}" for name in ("p50", "p95", "p99") if latency[name] is not None
    ]
    yield (
        f"trip, last {latency['seconds']:g} s",
        f"{', '.join(percentiles)} of {latency['count']}" if percentiles else "",
    )
    statuses = ("active", "requested", "error", "off")
    yield (
        "subscriptions",
        ", ".join(f"{subscriptions[name]} {name}" for name in statuses if subscriptions[name]) or "none",
    )
    waits = f"{subscriptions['undelivered']} of {subscriptions['lagging']} subscriptions"
    oldest = subscriptions["oldest"]
    if oldest:
        waits += f"; the oldest for {ago(oldest['at'], found['at'])}: {oldest['version']}/{oldest['id']}"
    yield "events that wait", waits if subscriptions["undelivered"] else ""
    lost = [f"{subscriptions[name]} {name}" for name in ("dropped", "missed") if subscriptions[name]]
    yield "not sent", ", ".join(lost)
    if matching := found.get("matching"):
        yield "matching", f"{span(matching['behindSeconds'])} behind, {matching['unmatched']} changes"
    if (workers := found.get("workers")) is not None:
        kinds = [worker["kind"] for worker in workers]
        yield "at work", ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)) or "nobody"
    for origin in found.get("origins", ()):
        held = f"; Subscriptions that wait for it: {origin['parked']}"
        how = {"open": f"is left alone{held}", "drained": f"is drained until {moment(origin['until'])}{held}"}
        failing = f"fails: {origin['failures']} connections; each Subscription tries by its schedule"
        yield "origin", f"{origin['origin']} {how.get(origin['state'], failing)}"
    if redis := found.get("redis"):
        most = f" of {sized(redis['maxBytes'])}" if redis["maxBytes"] else ""
        yield "redis", f"{redis['version']}, {sized(redis['usedBytes'])}{most}"
    yield "declines", found.get("declines") or ""
    yield "release", found.get("release") or ""


def _milliseconds(number: float) -> str:
    return f"{figure(number)} ms" if number < 2000 else span(number / 1000)
