"""Organisations that look alike in everything, on one hub: their clients, what they write and all that they read."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from redis.asyncio import Redis

from hub.access import Access, Client, Key, Tenant
from hub.memory import Memory
from hub.pipeline import Pipeline
from hub.store import now_ms
from subscriptions.codes import Content
from subscriptions.rights import Rights
from subscriptions.scopes import Scopes
from tests.facts import eventually
from tests.fhir import Fhir, immunization
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver

SCOPES = "system/*.cruds system/AuditEvent.rs"
PATIENT = "shared"
#: Of each one's Subscriptions: id and filters.
SUBSCRIPTIONS = {
    "all": (),
    "patient": (f"Immunization?patient=Patient/{PATIENT}",),
    "group": ("Immunization?patient._in=Group/g",),
    "own": (),
}
#: Both publish a topic under this name, on which `own` is.
TOPIC = "https://example.org/SubscriptionTopic/gone"
#: Ids that both write to, in turn.
IDS = 5


@dataclass
class Organisation:
    """
    A tenant, its client, and the subscriber that the client has.

    name: Stands in all that it writes and in all of its URLs: whatever shows it is its own.
    step: Writes of the publisher at once, so that two of them count differently.
    written: The versions that it was told of, by reference.
    changes, deletes: How many changes it has made, and how many of these were deletes.
    """

    name: str
    http: httpx.AsyncClient
    receiver: Receiver
    step: int
    written: dict[str, int] = field(default_factory=dict)
    changes: int = 0
    deletes: int = 0
    answers: Counter[int] = field(default_factory=Counter)

    @property
    def fhir(self) -> Fhir:
        return Fhir(self.http)

    async def begin(self, *, member: bool) -> None:
        """Register, under the ids that others have too; `member`: whether the patient is one of the group."""
        await eventually(self._is_there)
        await self.fhir.put({"resourceType": "Patient", "id": PATIENT, "name": [{"family": self.name}]})
        entity = {"reference": f"Patient/{PATIENT if member else 'nobody'}"}
        group = {"type": "person", "actual": True, "name": self.name, "member": [{"entity": entity}]}
        await self.fhir.put({"resourceType": "Group", "id": "g", **group})
        await self.fhir.put(immunization(f"only-{self.name}", lot=self.name))
        triggers = [{"resource": "Immunization", "supportedInteraction": ["delete"]}]
        topic = {
            "resourceType": "SubscriptionTopic",
            "id": "gone",
            "url": TOPIC,
            "status": "active",
            "title": self.name,
        }
        answer = await self.look(
            self.below(self.name, "fhir/r5/SubscriptionTopic/gone"), "PUT", {**topic, "resourceTrigger": triggers}
        )
        assert answer.status_code == 201, answer.text
        for id_, filters in SUBSCRIPTIONS.items():
            endpoint = f"{self.receiver.url}/{id_}"
            wanted = subscription(endpoint, "Immunization", *filters, content="full-resource")
            criteria = TOPIC if id_ == "own" else wanted["criteria"]
            await self.fhir.put(wanted | {"id": id_, "reason": self.name, "criteria": criteria})
        for id_ in SUBSCRIPTIONS:
            await self.fhir.until(id_, "active")

    async def _is_there(self) -> bool:
        """A hub that runs notices a new tenant within a second."""
        return (await self.http.get("metadata")).status_code == 200

    async def write(self, number: int) -> None:
        """So many changes at once, of which the last one is a create with a key that others use too."""
        for part in range(self.step):
            lot = f"{self.name}-{number}-{part}"
            id_ = f"i{(number + part) % IDS}"
            if number % 7 == 6 and f"Immunization/{id_}" in self.written:
                await self.fhir.delete(f"Immunization/{id_}")
                del self.written[f"Immunization/{id_}"]
                self.deletes += 1
            else:
                self.written[f"Immunization/{id_}"] = await self.fhir.put(immunization(id_, lot=lot, patient=PATIENT))
            self.changes += 1
        again = {"Idempotency-Key": f"key-{number}"}
        resource = immunization(lot=f"{self.name}-{number}", patient=PATIENT)
        answer = await self.http.post("Immunization", json=resource, headers=again)
        assert answer.status_code == 201, answer.text
        self.written[f"Immunization/{answer.json()['id']}"] = 1
        self.changes += 1

    def below(self, tenant: str, path: str) -> str:
        """A URL of a tenant, perhaps another one's."""
        return str(self.http.base_url.copy_with(raw_path=f"/t/{tenant}/{path}".encode()))

    async def look(self, url: str, method: str = "GET", body: Any = None) -> httpx.Response:
        """Ask for something of its own, or for an error."""
        answer = await self.http.request(method, url, json=body)
        self.answers[answer.status_code] += 1
        assert answer.status_code < 500, answer.text
        return answer


