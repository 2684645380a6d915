"""`Subscription/$validate`: what a create would say, and nothing is stored."""

from typing import Any

import pytest

from hub.api.validation import BACKPORT, BASE
from tests.hub.api.server import Hub, issue
from tests.hub.conftest import BASE as SERVER
from tests.processes import subscription, subscription_r5

URL = "Subscription/$validate"
WANTED = subscription("http://127.0.0.1/hook")


def asking(resource: dict[str, Any] | None = None, **given: str) -> dict[str, Any]:
    """A Parameters resource."""
    found = [{"name": "resource", "resource": resource}] if resource else []
    texts = [{"name": name, "valueUri" if name == "profile" else "valueCode": text} for name, text in given.items()]
    return {"resourceType": "Parameters", "parameter": [*found, *texts]}


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
        pytest.param("Immunization", [], {}, id="no-filters"),
        pytest.param(
            "Immunization",
            ["Immunization?patient=Patient/1&date=ge2024", "status:not=completed"],
            {
                "`Immunization?patient=Patient/1` is understood as a filter of type reference on Immunization.": 0,
                "`Immunization?date=ge2024` is understood as a filter of type date on Immunization.": 0,
                "`status:not=completed` is understood as a filter of type token on Immunization.": 1,
            },
            id="several",
        ),
    ],
)
async def test_accepted(hub: Hub, type_: str, filters: list[str], understood: dict[str, int]) -> None:
    """That it would be accepted, and what each filter is understood as, at its own element."""
    (first, *others) = await said(hub, subscription("http://127.0.0.1/hook", type_, *filters))
    assert first == ("information", "Subscription", "The Subscription would be accepted.")
    assert others == [
        ("information", f"Subscription.criteria.extension[{place}]", text) for text, place in understood.items()
    ]


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


async def test_values_are_counted_in_all_filters(hub: Hub) -> None:
    """As they are when changes are held against them: a Subscription that is accepted is told."""
    halves = [f"lot-number={','.join(str(n) for n in range(start, start + 5_001))}" for start in (0, 6_000)]
    wanted = subscription("http://127.0.0.1:9/hook", "Immunization", *halves)
    ((_, element, text),) = await said(hub, wanted)
    assert element == "Subscription"
    assert "10000 are taken in all" in text


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (URL, {"resourceType": "Patient"}),
        (URL, {"resourceType": "Parameters"}),
        (f"{URL}?mode=update", WANTED),
        (f"{URL}?mode=delete", WANTED),
        (f"{URL}?mode=all", WANTED),
        (f"{URL}?mode=profile", WANTED),
        (f"{URL}?profile=https://elsewhere.example/StructureDefinition/x", WANTED),
        (f"{URL}?language=mi", WANTED),
        (f"{URL}?mode=create", asking(WANTED, mode="create")),
        (URL, asking({"resourceType": "Patient"})),
        (URL, asking(WANTED, usage="all")),
        ("Subscription/s/$validate?mode=create", WANTED),
        ("Subscription/_/$validate", WANTED),
    ],
)
async def test_refused(hub: Hub, url: str, body: dict[str, Any]) -> None:
    """What is no Subscription is not judged, and no parameter is passed over."""
    answer = await hub.post(url, body)
    assert (answer.status_code, issue(answer)["severity"]) == (400, "error")


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", WANTED),
        ("?mode=create", WANTED),
        ("", asking(WANTED)),
        ("", asking(WANTED, mode="create", profile=BASE)),
        ("?mode=profile", asking(WANTED, profile=f"{BACKPORT}|1.1.0")),
        (f"?profile={BACKPORT}", WANTED),
    ],
)
async def test_alone_or_in_parameters(hub: Hub, query: str, body: dict[str, Any]) -> None:
    """The mode and the profile stand in the URL or in Parameters."""
    answer = await hub.post(f"{URL}{query}", body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["issue"][0]["details"]["text"] == "The Subscription would be accepted."


async def test_a_search_is_none_of_the_backport(hub: Hub) -> None:
    """It is accepted, but not as one of that profile."""
    wanted = WANTED | {"criteria": "Patient?birthdate=gt2000", "channel": dict(WANTED["channel"])}
    del wanted["channel"]["_payload"]
    assert (await said(hub, wanted))[0][2] == "The Subscription would be accepted."
    answer = await hub.post(f"{URL}?profile={BACKPORT}", wanted)
    assert issue(answer)["expression"] == ["Subscription.criteria"]


@pytest.mark.parametrize(
    ("version", "profile", "status"),
    [
        ("r4", f"{BASE}|4.0.1", 200),
        ("r4", f"{BASE}|5.0.0", 400),
        ("r4b", BACKPORT, 200),
        ("r5", f"{BASE}|5.0.0", 200),
        ("r5", BACKPORT, 400),
    ],
)
async def test_profiles_are_those_of_the_version(hub: Hub, version: str, profile: str, status: int) -> None:
    wanted = subscription_r5("http://127.0.0.1/hook") if version == "r5" else WANTED
    answer = await hub.post(f"{SERVER}/fhir/{version}/{URL}?profile={profile}", wanted)
    assert answer.status_code == status, answer.text


async def test_an_update(hub: Hub) -> None:
    """Of one that is there, or is to be: its id is that of the URL, and nothing is changed."""
    await hub.put("Subscription/s", WANTED | {"id": "s"})
    before = (await hub.get("Subscription/s")).json()
    for body in (WANTED | {"id": "s", "reason": "Another"}, asking(WANTED | {"id": "s"}, mode="update")):
        answer = await hub.post("Subscription/s/$validate", body)
        assert answer.json()["issue"][0]["details"]["text"] == "The Subscription would be accepted."
    assert issue(await hub.post("Subscription/s/$validate", WANTED))["expression"] == ["Subscription.id"]
    assert issue(await hub.post("Subscription/s/$validate?mode=update", None))["code"] == "required"
    assert (await hub.get("Subscription/s")).json() == before


async def test_a_delete(hub: Hub) -> None:
    """It needs no body, and a Subscription that is there."""
    await hub.put("Subscription/s", WANTED | {"id": "s"})
    for body in (None, asking(mode="delete")):
        answer = await hub.post(f"Subscription/s/$validate{'' if body else '?mode=delete'}", body)
        assert answer.json()["issue"][0]["details"]["text"] == "The Subscription would be deleted."
    assert (await hub.get("Subscription/s")).status_code == 200
    assert (await hub.post("Subscription/other/$validate?mode=delete", None)).status_code == 404
