"""What a hub answers, shown to people: names and values, spans of time, and JSON where that is asked for."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from hub.cli.listing import show
from hub.cli.plain import plain

#: Statuses, and the like, that are seen at once.
STYLES = {"active": "green", "requested": "yellow", "error": "bold red", "off": "dim", "warning": "yellow"}


def as_json(told: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())


def pairs(told: Iterable[tuple[str, Any]]) -> None:
    """Names and values, those that are None or empty left out."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, value in told:
        if value is not None and value != "":
            table.add_row(Text(name, "dim"), styled(str(value)))
    if table.row_count:
        show(table)


def table(
    columns: Iterable[str], rows: Iterable[Iterable[Any]], *, numbers: Iterable[str] = (), whole: bool = True
) -> None:
    """
    Rows of texts and numbers; None is shown as nothing.

    Args:
        numbers: The columns that are set to the right.
        whole: The first column is folded nowhere.
    """
    shown, right = Table(box=None, pad_edge=False, header_style="bold"), set(numbers)
    for number, column in enumerate(columns):
        shown.add_column(column, no_wrap=whole and number == 0, justify="right" if column in right else "left")
    for row in rows:
        shown.add_row(*(styled("" if value is None else str(value)) for value in row))
    show(shown)


def styled(text: str) -> Text:
    """What others may have said, as text."""
    return Text(plain(text), STYLES.get(text, ""), overflow="fold")


def line(text: str, style: str = "") -> None:
    show(_line(text, style))


def _line(text: str, style: str) -> RenderableType:
    return Text(plain(text), style, overflow="fold")


def moment(instant: str | None) -> str | None:
    """An instant of the hub's to the second, in UTC."""
    return None if instant is None else f"{datetime.fromisoformat(instant).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def ago(instant: str | None, now: str | None = None) -> str | None:
    """How long ago an instant is; None for none."""
    if instant is None:
        return None
    at = datetime.now(UTC) if now is None else datetime.fromisoformat(now)
    return span((at - datetime.fromisoformat(instant)).total_seconds())


def figure(number: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def span(seconds: float) -> str:
    """In the largest unit of which there are two."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
