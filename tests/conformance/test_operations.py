"""`$status` and `$events`, and the operation that there isn't."""

from typing import Any

import pytest

from tests.conformance.bases import Base
from tests.conformance.rules import faults, status_faults
from tests.conformance.stories import Lives, Told, status
from tests.receiver import parameters


def ids(statuses: list[dict[str, Any]]) -> dict[str, str]:
    """The status of each Subscription, by its id."""
    return {each["subscription"]["reference"].rpartition("/")[2]: each["status"] for each in statuses}


def asked(**given: list[str]) -> dict[str, Any]:
    types = {"id": "valueId", "status": "valueCode"}
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, types[name]: each} for name, values in given.items() for each in values],
    }


async def test_H18_A72_A102_B47_B121_status(base: Base, contents: dict[str, Told]) -> None:
    """A searchset with one status, by GET and by POST; unknown: 404; of many: those that are asked for."""
    told = contents["id-only"]
    for method in ("GET", "POST"):
        answer = await base.http.request(method, f"Subscription/{told.id}/$status")
        bundle = answer.json()
        assert (answer.status_code, bundle["type"], bundle["total"]) == (200, "searchset", 1)
        [entry] = bundle["entry"]
        assert not {"request", "response"} & entry.keys()
        assert status_faults(base.version, entry["resource"]) == []
        found = parameters(entry["resource"])
        assert (found["status"], found["type"], found["events-since-subscription-start"]) == (
            "active",
            "query-status",
            "3",
        )
        assert found["subscription"]["reference"] == base.subscription(told.id)
        assert bundle["link"] == [{"relation": "self", "url": f"{base.subscription(told.id)}/$status"}]
    missing = await base.http.get("Subscription/nobody/$status")
    assert (missing.status_code, missing.json()["resourceType"]) == (404, "OperationOutcome")
    of_many = await status(base, "Subscription/$status", params={"id": [told.id]})
    assert ids(of_many) == {told.id: "active"}


async def test_B106_B109_parameters_of_one(base: Base, contents: dict[str, Told], life: Lives) -> None:
    """Of one Subscription, `id` and `status` say nothing."""
    told = contents["empty"]
    found = await status(base, f"Subscription/{told.id}/$status?id={life.id}&status=off")
    assert ids(found) == {told.id: "active"}


async def test_B107_B108_ids(base: Base, contents: dict[str, Told], life: Lives) -> None:
    """Several are an OR; without any, all are told."""
    wanted = [told.id for told in contents.values()]
    assert ids(await status(base, "Subscription/$status", params={"id": wanted})) == dict.fromkeys(wanted, "active")
    assert ids(await status(base, "Subscription/$status", method="POST", json=asked(id=wanted))).keys() == {*wanted}
    assert {*wanted, life.id} <= ids(await status(base, "Subscription/$status")).keys()


async def test_B110_B111_statuses(base: Base, contents: dict[str, Told]) -> None:
    """Several are an OR, and both hold with ids; without any, the status doesn't matter."""
    off = await base.register(base.wanted("B110", status="off"))
    active = contents["empty"].id
    both = {active: "active", off: "off"}
    found = ids(await status(base, "Subscription/$status", params={"status": ["off", "active"]}))
    assert both.items() <= found.items()
    assert set(found.values()) == {"off", "active"}
    assert ids(await status(base, "Subscription/$status", params={"id": [*both], "status": ["off"]})) == {off: "off"}
    assert ids(await status(base, "Subscription/$status", params={"id": [*both]})) == both


async def test_B112_one_for_each(base: Base, contents: dict[str, Told]) -> None:
    """A searchset with one status for each Subscription."""
    wanted = [told.id for told in contents.values()]
    answer = (await base.http.get("Subscription/$status", params={"id": wanted})).json()
    assert (answer["type"], answer["total"], len(answer["entry"])) == ("searchset", 3, 3)
    assert all(status_faults(base.version, entry["resource"]) == [] for entry in answer["entry"])


