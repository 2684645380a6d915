"""Where the api listens, and whether it may."""

from dataclasses import dataclass
from ipaddress import ip_address

from hub.errors import NotTheHub
from hub.settings import Settings


@dataclass(frozen=True, slots=True)
class Address:
    """A host, as a name or an IP address, and a port."""

    host: str
    port: int

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
        return f"http://{f'[{self.near}]' if ':' in self.near else self.near}:{self.port}"

    def permit(self, settings: Settings) -> None:
        """Raise NotTheHub if strangers could reach a hub here that asks nobody who they are."""
        if settings.auth == "none" and not settings.allow_open and not self.loopback:
            raise NotTheHub(
                f"{self.host or 'every address'} is not loopback and HUB_AUTH is none: everybody who reaches the hub"
                " could do everything; set HUB_ALLOW_OPEN=true if that is meant"
            )
