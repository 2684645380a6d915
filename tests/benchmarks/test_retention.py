"""Memory over a million events with retention on: the store's and the outbox's own steps, and a short window."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from hub.keys import ResourceId
from hub.turn import Turn, Verb
from hub.wiring.parts import Parts, parts
from hub.write import Put, Write
from tests.benchmarks.report import Report
from tests.hub.conftest import close, settings
from tests.hub.engines import activate, member, now, subscribe
from tests.hub.life import R4
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1200)]

EVENTS, BATCH, RESOURCES = 1_000_000, 1_000, 5_000
#: Events that are kept, whatever time they took; events between two rounds of retention, and two looks at the memory.
WINDOW, ROUND, LOOK = 50_000, 5_000, 50_000


async def test_memory_is_flat_over_a_million_events(redis_server: RedisServer, tmp_path: Path, report: Report) -> None:
    """Each event is a new version of one of so many resources, owed to one subscription and delivered."""
    with redis_server.client() as redis:
        redis.flushall()
    built = await parts(settings(redis_server.url, tmp_path))
    try:
        megabytes, seconds, held = await _run(built)
    finally:
        await close(built.client)
    # The first looks are from before the window was full.
    early, late = max(megabytes[2:11]), max(megabytes[11:])
    growth = late / early
    report.add(
        "memory over a million events, retention on",
        f"{late:.1f} MB in the second half",
        f"{early:.1f} MB in the first half",
        "≤ 1.15",
        growth <= 1.15,
        megabytes=megabytes,
        events_per_second=round(EVENTS / seconds),
        bytes_per_event=round(held),
    )


async def _run(p: Parts) -> tuple[list[float], float, float]:
    """The memory (MB) at each look, how long it took, and the bytes of an event that waits."""
    key = await subscribe(p, "http://127.0.0.1:9/hook", max_count=BATCH)
    await activate(p, key)
    times = list[int]()
    marks = dict.fromkeys(p.changes.partitions, "0-0")
    megabytes, began, held = list[float](), monotonic(), 0.0
    for done in range(0, EVENTS, BATCH):
        results = await asyncio.gather(*(p.store.put(_write((done + n) % RESOURCES)) for n in range(BATCH)))
        assert all(result.outcome is Put.STORED for result in results)
        for partition, mark in marks.items():
            changes = await p.changes.between(partition, mark, "+", count=BATCH)
            owed = await p.outboxes.owe(key, partition.number, changes)
            assert owed is not None
            assert (owed.fresh, owed.dropped) == (len(changes), 0)
            marks[partition] = changes[-1].id
            await p.pipeline.command("SET", partition.matched, changes[-1].id)
        if done == 9 * BATCH:
            length = await p.pipeline.command("XLEN", key.outbox)
            held = int(await p.pipeline.command("MEMORY", "USAGE", key.outbox)) / length
        turn = await p.outboxes.take(key, str(done + 2))
        while isinstance(turn, Turn) and turn.sending is not None:
            turn = await p.outboxes.settle(key, str(done + 2), turn, Verb.DELIVERED, said="delivered")
        if done % ROUND == 0:
            times.append(now())
            if len(times) > WINDOW // ROUND:
                await p.retention.keep(times[-1], times[-1] - times.pop(0))
        if (done + BATCH) % LOOK == 0:
            info = await p.pipeline.command("INFO", "memory")
            megabytes.append(_used(info) / 1e6)
    state = (await member(p)).state
    assert (state.events, state.delivered, state.dropped_events) == (EVENTS, EVENTS, 0)
    return megabytes, monotonic() - began, held


def _write(number: int) -> Write:
    id_ = f"r{number}"
    head = b'{"resourceType":"Immunization","id":"%b","meta":{"versionId":"' % id_.encode()
    return Write(ResourceId("default", R4, "Immunization", id_), "update", now(), head, b'"},"status":"completed"}')


def _used(info: bytes | dict[str, int]) -> int:
    if isinstance(info, dict):
        return info["used_memory"]
    (line,) = (line for line in info.decode().splitlines() if line.startswith("used_memory:"))
    return int(line.partition(":")[2])
