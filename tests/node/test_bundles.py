"""What a hub sends, read by an implementation of FHIR that shares no code, no language and no author with it."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import anyio
import pytest

from subscriptions.codes import FhirVersion
from tests.fhir import Fhir, immunization, talking_to
from tests.processes import HubProcess, subscription, subscription_r5
from tests.receiver import Holding, Receiver, after_handshake

pytestmark = pytest.mark.node

Json = dict[str, Any]

#: What happens to the resource that subscribers are told of, in order.
CHANGES = ("create", "update", "delete")
CONTENTS = ("empty", "id-only", "full-resource")
KINDS = [
    "handshake",
    "heartbeat",
    *(f"{content} of a {change}" for content in CONTENTS for change in CHANGES),
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


async def errors(version: FhirVersion, resources: list[Json]) -> list[list[str]]:
    """What the other implementation has to say against each."""
    command = ["node", str(Path(__file__).with_name("validate.mjs")), version.value]
    done = await anyio.run_process(command, input=json.dumps(resources).encode(), stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: list[list[str]] = json.loads(done.stdout)
    return found


class Story:
    """Subscribers of each content, one of several events at once, one that fails, and what they and others are told."""

    def __init__(self, fhir: Fhir, receiver: Receiver, version: FhirVersion) -> None:
        self.fhir, self.receiver, self.version = fhir, receiver, version
        self.patient = f"node-{version.value}"
        self.told: dict[str, Json] = {}

    async def run(self) -> dict[str, Json]:
        await self.fhir.put(immunization(f"{self.patient}-of-another", patient="another"))
        ids = {content: await self.subscribed(content, content=content) for content in CONTENTS}
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
        await self.notifications()
        await self.answers(ids)
        await self.failing()
        for id_ in ids.values():
            await self.fhir.delete(f"Subscription/{id_}")
        return self.told

    def wanted(self, path: str, **options: Any) -> Json:
        make = subscription_r5 if self.version is FhirVersion.R5 else subscription
        return make(f"{self.receiver.url}/{path}", "Immunization", f"patient=Patient/{self.patient}", **options)

    async def subscribed(self, path: str, **options: Any) -> str:
        return await self.fhir.subscribe(self.wanted(path, **options))

    async def notifications(self) -> None:
        for content in CONTENTS:
            received = await self.receiver.events(f"/{content}", len(CHANGES))
            for change, each in zip(CHANGES, received, strict=True):
                self.told[f"{content} of a {change}"] = each.bundle
        [_, several] = await self.receiver.events("/several", 2)
        assert several.numbers == [2, 3]
        self.told["several events"] = several.bundle
        await self.receiver.until(lambda: bool(self.receiver.at("/heart", "heartbeat")))
        self.told["heartbeat"] = self.receiver.at("/heart", "heartbeat")[0].bundle
        self.told["handshake"] = self.receiver.at("/heart", "handshake")[0].bundle

    async def answers(self, ids: dict[str, str]) -> None:
        for content, id_ in ids.items():
            self.told[f"$events {content}"] = await self.fhir.read(f"Subscription/{id_}/$events?eventsSinceNumber=1")
        for kind, url in (
            ("$status", f"Subscription/{ids['empty']}/$status"),
            ("$status of all", "Subscription/$status"),
            ("search", "Immunization?_count=2"),
            ("history", f"Immunization/{self.patient}/_history"),
            ("history of a type", "Immunization/_history"),
            ("history of all", "_history"),
            ("Subscription", f"Subscription/{ids['full-resource']}"),
            ("topics", "Basic?_count=2" if self.version is FhirVersion.R4 else "SubscriptionTopic?_count=2"),
            ("metadata", "metadata"),
        ):
            self.told[kind] = await self.fhir.read(url)
        for type_ in ("batch", "transaction"):
            entry = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
            answer = await self.fhir.http.post("", json={"resourceType": "Bundle", "type": type_, "entry": [entry]})
            self.told[f"{type_}-response"] = answer.json()

    async def failing(self) -> None:
        self.receiver.answers["/failing"] = after_handshake(403)
        id_ = await self.subscribed("failing")
        await self.fhir.put(immunization(self.patient, patient=self.patient))
        await self.fhir.until(id_, "error")
        self.told["$status of an error"] = await self.fhir.read(f"Subscription/{id_}/$status")
        refused = await self.fhir.http.post("Subscription", json=self.wanted("x", content="everything"))
        assert refused.status_code == 400
        self.told["refusal"] = refused.json()


@pytest.fixture(scope="module", params=FhirVersion, ids=lambda version: version.value)
async def told(request: pytest.FixtureRequest, hub: HubProcess) -> AsyncIterator[tuple[FhirVersion, dict[str, Json]]]:
    """What a hub said in one version, by kind."""
    version: FhirVersion = request.param
    async with Receiver() as receiver, talking_to(hub, version.value) as fhir:
        yield version, await Story(fhir, receiver, version).run()


async def test_all_that_a_hub_says_is_read_without_error(told: tuple[FhirVersion, dict[str, Json]]) -> None:
    version, said = told
    assert sorted(said) == sorted(KINDS)
    found = await errors(version, [said[kind] for kind in KINDS])
    assert {kind: each for kind, each in zip(KINDS, found, strict=True) if each} == {}


async def test_what_is_broken_is_told(told: tuple[FhirVersion, dict[str, Json]]) -> None:
    """The other implementation would have said so: each fault alone, put into a Bundle that was sent, is an error."""
    version, said = told
    faults = FAULTS_R5 if version is FhirVersion.R5 else FAULTS
    broken = []
    for fault in faults.values():
        bundle = deepcopy(said["full-resource of a create"])
        fault(bundle)
        broken.append(bundle)
    found = await errors(version, broken)
    assert [fault for fault, each in zip(faults, found, strict=True) if not each] == []
    assert all(any(fault in error for error in each) for fault, each in zip(faults, found, strict=True)), found


def _count_by_number(bundle: Json) -> None:
    status = bundle["entry"][0]["resource"]
    if status["resourceType"] == "SubscriptionStatus":
        status["eventsSinceSubscriptionStart"] = 1
    else:
        [since] = [each for each in status["parameter"] if each["name"] == "events-since-subscription-start"]
        since["valueString"] = 1


def _have_no_request(bundle: Json) -> None:
    del bundle["entry"][1]["request"]


def _have_no_response(bundle: Json) -> None:
    del bundle["entry"][0]["response"]


def _have_no_type(bundle: Json) -> None:
    del bundle["type"]


def _have_another_member(bundle: Json) -> None:
    bundle["entry"][0]["resource"]["colour"] = "red"


def _have_no_status(bundle: Json) -> None:
    del bundle["entry"][0]


def _have_an_entry_twice(bundle: Json) -> None:
    bundle["entry"].append(bundle["entry"][1])


def _have_no_url(bundle: Json) -> None:
    del bundle["entry"][0]["fullUrl"]


def _have_no_events(bundle: Json) -> None:
    del bundle["entry"][0]["resource"]["notificationEvent"]


_EVERY: dict[str, Callable[[Json], None]] = {
    "expected string, but got number": _count_by_number,
    "Bundle.type: Missing required property": _have_no_type,
    'Invalid additional property "colour"': _have_another_member,
}
#: What is done to a Bundle, by words of the error that follows.
FAULTS = _EVERY | {"bdl-3": _have_no_request, "bdl-4": _have_no_response}
FAULTS_R5 = _EVERY | {
    "bdl-13": _have_no_status,
    "bdl-7": _have_an_entry_twice,
    "bdl-15": _have_no_url,
    "sst-1": _have_no_events,
}
