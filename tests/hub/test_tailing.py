"""Steps, followed for as long as anybody watches."""

import pytest

from hub.figures import Tail
from hub.keys import meter
from hub.tailing import Tailing
from hub.wiring.parts import Parts
from tests.facts import eventually


async def test_who_watches_for_long_is_told_for_long(parts: Parts) -> None:
    """It is asked for again and again, since whoever was asked forgets it."""

    async def asked() -> bool:
        return bool(await parts.pipeline.command("EXISTS", meter("watched")))

    with Tailing(Tail(parts.client, parts.pipeline)).watching():
        await eventually(asked)
        await parts.pipeline.command("DEL", meter("watched"))
        await eventually(asked)


async def test_it_goes_on_when_redis_is_back(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has to watch anew."""
    parts.memory.lost = "away"
    with Tailing(Tail(parts.client, parts.pipeline)).watching() as steps:
        await eventually(lambda: "tail.waits" in caplog.messages)
        parts.memory.lost = ""

        async def asked() -> bool:
            return bool(await parts.pipeline.command("EXISTS", meter("watched")))

        await eventually(asked)
        parts.meter.watched = True
        parts.meter.tell("change.stored", "default", {})
        await parts.metering.flush()
        assert (await steps.get())["step"] == "change.stored"
