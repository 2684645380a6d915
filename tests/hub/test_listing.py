"""What operators copy from lists."""

import pytest

from hub.cli.listing import listed

ROWS = [{"id": "4b4e82992d1f84db", "scopes": "system/Immunization.cruds " * 20, "state": "good"}]


def test_a_row_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What is read by another program is folded nowhere."""
    listed(("id", "scopes", "state"), ROWS, as_json=False)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "scopes", "state"]
    assert row.split() == [ROWS[0]["id"], *ROWS[0]["scopes"].split(), "good"]


def test_what_a_row_is_called_by(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal it stays whole, whatever else is folded."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    listed(("id", "scopes", "state"), ROWS, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert lines[1].startswith(f"{ROWS[0]['id']}  ")
