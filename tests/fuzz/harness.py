"""
Fuzzes one kind of input, guided by what it reaches: `python -m tests.fuzz.harness KIND REPORT [libFuzzer's options]`.

REPORT is a file that is written anew every second: how many inputs were read, the slowest one and its time on the
processor, and the memory at first and at last. A process that libFuzzer has ended writes nothing more.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic, process_time

import atheris

with atheris.instrument_imports(include=["hub", "subscriptions", "fhirpathpy"], enable_loader_override=False):
    from tests.fuzz.inputs import largest, read, seeds

#: Seconds after which caches are taken for filled.
WARM = 60


@dataclass(slots=True)
class Report:
    """
    slowest: Seconds on the processor, with what guides the fuzzer.
    input: The slowest one, in hexadecimal.
    first, last: MB of memory, after WARM seconds and now; `first` is 0 before.
    """

    executions: int = 0
    slowest: float = 0.0
    input: str = ""
    first: float = 0.0
    last: float = 0.0


@dataclass(slots=True)
class Fuzzing:
    """One kind's."""

    kind: str
    path: Path
    report: Report
    began: float
    written: float = 0.0

    def one(self, data: bytes) -> None:
        """Read an input. What it raises ends the process, with the input in a file."""
        before = process_time()
        read(self.kind, data)
        took = process_time() - before
        self.report.executions += 1
        if took > self.report.slowest:
            self.report.slowest, self.report.input = took, data.hex()
        if (now := monotonic()) - self.written > 1:
            self.write(now)

    def write(self, now: float) -> None:
        self.written = now
        self.report.last = _memory()
        if now - self.began > WARM and not self.report.first:
            self.report.first = self.report.last
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self.report)))
        fresh.replace(self.path)


def _memory() -> float:
    """MB of this process that are in memory."""
    resident = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]) / 1024


def main() -> None:
    program, kind, report, *options = sys.argv
    for seed in seeds(kind):  # loads what all need
        read(kind, seed)
    fuzzing = Fuzzing(kind, Path(report), Report(), monotonic())
    for data in largest(kind):
        fuzzing.one(data)
    atheris.Setup([program, *options], fuzzing.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
