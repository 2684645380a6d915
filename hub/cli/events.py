"""Server-Sent Events of a hub's, as they come: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from collections.abc import AsyncIterable, AsyncIterator


async def events(body: AsyncIterable[bytes]) -> AsyncIterator[tuple[str, bytes]]:
    """Each event's name and data; comments are left out. Lines end in LF alone, since JSON may hold other ends."""
    left, name, data = b"", "message", list[bytes]()
    async for part in body:
        *lines, left = (left + part).split(b"\n")
        for line in lines:
            field, _, value = line.removesuffix(b"\r").partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                name = value.decode(errors="replace")
            elif field == b"data":
                data.append(value)
            elif not line.strip():
                if data:
                    yield name, b"\n".join(data)
                name, data = "message", []
