"""
What was tried, for the operator: the last attempts at each subscription's notifications.

`hub:{s}:attempts` is a stream, written by `settle` together with what it decides, an entry each: `sending` (see
`Sending`), `number` (of the attempt at it, from 1), `verb`, `said`, `milliseconds`, `bytes` (that were sent) and, if
there was one, `answer` (how it began). What was on the wire when the subscription was changed is not among them.
"""

from dataclasses import dataclass

from hub.keys import SubscriptionKey
from hub.pipeline import Pipeline, script
from hub.turn import Sending, Sent, Verb

BLANK = script("blank")

#: Attempts that are shown. A few more are there: Redis trims whole nodes of a stream, which costs less.
KEPT = 100


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One attempt.

    at: ms at which it was over.
    number: 1 for the first one at what was pinned.
    verb, said: What was decided, and why.
    """

    at: int
    sending: Sending
    number: int
    verb: Verb
    said: str
    sent: Sent


class Attempts:
    """The last attempts of all subscriptions, to be read."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def last(self, subscription: SubscriptionKey) -> list[Attempt]:
        """Those of a subscription, the latest first."""
        reply = await self._pipeline.command("XREVRANGE", subscription.attempts, "+", "-", "COUNT", KEPT)
        return [_attempt(id_, dict(zip(row[::2], row[1::2], strict=True))) for id_, row in reply]

    async def blank(self, subscription: SubscriptionKey) -> None:
        """Leave out what the endpoint has answered: it may repeat what it was sent."""
        await self._pipeline.run(BLANK, [subscription.attempts])


def _attempt(id_: bytes, row: dict[bytes, bytes]) -> Attempt:
    return Attempt(
        at=int(id_.split(b"-")[0]),
        sending=Sending.parse(row[b"sending"].decode()),
        number=int(row[b"number"]),
        verb=Verb(row[b"verb"].decode()),
        said=row[b"said"].decode(),
        sent=Sent(int(row[b"milliseconds"]), int(row[b"bytes"]), row.get(b"answer", b"").decode()),
    )
