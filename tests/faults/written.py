"""A publisher that keeps a log of what it wrote, and of what the hub said to it."""

import asyncio
import random
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.faults.logbook import wall
from tests.fhir import immunization, version

#: Whose the Immunizations are, by turns; and how many resources each publisher changes.
PATIENTS, RESOURCES = ("a", "b", "c"), 9

#: Of a hundred writes: so many create, so many delete, so many are no resource, so many come too late.
CREATED, DELETED, NONSENSE, LATE = 20, 10, 4, 4


@dataclass(frozen=True, slots=True)
class Write:
    """
    What was asked for, and what came of it. Times are in ms since 1970.

    status: As it was answered.
    interaction: `create`, `update` or `delete`; empty when it was refused.
    number: The version that it made.
    """

    method: str
    fhir: str
    id: str
    patient: str
    sent: int
    acknowledged: int
    status: int
    interaction: str = ""
    number: int = 0

    @property
    def stored(self) -> bool:
        return bool(self.interaction)


@dataclass
class Publisher:
    """
    Writes to one FHIR base, one after the other.

    rest: Seconds between two.
    log: What was answered, in order.
    made: By id and version, what was stored.
    """

    http: httpx.AsyncClient
    fhir: str
    rest: float
    dice: random.Random
    log: list[Write] = field(default_factory=list)
    made: dict[tuple[str, int], Write] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)

    async def run(self, seconds: float) -> None:
        """Write for so many seconds."""
        until = wall() + seconds * 1000
        while wall() < until:
            await self.one()
            await asyncio.sleep(self.rest)

    async def one(self) -> None:
        """One write, whichever the dice say."""
        throw, place = self.dice.randrange(100), self.dice.randrange(RESOURCES)
        id_, patient = f"i{place}", PATIENTS[place % len(PATIENTS)]
        kept = self._versions.get(id_, 0)
        match throw:
            case _ if throw < CREATED:
                await self._write("POST", "", patient, immunization(patient=patient))
            case _ if throw < CREATED + DELETED and kept > 0:
                await self._write("DELETE", id_, patient)
            case _ if throw < CREATED + DELETED + NONSENSE:
                await self._write("PUT", id_, patient, {"resourceType": "Immunization", "id": id_, "status": 7})
            case _ if throw < CREATED + DELETED + NONSENSE + LATE and kept > 1:
                await self._write("PUT", id_, patient, immunization(id_, patient=patient), match='W/"1"')
            case _:
                await self.put(id_, patient)

    async def put(self, id_: str, patient: str) -> None:
        await self._write("PUT", id_, patient, immunization(id_, lot=str(len(self.log)), patient=patient))

    async def _write(
        self, method: str, id_: str, patient: str, body: dict[str, Any] | None = None, *, match: str = ""
    ) -> None:
        url = f"Immunization/{id_}" if id_ else "Immunization"
        headers = {"If-Match": match} if match else {}
        sent = wall()
        answer = await self.http.request(method, url, json=body, headers=headers)
        written = Write(method, self.fhir, id_, patient, sent, wall(), answer.status_code)
        if answer.is_success:
            written = self._stored(written, answer)
            self.made[written.id, written.number] = written
        self.log.append(written)

    def _stored(self, written: Write, answer: httpx.Response) -> Write:
        id_ = written.id or str(answer.json()["id"])
        number = version(answer)
        interaction = "delete" if written.method == "DELETE" else "create" if answer.status_code == 201 else "update"
        self._versions[id_] = 0 if interaction == "delete" else number
        return replace(written, id=id_, interaction=interaction, number=number)
