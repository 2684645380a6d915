"""The register of requirements: what the standards ask of a server, and what of it the hub claims."""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Level = Literal["SHALL", "SHOULD", "MAY"]

REGISTER = Path(__file__).with_name("requirements.toml")
VERSIONS = ("r4", "r4b", "r5")

#: `test_A10_A45_what_it_says` is of A10 and A45.
_NAMED = re.compile(r"test_((?:[HABF]\d+_)+)")
_ID = re.compile(r"[HABF]\d+")


@dataclass(frozen=True, slots=True)
class Requirement:
    """
    One thing that is asked, however often it is written.

    ids: Where it stands; see the head of the register.
    says: What is asked, in a sentence.
    versions: The FHIR versions in which it binds.
    unclaimed: Why nothing is claimed: a permission that the hub makes no use of, or nothing that can be seen.
    deviation: What of it the hub doesn't do, and why; the guide says so too.
    """

    ids: tuple[str, ...]
    level: Level
    source: str
    says: str
    versions: tuple[str, ...]
    unclaimed: str = ""
    deviation: str = ""

    @property
    def claimed(self) -> bool:
        """Whether the hub does it, if perhaps not all of it."""
        return not self.unclaimed


def named(test: str) -> tuple[str, ...]:
    """The requirements that a test is of, by the name of its function."""
    found = _NAMED.match(test)
    return tuple(found[1].strip("_").split("_")) if found else ()


def register() -> tuple[Requirement, ...]:
    """
    All requirements, in the order of the register.

    Raises:
        ValueError: The register contradicts itself.
    """
    read = tuple(_requirement(**each) for each in tomllib.loads(REGISTER.read_text())["requirement"])
    if twice := [id_ for id_, count in Counter(id_ for each in read for id_ in each.ids).items() if count > 1]:
        raise ValueError(f"listed twice: {', '.join(twice)}")
    return read


def _requirement(*, ids: str, level: Level, versions: str, **more: str) -> Requirement:
    found = Requirement(ids=tuple(ids.split()), level=level, versions=tuple(versions.split()), **more)
    if level not in get_args(Level) or not {*found.versions} <= {*VERSIONS}:
        raise ValueError(f"{ids}: no such level or version")
    if strange := [id_ for id_ in found.ids if not _ID.fullmatch(id_)]:
        raise ValueError(f"no ids: {', '.join(strange)}")
    return found


def counts(requirements: tuple[Requirement, ...]) -> str:
    """How many there are and how many are claimed, as the guide has it."""
    parts = []
    for level in get_args(Level):
        of_level = [each for each in requirements if each.level == level]
        parts.append(f"{sum(each.claimed for each in of_level)} of {len(of_level)} {level}")
    in_part = sum(each.claimed and bool(each.deviation) for each in requirements)
    ids = sum(len(each.ids) for each in requirements)
    return f"{len(requirements)} requirements, {ids} with repetitions: {', '.join(parts)}; {in_part} of them in part"
