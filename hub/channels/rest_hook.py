"""
The rest-hook channel: one request, and what came of it.

https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/channels.html#rest-hook
"""

import asyncio
from collections.abc import ItemsView
from functools import lru_cache

import aiohttp
import httpx
from multidict import CIMultiDict

from hub.channels.guard import BlockedAddress
from subscriptions.message import Message
from subscriptions.retry import Accepted, Blocked, Fault, Outcome, Refused, Unreachable
from subscriptions.subscription import Subscription

#: Bytes of an answer that are read before the connection is closed.
MOST_READ = 65_536
#: Characters of it that are handed on.
MOST_SAID = 200
#: Seconds in which a refusal may explain itself: it is one already.
EXCUSES = 1.0


#: Seconds within which there must be a connection, and the most of an attempt's: over before the attempt is, so that it
#: can be told from an answer that does not come.
CONNECT, CONNECT_SHARE = 10.0, 0.8


class _Headers(httpx.Headers):
    """Headers one by one, as they were written: httpx' own items join repeated ones and write names in lower case."""

    def items(self) -> ItemsView[str, str]:
        return CIMultiDict((name.decode("ascii"), value.decode("ascii")) for name, value in self.raw).items()


class RestHook:
    """
    Sends notifications by HTTP. The guard is built into the connectors of both clients.

    trusted: The client for `trusted_hosts`, which are allowed although their addresses are private.
    """

    def __init__(
        self, client: httpx.AsyncClient, trusted: httpx.AsyncClient, trusted_hosts: frozenset[str] = frozenset()
    ) -> None:
        self._client = client
        self._trusted = trusted
        self._trusted_hosts = trusted_hosts

    async def close(self) -> None:
        await self._client.aclose()
        await self._trusted.aclose()

    async def send(self, subscription: Subscription, message: Message, *, seconds: float) -> Outcome:
        """One attempt, over after so many seconds, whatever the endpoint does. Never raises for what it does."""
        try:
            url = _url(subscription.endpoint)
            if message.suffix:
                url = _below(subscription.endpoint, message.suffix)
        except (httpx.InvalidURL, UnicodeError):  # such as a label of 64 characters: no resolver takes it
            return Unreachable(Fault.DNS)
        response: httpx.Response | None = None
        said = bytearray()
        try:
            async with asyncio.timeout(seconds) as deadline:
                response = await self._request(url, subscription, message, seconds)
                try:
                    if not response.is_success:
                        _hasten(deadline, EXCUSES)
                    await _drain(response, said)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, aiohttp.ClientError, OSError, UnicodeError) as error:
            # Once it has answered, a long, slow or broken body costs the connection only.
            if response is None:
                return _outcome(error)
        text = said.decode(errors="replace")[:MOST_SAID]
        if response.is_success:
            return Accepted(response.status_code, text)
        return Refused(response.status_code, response.headers.get("Retry-After"), text)

    async def _request(
        self, url: httpx.URL, subscription: Subscription, message: Message, seconds: float
    ) -> httpx.Response:
        client = self._trusted if url.host in self._trusted_hosts else self._client
        headers = httpx.Headers(client.headers)
        content_type = [("Content-Type", message.content_type)] if message.content_type else []
        headers.update([*subscription.headers, *message.headers, *content_type])
        # `client.build_request` would do the same, and twice the work: it merges cookies, parameters and base URL too.
        # `pool` is aiohttp's `connect`: all that comes before the request is sent.
        extensions = {"timeout": {"pool": min(CONNECT, seconds * CONNECT_SHARE)}}
        request = httpx.Request(message.method, url, content=message.body, headers=headers, extensions=extensions)
        request.headers = _Headers(request.headers)
        return await client.send(request, stream=True)


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


def _hasten(deadline: asyncio.Timeout, seconds: float) -> None:
    """Bring a deadline forward, if it is later than in so many seconds."""
    sooner, now = asyncio.get_running_loop().time() + seconds, deadline.when()
    deadline.reschedule(sooner if now is None else min(now, sooner))


async def _drain(response: httpx.Response, said: bytearray) -> None:
    """Read the answer, if it is not long, so that the connection can be used again; keep how it begins."""
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        said += chunk[: 4 * MOST_SAID - len(said)]  # UTF-8 takes four bytes for a character at most
        if read > MOST_READ:
            return


def _outcome(error: BaseException) -> Outcome:
    """The transport hides most causes behind ConnectTimeout; the chain tells."""
    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, BlockedAddress):
            return Blocked(str(cause))
    for kind, fault in _FAULTS:
        if any(isinstance(cause, kind) for cause in causes):
            return Unreachable(fault)
    return Unreachable(Fault.OTHER)


def _chain(error: BaseException | None) -> "list[BaseException]":
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        inner = getattr(error, "os_error", None)
        if isinstance(inner, BaseException):
            found.append(inner)
        error = error.__cause__ or error.__context__
    return found


#: The first kind that is found in the chain of causes says what happened.
_FAULTS: tuple[tuple[type[BaseException], Fault], ...] = (
    (aiohttp.ClientConnectorDNSError, Fault.DNS),
    (aiohttp.ClientConnectorCertificateError, Fault.TLS),
    (aiohttp.ClientSSLError, Fault.TLS),
    (aiohttp.ConnectionTimeoutError, Fault.CONNECT_TIMEOUT),
    (ConnectionRefusedError, Fault.REFUSED),
    (aiohttp.ClientConnectorError, Fault.OTHER),
    (aiohttp.ServerDisconnectedError, Fault.RESET),
    (ConnectionResetError, Fault.RESET),
    (BrokenPipeError, Fault.RESET),
    (aiohttp.ClientOSError, Fault.RESET),
    (aiohttp.ClientResponseError, Fault.GARBAGE),
    (aiohttp.ClientPayloadError, Fault.GARBAGE),
    (UnicodeError, Fault.GARBAGE),
    (TimeoutError, Fault.TIMEOUT),
)
