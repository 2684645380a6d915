"""Filters through HTTP: what is accepted is heeded."""

from typing import Any

import pytest

from tests.fhir import Fhir, immunization, observation
from tests.processes import HubProcess, subscription
from tests.receiver import Receiver

CVX = "http://hl7.org/fhir/sid/cvx"
UCUM = "http://unitsofmeasure.org"


def coded(code: str, system: str = CVX) -> dict[str, Any]:
    return {"vaccineCode": {"coding": [{"system": system, "code": code}]}}


def named(family: str, given: str) -> dict[str, Any]:
    return {"name": [{"family": family, "given": [given]}]}


def kept(resource_type: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": resource_type, **elements}


def pressure(**numbers: int) -> dict[str, Any]:
    codes = {"systolic": "8480-6", "diastolic": "8462-4"}
    return observation(
        "any",
        component=[
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": codes[name]}]},
                "valueQuantity": {"value": number},
            }
            for name, number in numbers.items()
        ],
    )


def risk(probability: float) -> dict[str, Any]:
    subject = {"reference": "Patient/a"}
    return kept("RiskAssessment", status="final", subject=subject, prediction=[{"probabilityDecimal": probability}])


#: The filters, what they let through, and what they don't.
FILTERS = [
    pytest.param(
        [f"Immunization?vaccine-code={CVX}|207"],
        immunization(**coded("207")),
        immunization(**coded("207", "urn:oid:1.2.3")),
        id="token-with-system",
    ),
    pytest.param(
        ["Immunization?vaccine-code=207"],
        immunization(**coded("207")),
        immunization(**coded("20")),
        id="token-code-alone",
    ),
    pytest.param(
        ["Immunization.status=not-done"],
        immunization(status="not-done"),
        immunization(),
        id="token-of-a-code-type-and-dot",
    ),
    pytest.param(
        ["vaccine-code=207,208"],
        immunization(**coded("208")),
        immunization(**coded("209")),
        id="comma-is-or-no-type",
    ),
    pytest.param(
        ["Immunization?patient=Patient/a&vaccine-code=208"],
        immunization(patient="a", **coded("208")),
        immunization(patient="a"),
        id="ampersand-is-and",
    ),
    pytest.param(
        ["Immunization?patient=Patient/a", "Immunization?vaccine-code=208"],
        immunization(patient="a", **coded("208")),
        immunization(patient="b", **coded("208")),
        id="several-are-and",
    ),
    pytest.param(
        ["Observation?subject=Patient/a"],
        observation("any", subject={"reference": "Patient/a"}),
        observation("any", subject={"reference": "Group/a"}),
        id="reference",
    ),
    pytest.param(
        ["Observation?patient=a"],
        observation("any", subject={"reference": "Patient/a"}),
        observation("any", subject={"reference": "Patient/aa"}),
        id="reference-id-alone",
    ),
    pytest.param(
        ["Patient?family=chal"],
        kept("Patient", **named("Chalmers", "Peter")),
        kept("Patient", **named("Windsor", "Peter Chalmers")),
        id="string-beginning",
    ),
    pytest.param(
        ["ValueSet?url=http://example.org/vs"],
        kept("ValueSet", status="draft", url="http://example.org/vs"),
        kept("ValueSet", status="draft", url="http://example.org/vs/2"),
        id="uri",
    ),
    pytest.param(
        ["Immunization?date=2026-11"],
        immunization(occurrenceDateTime="2026-11-30"),
        immunization(occurrenceDateTime="2026-12-01"),
        id="date-of-a-month",
    ),
    pytest.param(
        ["Immunization?date=eq2026-11-21"],
        immunization(occurrenceDateTime="2026-11-21T23:59:00Z"),
        immunization(occurrenceDateTime="2026-11-22T00:01:00Z"),
        id="date-of-a-day",
    ),
    pytest.param(
        ["Immunization?date=ge2026-11-21T12:00:00+13:00&date=lt2026-12"],
        immunization(occurrenceDateTime="2026-11-20T23:00:00Z"),
        immunization(occurrenceDateTime="2026-11-20T22:59:59Z"),
        id="dates-between-two-in-a-time-zone",
    ),
    pytest.param(
        [f"Observation?value-quantity=gt38.0|{UCUM}|Cel"],
        observation("any", valueQuantity={"value": 38.01, "system": UCUM, "code": "Cel"}),
        observation("any", valueQuantity={"value": 38, "system": UCUM, "code": "Cel"}),
        id="quantity-with-unit",
    ),
    pytest.param(
        ["RiskAssessment?probability=0.80"],
        risk(0.804),
        risk(0.806),
        id="number-by-its-digits",
    ),
    pytest.param(
        ["Observation?component-code-value-quantity=http://loinc.org|8480-6$gt140"],
        pressure(systolic=150, diastolic=80),
        pressure(systolic=80, diastolic=150),
        id="composite-within-one-component",
    ),
    pytest.param(
        ["Location?near=-41.2889|174.7772|50|km"],
        kept("Location", position={"latitude": -41.3, "longitude": 174.8}),
        kept("Location", position={"latitude": -36.8, "longitude": 174.8}),
        id="near",
    ),
    pytest.param(
        ["Immunization?patient=Patient%2Fa"],
        immunization(patient="a"),
        immunization(patient="b"),
        id="percent-encoded",
    ),
]


@pytest.mark.parametrize(("filters", "yes", "no"), FILTERS)
async def test_filters(
    fhir: Fhir,
    receiver: Receiver,
    request: pytest.FixtureRequest,
    filters: list[str],
    yes: dict[str, Any],
    no: dict[str, Any],
) -> None:
    """Only what a filter lets through becomes an event; of a resource's versions each is judged by itself."""
    name = request.node.callspec.id
    id_ = await fhir.subscribe(subscription(f"{receiver.url}/{name}", yes["resourceType"], *filters))
    for resource in (no, yes, no, yes):
        await fhir.put(resource | {"id": name})
    await fhir.delete(f"{yes['resourceType']}/{name}")  # it concerned the subscriber, so its end does too
    received = await receiver.events(f"/{name}", 3)
    assert [each.numbers for each in received] == [[1], [2], [3]]
    assert await fhir.events(id_) == 3
    await fhir.delete(f"Subscription/{id_}")


async def test_filter_of_the_hub_itself(hub: HubProcess, fhir: Fhir, receiver: Receiver) -> None:
    """A reference below the hub's own base and a relative one are the same."""
    await fhir.subscribe(subscription(f"{receiver.url}/own", "Observation", f"subject={hub.base}/Patient/own"))
    await fhir.put(observation("own", subject={"reference": "Patient/own"}))
    await fhir.put(observation("own", subject={"reference": "https://elsewhere.example/fhir/Patient/own"}))
    await fhir.put(observation("own", subject={"reference": f"{hub.base}/Patient/own"}))
    await fhir.delete("Observation/own")
    assert [each.numbers for each in await receiver.events("/own", 3)] == [[1], [2], [3]]
