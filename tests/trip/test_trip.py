"""The trip: a Subscription is registered, a resource is written, a notification arrives, in the exact form of R4."""

from time import monotonic
from typing import Any
from uuid import UUID

import pytest

from tests.fhir import Fhir, immunization
from tests.processes import BACKPORT, SHARED, TOPIC, HubProcess, subscription
from tests.receiver import Holding, Received, Receiver


def status_entry(received: Received, subscription: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    """The first entry of every notification; its id is a UUID and the Bundle's own."""
    id_ = received.bundle["id"]
    assert str(UUID(id_)) == id_
    return {
        "fullUrl": f"urn:uuid:{id_}",
        "resource": {
            "resourceType": "Parameters",
            "id": id_,
            "meta": {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]},
            "parameter": [{"name": "subscription", "valueReference": {"reference": subscription}}, *parameters],
        },
        "request": {"method": "GET", "url": f"{subscription}/$status"},
        "response": {"status": "200"},
    }


def bundle(received: Received, *entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "id": received.bundle["id"],
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": received.bundle["timestamp"],
        "entry": list(entries),
    }


async def test_handshake(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """After the 201 the endpoint gets a handshake: one entry, `requested`, no events, and the headers as registered."""
    lines = ["Authorization: Bearer abc:def", "X-Ward: 7", "X-Ward: 9"]
    wanted = subscription(f"{receiver.url}/handshake", headers=lines)
    wanted["channel"]["payload"] = "application/fhir+json; fhirVersion=4.0"
    asked = monotonic()
    answer = await fhir.http.post("Subscription", json=wanted | {"status": "active"})
    assert answer.status_code == 201
    created = answer.json()
    assert (created["status"], created["channel"]) == ("requested", wanted["channel"])
    assert answer.headers["Location"] == f"{hub.base}/Subscription/{created['id']}/_history/1"

    await receiver.until(lambda: len(receiver.received) == 1)
    [received] = receiver.received
    assert received.at - asked > float(SHARED["HUB_HANDSHAKE_DELAY"]) - 0.05, "so that the 201 comes before it"
    assert received.bundle == bundle(
        received,
        status_entry(
            received,
            f"{hub.base}/Subscription/{created['id']}",
            {"name": "topic", "valueCanonical": TOPIC.format("immunization")},
            {"name": "status", "valueCode": "requested"},
            {"name": "type", "valueCode": "handshake"},
            {"name": "events-since-subscription-start", "valueString": "0"},
        ),
    )
    sent = [": ".join(header) for header in received.headers]
    assert [line for line in sent if line.startswith(("Authorization", "X-Ward"))] == lines
    assert "Content-Type: application/fhir+json; fhirVersion=4.0" in sent
    await fhir.until(created["id"], "active")
    assert len(receiver.received) == 1
    await fhir.delete(f"Subscription/{created['id']}")


@pytest.mark.parametrize(
    ("content", "type_"), [("empty", "Basic"), ("id-only", "List"), ("full-resource", "Flag")], ids=lambda x: x
)
async def test_content(hub: HubProcess, fhir: Fhir, receiver: Receiver, content: str, type_: str) -> None:
    """Create, update and delete arrive as events 1, 2, 3, each with exactly as much as was asked for."""
    id_ = await fhir.subscribe(subscription(f"{receiver.url}/{content}", type_, content=content))
    resource = RESOURCES[type_] | {"id": await fhir.post(RESOURCES[type_])}
    local = f"{type_}/{resource['id']}"
    await fhir.put(resource | {"language": "en"})
    await fhir.delete(local)
    received = await receiver.events(f"/{content}", 3)

    history = (await fhir.read(f"{local}/_history"))["entry"]
    assert [entry["request"]["method"] for entry in history] == ["DELETE", "PUT", "POST"]
    focus = {"name": "focus", "valueReference": {"reference": f"{hub.base}/{local}"}}
    requests = ({"method": "POST", "url": type_}, {"method": "PUT", "url": local}, {"method": "DELETE", "url": local})
    for number, (notification, change) in enumerate(zip(received, reversed(history), strict=True), start=1):
        event = [
            {"name": "event-number", "valueString": str(number)},
            {"name": "timestamp", "valueInstant": change["response"]["lastModified"]},
        ]
        status = status_entry(
            notification,
            f"{hub.base}/Subscription/{id_}",
            *([] if content == "empty" else [{"name": "topic", "valueCanonical": TOPIC.format(type_.lower())}]),
            {"name": "status", "valueCode": "active"},
            {"name": "type", "valueCode": "event-notification"},
            {"name": "events-since-subscription-start", "valueString": str(number)},
            {"name": "notification-event", "part": event if content == "empty" else [*event, focus]},
        )
        entry = {
            "fullUrl": f"{hub.base}/{local}",
            **({"resource": change["resource"]} if "resource" in change else {}),
            "request": requests[number - 1],
            "response": {"status": ("201", "200", "204")[number - 1]},
        }
        # Only its request tells of a delete, so that one has an entry with `id-only` too.
        told = content == "full-resource" or (content == "id-only" and number == 3)
        assert notification.bundle == bundle(notification, status, *([entry] if told else []))
    assert len({notification.bundle["id"] for notification in received}) == 3


RESOURCES: dict[str, dict[str, Any]] = {
    "Basic": {"resourceType": "Basic", "code": {"text": "referral"}},
    "List": {"resourceType": "List", "status": "current", "mode": "working"},
    "Flag": {
        "resourceType": "Flag",
        "status": "active",
        "code": {"text": "Risk of falling"},
        "subject": {"reference": "Patient/example"},
        # Digits that a number would lose.
        "extension": [{"url": "http://example.org/score", "valueDecimal": 1.50}],
    },
}


async def test_transaction(fhir: Fhir, receiver: Receiver) -> None:
    """What a transaction writes are changes like any other."""
    await fhir.subscribe(subscription(f"{receiver.url}/transaction", "Immunization", "patient=Patient/transaction"))
    names = ["transaction-1", "transaction-2"]
    entries = [
        {
            "resource": immunization(name, patient="transaction"),
            "request": {"method": "PUT", "url": f"Immunization/{name}"},
        }
        for name in names
    ]
    answer = await fhir.http.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200
    received = await receiver.events("/transaction", 2)
    assert [each.numbers for each in received] == [[1], [2]]
    assert sorted(focus for each in received for focus in each.foci) == [f"Immunization/{name}" for name in names]


async def test_two_on_one_endpoint(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """Two organisations with one endpoint: each gets its own events, under its own headers, with its own numbers."""
    clinics = ("north", "south")
    ids = {
        clinic: await fhir.subscribe(
            subscription(
                f"{receiver.url}/both",
                "Immunization",
                f"patient=Patient/{clinic}",
                content="full-resource",
                headers=[f"Authorization: Bearer {clinic}"],
            )
        )
        for clinic in clinics
    }
    for number in range(5):
        for clinic in clinics:
            await fhir.put(immunization(f"both-{clinic}", patient=clinic, lot=str(number)))
    received = await receiver.events("/both", 10)
    for clinic, id_ in ids.items():
        mine = [each for each in received if ("Authorization", f"Bearer {clinic}") in each.headers]
        assert [each.numbers for each in mine] == [[1], [2], [3], [4], [5]]
        assert {each.parameters["subscription"]["reference"] for each in mine} == {f"{hub.base}/Subscription/{id_}"}
        assert {each.bundle["entry"][1]["resource"]["patient"]["reference"] for each in mine} == {f"Patient/{clinic}"}


async def test_max_count(fhir: Fhir, receiver: Receiver) -> None:
    """Events are put together, up to the most that was asked for, only when they have to wait."""
    holding = Holding()
    receiver.answers["/max-count"] = holding
    wanted = subscription(f"{receiver.url}/max-count", "Immunization", "patient=Patient/max-count", max_count=4)
    id_ = await fhir.subscribe(wanted)
    for number in range(7):
        await fhir.put(immunization("max-count", patient="max-count", lot=str(number)))
        if number == 0:
            await receiver.until(lambda: holding.on_the_wire == 1)
    await fhir.until_events(id_, 7)
    holding.release()
    received = await receiver.events("/max-count", 3)
    assert [each.numbers for each in received] == [[1], [2, 3, 4, 5], [6, 7]]
    assert [each.parameters["events-since-subscription-start"] for each in received] == ["1", "5", "7"]
