"""Getting a small JSON document from where an operator says that it is, with limits of time and size."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import SSLContext
from typing import Any

import httpx
import msgspec

from hub.channels.clients import http_client, tls_context
from hub.channels.faults import FAILURES, outcome_of
from hub.channels.guard import Guard
from hub.channels.own import Own
from hub.channels.transport import request
from subscriptions.retry import Blocked

#: Seconds that one document may take, and bytes that it may have.
PATIENCE, MOST_READ = 5.0, 262_144


class NotFetched(Exception):
    """The document can't be had now, and why."""


@dataclass(frozen=True, slots=True)
class Fetching:
    """
    Whoever configured the address answers for it: it may be private, on any port, and behind the proxy that the hub is
    behind. Metadata services stay refused.
    """

    guard: Guard
    tls: SSLContext = field(repr=False)

    @classmethod
    def of(cls, guard: Guard, authorities: Path | None) -> "Fetching":
        """`authorities`: PEM of those who may vouch for it too; raises NotTheHub when it can't be read."""
        return cls(replace(guard, allow_private=True, ports=range(1, 65_536), own=Own()), tls_context(authorities))

    async def document(self, url: str) -> dict[str, Any]:
        """What is there, by a connection of its own: it is rarely asked for. Raises NotFetched."""
        client = http_client(self.guard, self.tls)
        try:
            async with asyncio.timeout(PATIENCE):
                asked = request("GET", httpx.URL(url), {"Accept": "application/json"}.items(), b"")
                response = await client.handle_async_request(asked)
                try:
                    return _read(response.status_code, await _body(response))
                finally:
                    await response.aclose()
        except (*FAILURES, httpx.InvalidURL) as error:
            match outcome_of(error):
                case Blocked(rule):
                    raise NotFetched(f"the hub must not call its address ({rule})") from None
                case unreachable:
                    raise NotFetched(unreachable.text.replace("the endpoint", "it")) from None
        finally:
            await client.aclose()


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MOST_READ:
            raise NotFetched(f"its answer has more than {MOST_READ:,} bytes")
    return bytes(body)


def _read(status: int, body: bytes) -> dict[str, Any]:
    if status != 200:
        raise NotFetched(f"it answered {status}")
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise NotFetched("its answer is no JSON object")
    return said
