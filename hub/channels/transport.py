"""
How a request leaves the process: httpx' interface over aiohttp, with nothing that was not asked for.

There are no cookies, redirects, proxies of the environment or decoding of what is answered. httpx' client brings them
all, and takes twice the processor time to leave them out.
"""

import ssl
from collections.abc import AsyncIterator, Iterable

import aiohttp
import httpx
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from hub.channels.guard import Guard

#: What every request says, unless it says something else by these names.
_USUAL = (
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),
    ("Connection", "keep-alive"),
    ("User-Agent", "fhir-event-hub"),
)


def request(
    method: str, url: httpx.URL, headers: Iterable[tuple[str, str]], body: bytes, *, connect: float | None = None
) -> httpx.Request:
    """
    A request of our own, with the usual headers before those given.

    Args:
        connect: Seconds within which there must be a connection.

    Raises:
        UnicodeError: A header is no ASCII.
    """
    given = list(headers)
    names = {name.lower() for name, _ in given}
    usual = [header for header in _USUAL if header[0].lower() not in names]
    return httpx.Request(
        method,
        url,
        headers=[("Host", url.netloc.decode("ascii")), ("Content-Length", str(len(body))), *usual, *given],
        stream=httpx.ByteStream(body),  # as `content` it would have the headers gone through twice
        extensions={"timeout": {"connect": connect}},
    )


class Transport(httpx.AsyncBaseTransport):
    """
    Sends each request as it is, headers as they are written, over connections that are kept.

    Its failures are aiohttp's, and RuntimeError once it is closed. No time is limited but that to `connect`.
    """

    def __init__(self, guard: Guard, tls: ssl.SSLContext) -> None:
        self._guard = guard
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        session = self._session = self._session or self._begun()
        response = await session.request(
            request.method,
            URL(str(request.url), encoded=True),  # else yarl writes some characters in its own way
            # httpx' own items join repeated ones and write names in lower case.
            headers=CIMultiDict((name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw),
            data=await request.aread() or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=request.extensions.get("timeout", {}).get("connect")),
        )
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response), request=request)

    def _begun(self) -> aiohttp.ClientSession:
        """What belongs to the running loop."""
        if self._closed:
            raise RuntimeError("it is closed")
        return aiohttp.ClientSession(
            connector=_Connector(self._guard, self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Content-Type",),
        )

    async def aclose(self) -> None:
        self._closed = True
        if self._session:
            await self._session.close()


class _Connector(aiohttp.TCPConnector):
    """
    Guarded, and closes its resolver: aiohttp does that only to one that it has chosen itself.

    A kept connection on which something came that nobody asked for is not used again. aiohttp would take that for the
    answer to the next request, and a notification for delivered that never was sent.
    """

    def __init__(self, guard: Guard, tls: ssl.SSLContext) -> None:
        self._names = guard.resolver()
        super().__init__(limit=0, use_dns_cache=False, ssl=tls, resolver=self._names, socket_factory=guard.open_socket)

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (kept := await super()._get(key, traces)) and (protocol := kept.protocol) and protocol.should_close:
            kept.close()
        return kept

    async def close(self, *, abort_ssl: bool = False) -> None:
        await super().close(abort_ssl=abort_ssl)
        await self._names.close()


class _Body(httpx.AsyncByteStream):
    """What is answered, as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.content.iter_any()

    async def aclose(self) -> None:
        self._response.release()
        await self._response.wait_for_close()
