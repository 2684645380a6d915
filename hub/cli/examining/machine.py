"""This machine: Python and its packages, open files, and room for the data."""

import importlib.metadata
import platform
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from hub.cli.examining.findings import Finding, fail, ok, sized, warn

#: What is worth knowing when somebody asks for help.
PACKAGES = (
    "fastapi",
    "uvicorn",
    "httpx",
    "aiohttp",
    "redis",
    "rq",
    "fhir.resources",
    "pydantic",
    "cryptography",
    "rich",
)

#: Open files below which a hub with slow endpoints comes to an end of them: see hub.cli.
FILES, FEWEST = 10_240, 1_024

#: Free bytes below which it is urgent, and the part of the disk below which it will be.
URGENT, SHORT = 1_000_000_000, 0.1


def machine(data: Path) -> Iterator[Finding]:
    yield from _versions()
    yield _files()
    yield _room(data)


def release() -> str:
    """The version of the hub that this command is of; empty where it isn't installed."""
    try:
        return importlib.metadata.version("fhir-event-hub")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _versions() -> Iterator[Finding]:
    found, missing = list[str](), list[str]()
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield ok("versions", f"hub {release() or 'of a checkout'}, Python {platform.python_version()}, {platform.system()}")
    yield ok("versions", ", ".join(found))
    if missing:
        yield fail(
            "versions", f"not installed: {', '.join(missing)}", "`make setup`, or install from requirements.lock."
        )


def _files() -> Finding:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= FILES:
        return ok("files", f"a process may open {'as many files as it likes' if hard < 0 else f'{hard} files'}")
    text = f"a process may open {hard} files; each slow endpoint holds one"
    todo = f"Raise the hard limit to {FILES} (`ulimit -Hn`, LimitNOFILE= of systemd, `--ulimit nofile` of a container)."
    return fail("files", text, todo) if hard < FEWEST else warn("files", text, todo)


def _room(data: Path) -> Finding:
    place = data.absolute()
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    text = f"{sized(usage.free)} of {sized(usage.total)} are free where {data.absolute()} is"
    todo = "Make room: when Redis can't write its file any more, the hub takes nothing."
    if usage.free < URGENT:
        return fail("disk", text, todo)
    return warn("disk", text, todo) if usage.free < SHORT * usage.total else ok("disk", text)
