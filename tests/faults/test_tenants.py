"""
Two tenants with the same ids, topics, filters and patients, at work at once: nothing of one shows at the other, but
what it grants, for as long as it does.

TENANTS_SECONDS: For how long.
"""

import asyncio
import os
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.facts import eventually
from tests.faults.tenants import (
    BOUND,
    ON_THE_WIRE,
    READ,
    SUBSCRIPTIONS,
    Door,
    Organisation,
    Written,
    opened_access,
    organisations,
    publishing,
    shown,
)
from tests.processes import HubProcess
from tests.receiver import Received

SECONDS = float(os.environ.get("TENANTS_SECONDS", "20"))
#: A request is given the time that a busy machine takes: none is to come twice.
SETTINGS = {"HUB_AUTH": "keys", "HUB_REQUEST_TIMEOUT": "15"}
#: Seconds between two writes of one publisher, and between two reads of one reader.
PAUSE = 0.1
#: A tenant that there isn't, as long as those that there are.
GHOST = "ghost"
#: The Subscriptions that a grant lets more through to: those whose filters don't look at what is at their own base.
WIDER = ("all", "own")


async def reading(one: Organisation, other: Organisation, enough: asyncio.Event, door: Door | None = None) -> None:
    """
    Read all of it again and again: nothing names the other, but events of what it grants, and in the audit of whoever
    grants something that it was kept from the other, when it was withdrawn just then.

    door: One of the two has.
    """
    through = {f"Subscription/{id_}/$events" for id_ in WIDER} if door and door.to == one.name else set()
    granted = f"tenant/{other.name}" if door and door.tenant == one.name else ""
    while not enough.is_set():
        for method, url, body in READ:
            began = monotonic()
            answer = await one.look(url, method, body)
            if not (door and url in through and door.may_show(began, monotonic())):
                said = shown(answer).replace(granted, "") if granted and "AuditEvent" in url else shown(answer)
                assert other.name not in said, (url, answer.text)
            assert answer.status_code in (200, 400, 404, 410), (url, answer.text)
        for url in (
            f"Immunization/only-{other.name}",
            one.below(other.name, f"fhir/r4/Immunization/only-{other.name}"),
        ):
            began = monotonic()
            there, nowhere = await one.look(url), await one.look(url.replace(other.name, GHOST))
            if door and door.to == one.name and other.name in url.split("/") and door.may_show(began, monotonic()):
                assert there.status_code == 200 or not door.shows(began, monotonic())
                continue
            assert there.status_code == nowhere.status_code == 404
            assert shown(there).replace(other.name, GHOST) == shown(nowhere)
        await asyncio.sleep(PAUSE)


async def coming_and_going(
    door: Door, one: Organisation, other: Organisation, enough: asyncio.Event
) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """Open and close a door of one's until it is enough; what has to come through, and what must not."""
    let, kept = set[tuple[str, int]](), set[tuple[str, int]]()
    while not enough.is_set():
        await door.open()
        opened = monotonic() + BOUND
        await asyncio.sleep(BOUND + 1)  # it says itself that it counts after a time
        made = versions(one.trail, opened)
        await until_told(other, one, made)
        let |= made
        await door.close()
        shut = monotonic() + BOUND
        await asyncio.sleep(BOUND + ON_THE_WIRE + 1)  # so that what comes too late does so before it opens again
        # What its own Subscription was told of is matched: to that it doesn't matter that the door opens again.
        made = versions(one.trail, shut)
        await until_told(one, one, made)
        kept |= made
    return let, kept


def versions(trail: list[Written], since: float) -> set[tuple[str, int]]:
    return {(each.reference, each.version) for each in trail if each.began >= since}


async def until_told(one: Organisation, of: Organisation, made: set[tuple[str, int]]) -> None:
    await eventually(lambda: made <= told(one, of))


def told(one: Organisation, of: Organisation) -> set[tuple[str, int]]:
    """The versions of somebody's that one was told of."""
    return {
        ("/".join(entry["fullUrl"].split("/")[-2:]), int(entry["resource"]["meta"]["versionId"]))
        for received in one.receiver.at("/all")
        for entry in entries_of(received, of)
        if "resource" in entry
    }


def entries_of(received: Received, of: Organisation) -> list[dict[str, Any]]:
    return [entry for entry in received.bundle["entry"][1:] if f"/t/{of.name}/" in entry["fullUrl"]]


