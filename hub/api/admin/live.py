"""
`/admin/live`: what happens, as it happens, as Server-Sent Events.
https://html.spec.whatwg.org/multipage/server-sent-events.html

Whoever watches is asked anew each second who he is: a stream ends when he may not watch any more. It also ends after
some minutes, when its client leaves, or takes nothing more, when Redis is away, and at once when the process is told to
stop.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from hub.access import DEFAULT
from hub.api.admin.asked import Query
from hub.api.admin.overview import summarised
from hub.api.admin.points import point
from hub.api.admin.shown import iso
from hub.api.documentation import watched as documentation
from hub.api.endless import endless, may_still
from hub.api.exchange import Exchange
from hub.api.routes import Route
from hub.errors import Declined, Unavailable
from hub.figures import Span
from hub.pulse import Beat, Pulse
from hub.summary import Summaries
from hub.tailing import Step, Steps, Tailing

#: Seconds between two figures, and that a stream goes on at most.
EVERY, LONGEST = 1.0, 900

#: Streams of one process, and seconds until one may be had where there are as many.
MOST, COME_BACK = 50, 5

MEDIA_TYPE = "text/event-stream"


@dataclass
class Watchers:
    """Those who watch in this process, of all tenants. `streams`: How many."""

    pulse: Pulse
    tailing: Tailing
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Live:
    """Of one tenant; and of the hub's matching, where it is the default one."""

    tenant: str
    watchers: Watchers
    summaries: Summaries

    def routes(self) -> Iterator[Route]:
        yield Route("GET", "/admin/live", self.watch, documentation.LIVE)

    async def watch(self, request: Request) -> Response:
        query = Query(Exchange(request), "tail", "seconds")
        seconds, tail = query.number("seconds", LONGEST, most=LONGEST), query.flag("tail")
        first = await self.watchers.pulse.beat()  # before it is counted who watches: all may have come at once
        if self.watchers.streams >= MOST:
            raise Declined(f"As many watch as may: {MOST} in each process.", retry_after=COME_BACK)
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE)
        endless(request)
        return _Stream(self.watchers, self._events(request, first, seconds, tail=tail))

    async def _events(self, request: Request, beat: Beat, seconds: float, *, tail: bool) -> AsyncIterator[bytes]:
        """What is told, until it is over."""
        end, summary = monotonic() + seconds, None
        following = monotonic()
        with ExitStack() as stack:
            steps = stack.enter_context(self.watchers.tailing.watching()) if tail else None
            yield b": what happens from now on\n\n"
            while (now := monotonic()) < end:
                if now < following:
                    for step in await _until(min(following, end), steps):
                        if step["tenant"] == self.tenant:
                            yield _event("step", {**step, "at": iso(step["at"])})
                    continue
                following = max(following + EVERY, now)
                try:
                    if not await may_still(request):
                        return
                    before, beat = beat, await self.watchers.pulse.beat()
                    stands = summarised(await self.summaries.of(self.tenant))
                except Unavailable:
                    return  # whoever asks again is told why
                if told := self._figures(before, beat):
                    changed = {} if stands == summary else {"subscriptions": stands}
                    summary = stands
                    yield _event("figures", told | changed)

    def _figures(self, before: Beat, beat: Beat) -> dict[str, Any] | None:
        """What was counted between two readings; None if there is but one."""
        milliseconds = beat.reading.at - before.reading.at
        if milliseconds <= 0:
            return None
        span = Span(milliseconds, beat.reading.totals - before.reading.totals)
        return point(beat.reading.at, span, beat.behind if self.tenant == DEFAULT else None, self.tenant)


class _Stream(StreamingResponse):
    """One stream, which is counted for as long as it lasts."""

    def __init__(self, watchers: Watchers, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, media_type=MEDIA_TYPE)
        self._watchers = watchers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._watchers.streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._watchers.streams -= 1


async def _until(end: float, steps: Steps | None) -> list[Step]:
    """The steps that have come, as soon as there is one; none when it takes until then."""
    wait = max(end - monotonic(), 0)
    if steps is None:
        await asyncio.sleep(wait)
        return []
    try:
        async with asyncio.timeout(wait):  # `wait_for` may swallow a cancellation before Python 3.12
            found = [await steps.get()]
    except TimeoutError:
        return []
    while not steps.empty():
        found.append(steps.get_nowait())
    return found


def _event(name: str, told: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(told))
