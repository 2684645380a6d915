"""Where what is written for people stands."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README, CONTRIBUTING, CHANGELOG = (ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG"))
GUIDE = ROOT / "hub" / "guide"
INDEX, OPERATOR, SUBSCRIBER, PUBLISHER, COMMANDS, MEASURED, CONFORMANCE = (
    GUIDE / f"{name}.md"
    for name in ("index", "operator", "subscriber", "publisher", "commands", "measured", "conformance")
)
#: The README and what it leads to.
PAGES = (README, INDEX, OPERATOR, SUBSCRIBER, PUBLISHER, COMMANDS, MEASURED, CONFORMANCE)

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`\n]*`")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def headings(page: Path) -> list[tuple[int, str]]:
    """Level and text of each, in their order."""
    text = _FENCED.sub("", page.read_text())
    return [(len(marks), title) for marks, title in re.findall(r"^(#{1,6}) (.+)$", text, re.MULTILINE)]


def anchors(page: Path) -> set[str]:
    """What a `#` may lead to, as GitHub makes it of headings that differ."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in headings(page)}


def links(page: Path) -> list[str]:
    """Where its links lead, as they are written."""
    return _LINK.findall(_CODE.sub("", _FENCED.sub("", page.read_text())))


def section(page: Path, title: str) -> str:
    """What stands below a heading, up to the next one of its level or above. KeyError, if there is none."""
    body: list[str] = []
    level, fenced = 0, False
    for line in page.read_text().splitlines(keepends=True):
        fenced ^= line.startswith("```")
        marks, _, words = line.rstrip().partition(" ")
        heading = not fenced and set(marks) == {"#"}
        if level and heading and len(marks) <= level:
            break
        if level:
            body.append(line)
        elif heading and words == title:
            level = len(marks)
    if not level:
        raise KeyError(title)
    return "".join(body)
