"""Requests at once to one origin: subscriptions that share it don't delay each other."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

#: Seconds after which a request counts as slow.
SLOW = 1.0


def origin(endpoint: str) -> str:
    """Scheme, host and port of an endpoint, normalised."""
    parts = urlsplit(endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


@dataclass(slots=True)
class _Origin:
    taken: int = 0
    slow: int = 0


@dataclass(slots=True)
class Visit:
    """One request's place at its origin. To be left in any case."""

    origin: str
    slow: bool
    holds: bool = True


@dataclass
class Origins:
    """
    The places at all origins.

    slots: Requests at once to one origin. Slow ones (over a second, or after a failure) hold at most half of them.
    slow: Requests that are slow at this moment, at all origins, with a place or without.
    """

    slots: int
    slow: int = 0
    _origins: dict[str, _Origin] = field(default_factory=dict)

    def enter(self, origin: str, *, slow: bool) -> Visit | None:
        """A place for a request, or None when there is none now. `slow`: the last one was slow or has failed."""
        here = self._origins.setdefault(origin, _Origin())
        if here.taken >= self.slots or (slow and here.slow >= self.slots // 2):
            return None
        here.taken += 1
        here.slow += slow
        self.slow += slow
        return Visit(origin, slow)

    def slowed(self, visit: Visit) -> None:
        """The request has become slow. If half of the places are slow already, it goes on without one."""
        if visit.slow or not visit.holds:
            return
        visit.slow = True
        self.slow += 1
        here = self._origins[visit.origin]
        here.slow += 1
        if here.slow > self.slots // 2:
            self._give_back(visit)

    def leave(self, visit: Visit) -> None:
        """The request is over."""
        if visit.holds:
            self._give_back(visit)
        self.slow -= visit.slow
        visit.slow = False

    def _give_back(self, visit: Visit) -> None:
        here = self._origins[visit.origin]
        here.taken -= 1
        here.slow -= visit.slow
        visit.holds = False
        if here.taken == 0:
            del self._origins[visit.origin]
