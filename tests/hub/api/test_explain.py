"""`$explain`: why a change would concern a Subscription, or why it did or did not."""

from typing import Any

import pytest

from tests.fhir import immunization
from tests.hub.api.server import Hub, issue
from tests.hub.engines import active, fanout, matched, running
from tests.processes import subscription

Json = dict[str, Any]


def asking(**given: Json | str) -> Json:
    parameters = []
    for name, value in given.items():
        kind = "resource" if isinstance(value, dict) else "valueCode" if name == "interaction" else "valueString"
        parameters.append({"name": name, kind: value})
    return {"resourceType": "Parameters", "parameter": parameters}


def told(answer: Json, name: str) -> list[Any]:
    """What an answer says under a name: values, or the parts as a dict, with those that repeat as lists."""
    found: list[Any] = []
    for parameter in answer["parameter"]:
        if parameter["name"] == name:
            parts: dict[str, Any] = {}
            for part in parameter.get("part", []):
                (value,) = (value for key, value in part.items() if key != "name")
                parts[part["name"]] = [*parts["found"], value] if part["name"] in parts else value
                if part["name"] == "found" and not isinstance(parts["found"], list):
                    parts["found"] = [value]
            found.append(parts or next(value for key, value in parameter.items() if key != "name"))
    return found


def wanted(*filters: str) -> Json:
    return subscription("http://127.0.0.1:9/hook", "Immunization", *filters)


async def explained(hub: Hub, url: str, **given: Json | str) -> Json:
    answer = await hub.post(url, asking(**given))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_each_trigger_and_filter_is_told_with_what_was_found_and_wanted(hub: Hub) -> None:
    before = await hub.keys()
    answer = await explained(
        hub,
        "/Subscription/$explain",
        subscription=wanted("patient=Patient/example", "lot-number=2"),
        resource=immunization("a", lot="1"),
    )
    assert told(answer, "matched") == [False]
    assert [each["fired"] for each in told(answer, "trigger")] == [True]
    first, second = told(answer, "filter")
    assert (first["wanted"], first["matched"]) == ("patient=Patient/example", True)
    assert first["found"] == ['Immunization.patient: {"reference":"Patient/example"}']
    assert (second["matched"], second["found"]) == (False, ['Immunization.lotNumber: "1"'])
    assert await hub.keys() == before


@pytest.mark.parametrize(
    ("given", "interaction"),
    [
        ({"resource": immunization("a")}, "create"),
        ({"resource": immunization("a"), "previous": immunization("a")}, "update"),
        ({"previous": immunization("a")}, "delete"),
        ({"resource": immunization("a"), "interaction": "delete"}, "delete"),
    ],
)
async def test_the_interaction_is_seen_from_what_is_given(hub: Hub, given: Any, interaction: str) -> None:
    answer = await explained(hub, "/Subscription/$explain", subscription=wanted(), **given)
    assert told(answer, "matched") == [True]
    assert f"{interaction} of Immunization" in told(answer, "trigger")[0]["reason"]


async def test_of_a_change_that_happened_the_event_is_told_first(hub: Hub) -> None:
    await active(hub.parts, "s", "patient=Patient/example")
    for patient in ("example", "other"):
        await hub.put("/Immunization/a", immunization("a", patient=patient))
    async with running(fanout(hub.parts)):
        await matched(hub.parts)
    answer = await explained(hub, "/Subscription/s/$explain", reference="Immunization/a/_history/1")
    assert answer["parameter"][0]["name"] == "fact"
    assert (told(answer, "fact")[0]["event-number"], told(answer, "matched")) == ("1", [True])
    answer = await explained(hub, "/Subscription/s/$explain", reference="Immunization/a/_history/2")
    assert told(answer, "fact")[0]["text"] == "The change made no event of this Subscription."
    assert told(answer, "matched") == [False]
    assert told(answer, "filter")[0]["found"] == ['Immunization.patient: {"reference":"Patient/other"}']


async def test_a_subscription_that_is_newer_than_the_change_is_said_to_be(hub: Hub) -> None:
    await hub.put("/Immunization/a", immunization("a"))
    id_ = (await hub.post("/Subscription", wanted())).json()["id"]
    answer = await explained(hub, f"/Subscription/{id_}/$explain", reference="Immunization/a/_history/1")
    assert "written after the change" in told(answer, "fact")[0]["newer"]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"resourceType": "Parameters"}, 400, "A Parameters resource is expected"),
        (asking(resource=immunization("a")), 400, "`subscription` is missing"),
        (asking(subscription=wanted()), 400, "`resource` is missing"),
        (asking(subscription=wanted("ward=7"), resource=immunization("a")), 400, "`ward`"),
        (asking(subscription=wanted(), resource=immunization("a"), interaction="merge"), 400, "A parameter is"),
    ],
)
async def test_what_cannot_be_explained_is_refused(hub: Hub, body: Json, status: int, text: str) -> None:
    answer = await hub.post("/Subscription/$explain", body)
    assert answer.status_code == status
    assert text in issue(answer)["diagnostics"]


@pytest.mark.parametrize(
    ("reference", "status"), [("Immunization/none/_history/1", 404), ("Immunization/a", 400), ("a/b/_history/x", 400)]
)
async def test_a_reference_names_a_version_that_is_held(hub: Hub, reference: str, status: int) -> None:
    id_ = (await hub.post("/Subscription", wanted())).json()["id"]
    assert (await hub.post(f"/Subscription/{id_}/$explain", asking(reference=reference))).status_code == status
