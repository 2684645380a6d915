"""
Indexes of many subscriptions; run as a process, so that memory is all their own:

    python -m tests.benchmarks.indexes put COUNT
    python -m tests.benchmarks.indexes load REDIS-URL DIRECTORY

Prints a Built as JSON: of an index into which so many are put, or of one that is loaded from the registry. In the
second case that is a matcher's whole copy of it, with the names and keys of the subscriptions.
"""

import asyncio
import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import orjson

from hub.in_force import InForce
from hub.wiring.parts import parts
from subscriptions.codes import FhirVersion
from subscriptions.filters import parse
from subscriptions.matching import Index
from subscriptions.search.asking import Context
from subscriptions.topic import built_in
from tests.benchmarks.programs import memory_mib
from tests.hub.conftest import close, settings

R4 = FhirVersion.R4
CONTEXT = Context(R4, frozenset({"https://hub.example/fhir/r4"}))
TOPIC = built_in("https://hub.example", "Immunization")


@dataclass(frozen=True, slots=True)
class Built:
    """
    An index, as it was built.

    cpu: Seconds of processor time.
    pause: The longest that the event loop let nobody else run, in seconds; 0 where there is none.
    peak: The most memory that the process had, in MiB.
    """

    subscriptions: int
    seconds: float
    cpu: float
    bytes_each: int
    pause: float
    peak: float


def asked(number: int) -> str:
    """The filters of one subscription."""
    if number % 40 == 1:
        return f"Immunization?date=gt{2100 + number % 7000}"
    return f"Immunization?patient=Patient/p{number}" + ("&status=completed" if number % 40 == 2 else "")


def index_of(size: int) -> Index[int]:
    index = Index[int](CONTEXT)
    for number in range(size):
        index.put(number, TOPIC, parse(asked(number)))
    return index


async def _load(url: str, data: Path) -> Built:
    built = await parts(settings(url, data))
    before, pauses = _memory(), list[float]()
    waiting = asyncio.create_task(_pauses(pauses))
    copy, began, used = InForce(built.registry, built.tenancy, built.access), perf_counter(), process_time()
    await copy.refresh()
    seconds, cpu = perf_counter() - began, process_time() - used
    waiting.cancel()
    count = len(copy.index("default", R4))
    found = Built(count, seconds, cpu, _each(before, count), max(pauses), _peak())
    await close(built.client)
    return found


async def _pauses(pauses: list[float]) -> None:
    """How long each turn of the event loop takes."""
    while True:
        began = perf_counter()
        await asyncio.sleep(0)
        pauses.append(perf_counter() - began)


def _put(count: int) -> Built:
    index_of(1)  # what is loaded for the first one is no part of it
    before, began, used = _memory(), perf_counter(), process_time()
    index = index_of(count)
    seconds, cpu = perf_counter() - began, process_time() - used
    return Built(len(index), seconds, cpu, _each(before, count), 0, _peak())


def _memory() -> float:
    gc.collect()
    return memory_mib(os.getpid())


def _each(before: float, count: int) -> int:
    return round((_memory() - before) * 2**20 / count)


def _peak() -> float:
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:"))
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["put", count]:
            built = _put(int(count))
        case ["load", url, data]:
            built = asyncio.run(_load(url, Path(data)))
    print(orjson.dumps(built).decode(), flush=True)
