"""Where the api listens, and whether it may."""

import argparse
import errno
import socket
import time
from dataclasses import dataclass, replace
from ipaddress import ip_address

from hub.errors import NotTheHub
from hub.settings import Settings

#: Seconds for the api of a hub that was just killed to let go of the port.
PATIENCE = 3.0

#: What to do when it can't listen; otherwise something is the matter with the host.
ADVICE = {
    errno.EADDRINUSE: "stop what listens there, or choose another by --port",
    errno.EACCES: "choose a port of 1024 or more by --port",
}


@dataclass(frozen=True, slots=True)
class Address:
    """
    A host, as a name or an IP address, and a port.

    tls: Whether TLS is spoken there.
    """

    host: str
    port: int
    tls: bool = False

    @property
    def wildcard(self) -> bool:
        """Whether it stands for every address of this machine."""
        return self.host in ("0.0.0.0", "::", "")  # noqa: S104 (compared, not bound)

    @property
    def loopback(self) -> bool:
        """Whether nobody else reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def near(self) -> str:
        """The host by which this machine reaches it."""
        if self.wildcard:
            return "::1" if self.host == "::" else "127.0.0.1"
        return self.host

    @property
    def url(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{f'[{self.near}]' if ':' in self.near else self.near}:{self.port}"

    def permit(self, settings: Settings) -> None:
        """Raise NotTheHub if strangers could reach a hub here that asks nobody who they are."""
        if settings.auth == "none" and not settings.allow_open and not self.loopback:
            raise NotTheHub(
                f"{self.host or 'every address'} is not loopback and HUB_AUTH is none: everybody who reaches the hub"
                " could do everything; set HUB_ALLOW_OPEN=true if that is meant"
            )

    def claimed(self) -> "Address":
        """It, with a free port for port 0. NotTheHub if it can't be had; one that is in use is tried for a while."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return replace(self, port=self._bound())
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                    advice = ADVICE.get(error.errno or 0, "choose an address of this machine by --host")
                    raise NotTheHub(f"can't listen on {self.host}:{self.port}: {error.strerror}; {advice}") from None
            time.sleep(0.05)  # the system tells nobody when an address comes free

    def _bound(self) -> int:
        """The port, once it was had for a moment."""
        with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((self.host, self.port))
            port: int = probe.getsockname()[1]
            return port


def listening(parser: argparse.ArgumentParser) -> None:
    """Declare where to listen."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=port, default=8000, help="port to listen on (8000); 0 takes a free one")


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} should be a port: 0 to 65535")
    return int(text)
