"""
The rest-hook channel: one request, and what came of it.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/channels.html#rest-hook
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

import httpx

from hub.channels.clients import Clients
from hub.channels.faults import FAILURES, outcome_of
from hub.channels.tokens import NoToken, Tokens
from hub.channels.transport import request
from hub.credentials import NO_CREDENTIALS, ClientCredentials, Credentials
from subscriptions.message import Message
from subscriptions.retry import Accepted, Fault, Outcome, Refused, Unauthorized, Unreachable
from subscriptions.signing import signed_headers
from subscriptions.subscription import Subscription

#: Bytes of an answer that are read before the connection is closed.
MOST_READ = 65_536
#: Characters of it that are handed on.
MOST_SAID = 200
#: Characters from which on a part of a header is hidden where an answer repeats it: what is shorter is no secret.
SECRET = 8
#: Seconds that are waited for the body of an answer: its status has said it all.
MOST_BODY = 1.0


#: Seconds within which there must be a connection, and the most of an attempt's: over before the attempt is, so that it
#: can be told from an answer that does not come.
CONNECT, CONNECT_SHARE = 10.0, 0.8


class RestHook:
    """
    Sends notifications by HTTP, by the guarded clients.

    now: ms since 1970, for the signatures.
    """

    def __init__(self, clients: Clients, *, now: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clients = clients
        self._tokens = Tokens(clients)
        self._now = now

    async def close(self) -> None:
        await self._clients.close()

    async def send(
        self,
        subscription: Subscription,
        message: Message,
        *,
        seconds: float,
        credentials: Credentials = NO_CREDENTIALS,
        accepted: Callable[[], None] = lambda: None,
        trace: str = "",
    ) -> Outcome:
        """
        One attempt, over after so many seconds, whatever the endpoint does. Never raises for what it does.

        accepted: Called as soon as a status says so: not to be broken off any more, and over within MOST_BODY.
        trace: The `traceparent` that it bears; empty for none.
        """
        try:
            url = _url(subscription.endpoint)
            if message.suffix:
                url = _below(subscription.endpoint, message.suffix)
        except (httpx.InvalidURL, UnicodeError):  # such as a label of 64 characters: no resolver takes it
            return Unreachable(Fault.DNS)
        answer = _Answer()
        try:
            async with asyncio.timeout(seconds), self._clients.lent(url.host, credentials.certificate) as client:
                attempt = _Attempt(client, url, subscription, message, credentials, answer, seconds, accepted, trace)
                if credentials.oauth:
                    await self._authorized(attempt, credentials.oauth, seconds)
                else:
                    await attempt.make(self._now())
        except NoToken as error:
            return Unauthorized(str(error))
        except FAILURES as error:
            if answer.status == 0:
                return outcome_of(error)
        if 200 <= answer.status <= 299:
            return Accepted(answer.status, answer.text)
        return Refused(answer.status, answer.retry_after, answer.text)

    async def _authorized(self, attempt: "_Attempt", oauth: ClientCredentials, seconds: float) -> None:
        """With an access token, which may take half of the time; once more with a fresh one if that was refused."""
        token = await self._tokens.token(oauth, seconds=seconds / 2)
        await attempt.make(self._now(), token.text)
        if attempt.answer.status == 401 and token.kept:
            token = await self._tokens.token(oauth, seconds=seconds / 2, instead_of=token.text)
            await attempt.make(self._now(), token.text)


@dataclass(slots=True)
class _Answer:
    """
    What an endpoint has said so far; no status yet is 0.

    hidden: What it was told as a secret: an answer that repeats it is kept without.
    """

    status: int = 0
    retry_after: str | None = None
    said: bytearray = field(default_factory=bytearray)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    @property
    def wanted(self) -> int:
        """Bytes of the answer that are needed: UTF-8 takes four for a character at most, and no secret may be cut."""
        return 4 * MOST_SAID + max(map(len, self.hidden), default=0)

    @property
    def text(self) -> str:
        text = self.said.decode(errors="replace")
        for each in self.hidden:
            text = text.replace(each, "*" * len(each))
        return text[:MOST_SAID]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One notification on its way to one endpoint."""

    client: httpx.AsyncBaseTransport
    url: httpx.URL
    subscription: Subscription
    message: Message
    credentials: Credentials
    answer: _Answer
    seconds: float
    accepted: Callable[[], None]
    trace: str

    async def make(self, now: int, token: str = "") -> None:
        """Send it, and keep the answer. `now` is in ms."""
        answer = self.answer
        answer.status, answer.said = 0, bytearray()
        answer.hidden = _secrets([*(value for _, value in self.subscription.headers), token])
        response = await self.client.handle_async_request(self._request(now, token))
        try:
            answer.status, answer.retry_after = response.status_code, response.headers.get("Retry-After")
            if response.is_success:
                self.accepted()
            with suppress(*FAILURES):  # once it has answered, a long, slow or broken body costs the connection only
                async with asyncio.timeout(MOST_BODY):
                    await _drain(response, answer)
        finally:
            await response.aclose()

    def _request(self, now: int, token: str) -> httpx.Request:
        message, credentials = self.message, self.credentials
        own = [("Content-Type", message.content_type)] if message.content_type else []
        if credentials.signing:
            own += signed_headers(message.id, message.body, credentials.signing, credentials.hub_key, now=now)
        theirs = self.subscription.headers
        if self.trace and not any(name.lower() == "traceparent" for name, _ in theirs):
            own.append(("traceparent", self.trace))
        if token:
            theirs = tuple(header for header in theirs if header[0].lower() != "authorization")
            own.append(("Authorization", f"Bearer {token}"))
        connect = min(CONNECT, self.seconds * CONNECT_SHARE)
        return request(message.method, self.url, (*theirs, *message.headers, *own), message.body, connect=connect)


@lru_cache(10_000)
def _url(endpoint: str) -> httpx.URL:
    """An endpoint, parsed once. Raises InvalidURL or UnicodeError."""
    url = httpx.URL(endpoint)
    url.host.encode("idna")
    return url


def _below(endpoint: str, suffix: str) -> httpx.URL:
    """What lies behind the path of an endpoint; its query stays."""
    path, mark, query = endpoint.partition("?")
    return httpx.URL(path.rstrip("/") + suffix + mark + query)


def _secrets(values: list[str]) -> tuple[str, ...]:
    """What is to be hidden of headers' values, `Bearer abc…` and `abc…` alike; the longest first."""
    found = {part for value in values for part in (value, *value.split()) if len(part) >= SECRET}
    return tuple(sorted(found, key=len, reverse=True))


async def _drain(response: httpx.Response, answer: _Answer) -> None:
    """Read the answer, if it is not long, so that the connection can be used again; keep how it begins."""
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        answer.said += chunk[: answer.wanted - len(answer.said)]
        if read > MOST_READ:
            return
