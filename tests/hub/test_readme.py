"""README, guide and CONTRIBUTING say what is true."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from hub import cli
from hub.cli import parse, remote
from hub.settings import Settings
from subscriptions.alert import AlertKind
from tests.guide import (
    CHANGELOG,
    COMMANDS,
    CONTRIBUTING,
    OPERATOR,
    PAGES,
    ROOT,
    SUBSCRIBER,
    anchors,
    links,
    section,
)

#: A file or a folder of ours.
_NAMED = re.compile(r"`((?:hub|subscriptions|tests|fixtures)/(?:[^`\s]*(?:/|\.\w+))?)`")


def shown(value: Any) -> str:
    """A default as one writes it into the environment."""
    match value:
        case bool():
            return str(value).lower()
        case None:
            return ""
        case tuple():
            return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def settings_table() -> str:
    """The settings as the operator's page has them."""
    rows = ["| variable | default | unit, and what follows |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = shown(field.default)
        rows.append(f"| `HUB_{name.upper()}` | {f'`{default}`' if default else ''} | {field.description} |")
    return "\n".join(rows)


def test_settings_table() -> None:
    """Every setting stands there with its default and its description, and no other is spoken of anywhere."""
    assert settings_table() in section(OPERATOR, "Settings")
    mentioned = {name for page in PAGES for name in re.findall(r"HUB_[A-Z_]+", page.read_text())}
    assert mentioned <= {f"HUB_{name.upper()}" for name in Settings.model_fields} | {remote.URL, remote.KEY}


def test_alerts_table() -> None:
    """Of each kind of alert it is said when it comes, and of no other."""
    rows = re.findall(r"^\| `subscription\.([a-z]+)` \| .", section(SUBSCRIBER, "Owners are told"), re.MULTILINE)
    assert rows == [kind.value for kind in AlertKind]


def test_commands_of_operators() -> None:
    """Each is one that the hub understands."""
    block = section(OPERATOR, "Who may do what").partition("```sh\n")[2].partition("```")[0]
    commands = re.findall(r"^hub (.*?)(?: >.*)?$", block, re.MULTILINE)
    assert len(commands) > 5
    for command in commands:
        parse(shlex.split(command, comments=True))


@pytest.mark.parametrize("page", [*PAGES, CONTRIBUTING, CHANGELOG], ids=lambda page: page.stem)
def test_links(page: Path) -> None:
    """Each leads to a file that is there, and to a heading of it."""
    lost = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        if "://" not in link:
            file = (page.parent / target).resolve() if target else page
            if not file.is_relative_to(ROOT) or not file.exists() or (anchor and anchor not in anchors(file)):
                lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tables_are_filled_in(page: Path) -> None:
    """No cell is a word in capitals that stands for a figure."""
    assert re.findall(r"(?<=\| )[A-Z]{4,}(?= \|)", page.read_text()) == []


def test_commands() -> None:
    """The page names each command, and no other."""
    named = re.findall(r"`hub ([a-z]+)[^`]*`", COMMANDS.read_text())
    assert set(named) == cli.COMMANDS.keys()


def test_threat_model() -> None:
    """What is said to be in the way of something, and where it is tried, is named."""
    assert len(set(_NAMED.findall(section(CONTRIBUTING, "Threat model")))) > 50


def test_the_map_of_the_house() -> None:
    """Each file and folder that is named is there, and no folder of the two packages is left out."""
    named = set(_NAMED.findall(CONTRIBUTING.read_text()))
    assert {path for path in named if not (ROOT / path).exists()} == set()
    house = set(_NAMED.findall(section(CONTRIBUTING, "The map of the house")))
    folders = {f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("hub/*/*") if path.suffix != ".pyc"}
    assert folders - house == set()


def test_a_change_travels_through_files() -> None:
    """Each step names where it is done."""
    steps = re.findall(r"^\d\. .*?(?=^\d\. |^$)", section(CONTRIBUTING, "How a change travels"), re.M | re.S)
    assert len(steps) == 7
    assert [step for step in steps if not _NAMED.search(step)] == []
