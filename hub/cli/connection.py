"""
What one connection may take: uvicorn's protocol with limits on time and size, so that nobody holds a place by being
slow.

The head of a request and its body have a deadline each, counted from their beginning, however many bytes drip in
between. When there are too many connections, or too much of bodies that are not complete, whoever holds most has to go:
one that is idle, then the one that has been incomplete for longest. A request that is complete is never touched.
"""

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto
from time import monotonic
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from hub.api.endless import is_endless
from hub.api.outcome import MEDIA_TYPE, outcome
from hub.api.protection import PROTECTION, WITHOUT_CACHE
from subscriptions.codes import IssueCode
from subscriptions.errors import Issue

#: Seconds that a peer has to take the last of what it is sent, and to close. What it sends meanwhile is dropped: were
#: the connection closed under it, it would not get to read why.
LINGER = 2.0


@dataclass(slots=True)
class Limits:
    """
    What all connections of a process may take.

    head, body: Seconds for the head of a request, and for its body; the latter also for taking an answer.
    head_bytes: Of its request line and headers.
    connections: Count.
    body_bytes: Of bodies that are not complete, together.
    received: Of these, now.
    """

    head: float
    body: float
    head_bytes: int
    connections: int
    body_bytes: int
    received: int = field(default=0, init=False)


