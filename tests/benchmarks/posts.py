"""
The baseline of delivery: POSTs of given bytes by httpx' client over the hub's own transport, and nothing else.

    python -m tests.benchmarks.posts FILE    FILE is JSON: `[[url, [body, ...]], ...]`

There is one coroutine for each URL, which sends its bodies one after the other. Prints
`{"cpu": …, "took": …}`, in seconds.
"""

import asyncio
import sys
from pathlib import Path
from time import monotonic, process_time

import httpx
import orjson
import uvloop

from hub.channels.clients import http_client
from hub.channels.guard import Guard

HEADERS = {"Content-Type": "application/fhir+json"}


async def _send(client: httpx.AsyncClient, url: str, bodies: list[bytes]) -> None:
    for body in bodies:
        response = await client.post(url, content=body, headers=HEADERS)
        assert response.status_code == 200


async def _main(sets: list[tuple[str, list[bytes]]]) -> None:
    transport = http_client(Guard(allow_private=True, networks=(), ports=frozenset()))
    async with httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as client:  # noqa: S113
        # Connections and models are there before the time runs, as they are in the hub.
        await asyncio.gather(*(_send(client, f"{url}?warm", bodies[:1]) for url, bodies in sets))
        used, began = process_time(), monotonic()
        await asyncio.gather(*(_send(client, url, bodies) for url, bodies in sets))
        print(orjson.dumps({"cpu": process_time() - used, "took": monotonic() - began}).decode(), flush=True)


if __name__ == "__main__":
    given = orjson.loads(Path(sys.argv[1]).read_bytes())
    uvloop.run(_main([(url, [body.encode() for body in bodies]) for url, bodies in given]))
