"""Refusals through HTTP: what can't be heeded is not accepted, and nothing of it stays."""

from typing import Any

import pytest

from tests.fhir import Fhir, immunization
from tests.processes import BACKPORT, TOPIC, HubProcess, subscription
from tests.receiver import Receiver


def without(*names: str) -> dict[str, Any]:
    """The change that takes elements out of the channel."""
    return {"channel": dict.fromkeys(names)}


def extension(name: str, **value: Any) -> dict[str, Any]:
    return {"extension": [{"url": f"{BACKPORT}/backport-{name}", **value}]}


REFUSED = [
    pytest.param({"criteria": TOPIC.format("spaceship")}, "not-supported", "Subscription.criteria", id="unknown-topic"),
    pytest.param({"criteria": TOPIC.format("subscription")}, "not-supported", "Subscription.criteria", id="own-topic"),
    pytest.param(
        {"criteria": "Immunization?patient=a"},
        "not-supported",
        "Subscription.channel.payload.extension[0]",
        id="search-with-content",
    ),
    pytest.param({"criteria": "[Patient,Group]"}, "not-supported", "Subscription.criteria", id="several-types"),
    pytest.param({"criteria": None}, "required", "Subscription.criteria", id="no-topic"),
    pytest.param({"reason": None}, "required", "Subscription.reason", id="no-reason"),
    pytest.param({"status": "error"}, "business-rule", "Subscription.status", id="hub-status"),
    pytest.param({"end": "2020-01-01T00:00:00Z"}, "business-rule", "Subscription.end", id="past-end"),
    pytest.param(
        {"_criteria": extension("filter-criteria", valueString="Immunization?ward=7")},
        "not-supported",
        "Subscription.criteria.extension[0]",
        id="unknown-parameter",
    ),
    pytest.param(
        {"_criteria": extension("filter-criteria", valueString="Immunization?patient.name=a")},
        "not-supported",
        "Subscription.criteria.extension[0]",
        id="chained-parameter",
    ),
    pytest.param(
        {"_criteria": extension("filter-criteria", valueString="Immunization?vaccine-code:exact=207")},
        "not-supported",
        "Subscription.criteria.extension[0]",
        id="modifier-of-another-type",
    ),
    pytest.param(
        {"_criteria": extension("filter-criteria", valueString="Immunization?lot-number:missing=perhaps")},
        "value",
        "Subscription.criteria.extension[0]",
        id="modifier-missing",
    ),
    pytest.param(
        {"_criteria": extension("filter-criteria", valueString="Immunization?lot-number:text=1")},
        "not-supported",
        "Subscription.criteria.extension[0]",
        id="modifier-text",
    ),
    pytest.param(
        {"_criteria": extension("filter-criteria", valueString="Immunization?patient:Klingon=a")},
        "not-supported",
        "Subscription.criteria.extension[0]",
        id="modifier-type",
    ),
    pytest.param(
        {"_criteria": extension("filter-criteria", valueString="Immunization?date=ge2026-13")},
        "value",
        "Subscription.criteria.extension[0]",
        id="malformed-after-a-comparator",
    ),
    pytest.param(
        {"_criteria": extension("filter-criteria", valueString="Patient?family=a")},
        "value",
        "Subscription.criteria.extension[0]",
        id="filter-of-another-type",
    ),
    pytest.param(
        {"_criteria": extension("filter-criteria", valueString="Immunization?date=yesterday")},
        "value",
        "Subscription.criteria.extension[0]",
        id="malformed-value",
    ),
    pytest.param({"channel": {"type": "email"}}, "not-supported", "Subscription.channel.type", id="other-channel"),
    pytest.param(
        {"channel": {"_type": extension("channel-type", valueCoding={"code": "zulip"})}},
        "not-supported",
        "Subscription.channel.type.extension[0]",
        id="custom-channel",
    ),
    pytest.param(without("_payload"), "required", "Subscription.channel.payload.extension", id="no-content"),
    pytest.param(
        {"channel": {"_payload": extension("payload-content", valueCode="everything")}},
        "not-supported",
        "Subscription.channel.payload.extension[0]",
        id="unknown-content",
    ),
    pytest.param(
        {"channel": {"payload": "application/fhir+json; fhirVersion=5.0"}},
        "not-supported",
        "Subscription.channel.payload",
        id="other-version",
    ),
    pytest.param(
        {"channel": {"payload": "application/fhir+xml"}}, "not-supported", "Subscription.channel.payload", id="xml"
    ),
    pytest.param(
        {"channel": extension("heartbeat-period", valueUnsignedInt=0)},
        "value",
        "Subscription.channel.extension[0]",
        id="heartbeat",
    ),
    pytest.param(
        {"channel": {"header": ["X-A: 1", "no colon"]}}, "value", "Subscription.channel.header[1]", id="bad-header"
    ),
    pytest.param(without("endpoint"), "required", "Subscription.channel.endpoint", id="no-endpoint"),
    pytest.param(
        {"channel": {"endpoint": "ftp://a.example/x"}}, "value", "Subscription.channel.endpoint", id="no-http"
    ),
    pytest.param(
        {"channel": {"endpoint": "http://169.254.169.254/latest"}},
        "security",
        "Subscription.channel.endpoint",
        id="metadata-service",
    ),
    pytest.param(
        {
            "_criteria": {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/5.0/subscriptions-backport/StructureDefinition/backport-filter-criteria",
                        "valueString": "Immunization?patient=a",
                    }
                ]
            }
        },
        "not-supported",
        "Subscription.criteria.extension[0]",
        id="cross-version-extension",
    ),
]


