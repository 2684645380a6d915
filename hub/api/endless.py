"""Answers that go on until somebody ends them: a process that stops does not wait for them."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hub.errors import Refused

_MARK = "endless"


def endless(request: Request) -> None:
    """Say that the answer to a request has no end of its own."""
    request.scope[_MARK] = True


async def may_still(request: Request) -> bool:
    """Whether who makes a request may do so now: asked now and then by what goes on. Raises Unavailable."""
    try:
        await request.scope["admit"](request)
    except Refused:
        return False
    return True


def is_endless(scope: Mapping[str, Any]) -> bool:
    """Whether it was said of the request of this scope."""
    return bool(scope.get(_MARK))
