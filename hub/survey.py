"""
How all Subscriptions stand, at one look.

Each is a few fields of its hash, and of those that lag the first event that waits. They are read some at a time, and
others run between. Whoever asks while a look is taken, or soon after, gets the same: so it costs the same, however many
ask, and never more than a part of the time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import msgspec

from hub.channels.origins import origin
from hub.errors import Unavailable
from hub.instants import instant
from hub.keys import SubscriptionKey
from hub.pipeline import Pipeline
from hub.registered import Registered
from hub.registry import Registry
from subscriptions.codes import SubscriptionStatus
from subscriptions.ranges import Dropped, Range
from subscriptions.versions.forms import FORMS

#: Seconds for which a look is believed; and it takes at most this part of the time.
BELIEVED, PART = 2.0, 1 / 20

#: Seconds after that in which it is still what there is, while the next one is taken: enough for whoever asks again and
#: again, and so little that who has mended something, and asks once, sees it.
OLD = 2.0

#: Subscriptions that are read in one round trip.
CHUNK = 100

#: The fields that are read: see state.py.
FIELDS = (
    "status", "revision", "updated", "events", "delivered", "dropped_events", "skipped_events", "attempt", "next",
    "failing", "failing_code", "error", "error_code", "outcome", "outcome_at", "sending", "resend", "dropped",
    "skipped", "untold",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What a Subscription asked for, as far as it is shown.

    topic: The canonical, or the search that its criteria are.
    origin: Scheme, host and port of its endpoint; never the path, which may be a secret.
    content: How much of a resource it is told.
    """

    topic: str
    origin: str
    content: str


@dataclass(frozen=True, slots=True)
class Row:
    """
    How one Subscription stands.

    updated, next_at, outcome_at, oldest_at: ms since 1970; None for never, or for nothing that waits.
    dropped, skipped: How many events ever.
    lost: How many of those behind the last delivered one were dropped, and don't wait.
    attempt: Failures so far of what is being sent.
    error, code: Why the status is `error` or `off`, or else what goes wrong while attempts go on.
    failing: Whether it does.
    sending: What is pinned, as `Sending` has it; empty for nothing.
    resend: What waits to be sent once more.
    dropped_last: The last such range.
    missed: Of those that were skipped, what was not sent once more since.
    """

    key: SubscriptionKey
    owner: str
    wanted: Wanted
    status: SubscriptionStatus
    revision: int
    updated: int
    events: int
    delivered: int
    dropped: int
    skipped: int
    attempt: int
    next_at: int | None
    failing: bool
    error: str
    code: str
    outcome: str
    outcome_at: int | None
    lost: int = 0
    sending: str = ""
    resend: tuple[Range, ...] = ()
    dropped_last: Range | None = None
    missed: tuple[Range, ...] = ()
    oldest_at: int | None = None

    @property
    def undelivered(self) -> int:
        """Events that wait."""
        return self.events - self.delivered - self.lost

    @property
    def lags(self) -> bool:
        """Whether events wait, sent to it or not."""
        return self.undelivered > 0 and self.status is not SubscriptionStatus.OFF


