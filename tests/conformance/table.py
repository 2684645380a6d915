"""What came of the tests, as a table: requirement, statement, and a result for each FHIR version."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from tests.conformance.requirements import VERSIONS, Requirement

#: What became of the tests of one requirement in one version: whether each of them passed.
Outcomes = Mapping[tuple[str, str], list[bool]]

_IDS, _SAYS, _CELL = 16, 68, 9


def result(requirement: Requirement, version: str, outcomes: Outcomes) -> str:
    """The word for it. Where nothing is claimed, a test shows that the hub says so."""
    if version not in requirement.versions:
        return "–"
    passed = [each for id_ in requirement.ids for each in outcomes.get((id_, version), [])]
    if not all(passed):
        return "FAILS"
    if not requirement.claimed:
        return "unclaimed"
    if not all(outcomes.get((id_, version)) for id_ in requirement.ids):
        return "not run"
    return "in part" if requirement.deviation else "holds"


def lines(requirements: Iterable[Requirement], outcomes: Outcomes) -> Iterator[str]:
    yield _line("requirement", "level", "what is asked", *(version.upper() for version in VERSIONS))
    yield "-" * (_IDS + _SAYS + 7 + 3 * _CELL + 5)
    for each in requirements:
        ids, says = textwrap.wrap(" ".join(each.ids), _IDS), textwrap.wrap(_told(each), _SAYS)
        results = [result(each, version, outcomes) for version in VERSIONS]
        for i in range(max(len(ids), len(says))):
            first = (each.level, *results) if i == 0 else ("",) * 4
            yield _line(ids[i] if i < len(ids) else "", first[0], says[i] if i < len(says) else "", *first[1:])


def summary(requirements: Iterable[Requirement], outcomes: Outcomes) -> str:
    """How often each result stands in the table, per level."""
    parts = []
    listed = list(requirements)
    for level in ("SHALL", "SHOULD", "MAY"):
        found = [result(e, v, outcomes) for e in listed if e.level == level for v in e.versions]
        words = ", ".join(f"{found.count(word)} {word}" for word in dict.fromkeys(sorted(found)))
        parts.append(f"{level}: {words}")
    return "; ".join(parts)


def _told(requirement: Requirement) -> str:
    told = f"{requirement.says} [{requirement.source}]"
    if requirement.deviation:
        told += f" Deviation: {requirement.deviation}"
    return told + (f" Unclaimed: {requirement.unclaimed}" if requirement.unclaimed else "")


def _line(ids: str, level: str, says: str, *results: str) -> str:
    cells = " ".join(f"{each:<{_CELL}}" for each in results)
    return f"{ids:<{_IDS}} {level:<6} {says:<{_SAYS}} {cells}".rstrip()
