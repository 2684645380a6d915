"""
What every answer tells browsers and caches, errors too.

Answers are health data: no cache keeps them. Versions that are read may be kept by whoever has read them, and are asked
for again each time, so that `If-None-Match` goes on saving what it saves. https://www.rfc-editor.org/rfc/rfc9111#section-5.2
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Nothing of the hub's is a page that loads something, unless it says so itself.
PROTECTION = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

WITHOUT_CACHE, REVALIDATED = b"no-store", b"private, no-cache"

#: Under TLS: a year. https://www.rfc-editor.org/rfc/rfc6797
TLS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class Protection:
    """An application whose answers say it, but for what they say otherwise themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_lacking(message["headers"], scope)]
            await send(message)

        await self._app(scope, receive, sending if scope["type"] == "http" else send)


def _lacking(headers: list[tuple[bytes, bytes]], scope: Scope) -> list[tuple[bytes, bytes]]:
    said = {name for name, _ in headers}
    lacking = [header for header in PROTECTION if header[0] not in said]
    if b"cache-control" not in said:
        read = scope["method"] in ("GET", "HEAD") and b"etag" in said
        lacking.append((b"cache-control", REVALIDATED if read else WITHOUT_CACHE))
    if scope["scheme"] == "https":
        lacking.append(TLS_ONLY)
    return lacking
