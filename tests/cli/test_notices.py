"""What `hub subscribe` shows of what comes."""

import io
from typing import Any

import orjson
import pytest
from rich.console import Console

from hub.cli.notices import INDENT, Notices
from hub.receiver import Event, Receipt

RESOURCE = {"resourceType": "Basic", "id": "b", "code": {"text": "é" * 100}, "note": "\x1b[31m\u2028\x9b"}


def shown(resource: dict[str, Any], **options: Any) -> list[str]:
    """The lines below the event's own."""
    written = io.StringIO()
    notices = Notices(console=Console(file=written, highlight=False, color_system=None, **options))
    notices.received(Receipt(), [Event(1, focus="https://hub.example/fhir/r4/Basic/b", resource=resource)])
    return [line[INDENT:] for line in written.getvalue().split("\n")[1:-1]]


@pytest.mark.parametrize("width", [80, 40, 20])
def test_a_resource_on_a_terminal(width: int) -> None:
    """Each element has a line, which ends where the terminal does; nothing in it is obeyed there."""
    lines = shown(RESOURCE, width=width, force_terminal=True)
    assert [line.partition(":")[0] for line in lines] == list(RESOURCE)
    assert lines[1] == 'id: "b"'
    assert lines[2].endswith(" … 211 bytes")
    assert width < 40 or len(lines[2]) == width - INDENT
    assert "".join(lines).isprintable()


def test_a_short_one_on_a_terminal() -> None:
    short = {"resourceType": "Basic", "id": "b"}
    assert shown(short, width=80, force_terminal=True) == [orjson.dumps(short).decode()]


def test_a_resource_in_a_pipe() -> None:
    """A line, however long it is."""
    resource = RESOURCE | {"note": "x" * 20_000}
    (line,) = shown(resource, width=10_000)
    assert orjson.loads(line) == resource
