"""The house itself: what a newcomer runs and reads agrees with what is there."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.guide import README, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    "requirements.lock": PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["build"],
    "requirements-dev.lock": PROJECT["project"]["dependencies"]
    + PROJECT["dependency-groups"]["build"]
    + PROJECT["dependency-groups"]["dev"],
}


def canonical(requirement: str) -> str:
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> dict[str, str]:
    """Name to version."""
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.M))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_is_complete(lock: str) -> None:
    """Every dependency of the project is in the lock: after a change of pyproject.toml, `make lock`."""
    assert {canonical(requirement) for requirement in LOCKS[lock]} <= locked(lock).keys()


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_host(lock: str) -> None:
    """The lock has a hash for everything, and where it comes from is left to whoever installs."""
    lines = [line for line in (ROOT / lock).read_text().splitlines() if not line.lstrip().startswith("#")]
    assert not [line for line in lines if "://" in line or "index" in line.split("==")[0]]
    pins = [number for number, line in enumerate(lines) if "==" in line]
    assert pins
    assert all("--hash=sha256:" in lines[number + 1] for number in pins)


def test_locks_agree() -> None:
    """What is developed with is what is shipped."""
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


def test_readme_is_a_door() -> None:
    """It is read in one sitting; chapters are in the guide."""
    lines = README.read_text().splitlines()
    assert len(lines) < 350
    assert [line for line in lines if len(line) > 120] == []


def test_top_level_folders() -> None:
    """There are four folders, beside those that begin with a dot and what `.gitignore` names."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    folders = {name for name in folders if name not in ignored and not name.endswith((".egg-info", "__pycache__"))}
    assert folders == {"hub", "subscriptions", "tests", "fixtures"}


def test_version() -> None:
    """The changelog's newest entry and the image's tag are of this version."""
    version = PROJECT["project"]["version"]
    entries = re.findall(r"^## \[?([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert entries[0] == version
    assert f"image: fhir-event-hub:{version}\n" in (ROOT / "docker-compose.yml").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make setup` reads, with a Python that makes an environment of two programs that do nothing."""
    for name in ("Makefile", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("one", "other"):
        python = tmp_path / name
        made = "mkdir -p .venv/bin && ln -sf /bin/true .venv/bin/pip && echo $0 >>made"
        python.write_text(f'#!/bin/sh\n[ "$1" = -c ] || {{ rm -rf .venv && {made}; }}\n')
        python.chmod(0o755)
    return tmp_path


def test_set_up_follows_python(checkout: Path) -> None:
    """Another PYTHON makes .venv anew, the same one doesn't, and without one whatever is there will do."""

    def made(*python: str) -> list[str]:
        subprocess.run(["make", "setup", *python], cwd=checkout, check=True, capture_output=True, env=environment)
        return [Path(line).name for line in (checkout / "made").read_text().split()]

    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS")}
    assert made("PYTHON=./one") == ["one"]
    assert made("PYTHON=./one") == ["one"]
    assert made() == ["one"]
    assert made("PYTHON=./other") == ["one", "other"]
    assert made() == ["one", "other"]
    environment["PYTHON"] = "./one"
    assert made() == ["one", "other", "one"]


def test_ci_runs_the_tests() -> None:
    """What runs on a desk runs in CI, and nothing else."""
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text().splitlines()[1:] == ['exec make -C "$(dirname "$0")/.." test']


def test_tests_notice_two_hash_tags(redis_url: str) -> None:
    """The Redis of the tests refuses a script or a MULTI over two hash tags, as a cluster would."""
    read_both = "return redis.call('MGET', KEYS[1], KEYS[2])"
    with Redis.from_url(redis_url) as redis:
        assert redis.eval(read_both, 2, "{a}:1", "{a}:2") == [None, None]
        with pytest.raises(RedisError, match="same slot"):
            redis.eval(read_both, 2, "{a}:1", "{b}:1")
        with pytest.raises(RedisError, match="same slot"), redis.pipeline(transaction=True) as pipeline:
            pipeline.set("{a}:1", 1).set("{b}:1", 1).execute()
        assert redis.exists("{a}:1") == 0