async def events(base: Base, told: Told, query: str = "") -> dict[str, Any]:
    return await base.fhir.read(f"Subscription/{told.id}/$events{query}")


def numbers(bundle: dict[str, Any]) -> list[str]:
    return [event["event-number"] for event in parameters(bundle["entry"][0]["resource"])["notification-event"]]


async def test_H19_A134_B83_B122_events(base: Base, contents: dict[str, Told]) -> None:
    """From one number to another, both included, as a query-event; there may be less content, not more."""
    told = contents["full-resource"]
    found = await events(base, told, "?eventsSinceNumber=1&eventsUntilNumber=2")
    assert numbers(found) == ["1", "2"]
    assert parameters(found["entry"][0]["resource"])["type"] == "query-event"
    assert [entry["resource"] for entry in found["entry"][1:]] == [each["resource"] for each in told.history[:2]]
    assert len((await events(base, told, "?content=empty"))["entry"]) == 1
    assert len((await events(base, contents["empty"], "?content=full-resource"))["entry"]) == 1
    assert (await base.http.get(f"Subscription/{told.id}/$events?eventsSinceNumber=4")).status_code == 404


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
async def test_B115_bundle_of_events(base: Base, contents: dict[str, Told], content: str) -> None:
    """A valid notification Bundle; the status comes first."""
    assert faults(base.version, await events(base, contents[content])) == []


async def test_B117_content_is_a_hint(base: Base, contents: dict[str, Told]) -> None:
    """It is heeded where it asks for less."""
    found = await events(base, contents["full-resource"], "?content=id-only&eventsUntilNumber=2")
    assert [entry for entry in found["entry"][1:] if "resource" in entry] == []


async def test_B118_B119_bounds(base: Base, contents: dict[str, Told]) -> None:
    """Each is included, and may be left out."""
    told = contents["id-only"]
    assert numbers(await events(base, told, "?eventsSinceNumber=2")) == ["2", "3"]
    assert numbers(await events(base, told, "?eventsUntilNumber=2")) == ["1", "2"]
    assert numbers(await events(base, told, "?eventsSinceNumber=2&eventsUntilNumber=2")) == ["2"]
    assert numbers(await events(base, told)) == ["1", "2", "3"]


async def test_F12_parameters_in_a_body(base: Base, contents: dict[str, Told]) -> None:
    """The types of the definition: strings in the guide, integer64 in R5; both as JSON strings."""
    told, type_ = contents["id-only"], "valueInteger64" if base.is_r5 else "valueString"
    given = [{"name": "eventsSinceNumber", type_: "2"}, {"name": "content", "valueCode": "empty"}]
    answer = await base.http.post(
        f"Subscription/{told.id}/$events", json={"resourceType": "Parameters", "parameter": given}
    )
    assert answer.status_code == 200, answer.text
    assert numbers(answer.json()) == ["2", "3"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_H20_B123_no_token(base: Base, contents: dict[str, Told], method: str) -> None:
    """There is no websocket: no token is given, and no CapabilityStatement says so."""
    for path in ("Subscription", f"Subscription/{contents['empty'].id}"):
        answer = await base.http.request(method, f"{path}/$get-ws-binding-token")
        [issue] = answer.json()["issue"]
        assert (answer.status_code, issue["code"], issue["severity"]) == (400, "not-supported", "error")
        assert issue["details"]["text"]
        assert issue["expression"]
    assert "get-ws-binding-token" not in (await base.http.get("metadata")).text
    answer = await base.http.post("Subscription", json=_by_websocket(base))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "not-supported")


def _by_websocket(base: Base) -> dict[str, Any]:
    wanted: dict[str, Any] = base.wanted("H20")
    if base.is_r5:
        return wanted | {"channelType": {"code": "websocket"}}
    return wanted | {"channel": wanted["channel"] | {"type": "websocket"}}
