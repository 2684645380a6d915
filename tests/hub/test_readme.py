"""The README says what is true."""

import re
import shlex
from pathlib import Path
from typing import Any

from hub.cli import parse, remote
from hub.settings import Settings
from subscriptions.alert import AlertKind

README = (Path(__file__).parents[2] / "README.md").read_text()


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
    """The settings as the README has them."""
    rows = ["| variable | default | unit, and what follows |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = shown(field.default)
        rows.append(f"| `HUB_{name.upper()}` | {f'`{default}`' if default else ''} | {field.description} |")
    return "\n".join(rows)


def test_settings_table() -> None:
    """Every setting stands in the README with its default and its description, and no other does."""
    assert settings_table() in README
    mentioned = set(re.findall(r"HUB_[A-Z_]+", README))
    assert mentioned <= {f"HUB_{name.upper()}" for name in Settings.model_fields} | {remote.URL, remote.KEY}


def test_alerts_table() -> None:
    """Of each kind of alert the README says when it comes, and of no other."""
    _, _, section = README.partition("### Owners are told\n")
    assert re.findall(r"^\| `subscription\.([a-z]+)` \| .", section, re.MULTILINE) == [kind.value for kind in AlertKind]


def test_commands_of_operators() -> None:
    """Each is one that the hub understands."""
    _, _, section = README.partition("## Who may do what\n")
    commands = re.findall(r"^hub (.*?)(?: >.*)?$", section.partition("```sh\n")[2].partition("```")[0], re.MULTILINE)
    assert len(commands) > 5
    for command in commands:
        parse(shlex.split(command, comments=True))


def test_threat_model() -> None:
    """What is said to be in the way of something, and where it is tried, is there."""
    root = Path(__file__).parents[2]
    _, _, section = (root / "CONTRIBUTING.md").read_text().partition("## Threat model\n")
    named = set(re.findall(r"`((?:hub|subscriptions|tests)/[^`]+\.py)`", section))
    assert len(named) > 50
    assert {path for path in named if not (root / path).is_file()} == set()
