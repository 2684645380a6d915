"""One change whose patient is in one of many rosters: matching it costs the same with 1,000 practices as with one."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest

from hub.fanout import Fanout
from hub.keys import Index, ResourceId
from hub.turn import Turn, Verb
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from hub.write import Indexed, Write
from subscriptions.codes import FhirVersion
from tests.benchmarks.report import Report
from tests.hub.conftest import close, settings
from tests.hub.engines import fanout, now, publish, subscribe
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

R4 = FhirVersion.R4
PRACTICES, PATIENTS, CHANGES, ROUNDS = 1_000, 2_000, 100, 5


@dataclass
class Side:
    """One hub with its practices."""

    parts: Parts
    engine: Fanout
    practices: int
    changes: int = 0

    async def match(self) -> list[float]:
        """Seconds that each of some changes takes, each of a patient of another practice."""
        taken = []
        for _ in range(CHANGES):
            self.changes += 1
            practice, id_ = self.changes % self.practices, f"i{self.changes}"
            await publish(
                self.parts,
                {
                    "resourceType": "Immunization",
                    "id": id_,
                    "status": "completed",
                    "vaccineCode": {"text": "x"},
                    "patient": {"reference": f"Patient/p{practice}-{self.changes % PATIENTS}"},
                    "occurrenceString": "today",
                },
            )
            partition = self.parts.changes.partitions[ResourceId("default", R4, "Immunization", id_).partition(4)]
            mark = await self.parts.changes.matched(partition)
            entries = await self.parts.changes.after(partition, mark, count=9, wait_ms=1)
            begun = perf_counter()
            await self.engine.match(partition, entries)
            taken.append(perf_counter() - begun)
            await self.parts.pipeline.command("SET", partition.matched, entries[-1].id)
        return taken


async def side(server: RedisServer, data: Path, practices: int) -> Side:
    """A hub with a roster and a subscription for each practice."""
    parts = await built(settings(server.url, data))
    for practice in range(practices):
        members = tuple(
            Indexed(Index.MEMBERS, f"Patient/p{practice}-{patient}\0Group\0\0") for patient in range(PATIENTS)
        )
        group = ResourceId("default", R4, "Group", f"g{practice}")
        await parts.store.put(Write(group, "update", now(), b'{"n":"', b'"}', indexed=members))
        key = await subscribe(
            parts, "http://127.0.0.1/hook", f"Immunization?patient._in=Group/g{practice}", id_=f"s{practice}"
        )
        turn = await parts.outboxes.take(key, "1")
        assert isinstance(turn, Turn)
        await parts.outboxes.settle(key, "1", turn, Verb.ACTIVE, said="so", ends=await parts.changes.ends())
    engine = fanout(parts)
    for partition, end in (await parts.changes.ends()).items():
        await parts.pipeline.command("SET", parts.changes.partitions[partition].matched, end)
    await engine.in_force.refresh()
    return Side(parts, engine, practices)


async def test_rosters(tmp_path: Path, report: Report) -> None:
    """Every change is owed to the one subscription of its practice."""
    with RedisServer() as one_server, RedisServer() as many_server:
        one = await side(one_server, tmp_path, 1)
        many = await side(many_server, tmp_path, PRACTICES)
        taken: dict[int, list[float]] = {1: [], PRACTICES: []}
        for round_ in range(1 + ROUNDS):
            for each in (one, many):
                found = await each.match()
                if round_:
                    taken[each.practices].append(median(found))
        for each in (one, many):
            states = await asyncio.gather(
                *(each.parts.membership.find("default", R4, f"s{n}") for n in range(each.practices))
            )
            assert sum(state.state.events for state in states if state) == each.changes
            assert each.engine.poison == {}
            await close(each.parts.client)
    few, lots = median(taken[1]), median(taken[PRACTICES])
    report.add(
        f"match one change, {PRACTICES:,} rosters of {PATIENTS:,} members against one",
        f"{lots * 1000:.2f} ms",
        f"{few * 1000:.2f} ms",
        "≤ 1.5 ×",
        lots <= 1.5 * few,
        milliseconds={str(name): [round(each * 1000, 3) for each in times] for name, times in taken.items()},
    )
