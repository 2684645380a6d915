"""Lists of a hub's that come in pages."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hub.cli.remote import Remote


async def pages(hub: Remote, path: str, name: str, **params: Any) -> AsyncIterator[dict[str, Any]]:
    """What a list holds, page by page. `next` is by the name that the hub calls itself: its query alone is taken."""
    given: dict[str, Any] = params
    while True:
        page = await hub.read(path, **given)
        for row in page[name]:
            yield row
        if not page.get("next"):
            return
        given = dict(parse_qsl(urlsplit(page["next"]).query, keep_blank_values=True))
