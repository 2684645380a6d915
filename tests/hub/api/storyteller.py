"""A client that tells the same story as those of other tenants: every interaction, and what looks alike."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from subscriptions.codes import FhirVersion
from tests.hub.api.server import Hub
from tests.hub.api.test_messages import encounter, entry, header, message
from tests.hub.conftest import BASE
from tests.hub.engines import activate, fanout, matched, running
from tests.processes import subscription

ENDPOINT = "http://127.0.0.1:9/hook"
IDENTIFIER = {"system": "urn:ids", "value": "1"}
TOPIC = "https://topics.example/same"

#: What differs from one telling to the next, whoever tells.
_VARIES = re.compile(
    r"\b[0-9a-f]{32}\b|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)|\b\d{13}-\d+|whsec_[A-Za-z0-9+/=]+|\"valueString\":\"[A-Za-z0-9_-]{40,}\""
    r"|_cursor=[^\"&]+"
)

Json = dict[str, Any]


@dataclass
class Storyteller:
    """A client of one tenant."""

    hub: Hub
    tenant: str
    answers: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def root(self) -> str:
        return BASE if self.tenant == "default" else f"{BASE}/t/{self.tenant}"

    @property
    def mark(self) -> str:
        """What stands in all that it writes."""
        return f"mark-{self.tenant}"

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request below the tenant's root, or the R4 base of that; its answer is kept."""
        url = self.root + (path if path.startswith(("/fhir/r5", "/admin")) else f"/fhir/r4{path}")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, str | None) else json.dumps(body)
        answer = await self.hub.client.request(method, url, content=content, headers=named)
        assert answer.status_code != 500, answer.text
        asked = _VARIES.sub("~", f"{method} {path}".replace(self.mark, "{mark}"))
        self.answers.append((asked, answer.status_code, self._plain(answer)))
        return answer

    async def form(self, path: str, query: str) -> None:
        await self.ask("POST", path, query, content_type="application/x-www-form-urlencoded")

    def _plain(self, answer: httpx.Response) -> str:
        """An answer without what varies, and without the tenant's own name."""
        told = {name: answer.headers[name] for name in ("location", "etag", "allow") if name in answer.headers}
        text = answer.text
        body = json.loads(text) if text.startswith("{") else {}
        for unordered in ("entry", "stillMentionedIn"):  # what came in the same ms, or has an id of the hub's
            if isinstance(body.get(unordered), list):
                body[unordered].sort(key=lambda each: _VARIES.sub("~", json.dumps(each)))
                text = json.dumps(body)
        plain = _VARIES.sub("~", f"{told} {text}")
        return plain.replace(f"{self.root}/", "{root}/").replace(f"/t/{self.tenant}/", "/").replace(self.mark, "{mark}")

    async def tell(self) -> None:
        """The whole story."""
        for each in self.chapters:
            await each()

    @property
    def chapters(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """What it is told in."""
        return self._write, self._subscribe, self._publish, self._look, self._operate, self._go

    def person(self, id_: str = "1", **more: Any) -> Json:
        return {
            "resourceType": "Patient", "id": id_, "identifier": [IDENTIFIER], "name": [{"family": self.mark}]
        } | more  # fmt: skip

    def vaccination(self, id_: str = "", **more: Any) -> Json:
        return {
            "resourceType": "Immunization",
            **({"id": id_} if id_ else {}),
            "status": "completed",
            "vaccineCode": {"coding": [{"system": "urn:v", "code": self.mark}]},
            "patient": {"reference": "Patient/1"},
            "occurrenceDateTime": "2026-11-27",
            "lotNumber": self.mark,
        } | more

    def topic(self, **more: Any) -> Json:
        trigger = {"resource": "Immunization", "supportedInteraction": ["create", "update"]}
        can_filter = [{"resource": "Immunization", "filterParameter": name} for name in ("patient", "vaccine-code")]
        return {
            "resourceType": "SubscriptionTopic", "id": "t", "url": TOPIC, "status": "active", "title": self.mark,
            "resourceTrigger": [trigger], "canFilterBy": can_filter,
        } | more  # fmt: skip

    async def _write(self) -> None:
        ask = self.ask
        await ask("GET", "/metadata")
        await ask("GET", "/Patient/1")
        await ask("PUT", "/Patient/1", self.person())
        await ask("PUT", "/Patient/1", self.person(active=True), if_match='W/"1"')
        await ask("PUT", "/Patient/1", self.person(), if_match='W/"1"')
        await ask("PUT", "/Patient?identifier=urn:ids|1", self.person(gender="other"))
        await ask("POST", "/Patient", self.person(), if_none_exist="identifier=urn:ids|1")
        await ask("POST", "/Observation", {"resourceType": "Observation", "status": "final", "code": {"text": "x"}},
                  idempotency_key="same")  # fmt: skip
        await ask("POST", "/Observation", {"resourceType": "Observation", "status": "final", "code": {"text": "x"}},
                  idempotency_key="same")  # fmt: skip
        await ask("POST", "/Observation", {"resourceType": "Observation", "status": "final", "code": {"text": "y"}},
                  idempotency_key="same")  # fmt: skip
        member = [{"entity": {"reference": "Patient/1"}}]
        await ask("PUT", "/Group/vip", {"resourceType": "Group", "id": "vip", "type": "person", "actual": True,
                                        "member": member})  # fmt: skip
        await ask("PATCH", "/Patient/1", [{"op": "add", "path": "/birthDate", "value": "2000-01-01"}],
                  content_type="application/json-patch+json")  # fmt: skip
        await ask("PATCH", "/Patient?identifier=urn:ids|1", [{"op": "remove", "path": "/birthDate"}],
                  content_type="application/json-patch+json")  # fmt: skip
        request = {"method": "PUT", "url": "Patient/2"}
        for type_ in ("transaction", "batch"):
            entries = [{"resource": self.person("2"), "request": request},
                       {"request": {"method": "GET", "url": "Patient?_summary=count"}}]  # fmt: skip
            await ask("POST", "", {"resourceType": "Bundle", "type": type_, "entry": entries})
        await ask("POST", "/", {"resourceType": "Bundle", "type": "batch", "entry": []})
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries[:1]}
        for _ in range(2):
            await ask("POST", "", bundle, idempotency_key="same")
        await ask(
            "POST", "/$process-message", message(entry(header("Encounter/e")), entry(encounter("Patient/1", id="e")))
        )
        code = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/basic-resource-type", "code": "study"}]}
        basic = {"resourceType": "Basic", "id": "b", "code": code, "author": {"display": self.mark}}
        await ask("PUT", "/Basic/b", basic)
        await ask("PATCH", "/Basic/b", [{"op": "add", "path": "/language", "value": "en"}],
                  content_type="application/json-patch+json")  # fmt: skip
        await ask("PUT", "/Nothing/1", {"resourceType": "Nothing"})

    async def _subscribe(self) -> None:
        ask = self.ask
        vaccines = {"include": [{"system": "urn:v", "concept": [{"code": self.mark}]}]}
        value_set = {
            "resourceType": "ValueSet",
            "id": "v",
            "url": "urn:vaccines",
            "status": "active",
            "title": self.mark,
        }
        await ask("PUT", "/ValueSet/v", {**value_set, "compose": vaccines})
        await ask("PUT", "/fhir/r5/SubscriptionTopic/t", self.topic())
        await ask("POST", "/fhir/r5/SubscriptionTopic", self.topic())
        await ask("PATCH", "/fhir/r5/SubscriptionTopic/t", [{"op": "add", "path": "/description", "value": "x"}],
                  content_type="application/json-patch+json")  # fmt: skip
        for id_, resource in (
            ("s", subscription(ENDPOINT)),
            ("own", subscription(ENDPOINT, "Immunization", "patient=Patient/1") | {"criteria": TOPIC}),
            ("in", subscription(ENDPOINT, "Immunization", "patient._in=Group/vip")),
            ("of", subscription(ENDPOINT, "Immunization", "vaccine-code:in=urn:vaccines")),
            ("chained", subscription(ENDPOINT, "Immunization", f"patient.family={self.mark}")),
        ):
            await ask("PUT", f"/Subscription/{id_}", resource | {"id": id_})
            if member := await self.hub.parts.membership.find(self.tenant, FhirVersion.R4, id_):
                await activate(self.hub.parts, member.key)
        await ask("POST", "/Subscription", subscription(ENDPOINT, "Patient"))

    async def _publish(self) -> None:
        async with running(fanout(self.hub.parts)):
            for id_, patient in (("i", "1"), ("j", "1"), ("k", "nobody")):
                vaccination = self.vaccination(id_, patient={"reference": f"Patient/{patient}"})
                await self.ask("PUT", f"/Immunization/{id_}", vaccination)
                await matched(self.hub.parts)  # of two partitions either might come first

    async def _look(self) -> None:
        ask = self.ask
        for path in (
            "/Patient", "/Patient?_total=accurate&_count=1", "/Patient?identifier=urn:ids|1", "/Patient?_id=1,2",
            "/Patient?_in=Group/vip", f"/Immunization?patient.family={self.mark}", "/Immunization?patient.family=mark-",
            "/Immunization?vaccine-code:in=urn:vaccines", "/Patient?_has:Immunization:patient:status=completed",
            "/Patient/1", "/Patient/1/_history", "/Patient/1/_history/2", "/Patient/1/_history/99", "/Patient/_history",
            "/_history", "/Patient?_summary=count", "/Basic", "/Basic/b",
            "/Basic/b/_history/1", "/Basic/t", "/Basic/nothing",
            "/Basic?code=http://hl7.org/fhir/fhir-types|SubscriptionTopic", "/Subscription", "/Subscription/s",
            "/Subscription/s/_history/1", "/Subscription?status=active", "/fhir/r5/SubscriptionTopic/t",
            "/fhir/r5/SubscriptionTopic?url=" + TOPIC, "/fhir/r5/SubscriptionTopic/t/_history/1", "/metadata",
            "/fhir/r5/metadata", "/fhir/r5/Patient", "/fhir/r5/Subscription", "/Subscription/$status",
            "/Subscription/s/$status", "/Subscription/own/$status", "/Subscription/$get-ws-binding-token",
            "/Subscription/s/$get-ws-binding-token", "/Subscription/s/$credentials", "/AuditEvent", "/AuditEvent/1-0",
            "/AuditEvent?type=rest", "/admin/subscriptions/r4/s/attempts", "/Nothing", "/nowhere", "/Patient?nothing=1",
        ):  # fmt: skip
            await ask("GET", path)
        for id_ in ("s", "own", "in", "of", "chained"):
            await ask("GET", f"/Subscription/{id_}/$events?content=full-resource")
        await self.form("/Patient/_search", "identifier=urn:ids|1")
        await self.form("/Basic/_search", "_id=b")
        await self.form("/Subscription/_search", "status=active")
        await self.form("/AuditEvent/_search", "type=rest")
        await self.form("/fhir/r5/SubscriptionTopic/_search", f"url={TOPIC}")

    async def _operate(self) -> None:
        ask, parameters = self.ask, dict[str, Any](resourceType="Parameters")
        for path in ("$status", "s/$status", "$get-ws-binding-token", "s/$get-ws-binding-token", "s/$events", "s/$test",
                     "s/$resend", "s/$rotate-secret", "s/$credentials"):  # fmt: skip
            await ask("POST", f"/Subscription/{path}", parameters)
        alike = subscription(ENDPOINT, "Immunization", "vaccine-code:in=urn:vaccines") | {"criteria": TOPIC}
        await ask("POST", "/Subscription/$validate", alike)
        alike = subscription(ENDPOINT, "Immunization", "patient=Patient/1") | {"criteria": TOPIC}
        await ask("POST", "/Subscription/own/$validate", alike | {"id": "own"})
        for id_ in ("s", "in", "of", "chained"):
            given: list[Json] = [{"name": "reference", "valueString": "Immunization/i/_history/1"}]
            await ask("POST", f"/Subscription/{id_}/$explain", parameters | {"parameter": given})
        given = [{"name": "subscription", "resource": alike}, {"name": "resource", "resource": self.vaccination("i")}]
        await ask("POST", "/Subscription/$explain", parameters | {"parameter": given})
        await ask("POST", "/admin/subscriptions/r4/s/redeliver", {"from": 1, "to": 1})
        for action in ("test", "resume", "rotate-secret"):
            await ask("POST", f"/admin/subscriptions/r4/s/{action}")
        await ask("POST", "/admin/subscriptions/r4/own/off")
        await ask("POST", "/admin/explain", {"subscription": "s", "reference": "Immunization/i/_history/1"})
        await ask("POST", "/admin/explain", {"subscription": alike, "resource": self.vaccination("i")})
        await ask("PATCH", "/Subscription/s", [{"op": "replace", "path": "/reason", "value": self.mark}],
                  content_type="application/json-patch+json")  # fmt: skip

    async def _go(self) -> None:
        ask = self.ask
        await ask("GET", "/Immunization/i")
        for path in ("/fhir/r5/SubscriptionTopic/t", "/Subscription/own", "/fhir/r5/SubscriptionTopic/t",
                     "/Subscription/own", "/Patient/2", "/Patient?identifier=urn:ids|1", "/Basic/b"):  # fmt: skip
            await ask("DELETE", path)
        await ask("GET", "/Patient/2")
        await ask("GET", "/Patient?_total=accurate")
        erase = {"resource": "Patient/1", "compartment": True}
        await ask("POST", "/admin/erase", erase | {"dryRun": True})
        erasure = (await ask("POST", "/admin/erase", erase)).json()["id"]
        await ask("GET", f"/admin/erasures/{erasure}")
        await ask("GET", "/Immunization/i")
        await ask("GET", "/Subscription/s/$events")
