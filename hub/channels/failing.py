"""The failpoint of outgoing requests: beneath the client, so that none gets by."""

import httpx

from hub.failpoints import Failpoint, failpoint


class _Failing(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, crash: Failpoint) -> None:
        self._inner = inner
        self._crash = crash

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._crash.around("request", lambda: self._inner.handle_async_request(request))

    async def aclose(self) -> None:
        await self._inner.aclose()


def failing(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    """A transport that kills the process where the environment says so; itself if it says nothing."""
    crash = failpoint()
    return _Failing(transport, crash) if crash else transport
