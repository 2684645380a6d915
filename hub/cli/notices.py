"""What a subscriber is shown of what comes: a line each, of a resource on a terminal as many as it needs, or JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from hub.cli.listing import unfolded
from hub.cli.plain import plain
from hub.cli.report import elements
from hub.receiver import Event, Kind, Notification, Receipt
from subscriptions.ranges import Range, words

#: Columns before what a line says.
INDENT = len("12:00:00.000  ")


@dataclass
class Notices:
    """Written as it happens. What comes from others is shown as it is, and is no markup."""

    as_json: bool = False
    console: Console = field(default_factory=unfolded)

    def say(self, what: str, text: str, style: str = "", **fields: Any) -> None:
        """
        One thing that happened.

        Args:
            what: For scripts, its kind; `fields` are the rest of the line.
            text: For people.

        Raises:
            SystemExit: Nobody reads it any more.
        """
        now = datetime.now(UTC)
        if self.as_json:
            line = {"at": now.isoformat(timespec="milliseconds"), "what": what, **fields}
            try:
                print(orjson.dumps(line).decode(), flush=True)
            except BrokenPipeError:
                self.console.on_broken_pipe()
            return
        at = f"{now.astimezone():%H:%M:%S}.{now.microsecond // 1000:03}"
        self.console.print(Text.assemble((at, "dim"), "  ", (text, style)), soft_wrap=True)

    def received(self, receipt: Receipt, events: Iterable[Event]) -> None:
        """A request, and the events that were handled for it, fetched ones too."""
        if receipt.status != 200:
            text = f"answered with {receipt.status}: {receipt.text}"
            self.say("refused", text, "red", status=receipt.status, reason=receipt.text)
        notification = receipt.notification
        if notification is not None:
            self._notification(notification, receipt)
        for range_ in receipt.fetched:
            self._gap(range_, "did not come by themselves: fetched by $events", fetched=True)
        for range_ in receipt.missed:
            self._gap(range_, "did not come, and can't be had any more", fetched=False)
        for number in receipt.duplicates:
            self.say("duplicate", f"event {number} again: it was handled before", "yellow", number=number)
        for event in events:
            self._event(event)

    def _notification(self, notification: Notification, receipt: Receipt) -> None:
        if self.as_json:
            self.say(
                "notification",
                "",
                id=notification.id,
                kind=notification.kind,
                counter=notification.counter,
                restarted=receipt.restarted,
                errors=notification.errors,
            )
            return
        if notification.kind in (Kind.HANDSHAKE, Kind.HEARTBEAT):
            self.say("", f"{notification.kind}: {notification.counter} events so far", "cyan")
        if receipt.restarted:
            self.say("", "its numbers begin anew", "yellow")
        for error in notification.errors:
            self.say("", f"the hub says: {error}", "yellow")

    def _gap(self, range_: Range, text: str, *, fetched: bool) -> None:
        style = "yellow" if fetched else "red"
        self.say("gap", f"gap: {words([range_])} {text}", style, first=range_.first, last=range_.last, fetched=fetched)

    def _event(self, event: Event) -> None:
        name = f"event {event.number}" if event.number else "an event without a number"
        where = f"{event.type}/{event.id}" if event.focus else "it is not said of what"
        text = " ".join(filter(None, (f"{name}: {event.interaction or ''}".strip(), where)))
        self.say("event", text, "bold green", **_fields(event))
        if self.as_json:
            return
        told = [event.resource, *(context.resource for context in event.contexts)]
        width = max(self.console.width - INDENT, INDENT) if self.console.is_terminal else None
        for resource in filter(None, told):
            for line in elements(resource, width):
                self.console.print(Text(" " * INDENT + plain(line)), soft_wrap=True)


def _fields(event: Event) -> Mapping[str, Any]:
    return {
        "number": event.number,
        "stored": event.at,
        "interaction": event.interaction,
        "focus": event.focus or None,
        "resource": event.resource,
        "contexts": [{"reference": each.reference, "resource": each.resource} for each in event.contexts],
    }
