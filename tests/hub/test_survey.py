"""How all Subscriptions stand, at one look."""

import pytest

from hub.errors import Unavailable
from hub.survey import BELIEVED, OLD, Survey
from hub.wiring.parts import Parts
from subscriptions.codes import SubscriptionStatus
from tests.facts import eventually
from tests.hub.engines import Publisher, active, fanout, matched, running, subscribe

HOOK = "http://127.0.0.1:9/hook"


async def test_who_asks_often_does_not_wait(parts: Parts) -> None:
    """A look is believed for a while; then there is still the last one, while the next is taken; and then no more."""
    clock = [100.0]
    survey = Survey(parts.pipeline, parts.registry, now=lambda: clock[0])
    await subscribe(parts, HOOK, id_="a")
    first = await survey.rows()
    assert [row.key.id for row in first] == ["a"]
    await subscribe(parts, HOOK, id_="b")
    clock[0] += BELIEVED - 0.1
    assert await survey.rows() is first
    clock[0] += 0.2
    assert await survey.rows() is first

    async def seen() -> bool:
        return len(await survey.rows()) == 2

    await eventually(seen)
    await subscribe(parts, HOOK, id_="c")
    clock[0] += BELIEVED + OLD + 0.1
    assert len(await survey.rows()) == 3


async def test_while_redis_is_away(parts: Parts) -> None:
    """There is what was seen last, as long as it isn't old; then whoever asks is told."""
    clock = [100.0]
    survey = Survey(parts.pipeline, parts.registry, now=lambda: clock[0])
    assert await survey.rows() == ()
    parts.memory.lost = "away"
    clock[0] += BELIEVED + 0.1
    assert await survey.rows() == ()
    clock[0] += OLD
    with pytest.raises(Unavailable):
        await survey.rows()


async def test_a_look_that_takes_long_is_believed_for_long(parts: Parts) -> None:
    """However many Subscriptions there are, looking at them takes but a part of the time."""
    clock, step = [100.0], [1.0]

    def now() -> float:
        clock[0] += step[0]
        return clock[0]

    survey = Survey(parts.pipeline, parts.registry, now=now)
    first = await survey.rows()
    await subscribe(parts, HOOK, id_="a")
    step[0] = 0
    clock[0] += 2 * (BELIEVED + OLD)
    assert await survey.rows() is first


async def test_since_when_something_waits(parts: Parts) -> None:
    """Since the first change that is not delivered; for one that is off nothing waits, whatever is kept."""
    key = await active(parts)
    publisher = Publisher(parts)
    async with running(fanout(parts)):
        for id_ in ("one", "two"):
            await publisher.put(id_)
            await matched(parts)
    first, second = await parts.outboxes.events(key, 1, 2)
    assert first.at < second.at
    await parts.pipeline.command("HSET", key.subscription, "delivered", 1)
    row = await parts.survey.one(key)
    assert row is not None
    assert (row.lags, row.undelivered, row.oldest_at) == (True, 1, second.at)
    await parts.pipeline.command("HSET", key.subscription, "status", SubscriptionStatus.OFF)
    row = await parts.survey.one(key)
    assert row is not None
    assert (row.lags, row.oldest_at) == (False, None)