class Limited(uvicorn.Config):
    """What uvicorn serves with, and the limits of its connections."""

    def __init__(self, app: Any, limits: Limits, **options: Any) -> None:
        super().__init__(app, http=Connection, ws="none", **options)
        self.limits = limits


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused before anybody has seen it."""

    status: int
    code: IssueCode
    text: str

    def written(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The answer, after which the connection is closed."""
        body = outcome(Issue(self.code, self.text))
        own = [
            *headers,
            *PROTECTION,
            (b"cache-control", WITHOUT_CACHE),
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if self.status == 503:
            own.append((b"retry-after", b"1"))
        head = b"".join(b"%s: %s\r\n" % header for header in own)
        return b"".join((STATUS_LINE[self.status], head, b"\r\n", body))


MALFORMED = Refusal(400, IssueCode.STRUCTURE, "This is no HTTP request.")
LATE_HEAD = Refusal(408, IssueCode.TIMEOUT, "The head of the request did not come in time.")
LATE_BODY = Refusal(408, IssueCode.TIMEOUT, "The body of the request did not come in time.")
CROWDED = Refusal(503, IssueCode.THROTTLED, "There are as many connections as may be: try again.")
BURDENED = Refusal(503, IssueCode.THROTTLED, "Too much is on its way to the hub at once: try again.")


def large_head(most: int) -> Refusal:
    text = f"The request line and the headers are larger than {most} bytes: a search can be sent as a form."
    return Refusal(431, IssueCode.TOO_LONG, text)


class _Refused(Exception):
    """Ends the parsing. Why stands in the connection."""


class Stage(Enum):
    """Of the request that a connection is receiving. OVER: it was refused, and nothing more is read."""

    NONE = auto()
    HEAD = auto()
    BODY = auto()
    OVER = auto()


class Connection(HttpToolsProtocol):
    """One connection. The callbacks are those of asyncio and of httptools."""

    config: Limited

    def __init__(
        self,
        config: Limited,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._stage, self._since, self._turn = Stage.NONE, 0.0, 0
        self._head = self._body = 0
        self._watched = (-1, Stage.NONE)
        self._deadline: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._refusal: Refusal | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > self._limits.connections and not self._make_room():
            self._refuse(CROWDED)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_body()
        self._cancel()
        if self._taking:
            self._taking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal or self.transport.is_closing():
            return
        before = (self._turn, self._stage)
        super().data_received(data)
        if self._stage is Stage.HEAD and before == (self._turn, self._stage):
            # A header that goes on and on is told to nobody before it has ended.
            self._head += len(data)
            if self._head > self._limits.head_bytes:
                self._refuse(large_head(self._limits.head_bytes))
        self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the hub's own says it)
        self._refuse(self._refusal or MALFORMED)

    def on_message_begin(self) -> None:
        self._turn += 1
        self._stage, self._head = Stage.HEAD, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if self._stage is Stage.HEAD:  # what comes behind a body is no header any more
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stage = Stage.BODY
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        self._limits.received += len(body)
        if self._limits.received > self._limits.body_bytes:
            self._relieve()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stage = Stage.NONE
        self._forget_body()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self.loop.call_later(self._limits.body, self.transport.abort)

    def resume_writing(self) -> None:
        if self._taking:
            self._taking.cancel()
        super().resume_writing()

    def shutdown(self) -> None:
        if self._busy and is_endless(self.cycle.scope):
            self._close()
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    @property
    def _busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _idle(self) -> bool:
        return self._stage is Stage.NONE and not self._busy

    @property
    def _incomplete(self) -> bool:
        """Whether nothing is done for it before more of its request has come."""
        return not self.pipeline and (self._stage is Stage.BODY or (self._stage is Stage.HEAD and not self._busy))

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self._limits.head_bytes:
            self._refusal = large_head(self._limits.head_bytes)
            raise _Refused

    def _forget_body(self) -> None:
        self._limits.received -= self._body
        self._body = 0

    def _watch(self) -> None:
        """Have a deadline for what has begun, and none for what has ended."""
        at = (self._turn, self._stage)
        if at == self._watched or self._refusal:
            return
        self._watched, self._since = at, monotonic()  # the loop's own clock counts ms
        self._again()

    def _again(self) -> None:
        self._cancel()
        if self._stage is not Stage.NONE or not self._turn:
            seconds = self._limits.body if self._stage is Stage.BODY else self._limits.head
            self._deadline = self.loop.call_later(seconds, self._late)

    def _cancel(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _late(self) -> None:
        if self._idle:
            self._close()
        elif self._incomplete:
            self._refuse(LATE_BODY if self._stage is Stage.BODY else LATE_HEAD)
        else:  # it waits for the hub, not the hub for it
            self._again()

    def _make_room(self) -> bool:
        """Close another connection; False when each of them has a request that is being answered."""
        others = [each for each in self._others() if not each.transport.is_closing()]
        for over in (each for each in others if each._stage is Stage.OVER):
            over.transport.abort()
        others = [each for each in others if each._stage is not Stage.OVER]
        if len(others) < self._limits.connections:
            return True
        if idle := min((each for each in others if each._idle and each._turn), key=_since, default=None):
            idle._close()
            return True
        if slow := min((each for each in others if each._idle or each._incomplete), key=_since, default=None):
            slow._refuse(CROWDED)
        return slow is not None

    def _relieve(self) -> None:
        """Refuse the connection that has sent most of a body that is not complete."""
        most = max((self, *self._others()), key=lambda each: each._body)
        if most is self:
            self._refusal = BURDENED
            raise _Refused
        most._refuse(BURDENED)

    def _others(self) -> "list[Connection]":
        return [each for each in self.connections if isinstance(each, Connection) and each is not self]

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what is not complete, and close. An answer that has begun is not disturbed."""
        self._refusal = refusal
        if self._stage is not Stage.BODY and self._busy:
            # What came before it is still answered, and then it is over.
            self.cycle.keep_alive = False
            return
        if self._stage is Stage.BODY and (self.pipeline or self.cycle.response_started):
            self.transport.abort()
            return
        if self._busy:  # whoever waits for the body is told that it won't come
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._cancel()
        self._forget_body()
        self._stage = Stage.OVER
        self.transport.write(refusal.written(self.server_state.default_headers))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.abort)

    def _close(self) -> None:
        self._cancel()
        self.transport.close()
        self.loop.call_later(LINGER, self.transport.abort)


def _since(connection: Connection) -> float:
    return connection._since
