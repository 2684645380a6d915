"""Lists for operators: a table as wide as the terminal is, a row a line where there is none, or JSON for scripts."""

import argparse
import errno
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from hub.cli.plain import plain

#: Characters of a line that no terminal folds.
UNFOLDED = 10_000

#: A row, by the names of the columns; what is empty or None isn't shown.
Row = Mapping[str, str | None]


class Stdout(Console):
    """That nobody reads on is for whoever runs the command to say, as with `print`."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def unfolded() -> Stdout:
    """For what is printed line by line as it comes: as wide as the terminal, or on lines that nothing folds."""
    return Stdout(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else UNFOLDED)


def json_argument(parser: argparse.ArgumentParser, help_: str = "as JSON") -> None:
    parser.add_argument("--json", action="store_true", help=help_)


def listed(columns: Sequence[str], rows: Iterable[Row], *, as_json: bool) -> None:
    """Print rows on stdout. What they say is shown as it is: it may come from others, and is no markup."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(list(rows)), indent=2).decode())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0)  # what a row is called by is copied from there
    for row in rows:
        table.add_row(*(Text(plain(row[column] or ""), overflow="fold") for column in columns))
    show(table)


def done(text: str, row: Row, *, as_json: bool) -> None:
    """Say what was done: in words, or by the object that it was done to."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(row), indent=2).decode())
        return
    for line in text.splitlines():
        print(plain(line))


def show(shown: RenderableType) -> None:
    """Print what is as wide as the terminal, or on lines that nothing folds or fills up."""
    if sys.stdout.isatty():
        Stdout(file=sys.stdout, highlight=False).print(shown)
        return
    console = Stdout(file=sys.stdout, highlight=False, width=UNFOLDED)
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        print(line.rstrip())


def moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
