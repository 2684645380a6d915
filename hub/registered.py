"""One Subscription as it stands in the registry."""

from dataclasses import dataclass
from sys import intern

from hub.access import ANYBODY
from hub.keys import SubscriptionKey
from subscriptions.codes import FhirVersion
from subscriptions.subscription import Style


@dataclass(frozen=True, slots=True)
class Registered:
    """
    One Subscription in the registry, as the write that made its `revision` left it. `since` is when, in ms.

    style: The one that it was accepted in.
    owner: The client whose it is.
    """

    key: SubscriptionKey
    on: bool
    revision: int
    since: int
    resource: bytes
    style: Style = Style.TOPIC
    owner: str = ANYBODY.name

    @property
    def record(self) -> bytes:
        style = "" if self.style is Style.TOPIC else self.style
        owner = "" if self.owner == ANYBODY.name else self.owner
        state = ":".join(("on" if self.on else "off", style, owner)).rstrip(":")
        return f"{self.key.incarnation} {state} {self.revision} {self.since} ".encode() + self.resource

    @classmethod
    def parse(cls, name: str, record: bytes) -> "Registered":
        """`name`: The field in the registry."""
        tenant, version, id_ = name.split("/")
        incarnation, state, revision, since, resource = record.split(b" ", 4)
        key = SubscriptionKey(intern(tenant), FhirVersion(version), id_, incarnation.decode())
        on, style, owner = (state.decode() + "::").split(":")[:3]
        return cls(
            key, on == "on", int(revision), int(since), resource, Style(style or Style.TOPIC), owner or ANYBODY.name
        )
