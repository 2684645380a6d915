"""The trip at the bases of R4B and R5: a Subscription is registered, a resource is written, a notification arrives."""

from typing import Any
from uuid import UUID

import pytest

from tests.fhir import immunization, talking_to
from tests.processes import BACKPORT, TOPIC, HubProcess, subscription, subscription_r5
from tests.receiver import Received, Receiver

FORMS = {
    "r4b": ("history", {"profile": [f"{BACKPORT}/backport-subscription-notification"]}),
    "r5": ("subscription-notification", None),
}
VERSIONS = pytest.mark.parametrize("version", FORMS)


def wanted(version: str, endpoint: str, content: str, *filters: str) -> dict[str, Any]:
    make = subscription_r5 if version == "r5" else subscription
    return make(endpoint, "Immunization", *filters, content=content)


def bundle(version: str, received: Received, status: dict[str, Any], *entries: dict[str, Any]) -> dict[str, Any]:
    """What should have been received; `status` is the SubscriptionStatus beside its type and id."""
    type_, meta = FORMS[version]
    id_ = received.bundle["id"]
    assert str(UUID(id_)) == id_
    request = {"method": "GET", "url": f"{status['subscription']['reference']}/$status"}
    first = {"fullUrl": f"urn:uuid:{id_}", "resource": {"resourceType": "SubscriptionStatus", "id": id_} | status}
    return {
        "resourceType": "Bundle",
        "id": id_,
        **({"meta": meta} if meta else {}),
        "type": type_,
        "timestamp": received.bundle["timestamp"],
        "entry": [
            first | ({"request": request, "response": {"status": "200"}} if type_ == "history" else {}),
            *entries,
        ],
    }


@VERSIONS
async def test_handshake_and_status(hub: HubProcess, receiver: Receiver, version: str) -> None:
    async with talking_to(hub, version) as fhir:
        id_ = await fhir.subscribe(wanted(version, f"{receiver.url}/handshake", "id-only"))
        url = f"{hub.url}/fhir/{version}/Subscription/{id_}"
        [received] = receiver.received
        status = {
            "status": "requested",
            "type": "handshake",
            "eventsSinceSubscriptionStart": "0",
            "subscription": {"reference": url},
            "topic": TOPIC.format("immunization"),
        }
        assert received.bundle == bundle(version, received, status)
        told = (await fhir.read(f"Subscription/{id_}/$status"))["entry"]
        assert [entry.keys() for entry in told] == [{"fullUrl", "resource", "search"}]
        asked = told[0]["resource"]
        assert asked == status | {
            "resourceType": "SubscriptionStatus",
            "id": asked["id"],
            "status": "active",
            "type": "query-status",
        }
        await fhir.delete(f"Subscription/{id_}")


@VERSIONS
@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
async def test_content(hub: HubProcess, receiver: Receiver, version: str, content: str) -> None:
    """Create, update and delete arrive as events 1, 2, 3, each with exactly as much as was asked for."""
    async with talking_to(hub, version) as fhir:
        name = f"{version}-{content}"
        id_ = await fhir.subscribe(wanted(version, f"{receiver.url}/x", content, f"patient=Patient/{name}"))
        local = f"Immunization/{await fhir.post(immunization(patient=name))}"
        await fhir.put(immunization(local.partition("/")[2], patient=name, lot="2"))
        await fhir.put(immunization(f"{name}-of-another", patient="another"))
        await fhir.delete(local)
        received = await receiver.events("/x", 3)
        history = (await fhir.read(f"{local}/_history"))["entry"]
        base = f"{hub.url}/fhir/{version}"
        requests = (("POST", "Immunization", "201"), ("PUT", local, "200"), ("DELETE", local, "204"))
        for number, (notification, change) in enumerate(zip(received, reversed(history), strict=True), start=1):
            event = {"eventNumber": str(number), "timestamp": change["response"]["lastModified"]}
            status = {
                "status": "active",
                "type": "event-notification",
                "eventsSinceSubscriptionStart": str(number),
                "notificationEvent": [
                    event | ({} if content == "empty" else {"focus": {"reference": f"{base}/{local}"}})
                ],
                "subscription": {"reference": f"{base}/Subscription/{id_}"},
                **({} if content == "empty" else {"topic": TOPIC.format("immunization")}),
            }
            method, url, code = requests[number - 1]
            entry = {
                "fullUrl": f"{base}/{local}",
                **({"resource": change["resource"]} if "resource" in change else {}),
                "request": {"method": method, "url": url},
                "response": {"status": code},
            }
            told = content == "full-resource" or (content == "id-only" and number == 3)
            assert notification.bundle == bundle(version, notification, status, *([entry] if told else []))
        events = await fhir.read(f"Subscription/{id_}/$events?eventsSinceNumber=2")
        assert events["type"] == FORMS[version][0]
        assert [each["eventNumber"] for each in events["entry"][0]["resource"]["notificationEvent"]] == ["2", "3"]


async def test_versions_are_apart(hub: HubProcess, receiver: Receiver) -> None:
    """The same id at three bases is three resources; each subscriber is told of its own version's alone."""
    for version in ("r4", "r4b", "r5"):
        async with talking_to(hub, version) as fhir:
            await fhir.subscribe(wanted(version, f"{receiver.url}/{version}", "id-only", "patient=Patient/apart"))
    for version in ("r4", "r4b", "r5"):
        async with talking_to(hub, version) as fhir:
            assert await fhir.put(immunization("apart", patient="apart", lot=version)) == 1
    for version in ("r4", "r4b", "r5"):
        [received] = await receiver.events(f"/{version}", 1)
        [event] = received.parameters["notification-event"]
        focus = event["focus"]
        assert focus["reference"] == f"{hub.url}/fhir/{version}/Immunization/apart"
        async with talking_to(hub, version) as fhir:
            assert (await fhir.read("Immunization/apart"))["lotNumber"] == version
