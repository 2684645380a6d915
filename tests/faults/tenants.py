"""Organisations that look alike in everything, on one hub: their clients, what they write and all that they read."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

import httpx
from redis.asyncio import Redis

from hub.access import Access, Client, Key, Tenant
from hub.belief import BELIEVED
from hub.instants import now_ms
from hub.memory import Memory
from hub.pipeline import Pipeline
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
#: Seconds after which a change of rights counts everywhere, and that a request which was begun before may still take.
BOUND, ON_THE_WIRE = BELIEVED / 1000, 3.0


@dataclass(frozen=True, slots=True)
class Written:
    """A version that a publisher made: when it began to write it, and when it was told that it had (monotonic)."""

    reference: str
    version: int
    began: float
    done: float


@dataclass
class Organisation:
    """
    A tenant, its client, and the subscriber that the client has.

    name: Stands in all that it writes and in all of its URLs: whatever shows it is its own.
    step: Writes of the publisher at once, so that two of them count differently.
    written: The versions that it was told of, by reference.
    trail: All versions that it was told of, in their order; no deletes.
    changes, deletes: How many changes it has made, and how many of these were deletes.
    """

    name: str
    http: httpx.AsyncClient
    receiver: Receiver
    step: int
    written: dict[str, int] = field(default_factory=dict)
    trail: list[Written] = field(default_factory=list)
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
            began = monotonic()
            lot = f"{self.name}-{number}-{part}"
            id_ = f"i{(number + part) % IDS}"
            if number % 7 == 6 and f"Immunization/{id_}" in self.written:
                await self.fhir.delete(f"Immunization/{id_}")
                del self.written[f"Immunization/{id_}"]
                self.deletes += 1
            else:
                self._wrote(id_, await self.fhir.put(immunization(id_, lot=lot, patient=PATIENT)), began)
            self.changes += 1
        again, began = {"Idempotency-Key": f"key-{number}"}, monotonic()
        resource = immunization(lot=f"{self.name}-{number}", patient=PATIENT)
        answer = await self.http.post("Immunization", json=resource, headers=again)
        assert answer.status_code == 201, answer.text
        self._wrote(answer.json()["id"], 1, began)
        self.changes += 1

    def _wrote(self, id_: str, number: int, began: float) -> None:
        self.written[f"Immunization/{id_}"] = number
        self.trail.append(Written(f"Immunization/{id_}", number, began, monotonic()))

    def below(self, tenant: str, path: str) -> str:
        """A URL of a tenant, perhaps another one's."""
        return str(self.http.base_url.copy_with(raw_path=f"/t/{tenant}/{path}".encode()))

    async def look(self, url: str, method: str = "GET", body: Any = None) -> httpx.Response:
        """Ask for something of its own, or for an error."""
        answer = await self.http.request(method, url, json=body)
        self.answers[answer.status_code] += 1
        assert answer.status_code < 500, answer.text
        return answer


@dataclass
class Door:
    """
    A grant of one tenant to another, of its Immunizations, that comes and goes.

    opened, shut: For each time that it did: when that was asked for first, and when it was acknowledged (monotonic).
    """

    access: Access
    tenant: str
    to: str
    opened: list[tuple[float, float]] = field(default_factory=list)
    shut: list[tuple[float, float]] = field(default_factory=list)

    async def open(self) -> None:
        self.opened.append(await self._set(Tenant(self.tenant, {self.to: Scopes.parse("system/Immunization.r")})))

    async def close(self) -> None:
        self.shut.append(await self._set(Tenant(self.tenant)))

    async def _set(self, tenant: Tenant) -> tuple[float, float]:
        began = monotonic()
        await self.access.set(tenant)
        return began, monotonic()

    def may_show(self, began: float, ended: float) -> bool:
        """Whether what was told between these two moments may be of the other tenant."""
        return any(opened <= ended and began <= shut + BOUND for opened, shut in self._times())

    def shows(self, began: float, ended: float) -> bool:
        """Whether it has to be there all the time between them."""
        shut = [asked for asked, _ in self.shut] + [inf]
        return any(
            opened + BOUND <= began and ended < asked for (_, opened), asked in zip(self.opened, shut, strict=False)
        )

    def late(self, at: float) -> float:
        """For how many seconds it was shut at a moment, as had been acknowledged; negative while it was open."""
        return min(at - shut for opened, shut in self._times() if opened <= at)

    def _times(self) -> list[tuple[float, float]]:
        shut = [acknowledged for _, acknowledged in self.shut] + [inf]
        return [(asked, until) for (asked, _), until in zip(self.opened, shut, strict=False)]


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
async def opened_access(hub: HubProcess) -> AsyncIterator[Access]:
    """Who there is on a hub, to be changed."""
    async with Redis.from_url(hub.redis_url) as redis:
        access = Access(Pipeline(redis, Memory()), now_ms)
        await access.refresh()
        yield access


@asynccontextmanager
async def organisations(hub: HubProcess, *names: str) -> AsyncIterator[list[Organisation]]:
    """So many of them on a hub that tells clients apart by keys."""
    receivers = [Receiver() for _ in names]
    async with opened_access(hub) as access:
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
