"""What was measured, on which machine: a table for people and JSON for whoever compares."""

import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from hub.cli.embedded import find

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One measured figure, in words for the table.

    data: Everything that was measured, for the JSON.
    """

    what: str
    measured: str
    baseline: str
    goal: str
    reached: bool
    data: dict[str, Any]


@dataclass
class Report:
    """The figures of one run."""

    figures: list[Figure] = field(default_factory=list)

    def ratio(self, what: str, measured: list[float], baseline: list[float], *, goal: float, **data: Any) -> None:
        """Rates per second of interleaved runs, against those of a baseline."""
        ratio = median(measured) / median(baseline)
        data |= {"rates": _rounded(measured), "baseline_rates": _rounded(baseline), "ratio": round(ratio, 3)}
        shown = f"{median(measured):,.0f}/s = {ratio:.2f}"
        self.add(what, shown, f"{median(baseline):,.0f}/s", f"≥ {goal}", ratio >= goal, **data)

    def add(self, what: str, measured: str, baseline: str, goal: str, reached: bool, **data: Any) -> None:
        self.figures.append(Figure(what, measured, baseline, goal, reached, data))

    def publish(self) -> None:
        """Print the table and write the JSON."""
        described = machine()
        table = Table(title=" · ".join(f"{name} {value}" for name, value in described.items()), title_justify="left")
        for name in ("what", "measured", "baseline", "to reach", ""):
            table.add_column(name)
        for figure in self.figures:
            reached = "reached" if figure.reached else "MISSED"
            table.add_row(figure.what, figure.measured, figure.baseline, figure.goal, reached)
        at = datetime.now(UTC)
        FOLDER.mkdir(exist_ok=True)
        file = FOLDER / f"{at:%Y%m%dT%H%M%SZ}.json"
        written = {"at": at, "machine": described, "figures": self.figures}
        file.write_bytes(orjson.dumps(written, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_DATACLASS))
        console = Console(width=140)
        console.print()
        console.print(table)
        console.print(str(file))


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu.partition(":")[2].strip() or cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "load": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "redis": _redis(),
        "commit": _commit(),
    }


def _redis() -> str:
    """The version of the server that the hub embeds here."""
    printed = subprocess.run([find().path, "--version"], capture_output=True, text=True, check=True).stdout
    return printed.partition("v=")[2].split()[0]


def _commit() -> str:
    """The commit that was measured; `+` when files differ from it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=FOLDER.parent, capture_output=True, text=True
    )
    return said.stdout.strip() or "none"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 1) for value in values]