@dataclass
class Survey:
    """Looks at them. `now`: seconds of a clock that only rises."""

    pipeline: Pipeline
    registry: Registry
    now: Callable[[], float] = monotonic
    _rows: tuple[Row, ...] = ()
    _of_tenant: dict[str, list[Row]] = field(default_factory=dict)
    _until: float = -OLD
    _renewing: "asyncio.Task[None] | None" = None
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wanted: dict[SubscriptionKey, tuple[int, Wanted]] = field(default_factory=dict)
    _held: dict[SubscriptionKey, tuple[list[bytes | None], Row]] = field(default_factory=dict)

    async def rows(self) -> tuple[Row, ...]:
        """
        Those of all tenants, as they stood some seconds ago, in no order.

        While the next look is taken there is the last one, unless it is old: nobody who asks often waits.
        """
        if self.now() >= self._until + OLD:
            await self._renew()
        elif self.now() >= self._until and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._renew_later())
        return self._rows

    async def fresh(self) -> tuple[Row, ...]:
        """Those of all tenants as they stand now: for what is done seldom, and must not be refused for an old look."""
        async with self._looking:
            await self._take()
        return self._rows

    async def _renew(self) -> None:
        async with self._looking:  # whoever waits gets what the first has found
            if self.now() >= self._until:
                await self._take()

    async def _take(self) -> None:
        began = self.now()
        self._rows = tuple([row async for row in self._look()])
        self._of_tenant = {}
        self._until = self.now() + max(BELIEVED, (self.now() - began) / PART)

    async def _renew_later(self) -> None:
        with suppress(Unavailable):  # whoever asks when it is old is told
            await self._renew()

    async def of(self, tenant: str) -> list[Row]:
        """Those of a tenant: the same list for as long as a look is believed."""
        rows = await self.rows()
        if tenant not in self._of_tenant:
            self._of_tenant[tenant] = [row for row in rows if row.key.tenant == tenant]
        return self._of_tenant[tenant]

    async def one(self, key: SubscriptionKey) -> Row | None:
        """One as it stands now; None when there is none."""
        (registered,) = await self.registry.read([key.registered_as])
        found = await self._read([registered]) if registered and registered.key == key else []
        return found[0] if found else None

    async def _look(self) -> AsyncIterator[Row]:
        seen, chunk = set[SubscriptionKey](), list[Registered]()
        async for registered in self.registry.all(chunk=CHUNK):
            if registered.key in seen:  # it changed meanwhile
                continue
            seen.add(registered.key)
            chunk.append(registered)
            if len(chunk) >= CHUNK:
                for row in await self._read(chunk):
                    yield row
                chunk = []
        for row in await self._read(chunk):
            yield row
        self._wanted = {key: held for key, held in self._wanted.items() if key in seen}
        self._held = {key: held for key, held in self._held.items() if key in seen}

    async def _read(self, chunk: list[Registered]) -> list[Row]:
        replies = await self.pipeline.all([("HMGET", each.key.subscription, *FIELDS) for each in chunk])
        found = [self._row(each, reply) for each, reply in zip(chunk, replies, strict=True) if reply[0] is not None]
        late = [row for row in found if row.lags]
        heads = await self.pipeline.all(
            [("XRANGE", row.key.outbox, f"{row.delivered + 1}-0", "+", "COUNT", 1) for row in late]
        )
        oldest = {row.key: _at(head[0][1]) for row, head in zip(late, heads, strict=True) if head}
        return [replace(row, oldest_at=oldest[row.key]) if row.key in oldest else row for row in found]

    def _row(self, registered: Registered, reply: list[bytes | None]) -> Row:
        """The one of the look before, where nothing has changed: so it is with most of them."""
        key, wanted = registered.key, self._of(registered)
        held = self._held.get(key)
        if held is None or held[0] != reply or held[1].wanted is not wanted:
            held = self._held[key] = reply, _row(registered, wanted, dict(zip(FIELDS, reply, strict=True)))
        return held[1]

    def _of(self, registered: Registered) -> Wanted:
        """What it asked for: read once for each of its revisions."""
        revision, wanted = self._wanted.get(registered.key, (0, None))
        if wanted is None or revision != registered.revision:
            wanted = _wanted(registered)
            self._wanted[registered.key] = registered.revision, wanted
        return wanted


def _wanted(registered: Registered) -> Wanted:
    form = FORMS[registered.key.version]
    try:
        resource = msgspec.json.decode(registered.resource)
        read = form.read_subscription(resource, now=instant(0), allow_http=True, legacy=registered.style)
        found = read.subscription
        return Wanted(found.topic or str(resource.get("criteria", "")), origin(found.endpoint), found.content.value)
    except (ValueError, TypeError, AttributeError):  # of an earlier release, and not understood any more
        return Wanted("", "", "")


def _row(registered: Registered, wanted: Wanted, fields: dict[str, bytes | None]) -> Row:
    def text(name: str) -> str:
        return (fields[name] or b"").decode()

    def number(name: str) -> int:
        return int(fields[name] or 0)

    error, failing = text("error"), text("failing")
    return Row(
        key=registered.key,
        owner=registered.owner,
        wanted=wanted,
        status=SubscriptionStatus(text("status")),
        revision=number("revision"),
        updated=number("updated"),
        events=number("events"),
        delivered=number("delivered"),
        dropped=number("dropped_events"),
        skipped=number("skipped_events"),
        attempt=number("attempt"),
        next_at=number("next") or None if text("status") != SubscriptionStatus.OFF else None,
        failing=bool(failing),
        error=error or failing,
        code=text("error_code") if error else text("failing_code"),
        outcome=text("outcome"),
        outcome_at=number("outcome_at") or None,
        lost=Dropped.parse(text("untold")).behind(number("delivered")) if text("untold") else 0,
        sending=text("sending"),
        resend=tuple(map(Range.parse, text("resend").split())),
        dropped_last=Range.parse(text("dropped")) if text("dropped") else None,
        missed=tuple(map(Range.parse, text("skipped").split())),
    )


def _at(fields: Any) -> int:
    named = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    return int(named[b"at"])
