"""What the demo prints: what was seen of the trip, as wide as the terminal is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import time
from typing import Any

import orjson
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table

from hub.cli.evidence import Trip
from hub.cli.listing import Stdout
from subscriptions.explanation import Explanation


@dataclass
class Report:
    """Lines and tables. Whatever is longer than a line goes on in the next."""

    console: Console = field(default_factory=lambda: Stdout(highlight=False))
    began: float = field(default_factory=time)

    def say(self, text: str) -> None:
        """A line with the seconds since the beginning."""
        self.console.print(f"[dim]{time() - self.began:6.2f} s[/]  {text}", soft_wrap=True)

    def trips(self, trips: Iterable[Trip]) -> None:
        """Each event's way, hop by hop."""
        table = Table(title="the trip of each event, in ms since its resource was sent", title_justify="left")
        table.add_column("event", justify="right")
        table.add_column("resource", overflow="fold")
        for hop in ("stored", "201", "matched", "notified"):
            table.add_column(hop, justify="right")
        for each in trips:
            hops = (each.stored, each.answered, each.matched, each.notified)
            table.add_row(str(each.number), each.resource, *(f"{(hop - each.sent) * 1000:.0f}" for hop in hops))
        self._table(table, "stored and matched: when the hub's log says so; 201 and notified: when it was seen here")

    def notification(self, body: bytes) -> None:
        """All of it, but of the resource as much as there is room for on its line."""
        text = folded(orjson.loads(body), self.console.width)
        self.console.print("the first notification, as received:")
        self.console.print(JSONHighlighter()(text), soft_wrap=True)
        self.console.print()

    def silence(self, explained: Iterable[tuple[str, Explanation]]) -> None:
        """What did not match, and why: one line for each reason."""
        reasons: dict[str, list[str]] = {}
        for name, explanation in explained:
            if not explanation.matched:
                reasons.setdefault(_reason(explanation), []).append(name)
        table = Table(title="what did not match, and why", title_justify="left")
        table.add_column("resources", justify="right")
        table.add_column("such as", overflow="fold")
        table.add_column("reason", overflow="fold")
        for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
            table.add_row(str(len(names)), names[0], reason)
        self._table(table, "worked out here as `hub explain` does; the hub, by the same rules, just sends nothing")

    def _table(self, table: Table, how: str) -> None:
        """A table, and how its contents are known."""
        self.console.print(table)
        self.console.print(f"[dim]{how}[/]\n", soft_wrap=True)


def _reason(explanation: Explanation) -> str:
    if not explanation.trigger.fired:
        return explanation.trigger.reason
    return "; ".join(
        f"{each.filter.text} asked, {', '.join(str(value.data) for value in each.values) or 'nothing'} found"
        for each in explanation.filters
        if each.matched is False
    )


def folded(value: Any, width: int, indent: int = 0, name: str = "") -> str:
    """JSON, each part on one line if it fits there behind its name. What was published gets one line, and not more."""
    flat = orjson.dumps(value).decode()
    room = width - indent - len(name) - len(",")
    if isinstance(value, dict) and value.get("resourceType") not in (None, "Bundle", "Parameters"):
        return name + _shortened(flat, room)
    if not isinstance(value, (dict, list)) or len(flat) <= room:
        return name + flat
    inner = indent + 2
    items = value.items() if isinstance(value, dict) else (("", item) for item in value)
    parts = (folded(item, width, inner, f'"{key}": ' if key else "") for key, item in items)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = ",\n".join(" " * inner + part for part in parts)
    return f"{name}{opening}\n{lines}\n{' ' * indent}{closing}"


def elements(resource: Mapping[str, Any], width: int | None) -> list[str]:
    """
    A resource on one line if it fits there; else a line for each element, as much of it as there is room for.

    Args:
        width: None for a line without an end.
    """
    flat = orjson.dumps(resource).decode()
    if width is None or len(flat) <= width:
        return [flat]
    return [_element(f"{name}: ", value, width) for name, value in resource.items()]


def _element(name: str, value: Any, width: int) -> str:
    return name + _shortened(orjson.dumps(value).decode(), width - len(name))


def _shortened(text: str, room: int) -> str:
    mark = f" … {len(text.encode())} bytes"
    return text if len(text) <= room else text[: max(room - len(mark), 0)] + mark
