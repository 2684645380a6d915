"""
What one change costs, however many subscriptions it does not concern; what these cost in memory; how long an index
takes to be built anew. Pure Python, in one process; the registry is read from a real Redis.

Each subscription asks for a patient of its own. One of forty asks for a range of dates instead, one of forty for a
status too. A change concerns one of them, or two by its patient.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import uuid4

import orjson
import pytest

from hub.keys import REGISTRY, SubscriptionKey
from hub.registered import Registered
from hub.wiring.parts import Parts
from hub.wiring.parts import parts as built
from subscriptions.change import Change
from subscriptions.codes import Interaction
from subscriptions.filters import criteria, parse
from subscriptions.findings import Findings, every
from subscriptions.matching import Index
from subscriptions.search.comparison import Criterion
from subscriptions.search.held import Held
from subscriptions.topic import ResourceTrigger, Topic
from subscriptions.triggers import Triggers
from tests.benchmarks.indexes import CONTEXT, R4, TOPIC, asked, index_of
from tests.benchmarks.programs import run
from tests.benchmarks.report import Report
from tests.hub.conftest import close, settings
from tests.processes import subscription
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1200)]

RESOURCE = json.loads((Path(__file__).parents[2] / "fixtures" / "r4" / "Immunization-example.json").read_bytes())
AT = datetime(2026, 11, 21, tzinfo=UTC)

SIZES = (100, 1_000, 10_000, 100_000)
MILLION = 1_000_000
ROUNDS, CHANGES = 7, 200
REGISTERED = 100_000
TOPICS = (1, 10, 100)


def change(patient: int) -> Change:
    resource = RESOURCE | {"patient": {"reference": f"Patient/p{patient}"}}
    return Change(R4, Interaction.CREATE, "Immunization", "1", 1, AT, resource)


def patients(size: int) -> Iterator[int]:
    """Somebody's, evenly over all subscriptions, so that what one change leaves in caches is of no use to the next."""
    while True:
        yield from (number for number in range(0, size, size // 100 + 3) if number % 40 != 1)


def matched(index: Index[int], whose: Iterator[int]) -> float:
    """Seconds that one change takes, the median of many."""
    taken = []
    for patient in (next(whose) for _ in range(CHANGES)):
        one = change(patient)
        began = perf_counter()
        found = index.match(one, Held(AT))
        taken.append(perf_counter() - began)
        assert found == ([patient], [], [])
    return median(taken)


def scanned(subscriptions: list[tuple[Criterion, ...]], patient: int) -> float:
    """Seconds that the same takes without an index: what is read is read once, and all criteria are evaluated."""
    one, triggers = change(patient), Triggers(TOPIC, CONTEXT)
    began = perf_counter()
    findings = Findings(one, Held(AT))
    fired = triggers.fires(findings)
    found = [n for n, met in enumerate(subscriptions) if every((fired, findings.subject.all(met))) is True]
    taken = perf_counter() - began
    assert found == [patient]
    return taken


def rounds(few: Index[int], few_size: int, many: Index[int], many_size: int) -> tuple[list[float], list[float]]:
    """Both measured in turns."""
    first, second = patients(few_size), patients(many_size)
    matched(few, first), matched(many, second)
    pairs = [(matched(few, first), matched(many, second)) for _ in range(ROUNDS)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def microseconds(values: list[float]) -> list[float]:
    return [round(value * 1e6, 1) for value in values]


def test_topics_with_fhirpath(report: Report) -> None:
    """All fire, and each has a subscriber whom the change may concern."""
    taken: dict[int, Callable[[], float]] = {}
    for count in TOPICS:
        index = Index[int](CONTEXT)
        for number in range(count):
            expression = f"%current.status = 'completed' and %current.lotNumber != 'lot {number}'"
            topic = Topic(f"https://t/{number}", "1", "", "", (ResourceTrigger("Immunization", fhirpath=expression),))
            index.put(number, topic, parse("Immunization?patient=Patient/p1"))
        taken[count] = _timed(index, count)
        taken[count]()
    found: dict[int, list[float]] = {count: [] for count in TOPICS}
    for _ in range(ROUNDS):
        for count, measure in taken.items():
            found[count].append(measure())
    alone = median(found[TOPICS[0]])
    for count in TOPICS[1:]:
        each = (median(found[count]) - alone) / (count - TOPICS[0])
        report.add(
            f"match one change, {count} topics with FHIRPath against {TOPICS[0]}",
            f"{median(found[count]) * 1e6:.0f} µs: {each * 1e6:.0f} µs for each more",
            f"{alone * 1e6:.0f} µs",
            f"≤ {count} ×",
            median(found[count]) <= count * alone,
            microseconds={str(TOPICS[0]): microseconds(found[TOPICS[0]]), str(count): microseconds(found[count])},
        )


def _timed(index: Index[int], count: int) -> Callable[[], float]:
    def measure() -> float:
        taken = []
        for _ in range(max(CHANGES // count, 5)):
            one = change(1)
            began = perf_counter()
            found = index.match(one, Held(AT))
            taken.append(perf_counter() - began)
            assert len(found.keys) == count
        return median(taken)

    return measure


def test_a_change_costs_the_same_however_many_subscriptions_there_are(report: Report) -> None:
    smallest = index_of(SIZES[0])
    for size in SIZES[1:]:
        index = index_of(size)
        few, many = rounds(smallest, SIZES[0], index, size)
        ratio = median(many) / median(few)
        report.add(
            f"match one change, {size:,} subscriptions against {SIZES[0]}",
            f"{median(many) * 1e6:.0f} µs = {ratio:.2f} ×",
            f"{median(few) * 1e6:.0f} µs",
            "≤ 2 ×",
            ratio <= 2,
            microseconds={str(SIZES[0]): microseconds(few), str(size): microseconds(many)},
        )
    largest = SIZES[-1]
    subscriptions = [criteria(parse(asked(number)), TOPIC, CONTEXT)["Immunization"] for number in range(largest)]
    whose, again = patients(largest), patients(largest)
    by_index = [matched(index, whose) for _ in range(ROUNDS)]
    one_by_one = [scanned(subscriptions, next(again)) for _ in range(ROUNDS)]
    times = median(one_by_one) / median(by_index)
    report.add(
        f"match one change, {largest:,} subscriptions, against evaluating each",
        f"{median(by_index) * 1e6:.0f} µs: {times:,.0f} × as fast",
        f"{median(one_by_one) * 1e6:,.0f} µs",
        "≥ 100 ×",
        times >= 100,
        microseconds={"index": microseconds(by_index), "each": microseconds(one_by_one)},
    )


async def test_a_million_subscriptions_fit(tmp_path: Path, report: Report) -> None:
    put = await run("tests.benchmarks.indexes", "put", str(MILLION), log=tmp_path / "log")
    report.add(
        f"memory of an index with {MILLION:,} subscriptions, put in {put['cpu']:.0f} s of a core",
        f"{put['bytes_each']} bytes each",
        "–",
        "≤ 1,000 bytes",
        put["bytes_each"] <= 1_000,
        **put,
    )
    smallest, index = index_of(SIZES[0]), index_of(MILLION)
    few, many = rounds(smallest, SIZES[0], index, MILLION)
    ratio = median(many) / median(few)
    report.add(
        f"match one change, {MILLION:,} subscriptions against {SIZES[0]}",
        f"{median(many) * 1e6:.0f} µs = {ratio:.2f} ×",
        f"{median(few) * 1e6:.0f} µs",
        "≤ 2 ×",
        ratio <= 2,
        microseconds={str(SIZES[0]): microseconds(few), str(MILLION): microseconds(many)},
    )


async def test_an_index_is_built_anew(tmp_path: Path, report: Report) -> None:
    """From the registry, while others want to run too."""
    with RedisServer() as server:
        parts = await built(settings(server.url, tmp_path))
        for begin in range(0, REGISTERED, 1000):
            await _register(parts, range(begin, begin + 1000))
        await close(parts.client)
        loaded = await run("tests.benchmarks.indexes", "load", server.url, str(tmp_path), log=tmp_path / "log")
    assert loaded["subscriptions"] == REGISTERED
    report.add(
        f"an index of {REGISTERED:,} registered subscriptions, built anew",
        f"{loaded['seconds']:.1f} s ({loaded['cpu']:.1f} s of a core), {loaded['bytes_each']} bytes each,"
        f" longest pause {loaded['pause'] * 1000:.0f} ms",
        "–",
        "≤ 20 s of a core",
        loaded["cpu"] <= 20,
        **loaded,
    )


async def _register(parts: Parts, numbers: range) -> None:
    fields: list[str | bytes] = []
    for number in numbers:
        resource = orjson.dumps(subscription(f"http://127.0.0.1/{number}", "Immunization", asked(number)))
        key = SubscriptionKey("default", R4, str(uuid4()), uuid4().hex[:12])
        fields += [key.registered_as, Registered(key, True, 1, 1_700_000_000_000, resource).record]
    await parts.pipeline.command("HSET", REGISTRY, *fields)
