"""The package as it is installed: it has all that is read from it while a hub runs."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from tests.guide import ROOT

PACKAGES = ("hub", "subscriptions")


def files(folder: Path) -> set[str]:
    """Those that a package has, but for what Python and others leave there."""
    return {
        path.relative_to(folder).as_posix()
        for package in PACKAGES
        for path in (folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def test_wheel_has_every_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-build-isolation")
    command = (sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(tmp_path), str(source))
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as held:
        packed = {name for name in held.namelist() if name.startswith(PACKAGES)}
    expected = files(source)
    assert "hub/console/vendor/LICENSE.preact" in expected
    assert packed == expected
