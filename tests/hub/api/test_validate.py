"""`Subscription/$validate`: what a create would say, and nothing is stored."""

from typing import Any

import pytest

from tests.hub.api.server import Hub
from tests.processes import subscription

URL = "Subscription/$validate"


async def said(hub: Hub, resource: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Severity, element and text of each issue."""
    answer = await hub.post(URL, resource)
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert (await hub.get("Subscription")).json()["total"] == 0
    return [(issue["severity"], issue["expression"][0], issue["details"]["text"]) for issue in answer.json()["issue"]]


@pytest.mark.parametrize(
    ("type_", "filters", "understood"),
    [
        pytest.param("Immunization", [], [], id="no-filters"),
        pytest.param(
            "Immunization",
            ["Immunization?patient=Patient/1&date=ge2024", "status:not=completed"],
            [
                "`Immunization?patient=Patient/1` is understood as a filter of type reference on Immunization.",
                "`Immunization?date=ge2024` is understood as a filter of type date on Immunization.",
                "`status:not=completed` is understood as a filter of type token on Immunization.",
            ],
            id="several",
        ),
    ],
)
async def test_accepted(hub: Hub, type_: str, filters: list[str], understood: list[str]) -> None:
    """That it would be accepted, and what each filter is understood as."""
    (first, *others) = await said(hub, subscription("http://127.0.0.1/hook", type_, *filters))
    assert first == ("information", "Subscription", "The Subscription would be accepted.")
    assert others == [("information", "Subscription.criteria", text) for text in understood]


async def test_criteria_that_are_a_search(hub: Hub) -> None:
    """Their parameters are filters too."""
    wanted = subscription("http://127.0.0.1/hook")
    del wanted["channel"]["_payload"]
    (_, (_, _, text)) = await said(hub, wanted | {"criteria": "Patient?birthdate=gt2000"})
    assert text == "`Patient?birthdate=gt2000` is understood as a filter of type date on Patient."


async def test_all_faults_at_once(hub: Hub) -> None:
    """Each element with something against it is named, as a create names them."""
    wanted = subscription("ftp://127.0.0.1/hook", "Immunization", "Immunization?nothing=1", "patient=")
    wanted |= {"status": "error", "reason": "", "end": "2020-01-01T00:00:00Z", "contact": [{"use": 7}]}
    wanted["channel"]["payload"] = "application/fhir+xml"
    found = await said(hub, wanted)
    assert {severity for severity, _, _ in found} == {"error"}
    assert {element for _, element, _ in found} == {
        "Subscription.status",
        "Subscription.reason",
        "Subscription.end",
        "Subscription.criteria.extension[0]",
        "Subscription.criteria.extension[1]",
        "Subscription.channel.endpoint",
        "Subscription.channel.payload",
        "Subscription.contact[0].use",
    }
    assert (await hub.post("Subscription", wanted)).status_code == 400


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (URL, {"resourceType": "Patient"}),
        (URL, {"resourceType": "Parameters"}),
        (f"{URL}?mode=create", subscription("http://127.0.0.1/hook")),
    ],
)
async def test_refused(hub: Hub, url: str, body: dict[str, Any]) -> None:
    """What is no Subscription is not judged, and no parameter is passed over."""
    assert (await hub.post(url, body)).status_code == 400
