"""What operators ask for, in JSON of our own."""

from collections.abc import Set
from typing import Any

from hub.api.exchange import Exchange
from hub.errors import Refused
from hub.ingest.strict import parse
from subscriptions.codes import IssueCode


async def members(exchange: Exchange, taken: Set[str], *, max_body: int, max_nesting: int) -> dict[str, Any]:
    """
    The members of a request's body.

    Args:
        taken: Those that it may have.

    Raises:
        Refused: 400 for others, and for parameters: nothing is done of which a part was not heeded.
    """
    exchange.without_parameters()
    body = parse(await exchange.body(max_body), max_nesting=max_nesting)
    if unknown := sorted(body.keys() - taken):
        text = f"`{unknown[0][:60]}` is not what is taken here, which is {', '.join(sorted(taken))}."
        raise Refused.because(400, IssueCode.NOT_SUPPORTED, text, unknown[0][:60])
    return body
