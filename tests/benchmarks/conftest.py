"""What the benchmarks share: where their figures go."""

from collections.abc import Iterator

import pytest

from tests.benchmarks.report import Report


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    report = Report()
    yield report
    if report.figures:
        report.publish()