@pytest.mark.timeout(SECONDS + 220)
async def test_nothing_crosses_between_tenants(data: Path) -> None:
    """No notification, status, event, result, count or error; each is told of all that is its own, in order."""
    async with (
        HubProcess(data, SETTINGS) as hub,
        organisations(hub, "north", "south") as (north, south),
    ):
        await asyncio.gather(north.begin(member=True), south.begin(member=False))
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for one, other in ((north, south), (south, north)):
                group.create_task(publishing(one, enough, pause=PAUSE))
                group.create_task(reading(one, other, enough))
            asyncio.get_running_loop().call_later(SECONDS, enough.set)
        if north.changes == south.changes:  # by chance: then a count that is the other's would not show
            await south.write(south.changes)
        for one, other, member in ((north, south, True), (south, north, False)):
            await told_of_its_own(one, other, member=member)
        print({one.name: (one.changes, dict(one.answers), len(one.receiver.received)) for one in (north, south)})
        assert north.changes != south.changes


@pytest.mark.timeout(SECONDS + 340)
async def test_what_a_grant_lets_through_and_nothing_else(data: Path) -> None:
    """One way, of one type, to Subscriptions whose filters can be about it, and not after it was withdrawn."""
    async with (
        HubProcess(data, SETTINGS) as hub,
        organisations(hub, "north", "south") as (north, south),
        opened_access(hub) as access,
    ):
        await asyncio.gather(north.begin(member=True), south.begin(member=False))
        door, enough = Door(access, "north", "south"), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for each in (north, south):
                group.create_task(publishing(each, enough, pause=PAUSE))
            group.create_task(reading(north, south, enough, door))
            group.create_task(reading(south, north, enough, door))
            swinging = group.create_task(coming_and_going(door, north, south, enough))
            asyncio.get_running_loop().call_later(SECONDS, enough.set)
        await told_of_its_own(north, south, member=True)
        let, kept = swinging.result()
        latest = await told_through(south, north, door)
        assert let
        assert kept
        through = told(south, north)
        assert let <= through
        assert not kept & through
        assert versions(south.trail, 0) <= told(south, south)
        figures = {
            "withdrawals": len(door.shut),
            "changes": north.changes,
            "had to come": len(let),
            "must not": len(kept),
            "came": len(through),
            "latest, seconds after a withdrawal": round(latest, 3),
        }
        print(figures, dict(north.answers), dict(south.answers))


async def told_through(one: Organisation, other: Organisation, door: Door) -> float:
    """
    Each Subscription has had its numbers without a gap, and of another tenant's only what may come through the door.

    Returns how many seconds after a withdrawal, at most, some of it came.
    """
    latest = -BOUND
    for id_ in SUBSCRIPTIONS:
        expected = {"patient": one.changes, "group": 0}.get(id_, await one.fhir.events(id_))
        if expected:
            await one.receiver.numbered(f"/{id_}", expected, seconds=60)
        assert await one.fhir.events(id_) == expected
        assert one.receiver.numbers(f"/{id_}") == list(range(1, expected + 1))
    for received in one.receiver.received:
        if other.name.encode() not in received.body and other.name not in str(received.headers):
            continue
        assert received.path.removeprefix("/") in WIDER
        assert door.may_show(received.at - ON_THE_WIRE, received.at)
        latest = max(latest, door.late(received.at))
        foreign = entries_of(received, other)
        assert foreign
        for entry in foreign:
            assert entry["fullUrl"].startswith(one.below(other.name, "fhir/r4/Immunization/"))
    return latest


async def told_of_its_own(one: Organisation, other: Organisation, *, member: bool) -> None:
    """Each Subscription has had an event for each change of its own, and nothing came from elsewhere."""
    for id_ in SUBSCRIPTIONS:
        expected = {"group": one.changes if member else 0, "own": one.deletes}.get(id_, one.changes)
        await one.fhir.until_events(id_, expected)
        if expected:
            await one.receiver.numbered(f"/{id_}", expected, seconds=60)
        assert await one.fhir.events(id_) == expected
        assert one.receiver.numbers(f"/{id_}") == list(range(1, expected + 1))
    for received in one.receiver.received:
        assert other.name.encode() not in received.body
        assert other.name not in str(received.headers)
        assert received.path.removeprefix("/") in SUBSCRIPTIONS
        for entry in received.bundle["entry"][1:]:
            assert one.name in entry["fullUrl"]
    found = (await one.look("Immunization?_count=1000&_total=accurate")).json()
    # Beside what it wrote there is the one that only it has.
    assert found["total"] == len(one.written) + 1
    assert (await one.look("Subscription?_summary=count")).json()["total"] == len(SUBSCRIPTIONS)
    for reference, version in one.written.items():
        assert (await one.look(reference)).json()["meta"]["versionId"] == str(version)
