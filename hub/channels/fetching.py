"""Getting a small JSON document from where an operator says that it is, with limits of time and size."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import SSLContext
from typing import Any

from hub.channels.clients import http_client, tls_context
from hub.channels.documents import NotFetched, ask
from hub.channels.guard import Guard
from hub.channels.own import Own

#: Seconds that one document may take, and bytes that it may have.
PATIENCE, MOST_READ = 5.0, 262_144


@dataclass(frozen=True, slots=True)
class Fetching:
    """
    Whoever configured the address answers for it: it may be private, on any port, and behind the proxy that the hub is
    behind. Metadata services stay refused.
    """

    guard: Guard
    tls: SSLContext = field(repr=False)

    @classmethod
    def of(cls, guard: Guard, authorities: Path | None) -> "Fetching":
        """`authorities`: PEM of those who may vouch for it too; raises NotTheHub when it can't be read."""
        return cls(replace(guard, allow_private=True, ports=range(1, 65_536), own=Own()), tls_context(authorities))

    async def document(self, url: str) -> dict[str, Any]:
        """What is there, by a connection of its own: it is rarely asked for. Raises NotFetched."""
        client = http_client(self.guard, self.tls)
        try:
            async with asyncio.timeout(PATIENCE):
                status, said = await ask(
                    client, "GET", url, {"Accept": "application/json"}.items(), whom="the issuer", most=MOST_READ
                )
        except TimeoutError:
            raise NotFetched("the issuer did not answer in time") from None
        finally:
            await client.aclose()
        if status != 200:
            raise NotFetched(f"it answered {status}")
        if said is None:
            raise NotFetched(f"its answer is no JSON object, or has more than {MOST_READ:,} bytes")
        return said