def changed(resource: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A resource with other elements, one level deep; None takes one out."""
    merged = dict(resource)
    for name, value in change.items():
        merged[name] = changed(resource[name], value) if name == "channel" else value
    return {name: value for name, value in merged.items() if value is not None}


@pytest.mark.parametrize(("change", "code", "expression"), REFUSED)
async def test_refusals(fhir: Fhir, receiver: Receiver, change: dict[str, Any], code: str, expression: str) -> None:
    """What the hub can't do as asked is refused with the element that says so, and nothing is registered."""
    reason = f"refused at {receiver.url}"
    wanted = changed(subscription(f"{receiver.url}/refused") | {"reason": reason}, change)
    for answer in (
        await fhir.http.post("Subscription", json=wanted),
        await fhir.http.put("Subscription/refused", json=wanted | {"id": "refused"}),
    ):
        assert answer.status_code == 400
        outcome = answer.json()
        assert outcome["resourceType"] == "OperationOutcome"
        [issue] = outcome["issue"]
        assert (issue["severity"], issue["code"], issue["expression"]) == ("error", code, [expression])
        assert issue["details"]["text"]
    assert (await fhir.http.get("Subscription/refused")).status_code == 404
    registered = await fhir.read("Subscription")
    assert reason not in [entry["resource"]["reason"] for entry in registered.get("entry", [])]


async def test_the_hub_itself_is_no_endpoint(hub: HubProcess, fhir: Fhir) -> None:
    """Though its address is a loopback one, which is allowed here; and by whichever name of this machine."""
    port = hub.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "0.0.0.0"):
        answer = await fhir.http.post("Subscription", json=subscription(f"http://{host}:{port}/fhir/r4"))
        assert answer.status_code == 400
        [issue] = answer.json()["issue"]
        assert (issue["code"], issue["expression"]) == ("security", ["Subscription.channel.endpoint"])
        assert "is the hub itself" in issue["details"]["text"]


async def test_refused_update(fhir: Fhir, receiver: Receiver) -> None:
    """A refused change leaves the Subscription as it was, and at work."""
    wanted = subscription(f"{receiver.url}/kept", "Immunization", "patient=Patient/kept")
    id_ = await fhir.subscribe(wanted)
    before = await fhir.read(f"Subscription/{id_}")
    answer = await fhir.http.put(
        f"Subscription/{id_}", json=wanted | {"id": id_, "criteria": TOPIC.format("spaceship")}
    )
    assert answer.status_code == 400
    assert await fhir.read(f"Subscription/{id_}") == before
    await fhir.put(immunization("kept", patient="kept"))
    await receiver.events("/kept", 1)
    assert len(receiver.at("/kept", "handshake")) == 1
