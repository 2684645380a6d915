"""What the console has of others is what npm has, in the versions and by the hashes of its lock."""

import subprocess
from pathlib import Path

import pytest

from tests.guide import ROOT

VENDOR = ROOT / "hub" / "console" / "vendor"

pytestmark = pytest.mark.node


def test_nothing_is_edited(tmp_path: Path) -> None:
    subprocess.run(["make", "vendor", f"VENDORED={tmp_path}"], cwd=ROOT, check=True, capture_output=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    held = {path.name: path.read_bytes() for path in VENDOR.iterdir() if not path.name.startswith((".", "package"))}
    assert made == held
