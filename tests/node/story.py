"""A hub's life in one FHIR version, short, and all that it says meanwhile, as the bytes that were sent."""

from typing import Any

from subscriptions.codes import FhirVersion
from tests.fhir import Fhir, immunization
from tests.processes import subscription, subscription_r5
from tests.receiver import Holding, Receiver, after_handshake

#: What happens to the resource that subscribers are told of, in order.
CHANGES = ("create", "update", "delete")
CONTENTS = ("empty", "id-only", "full-resource")
#: What `Story.told` has in the end.
KINDS = [
    "handshake",
    "heartbeat",
    *(f"{content} of a {change}" for content in CONTENTS for change in CHANGES),
    "id-only with a context",
    "full-resource with a context",
    "several events",
    "$status",
    "$status of an error",
    "$status of all",
    *(f"$events {content}" for content in CONTENTS),
    "search",
    "history",
    "history of a type",
    "history of all",
    "batch-response",
    "transaction-response",
    "refusal",
    "Subscription",
    "topics",
    "metadata",
]

#: A topic whose notifications come with the patient.
SHAPED = {
    "resourceType": "SubscriptionTopic",
    "id": "with-patient",
    "url": "https://topics.example/SubscriptionTopic/with-patient",
    "title": "Immunizations, with the patient",
    "status": "active",
    "resourceTrigger": [{"resource": "Immunization"}],
    "canFilterBy": [{"resource": "Immunization", "filterParameter": "patient"}],
    "notificationShape": [{"resource": "Immunization", "include": ["Immunization:patient"]}],
}


class Story:
    """
    Subscribers of each content, one of several events at once and one that fails; what they are told and what is asked.

    told: By kind.
    """

    def __init__(self, fhir: Fhir, receiver: Receiver, version: FhirVersion) -> None:
        """SHAPED is published already."""
        self.fhir, self.receiver, self.version = fhir, receiver, version
        self.patient = f"node-{version.value}"
        self.told: dict[str, bytes] = {}

    async def run(self) -> None:
        await self.fhir.put({"resourceType": "Patient", "id": self.patient, "active": True})
        await self.fhir.put(immunization(f"{self.patient}-of-another", patient="another"))
        ids = {content: await self.subscribed(content, content=content) for content in CONTENTS}
        for content in ("id-only", "full-resource"):
            element = "topic" if self.version is FhirVersion.R5 else "criteria"
            await self.fhir.subscribe(self.wanted(f"shaped-{content}", content=content) | {element: SHAPED["url"]})
        self.receiver.answers["/several"] = holding = Holding()
        several = await self.subscribed("several", content="full-resource", max_count=10)
        await self.subscribed("heart", heartbeat=1)
        given = immunization(self.patient, patient=self.patient)
        await self.fhir.put(given)
        await self.receiver.events("/several", 1)
        await self.fhir.put(given | {"lotNumber": "2"})
        await self.fhir.delete(f"Immunization/{self.patient}")
        await self.fhir.until_events(several, len(CHANGES))
        holding.release()
        await self._notifications()
        await self._answers(ids)
        await self._failing()

    def wanted(self, path: str, **options: Any) -> dict[str, Any]:
        make = subscription_r5 if self.version is FhirVersion.R5 else subscription
        return make(f"{self.receiver.url}/{path}", "Immunization", f"patient=Patient/{self.patient}", **options)

    async def subscribed(self, path: str, **options: Any) -> str:
        return await self.fhir.subscribe(self.wanted(path, **options))

    async def _notifications(self) -> None:
        for content in CONTENTS:
            received = await self.receiver.events(f"/{content}", len(CHANGES))
            for change, each in zip(CHANGES, received, strict=True):
                self.told[f"{content} of a {change}"] = each.body
        for content in ("id-only", "full-resource"):
            [first, *_] = await self.receiver.events(f"/shaped-{content}", 1)
            assert first.parameters["notification-event"][0]["additional-context"]
            self.told[f"{content} with a context"] = first.body
        [_, several] = await self.receiver.events("/several", 2)
        assert several.numbers == [2, 3]
        self.told["several events"] = several.body
        await self.receiver.until(lambda: bool(self.receiver.at("/heart", "heartbeat")))
        self.told["heartbeat"] = self.receiver.at("/heart", "heartbeat")[0].body
        self.told["handshake"] = self.receiver.at("/heart", "handshake")[0].body

    async def _answers(self, ids: dict[str, str]) -> None:
        topics = "Basic" if self.version is FhirVersion.R4 else "SubscriptionTopic"
        for kind, url in (
            *(
                (f"$events {content}", f"Subscription/{id_}/$events?eventsSinceNumber=1")
                for content, id_ in ids.items()
            ),
            ("$status", f"Subscription/{ids['empty']}/$status"),
            ("$status of all", "Subscription/$status"),
            ("search", "Immunization?_count=2"),
            ("history", f"Immunization/{self.patient}/_history"),
            ("history of a type", "Immunization/_history"),
            ("history of all", "_history"),
            ("Subscription", f"Subscription/{ids['full-resource']}"),
            ("topics", f"{topics}?_count=2"),
            ("metadata", "metadata"),
        ):
            await self._ask(kind, url)
        for type_ in ("batch", "transaction"):
            entry = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
            answer = await self.fhir.http.post("", json={"resourceType": "Bundle", "type": type_, "entry": [entry]})
            assert answer.status_code == 200, answer.text
            self.told[f"{type_}-response"] = answer.content

    async def _failing(self) -> None:
        self.receiver.answers["/failing"] = after_handshake(403)
        id_ = await self.subscribed("failing")
        await self.fhir.put(immunization(self.patient, patient=self.patient))
        await self.fhir.until(id_, "error")
        await self._ask("$status of an error", f"Subscription/{id_}/$status")
        refused = await self.fhir.http.post("Subscription", json=self.wanted("x", content="everything"))
        assert refused.status_code == 400
        self.told["refusal"] = refused.content

    async def _ask(self, kind: str, url: str) -> None:
        answer = await self.fhir.http.get(url)
        assert answer.status_code == 200, answer.text
        self.told[kind] = answer.content
