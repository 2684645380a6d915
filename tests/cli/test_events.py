"""Server-Sent Events, however they are cut."""

from collections.abc import AsyncIterator

import pytest

from hub.cli.events import events

STREAM = (
    b': heartbeat\n\nevent: step\ndata: {"a":"\xe2\x80\xa8"}\n\r\nid: 7\ndata:x\ndata: y\r\n\n'
    b"event: nothing\n\nevent: step\ndata: cut"
)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_events(size: int) -> None:
    """Names, data of several lines, comments; JSON that holds other ends of lines; what is not ended is left out."""

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(STREAM), size):
            yield STREAM[start : start + size]

    found = [event async for event in events(parts())]
    assert found == [("step", '{"a":"\u2028"}'.encode()), ("message", b"x\ny")]