#: What each of them reads while both write: results, numbers and errors.
READ: tuple[tuple[str, str, Any], ...] = (
    *(("GET", f"Subscription/{id_}{rest}", None) for id_ in SUBSCRIPTIONS for rest in ("", "/$status", "/$events")),
    ("GET", "Subscription", None),
    ("GET", "Subscription/$status", None),
    ("GET", f"Immunization?patient=Patient/{PATIENT}&_count=100", None),
    ("GET", "Immunization?_summary=count", None),
    ("GET", "Immunization/_history", None),
    ("GET", "_history", None),
    ("GET", "Immunization/i1", None),
    ("GET", "Immunization/i1/_history", None),
    ("GET", f"Patient/{PATIENT}", None),
    ("GET", "metadata", None),
    ("GET", "AuditEvent?_count=100", None),
    ("GET", "Basic?code=SubscriptionTopic", None),
    ("GET", "Basic/gone", None),
    ("GET", "Immunization?ward=7", None),
    ("GET", "Subscription/nobodys/$events", None),
    ("PUT", "Immunization/i1", {"resourceType": "Immunization", "id": "i2"}),
    ("POST", "Subscription/$validate", subscription("http://127.0.0.1:9/", "Immunization", "patient=Patient/x")),
    ("POST", "Subscription/patient/$explain", immunization("x", patient=PATIENT)),
    (
        "POST",
        "",
        {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Group/g"}}]},
    ),
)


@asynccontextmanager
async def organisations(hub: HubProcess, *names: str) -> AsyncIterator[list[Organisation]]:
    """So many of them on a hub that tells clients apart by keys."""
    receivers = [Receiver() for _ in names]
    async with Redis.from_url(hub.redis_url) as redis:
        access = Access(Pipeline(redis, Memory()), now_ms)
        await access.refresh()
        found = []
        try:
            for step, (name, receiver) in enumerate(zip(names, receivers, strict=True), 1):
                await receiver.__aenter__()
                await access.set(Tenant(name))
                rights = Rights(Scopes.parse(SCOPES), Content.FULL_RESOURCE)
                await access.set(Client(f"client-of-{name}", name, rights))
                key, text = Key.new(f"client-of-{name}", rights.scopes, now=now_ms(), expires=None)
                await access.set(key)
                headers = {"Authorization": f"Bearer {text}", "Content-Type": "application/fhir+json"}
                base = f"{hub.url}/t/{name}/fhir/r4/"
                http = httpx.AsyncClient(base_url=base, headers=headers, timeout=30)
                found.append(Organisation(name, http, receiver, step))
            yield found
        finally:
            for each in found:
                await each.http.aclose()
            for receiver in receivers:
                await receiver.__aexit__()


def shown(answer: httpx.Response) -> str:
    """All that an answer tells: headers, and what its body means, however it is written."""
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return json.dumps([headers, answer.json() if answer.content else ""])


async def publishing(one: Organisation, enough: asyncio.Event, *, pause: float) -> None:
    """Write until it is enough."""
    number = 0
    while not enough.is_set():
        await one.write(number)
        number += 1
        await asyncio.sleep(pause)
