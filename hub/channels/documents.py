"""A small JSON object as the answer to one request."""

from collections.abc import Iterable
from typing import Any

import httpx
import msgspec

from hub.channels.faults import FAILURES, outcome_of
from hub.channels.transport import request
from subscriptions.retry import Blocked


class NotFetched(Exception):
    """It can't be had now, and why."""


async def ask(
    client: httpx.AsyncBaseTransport,
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes = b"",
    *,
    whom: str,
    most: int,
) -> tuple[int, dict[str, Any] | None]:
    """
    The status of an answer, and the object that it is; None where it is none, or has more bytes than `most`.

    whom: Who is asked, as the reason names him.
    """
    try:
        response = await client.handle_async_request(request(method, httpx.URL(url), headers, body))
        try:
            return response.status_code, _object(await _body(response, most))
        finally:
            await response.aclose()
    except (*FAILURES, httpx.InvalidURL) as error:
        match outcome_of(error):
            case Blocked(rule):
                raise NotFetched(f"the hub must not call {whom}'s address ({rule})") from None
            case unreachable:
                raise NotFetched(unreachable.text.replace("the endpoint", whom)) from None


async def _body(response: httpx.Response, most: int) -> bytes:
    """The answer's body; empty when it is too long."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            return b""
    return bytes(body)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
