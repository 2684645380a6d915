"""What was seen of the demo's trip, by its publisher, its subscriber and in the hub's log, and what doesn't agree."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.access import DEFAULT
from hub.cli.actors import Hub
from hub.keys import ResourceId
from hub.receiver import Notification
from subscriptions.codes import FhirVersion


@dataclass(frozen=True, slots=True)
class Published:
    """A resource that was published. `sent` and `answered` are seconds since 1970."""

    resource: dict[str, Any]
    status: int
    version_id: int
    sent: float
    answered: float

    @property
    def name(self) -> str:
        return f"{self.resource['resourceType']}/{self.resource['id']}"


@dataclass(frozen=True, slots=True)
class Event:
    """An event that the subscriber was told of. `at` is seconds since 1970."""

    number: int
    resource: str
    at: float


@dataclass(frozen=True, slots=True)
class Trip:
    """One event's way. Times are seconds since 1970."""

    number: int
    resource: str
    sent: float
    stored: float
    answered: float
    matched: float
    notified: float


def events(received: Iterable[tuple[float, Notification]]) -> list[Event]:
    """Those in all notifications, as they came."""
    return [
        Event(event.number, f"{event.type}/{event.id}", at)
        for at, notification in received
        for event in notification.events
    ]


def trips(published: Iterable[Published], told: Iterable[Event], hub: Hub) -> Iterator[Trip]:
    """The way of each event. All lines of the log name a change alike."""
    sent = {each.name: each for each in published}
    stored, matched = (
        {step["change"]: _at(step) for step in hub.logged(f"change.{done}")} for done in ("stored", "matched")
    )
    for event in sorted({event.number: event for event in told}.values(), key=lambda event: event.number):
        if (each := sent.get(event.resource)) is None:
            continue
        change = ResourceId(DEFAULT, FhirVersion.R4, *each.name.split("/")).change(each.version_id)
        if change in stored and change in matched:
            yield Trip(event.number, each.name, each.sent, stored[change], each.answered, matched[change], event.at)


def _at(step: dict[str, Any]) -> float:
    return datetime.fromisoformat(step["at"]).timestamp()


def faults(
    published: list[Published], expected: list[str], told: list[Event], handled: list[int], hub: Hub, count: int
) -> Iterator[str]:
    """
    What is not as promised.

    Args:
        expected: The resources that match.
        handled: The numbers of the events that the receiver has handed over.
        count: The events that `$status` counts.
    """
    if refused := [each.name for each in published if each.status != 201]:
        yield f"not stored: {', '.join(refused)}"
    if (matched := len(hub.matched)) != len(published):
        yield f"{matched} changes were matched, not {len(published)}"
    resources = Counter(event.resource for event in told)
    if missing := Counter(expected) - resources:
        yield f"missing: {', '.join(missing.elements())}"
    if unasked := resources - Counter(expected):
        yield f"not asked for: {', '.join(unasked.elements())}"
    numbers = [event.number for event in told]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the events' numbers are not 1, 2, 3 …, but {numbers}"
    if handled != sorted(set(numbers)):
        yield f"the receiver has handed over {handled}"
    if count != len(numbers):
        yield f"$status counts {count} events, not {len(numbers)}"
