"""What the pictures and the tests of each view show: subscribers that do well, that fail, and that have gone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fhir import Fhir, immunization, talking_to
from tests.processes import HubProcess, subscription
from tests.receiver import Answer, Received, Receiver, after_handshake

#: By id: how its endpoint answers.
ENDPOINTS: dict[str, Answer] = {
    "vaccination-register": after_handshake(200),
    "ward-7-whiteboard": after_handshake(500),
    "old-laboratory": after_handshake(410),
}
FILTER = "Immunization?patient=Patient/1"
TOPIC = {
    "resourceType": "SubscriptionTopic",
    "id": "dose-refused",
    "url": "https://example.org/SubscriptionTopic/dose-refused",
    "version": "1.2",
    "title": "A dose was refused",
    "status": "active",
    "description": "A vaccination was offered and not given.",
    "purpose": "The register asks the family again within a month.",
    "resourceTrigger": [{"resource": "Immunization", "supportedInteraction": ["create", "update"]}],
    "canFilterBy": [{"resource": "Immunization", "filterParameter": "patient", "description": "Whose dose it was"}],
}


@dataclass
class Scene:
    """A hub, one server with the endpoints of all subscribers, and what has happened between them."""

    hub: HubProcess
    receiver: Receiver
    fhir: Fhir
    changes: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)

    async def change(self, times: int = 1) -> None:
        """So many vaccinations of the patient whom all ask about."""
        for _ in range(times):
            self.changes += 1
            await self.fhir.put(immunization(f"dose-{self.changes}", patient="1"))

    def wanted(self, id_: str) -> dict[str, Any]:
        """A Subscription at an endpoint of this server."""
        return subscription(f"{self.receiver.url}/{id_}", "Immunization", FILTER, content="id-only") | {"id": id_}

    async def subscribe(self, id_: str, answer: Answer) -> None:
        """A further subscriber, which is active."""
        self.receiver.answers[f"/{id_}"] = answer
        await self.fhir.put(self.wanted(id_))
        await self.fhir.until(id_, "active")


@asynccontextmanager
async def stocked(hub: HubProcess) -> AsyncIterator[Scene]:
    """The subscribers of `ENDPOINTS`, in the states that they come to."""
    async with Receiver() as receiver, talking_to(hub) as fhir, hub.client("r5") as r5:
        scene = Scene(hub, receiver, fhir)
        assert (await r5.put("SubscriptionTopic/dose-refused", json=TOPIC)).status_code == 201
        await fhir.put({"resourceType": "Patient", "id": "1"})
        for id_, answer in ENDPOINTS.items():
            await scene.subscribe(id_, answer)
        await scene.change(5)
        await receiver.numbered("/vaccination-register", 5)
        await fhir.until("ward-7-whiteboard", "error")
        await fhir.until("old-laboratory", "off")
        yield scene


async def refuse(_: Received) -> int:
    return 500
