"""A Redis that comes back older, swapped or empty is refused until the operator has it recovered. Real processes."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.keys import EPOCH
from hub.mark import Mark
from hub.memory import LOST, OLDER
from tests.facts import eventually
from tests.faults.conftest import SETTINGS
from tests.fhir import immunization, talking_to
from tests.operator import operate
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver
from tests.redis_server import RedisServer

PATH = "/amnesia"
PARTS = ("api", "worker match", "worker deliver", "clock")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """The Redis beside a hub, to be swapped."""
    with RedisServer() as server:
        yield server


def backup(of: Path, to: Path) -> None:
    """Copy Redis' append-only files from one directory to another, in the place of those that are there."""
    for there in to.glob("appendonly*"):
        shutil.rmtree(there) if there.is_dir() else there.unlink()
    for file in of.glob("appendonly*"):
        shutil.copytree(file, to / file.name) if file.is_dir() else shutil.copy(file, to)


async def recover(data: Path, **settings: str) -> tuple[int, str]:
    """What `hub recover` says, and its exit code."""
    code, output, said = await operate(data, "recover", **settings)
    return code, output + said


def told(receiver: Receiver) -> dict[int, set[str]]:
    """What each number was given to."""
    found = defaultdict(set)
    for each in receiver.at(PATH):
        for number, focus in zip(each.numbers, each.foci, strict=True):
            found[number].add(focus)
    return found


async def publish(hub: HubProcess, *ids: str) -> None:
    async with talking_to(hub) as fhir:
        for id_ in ids:
            await fhir.put(immunization(id_))


async def all_matched(hub: HubProcess) -> bool:
    async with httpx.AsyncClient() as http:
        return bool((await http.get(f"{hub.url}/admin/overview")).json()["matching"]["unmatched"] == 0)


async def test_older(data: Path, receiver: Receiver, tmp_path: Path) -> None:
    """
    Restored between two starts: the start is refused in one line. After `hub recover` subscribers are told by their
    status, activate again, and no number comes again with another event.
    """
    hub = HubProcess(data, SETTINGS)
    await hub.start()
    wanted = subscription(f"{receiver.url}{PATH}", "Immunization")
    async with talking_to(hub) as fhir:
        id_ = await fhir.subscribe(wanted)
    await publish(hub, "a", "b")
    await receiver.numbered(PATH, 2)
    await hub.stop()
    backup(data, tmp_path)
    await hub.start()
    await publish(hub, "c", "d")
    await receiver.numbered(PATH, 4)
    await hub.stop()
    backup(tmp_path, data)

    refused = len(hub.output)
    with pytest.raises(AssertionError, match="ended before it was ready"):
        await hub.start()
    (line,) = hub.output[refused:]
    assert line.startswith(f"hub serve: Redis holds an older state than {data}/epoch says: it is of 20")
    assert await hub.stop() == 2
    code, said = await recover(data)
    assert code == 0
    assert "in error: 1 subscriptions" in said
    code, said = await recover(data)
    assert code == 2
    assert said.startswith("hub recover: there is nothing to recover")

    async with hub, talking_to(hub) as fhir:
        assert (await fhir.status(id_))["status"] == "error"
        text = (await fhir.read(f"Subscription/{id_}"))["error"]
        assert "Events up to number 2 are kept: fetch them with $events" in text
        await publish(hub, "c")
        await eventually(lambda: all_matched(hub))  # else it is told of, if it is matched when that is active
        await fhir.change(id_, wanted)
        await publish(hub, "e", "f")
        await receiver.numbered(PATH, 6)
    numbers = told(receiver)
    assert [number for number in sorted(numbers) if number < 1_000_000] == [1, 2, 3, 4]
    assert {focus for number, foci in numbers.items() if number > 1_000_000 for focus in foci} == {
        "Immunization/e",
        "Immunization/f",
    }
    assert all(len(foci) == 1 for foci in numbers.values())
    ids = [each.bundle["id"] for each in receiver.received]
    assert len(set(ids)) == len(ids)


async def test_swapped_and_emptied(server: RedisServer, data: Path, receiver: Receiver, tmp_path: Path) -> None:
    """
    Under a hub that runs: publishers are told why nothing is taken, nothing goes out, and after `hub recover` all parts
    begin anew by themselves.
    """
    hub = HubProcess(data, SETTINGS | {"HUB_REDIS_URL": server.url})
    async with hub:
        wanted = subscription(f"{receiver.url}{PATH}", "Immunization")
        async with talking_to(hub) as fhir:
            id_ = await fhir.subscribe(wanted)
        await publish(hub, "a")
        await receiver.numbered(PATH, 1)
        backup(server.directory, tmp_path)
        with server.client() as redis:
            stands = int(redis.hget(EPOCH, "count") or 0)
        await publish(hub, "b", "c")
        await receiver.numbered(PATH, 3)
        # By then each part has seen a later count than that, also one that stood still for a while.
        await eventually(lambda: _noted(data) > stands + 5_000)
        server.kill()
        backup(tmp_path, server.directory)
        server.start()
        await _lost(hub, OLDER)
        assert OLDER in await _declined(hub)
        before = {part: hub.pids(part) for part in PARTS}
        code, said = await recover(data, HUB_REDIS_URL=server.url)
        assert (code, said.count("in error: 1 subscriptions")) == (0, 1)
        await _anew(hub, before)
        async with talking_to(hub) as fhir:
            await fhir.change(id_, wanted)
        await publish(hub, "d")
        await receiver.numbered(PATH, 4)
        assert {number: foci for number, foci in told(receiver).items() if number < 1_000_000} == {
            1: {"Immunization/a"},
            2: {"Immunization/b"},
            3: {"Immunization/c"},
        }

        with server.client() as redis:
            redis.flushall()
        await _lost(hub, LOST)
        assert LOST in await _declined(hub)
        before = {part: hub.pids(part) for part in PARTS}
        code, said = await recover(data, HUB_REDIS_URL=server.url)
        assert (code, said.count("begun: a new, empty store")) == (0, 1)
        await _anew(hub, before)
        async with talking_to(hub) as fhir:
            assert (await fhir.http.get(f"Subscription/{id_}")).status_code == 404
        await publish(hub, "e")


def _noted(data: Path) -> int:
    mark = Mark.read(data / "epoch")
    return mark.count if mark else 0


async def _lost(hub: HubProcess, reason: str) -> None:
    """Wait until each part has said that it lost its store, and how."""
    await eventually(lambda: sum('"store.lost"' in line and reason in line for line in hub.output) == len(PARTS))


async def _declined(hub: HubProcess) -> str:
    """What a publisher and a balancer are told."""
    async with talking_to(hub) as fhir:
        answer = await fhir.http.put("Immunization/x", json=immunization("x"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        ready = await fhir.http.get(f"{hub.url}/readyz")
        assert ready.status_code == 503
        text = str(answer.json()["issue"][0]["diagnostics"])
        assert text.removesuffix(". Nothing was done.") == ready.json()["reason"]
        return text


async def _anew(hub: HubProcess, before: dict[str, list[int]]) -> None:
    """Wait until each part is another process, and all is at work."""
    await eventually(lambda: all(hub.pids(part) and hub.pids(part) != before[part] for part in PARTS))

    async def ready() -> bool:
        async with talking_to(hub) as fhir:
            try:
                return (await fhir.http.get(f"{hub.url}/readyz")).status_code == 200
            except httpx.TransportError:  # the api begins anew
                return False

    await eventually(ready)
