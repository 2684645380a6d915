"""How Subscriptions stand: `$status`, and the search for them."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from tests.fhir import Fhir, immunization
from tests.processes import BACKPORT, TOPIC, HubProcess, subscription
from tests.receiver import Receiver, parameters


@pytest.fixture
async def three(fhir: Fhir, receiver: Receiver) -> AsyncIterator[dict[str, str]]:
    """The ids of three Subscriptions: `active` with one event, `off`, and `error`."""

    async def refuse(_: object) -> int:
        return 401

    receiver.answers["/error"] = refuse
    filters = ("Immunization", "patient=Patient/status")
    ids = {
        "active": await fhir.subscribe(subscription(f"{receiver.url}/active", *filters)),
        "off": await fhir.post(subscription(f"{receiver.url}/off", "Observation", status="off")),
        "error": await fhir.post(subscription(f"{receiver.url}/error", "Flag", content="empty")),
    }
    await fhir.put(immunization("status", patient="status"))
    await receiver.events("/active", 1)
    await fhir.until(ids["error"], "error")
    yield ids
    for id_ in ids.values():
        await fhir.delete(f"Subscription/{id_}")


def listed(bundle: dict[str, Any]) -> dict[str, str]:
    """The statuses in a Bundle, by the id of the Subscription."""
    found = [parameters(entry["resource"]) for entry in bundle.get("entry", [])]
    return {each["subscription"]["reference"].rpartition("/")[2]: each["status"] for each in found}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_status_of_one(hub: HubProcess, fhir: Fhir, three: dict[str, str], method: str) -> None:
    """A searchset with one status, in the exact form; parameters mean nothing there."""
    url = f"Subscription/{three['active']}/$status"
    asked = f"{url}?status=off" if method == "GET" else url
    answer = await fhir.http.request(method, asked)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/fhir+json")
    bundle = answer.json()
    id_ = bundle["entry"][0]["resource"]["id"]
    assert str(UUID(id_)) == id_
    assert bundle == {
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": bundle["timestamp"],
        "total": 1,
        "link": [{"relation": "self", "url": f"{hub.base}/{asked}"}],
        "entry": [
            {
                "fullUrl": f"urn:uuid:{id_}",
                "resource": {
                    "resourceType": "Parameters",
                    "id": id_,
                    "meta": {"profile": [f"{BACKPORT}/backport-subscription-status-r4"]},
                    "parameter": [
                        {
                            "name": "subscription",
                            "valueReference": {"reference": f"{hub.base}/Subscription/{three['active']}"},
                        },
                        {"name": "topic", "valueCanonical": TOPIC.format("immunization")},
                        {"name": "status", "valueCode": "active"},
                        {"name": "type", "valueCode": "query-status"},
                        {"name": "events-since-subscription-start", "valueString": "1"},
                    ],
                },
                "search": {"mode": "match"},
            }
        ],
    }


async def test_status_of_many(fhir: Fhir, three: dict[str, str]) -> None:
    """Those of the given ids and in one of the given states, by GET and POST alike; all without either."""
    every = {id_: status for status, id_ in three.items()}
    active, off, error = three.values()
    asked: list[tuple[dict[str, list[str]], set[str]]] = [
        ({}, {active, off, error}),
        ({"id": [active, off]}, {active, off}),
        ({"id": [f"{active},{off}"]}, {active, off}),
        ({"id": [active, off, error], "status": ["off", "error"]}, {off, error}),
        ({"id": [active], "status": ["off"]}, set()),
        ({"id": ["nobody"]}, set()),
    ]
    for query, wanted in asked:
        given = [
            {"name": name, ("valueId" if name == "id" else "valueCode"): value}
            for name, values in query.items()
            for value in values
        ]
        body = {"resourceType": "Parameters", "parameter": given} if given else {"resourceType": "Parameters"}
        for answer in (
            await fhir.http.get("Subscription/$status", params=query),
            await fhir.http.post("Subscription/$status", json=body),
        ):
            assert answer.status_code == 200
            found = listed(answer.json())
            assert answer.json()["total"] == len(found)
            assert {id_: status for id_, status in found.items() if id_ in every} == {id_: every[id_] for id_ in wanted}
            assert not query or found.keys() == wanted


async def test_status_of_nobody(fhir: Fhir) -> None:
    """There is no status of an unknown Subscription, nor one by an unknown state."""
    for url, status in (("Subscription/nobody/$status", 404), ("Subscription/$status?status=gone", 400)):
        answer = await fhir.http.get(url)
        assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


async def test_search(fhir: Fhir, receiver: Receiver, three: dict[str, str]) -> None:
    """Subscriptions are found by `url`, `status` and `criteria`, and by several at once."""

    async def found(**query: str) -> set[str]:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        bundle = await fhir.read(f"Subscription?{asked}&_count=1000")  # others have many on this hub
        assert (bundle["type"], bundle["total"]) == ("searchset", len(bundle.get("entry", [])))
        return {entry["resource"]["id"] for entry in bundle.get("entry", [])}

    active, off, error = three.values()
    assert await found(url=f"{receiver.url}/off") == {off}
    assert await found(url=f"{receiver.url}/nowhere") == set()
    assert off in await found(status="off")
    assert not {active, error} & await found(status="off")
    assert {active, error} <= await found(status="active,error")
    assert await found(url=f"{receiver.url}/error", status="error") == {error}
    assert await found(url=f"{receiver.url}/error", status="active") == set()
    assert error in await found(criteria=TOPIC.format("flag"))
    assert active not in await found(criteria=TOPIC.format("flag"))
    answer = await fhir.http.get("Subscription?colour=red")
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
