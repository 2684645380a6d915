"""
Whether something is known against a package that the hub, its tests or its build have, in the versions that are locked.

It is asked of PyPI and of the npm registry. Where these don't answer, or a mirror stands before them that doesn't know,
nothing was audited: the test is skipped and says so.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PIP_AUDIT = ROOT / ".venv" / "audit" / "bin" / "pip-audit"

pytestmark = [pytest.mark.audit, pytest.mark.timeout(600)]


def asked(*command: str | Path, where: Path = ROOT) -> dict[str, Any]:
    """What a command says in JSON; its exit code is of no use, since it is the same for a finding and for a failure."""
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False, timeout=300)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        pytest.skip(f"NOT AUDITED: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
    return found


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_python(lock: str) -> None:
    options = ("--vulnerability-service", "pypi", "--disable-pip", "--require-hashes", "--format", "json")
    packages = asked(PIP_AUDIT, *options, "--requirement", lock)["dependencies"]
    left_out = [each["name"] for each in packages if "skip_reason" in each]
    if len(left_out) == len(packages):
        pytest.skip(f"NOT AUDITED: {lock}: {packages[0]['skip_reason']}, and so of all {len(packages)}")
    known = [f"{each['name']} {each['version']}: {fault['id']}" for each in packages for fault in each.get("vulns", ())]
    assert (known, left_out) == ([], [])


@pytest.mark.parametrize("folder", ["hub/console/vendor", "tests/browser", "tests/node"])
def test_node(folder: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"NOT AUDITED: {folder}: npm is missing")
    found = asked(npm, "audit", "--package-lock-only", "--json", where=ROOT / folder)
    if "vulnerabilities" not in found:
        pytest.skip(f"NOT AUDITED: {folder}: {found.get('message') or found.get('error')}")
    assert sorted(found["vulnerabilities"]) == []
