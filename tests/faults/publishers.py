"""Publishers that go on whatever happens: they keep what was acknowledged, and repeat what was not."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import httpx

from tests.fhir import immunization, version
from tests.processes import HubProcess

#: Seconds between two tries of one write.
PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Told:
    """
    An acknowledged change: `Immunization/p1-7`, the version that it made, and what the body says.

    sent, at: When it was sent first, and when it was acknowledged; monotonic, in seconds.
    """

    reference: str
    version: int
    lot: str
    sent: float
    at: float


@dataclass
class Publishers:
    """
    So many publishers, each writing one change after the other to resources of its own.

    name: What all ids begin with.
    rest: Seconds between two writes of one publisher.
    told: All acknowledged changes, in the order in which they were.
    repeats: How many writes were sent again because they had not been acknowledged.
    """

    hub: HubProcess
    name: str = "p"
    count: int = 4
    rest: float = 0
    told: list[Told] = field(default_factory=list)
    repeats: int = 0
    _enough: bool = False
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """They write; on leaving, each still gets its last change acknowledged."""
        async with asyncio.TaskGroup() as group, self.hub.client() as client:
            tasks = [group.create_task(self._write(client, f"{self.name}{number}")) for number in range(self.count)]
            try:
                yield
            finally:
                self._enough = True
                await asyncio.wait(tasks)

    async def acknowledged(self, more: int) -> None:
        """Wait until so many more changes have been acknowledged."""
        enough = len(self.told) + more
        async with asyncio.timeout(90):
            while len(self.told) < enough:
                self._came.clear()
                await self._came.wait()

    def versions(self) -> dict[str, int]:
        """The last version of each resource. Whatever lies below was stored too, told or not."""
        last: defaultdict[str, int] = defaultdict(int)
        for told in self.told:
            last[told.reference] = max(last[told.reference], told.version)
        return dict(last)

    async def _write(self, client: httpx.AsyncClient, name: str) -> None:
        number = 0
        while not self._enough:
            number += 1
            lot = f"{name}-{number}"
            if number % 4:
                id_ = f"{name}-{number % 3}"
                await self._until_told(client, "PUT", f"Immunization/{id_}", lot, immunization(id_, lot=lot))
            else:
                await self._until_told(client, "POST", "Immunization", lot, immunization(lot=lot))
            if self.rest:
                await asyncio.sleep(self.rest)

    async def _until_told(
        self, client: httpx.AsyncClient, method: str, url: str, lot: str, body: dict[str, object]
    ) -> None:
        headers = {"Idempotency-Key": lot} if method == "POST" else {}
        sent = monotonic()
        while True:
            try:
                answer = await client.request(method, url, json=body, headers=headers)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.is_success:
                break
            assert answer is None or answer.status_code == 503, answer.text
            self.repeats += 1
            await asyncio.sleep(PAUSE)
        reference = f"Immunization/{answer.json()['id']}"
        self.told.append(Told(reference, version(answer), lot, sent, monotonic()))
        self._came.set()
