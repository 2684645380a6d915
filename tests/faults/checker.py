"""Decides, from what publishers were told and what a receiver saw, whether what was promised was kept."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.faults.publishers import Told
from tests.receiver import Received

#: Seconds after a fault in which a request may still be read that was sent before it.
LATE = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happened to the hub: from when to when, monotonic, in seconds."""

    name: str
    began: float
    ended: float


@dataclass
class Verdict:
    """
    What was found at one path.

    lost: Acknowledged changes, and versions between them, without an event; numbers without one.
    doubled: Changes with more than one number.
    out_of_order: Notifications that came before their turn, or after it; versions of a resource that step back.
    conflicts: Numbers, Bundle ids and bytes that don't belong together; bodies that nobody wrote.
    events, duplicates: How many numbers there are, and how many notifications came once more.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    events: int = 0
    duplicates: int = 0

    @property
    def broken(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.out_of_order, *self.conflicts]


def check(received: Iterable[Received], versions: Mapping[str, int], told: Iterable[Told]) -> Verdict:
    """
    Judge the event notifications of one subscription that every change concerns.

    Args:
        received: In order of arrival.
        versions: The last version of each resource, which all were acknowledged.
        told: The acknowledged changes.
    """
    verdict = Verdict()
    firsts = _firsts(received, verdict)
    _check_numbers(firsts, verdict)
    full = any(len(each.bundle["entry"]) > 1 for each in firsts)
    _check_events(firsts, versions, {(each.reference, each.version): each.lot for each in told}, full, verdict)
    return verdict


def causes(received: Iterable[Received], faults: Iterable[Fault]) -> list[tuple[Received, Fault | None]]:
    """
    Which fault made each notification of one subscription come again; None: there is none.

    A fault lay between that notification's last arrival and this one. It accounts for one: strictly one notification of
    a subscription is on its way when something happens.
    """
    unused = sorted(faults, key=lambda fault: fault.ended)
    last: dict[str, float] = {}
    found: list[tuple[Received, Fault | None]] = []
    for each in received:
        before = last.get(each.bundle["id"])
        if before is not None:
            fault = next((fault for fault in unused if fault.began <= each.at and before <= fault.ended + LATE), None)
            if fault is not None:
                unused.remove(fault)
            found.append((each, fault))
        last[each.bundle["id"]] = each.at
    return found


def _firsts(received: Iterable[Received], verdict: Verdict) -> list[Received]:
    """The notifications without repeats: those have the same id and the same bytes, and come before the next one."""
    by_id: dict[str, Received] = {}
    last = ""
    for each in received:
        id_ = each.bundle["id"]
        if first := by_id.get(id_):
            verdict.duplicates += 1
            if first.body != each.body:
                verdict.conflicts.append(f"Bundle {id_} came with other bytes")
            if id_ != last:
                verdict.out_of_order.append(f"Bundle {id_} with {each.numbers} came again after later ones")
        else:
            by_id[id_] = each
        last = id_
    return list(by_id.values())


def _check_numbers(firsts: list[Received], verdict: Verdict) -> None:
    numbers = [number for each in firsts for number in each.numbers]
    verdict.events = len(set(numbers))
    verdict.conflicts += [f"event {number} is in {n} Bundles" for number, n in Counter(numbers).items() if n > 1]
    verdict.lost += [f"no event {number}" for number in sorted(set(range(1, max(numbers, default=0))) - set(numbers))]
    verdict.out_of_order += [
        f"event {number} after {before}"
        for before, number in zip([0, *numbers], numbers, strict=False)
        if number <= before
    ]
    verdict.conflicts += [
        f"Bundle of {each.numbers} counts {count}"
        for each in firsts
        if (count := each.parameters["events-since-subscription-start"]) != str(each.numbers[-1])
    ]


def _check_events(
    firsts: list[Received],
    versions: Mapping[str, int],
    told: Mapping[tuple[str, int], str],
    full: bool,
    verdict: Verdict,
) -> None:
    events: defaultdict[str, list[int]] = defaultdict(list)
    for each in firsts:
        resources = [entry.get("resource") for entry in each.bundle["entry"][1:]] if full else [None] * len(each.foci)
        for focus, resource in zip(each.foci, resources, strict=True):
            if resource is None:
                events[focus].append(len(events[focus]) + 1)  # `id-only` names no version: they are counted
                continue
            version, lot = int(resource["meta"]["versionId"]), resource["lotNumber"]
            events[focus].append(version)
            if f"{resource['resourceType']}/{resource['id']}" != focus or told.get((focus, version), lot) != lot:
                verdict.conflicts.append(f"{focus} version {version} came with the body of another")
    for focus, found in events.items():
        if found != sorted(found):
            verdict.out_of_order.append(f"{focus}: versions {found}")
        verdict.doubled += [
            f"{focus} version {version} has {n} events" for version, n in Counter(found).items() if n > 1
        ]
        if max(found) > versions.get(focus, 0):
            verdict.conflicts.append(f"{focus} version {max(found)} was never written")
    for focus, last in versions.items():
        missing = set(range(1, last + 1)) - set(events[focus])
        verdict.lost += [f"{focus} version {version} has no event" for version in sorted(missing)]
