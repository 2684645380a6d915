"""Requests at once to one origin, and slow ones at all: subscriptions don't delay each other."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

#: Seconds after which a request counts as slow.
SLOW = 1.0

#: Seconds within which somebody came or left, where whoever found no place waits for one, and how often at most.
BRIEFLY, MOST_BRIEF = 0.1, 3

#: ms after which whoever found no place asks again, at least and at most.
SOON, LATE = 250, 30_000


def origin(endpoint: str) -> str:
    """Scheme, host and port of an endpoint, normalised."""
    parts = urlsplit(endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = (parts.hostname or "").lower()
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


@dataclass(slots=True)
class _Places:
    """
    So many places. Times are ms of one clock.

    held: For how long a place was held, on average lately.
    asks: When the last of those who wait asks again.
    """

    number: int
    taken: int = 0
    held: float = 0.0
    asks: float = 0.0

    @property
    def full(self) -> bool:
        return self.taken >= self.number

    def leave(self, since: int, now: int) -> None:
        self.taken -= 1
        self.held += (now - since - self.held) / 8

    def again(self, now: int) -> int:
        """
        When one more who waits asks again: one after the other, and twice as often as places become free.

        So those who wait for whoever hangs cost little, however many they are, and a free place is found soon.
        """
        self.asks = min(max(self.asks + self.held / self.number / 2, now + SOON), now + LATE)
        return int(self.asks)


@dataclass(slots=True)
class _Window:
    """Requests at once to an origin that was away: one, and one more after each round that went well."""

    size: int = 1
    good: int = 0

    def went(self, well: bool) -> None:
        if not well:
            self.size, self.good = max(self.size // 2, 1), 0
        elif self.good + 1 == self.size:
            self.size, self.good = self.size + 1, 0
        else:
            self.good += 1


@dataclass(slots=True)
class _Origin:
    """
    moved: When (ms) somebody came or left last.
    waiting: Those who wait briefly, first come, first served.
    """

    all: _Places
    slow: _Places
    moved: int = 0
    waiting: "deque[asyncio.Future[None]]" = field(default_factory=deque)


@dataclass(slots=True)
class Visit:
    """
    One request's place at its origin, since a time in ms. To be left in any case.

    accepted: What was sent arrived; the request ends by itself in a moment.
    """

    origin: str
    slow: bool
    since: int
    holds: bool = True
    accepted: bool = False

    def accept(self) -> None:
        self.accepted = True


class Origins:
    """The places at all origins."""

    def __init__(self, slots: int, most_slow: int) -> None:
        """
        slots: Requests at once to one origin. Slow ones (over a second, or after a failure) hold at most half of them.
        most_slow: Slow requests at once, at all origins, with a place there or without.
        """
        self._slots = slots
        self._slow = _Places(most_slow)
        self._origins: dict[str, _Origin] = {}
        self._windows: dict[str, _Window] = {}

    @property
    def slow(self) -> int:
        """Requests that are slow at this moment."""
        return self._slow.taken

    def come_back(self, origin: str) -> None:
        """An origin that was away is there again: it is not to be overrun."""
        self._windows[origin] = _Window()

    def went(self, origin: str, *, well: bool) -> None:
        """A request is over; `well`: it was answered in time, and not by 429 or 5xx."""
        if (window := self._windows.get(origin)) is None:
            return
        window.went(well)
        if window.size >= self._slots:
            del self._windows[origin]

    def enter(self, origin: str, *, slow: bool, now: int) -> Visit | int:
        """
        A place for a request; or when to ask again, since there is none now.

        slow: The last request was slow or has failed.
        """
        here = self._origins.get(origin) or _Origin(_Places(self._slots), _Places(self._slots // 2))
        for places in (self._slow, here.slow, here.all) if slow else (here.all,):
            if places.full:
                return places.again(now)
        if (window := self._windows.get(origin)) is not None and here.all.taken >= window.size:
            return here.all.again(now)
        self._origins[origin] = here
        here.moved = now
        here.all.taken += 1
        here.slow.taken += slow
        self._slow.taken += slow
        return Visit(origin, slow, now)

    async def come_free(self, origin: str, now: Callable[[], int]) -> bool:
        """Wait briefly until a place comes free, where others come and leave; False when that isn't to be."""
        here = self._origins.get(origin)
        if here is None or now() - here.moved > BRIEFLY * 1000:
            return False
        free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        here.waiting.append(free)
        try:
            for _ in range(MOST_BRIEF):
                if (await asyncio.wait((free,), timeout=BRIEFLY))[0]:
                    return True
                if now() - here.moved > BRIEFLY * 1000:
                    break
        finally:
            if not free.done():
                here.waiting.remove(free)
        return False

    def slowed(self, visit: Visit, now: int) -> bool:
        """
        The request has become slow. If half of its origin's places are slow already, it goes on without one.

        False when there are too many slow ones at all origins: it must not go on.
        """
        if visit.slow or not visit.holds:
            return True
        if self._slow.full:
            return False
        visit.slow = True
        self._slow.taken += 1
        here = self._origins[visit.origin]
        if here.slow.full:
            self._give_back(visit, now)
        else:
            here.slow.taken += 1
        return True

    async def answer(self, visit: Visit, now: Callable[[], int], request: Awaitable[T]) -> T | None:
        """What a request is answered; None when it has become slow, before it was accepted, and was broken off."""
        loop = asyncio.get_running_loop()

        def turn_slow() -> None:
            if not self.slowed(visit, now()) and not visit.accepted:
                patience.reschedule(loop.time())

        turning = loop.call_later(SLOW, turn_slow)
        try:
            async with asyncio.timeout(None) as patience:
                return await request
        except TimeoutError:  # never the channel's: it says so in its outcome
            return None
        finally:
            turning.cancel()

    def broken_off(self, now: int) -> int:
        """When a request that must not go on is to be made again."""
        return self._slow.again(now)

    def leave(self, visit: Visit, now: int) -> None:
        """The request is over."""
        if visit.holds:
            if visit.slow:
                self._origins[visit.origin].slow.leave(visit.since, now)
            self._give_back(visit, now)
        if visit.slow:
            self._slow.leave(visit.since, now)
        visit.slow = False

    def _give_back(self, visit: Visit, now: int) -> None:
        here = self._origins[visit.origin]
        here.all.leave(visit.since, now)
        here.moved = now
        visit.holds = False
        if here.waiting:
            here.waiting.popleft().set_result(None)
        if here.all.taken == 0:
            del self._origins[visit.origin]
