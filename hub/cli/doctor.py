"""
`hub doctor`: what is wrong or soon will be, and what to do: settings, this machine, Redis, the hub, its endpoints.

It is run where the hub runs, with its settings. Exit codes: 0 nothing fails; 2 a setting can't be read; 3
something fails.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from rich.table import Table
from rich.text import Text

from hub.cli import REJECTED
from hub.cli.directory import held, url_file
from hub.cli.examining.contradictions import contradictions
from hub.cli.examining.findings import Finding, Grade, warn
from hub.cli.examining.machine import machine
from hub.cli.examining.remote import hub
from hub.cli.examining.store import AREA, store
from hub.cli.listing import json_argument, show
from hub.cli.plain import plain
from hub.cli.reaching import data_argument
from hub.cli.remote import hub_argument
from hub.errors import NotTheHub
from hub.secrets import FILE
from hub.settings import Settings

STYLES = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}


def arguments(parser: argparse.ArgumentParser) -> None:
    hub_argument(parser)
    data_argument(parser)
    parser.add_argument("--bad", action="store_true", help="only what is not ok")
    json_argument(parser, "as a JSON object")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    findings = asyncio.run(_examined(arguments.hub, settings, arguments.data))
    counts = Counter(finding.grade for finding in findings)
    shown = [finding for finding in findings if not arguments.bad or finding.grade is not Grade.OK]
    if arguments.json:
        told = {"counts": {grade.value: counts[grade] for grade in Grade}, "findings": shown}
        print(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        _say(shown, ", ".join(f"{counts[grade]} {grade}" for grade in reversed(Grade)))
    return REJECTED if counts[Grade.FAIL] else 0


async def _examined(url: str, settings: Settings, data: Path | None) -> list[Finding]:
    settings = _of(settings, data)
    found = [*contradictions(settings), *machine(settings.data_dir)]
    found += [finding async for finding in _redis(settings)]
    found += [finding async for finding in hub(url, settings)]
    return found


def _of(settings: Settings, data: Path | None) -> Settings:
    """With what the data directory of a `hub serve` has."""
    found = (data or settings.data_dir).absolute()
    more: dict[str, object] = {"data_dir": found}
    if not (settings.secrets_key or settings.secrets_key_file) and (found / FILE).exists():
        more["secrets_key_file"] = found / FILE
    if not settings.redis_url and held(found) and url_file(found).exists():
        more["redis_url"] = url_file(found).read_text()
    return settings.model_copy(update=more)


async def _redis(settings: Settings) -> AsyncIterator[Finding]:
    if not settings.redis_url:
        todo = "Name the data directory of a `hub serve` that runs by --data, or set HUB_REDIS_URL."
        yield warn(AREA, f"not looked at: no hub runs on {settings.data_dir}", todo)
        return
    try:
        async for finding in store(settings):
            yield finding
    except NotTheHub as error:
        yield Finding(Grade.FAIL, AREA, str(error))


def _say(findings: list[Finding], counts: str) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    for finding in findings:
        told = Text(plain(finding.text), overflow="fold")
        table.add_row(Text(finding.grade, STYLES[finding.grade]), Text(finding.area), told)
        if finding.todo:
            table.add_row("", "", Text(f"→ {plain(finding.todo)}", "bold", overflow="fold"))
    show(table)
    print(counts)
