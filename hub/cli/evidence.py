"""What was seen of the demo's trip, by its publisher, its subscriber and in the hub's log, and what doesn't agree."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.cli.actors import PARTITIONS, Hub
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
    """
    The way of each event.

    A partition's changes are matched one after the other, and the log says how many events each batch made: so the
    first of a partition's events are from the first batches.
    """
    sent = {each.name: each for each in published}
    stored = {_resource(step): _at(step) for step in hub.logged("change.stored")}
    matched: defaultdict[int, list[float]] = defaultdict(list)
    for step in hub.logged("change.matched"):
        matched[step["partition"]] += [_at(step)] * step["events"]
    for event in sorted({event.number: event for event in told}.values(), key=lambda event: event.number):
        resource = next((each for each in stored if f"{each.type}/{each.id}" == event.resource), None)
        if resource is None or not (times := matched[resource.partition(PARTITIONS)]):
            continue
        each = sent[event.resource]
        yield Trip(event.number, each.name, each.sent, stored[resource], each.answered, times.pop(0), event.at)


def _resource(step: dict[str, Any]) -> ResourceId:
    tenant, version, type_, id_ = step["resource"].split("/")
    return ResourceId(tenant, FhirVersion(version), type_, id_)


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
    if hub.total("changes") != len(published):
        yield f"{hub.total('changes')} changes were matched, not {len(published)}"
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
