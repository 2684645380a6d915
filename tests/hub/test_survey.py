"""How all Subscriptions stand, at one look."""

import pytest

from hub.errors import Unavailable
from hub.survey import BELIEVED, OLD, Survey
from hub.wiring.parts import Parts
from tests.facts import eventually
from tests.hub.engines import subscribe

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
