"""`$process-message`: what it carries is stored as one transaction, its event named, and a repeat answered the same."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.hub.api.server import FHIR, Hub, issue, patient
from tests.hub.api.test_events import A01, A03, V2, named

EXAMPLES = Path(__file__).parents[3] / "fixtures" / "r4"
URL = "$process-message"


def header(*focus: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MessageHeader",
        "id": "m1",
        "eventCoding": {"system": V2, "code": "A01"},
        "source": {"endpoint": "https://his.example/fhir"},
        **({"focus": [{"reference": each} for each in focus]} if focus else {}),
        **more,
    }


def message(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "message", "entry": list(entries), **more}


def entry(resource: dict[str, Any], full_url: str = "", **more: Any) -> dict[str, Any]:
    return {**({"fullUrl": full_url} if full_url else {}), "resource": resource, **more}


def parameters(*more: dict[str, Any], **given: Any) -> dict[str, Any]:
    """A Parameters resource: the resources and booleans that are given, and more."""
    named = [{"name": n, "resource" if isinstance(v, dict) else "valueBoolean": v} for n, v in given.items()]
    return {"resourceType": "Parameters", "parameter": [*named, *more]}


def encounter(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"code": "IMP"},
        "subject": {"reference": subject},
        **more,
    }


async def sent(hub: Hub, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = await hub.post(URL, body, **headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_stored(hub: Hub) -> None:
    """What has an id is put under it, the rest is created; references between them hold; the header is not stored."""
    patient_url, encounter_url = "urn:uuid:0f9b8a2c-8f0e-4b6f-9a7d-3f0c1b2a4d5e", "https://his.example/fhir/Encounter/e"
    said = await sent(
        hub,
        message(
            entry(header(patient_url)),
            entry(patient(), patient_url),
            entry(encounter(patient_url, id="e"), encounter_url),
        ),
    )
    changes = await named(hub)
    (created,) = (name for name in changes if name.startswith("Patient/"))
    assert changes == {created: {A01}, "Encounter/e/1": set()}
    stored = (await hub.get("Encounter/e")).json()
    assert stored["subject"]["reference"] == created.removesuffix("/1")
    details = said["entry"][1]["resource"]["issue"]
    texts = [f"{created.removesuffix('/1')}/_history/1 is stored.", "Encounter/e/_history/1 is stored."]
    assert [each["details"]["text"] for each in details] == texts


async def test_answer(hub: Hub) -> None:
    """The answer is a message whose header says `ok` to the one that was sent, and nobody is called back."""
    said = await sent(hub, message(entry(header()), entry(patient("p"))))
    own = said["entry"][0]["resource"]
    assert (said["type"], own["resourceType"], own["eventCoding"]) == (
        "message",
        "MessageHeader",
        header()["eventCoding"],
    )
    assert own["source"] == {"endpoint": f"{FHIR}/$process-message"}
    assert own["response"] == {"identifier": "m1", "code": "ok", "details": {"reference": said["entry"][1]["fullUrl"]}}


async def test_example(hub: Hub) -> None:
    """HL7's own MessageHeader, with the patient that it is about."""
    own = json.loads((EXAMPLES / "MessageHeader-1cbdfb97-5859-48a4-8301-d54eab818d68.json").read_bytes())
    await sent(hub, message(entry(own), entry(patient("example")), entry(patient("other"))))
    event = ("http://example.org/fhir/message-events", "admin-notify")
    assert await named(hub) == {"Patient/example/1": {event}, "Patient/other/1": set()}


@pytest.mark.parametrize(
    ("focus", "about"),
    [
        pytest.param((), {"p", "q"}, id="none-is-all"),
        pytest.param(("Patient/p",), {"p"}, id="relative"),
        pytest.param((f"{FHIR}/Patient/q",), {"q"}, id="below-the-base"),
        pytest.param(("https://his.example/fhir/Patient/p",), {"p"}, id="full-url"),
        pytest.param(("Patient/p/_history/7",), {"p"}, id="versioned"),
        pytest.param(("Patient/p", "Patient/q"), {"p", "q"}, id="several"),
    ],
)
async def test_focus(hub: Hub, focus: tuple[str, ...], about: set[str]) -> None:
    """The event goes with what is in focus; those of the header `Event` with everything."""
    entries = [entry(patient(id_), f"https://his.example/fhir/Patient/{id_}") for id_ in "pq"]
    await sent(hub, message(entry(header(*focus)), *entries), event=f"{V2}|A03")
    assert await named(hub) == {
        f"Patient/{id_}/1": {A03, A01} if id_ in about else {A03} for id_ in "pq"
    }  # fmt: skip


async def test_repeat(hub: Hub) -> None:
    """With the same ids it gets the first answer and writes nothing; with another body it is refused."""
    body = message(entry(header()), entry(patient()), id="b1")
    first = await hub.post(URL, body)
    assert (await hub.post(URL, body)).content == first.content
    assert len(await named(hub)) == 1
    refused = await hub.post(URL, message(entry(header()), entry(patient(active=True)), id="b1"))
    assert refused.status_code == 422
    assert "Bundle.id with this MessageHeader.id" in issue(refused)["details"]["text"]
    for other in (message(entry(header(id="m2")), entry(patient()), id="b1"), body | {"id": "b2"}):
        assert (await sent(hub, other))["id"] != first.json()["id"]
    assert len(await named(hub)) == 3


async def test_in_parameters(hub: Hub) -> None:
    """It is the same message as by itself: sent again in Parameters it gets the first answer."""
    body = message(entry(header()), entry(patient("p", multipleBirthInteger=2)), id="b1")
    first = await sent(hub, parameters(content=body, **{"async": False}))
    assert await sent(hub, body) == first
    assert len(await named(hub)) == 1
    assert (await hub.get("Patient/p")).json()["multipleBirthInteger"] == 2


async def test_idempotency_key(hub: Hub) -> None:
    """A key makes repeats of a message without Bundle.id the same one."""
    body = message(entry(header()), entry(patient()))
    answers = [await sent(hub, body, idempotency_key="k") for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(await named(hub)) == 1


@pytest.mark.parametrize(
    ("body", "expression"),
    [
        pytest.param({"resourceType": "Bundle", "type": "batch"}, "Bundle.type", id="no-message"),
        pytest.param({"resourceType": "Parameters"}, "Parameters.parameter", id="no-content"),
        pytest.param({"resourceType": "Parameters", "parameter": {}}, "Parameters.parameter", id="no-list"),
        pytest.param(parameters(content=patient("p")), "Bundle.type", id="content-that-is-no-message"),
        pytest.param(
            parameters(content=message(entry(header()), entry(patient())), **{"async": True}),
            "Parameters.parameter[1]",
            id="async",
        ),
        pytest.param(
            parameters({"name": "response-url", "valueUrl": "https://his.example/answers"}),
            "Parameters.parameter[0]",
            id="response-url",
        ),
        pytest.param(
            parameters(*[{"name": "content", "resource": message(entry(header()), entry(patient()))}] * 2),
            "Parameters.parameter[1]",
            id="content-twice",
        ),
        pytest.param(
            parameters(content=message(entry(header()), entry(patient("p", gender=3)))),
            "Bundle.entry[1].resource.gender",
            id="resource-in-parameters",
        ),
        pytest.param(message(entry(header())), "Bundle.entry", id="nothing-carried"),
        pytest.param(
            message(entry(patient("p")), entry(header())), "Bundle.entry[0].resource.resourceType", id="order"
        ),
        pytest.param(
            message(entry(header(eventCoding={"system": V2, "code": "A\n01"})), entry(patient())),
            "Bundle.entry[0].resource.event",
            id="two-lines",
        ),
        pytest.param(
            message(entry(header(eventCoding={"code": "A01"})), entry(patient())),
            "Bundle.entry[0].resource.event",
            id="no-system",
        ),
        pytest.param(
            message(
                entry({name: value for name, value in header(eventUri="urn:x").items() if name != "eventCoding"}),
                entry(patient()),
            ),
            "Bundle.entry[0].resource.event",
            id="uri",
        ),
        pytest.param(message(entry(header(id=7)), entry(patient())), "Bundle.entry[0].resource.id", id="id"),
        pytest.param(
            message(entry(header("Patient/other")), entry(patient("p"))),
            "Bundle.entry[0].resource.focus[0]",
            id="focus",
        ),
        pytest.param(
            message(entry(header()), entry(patient("p", gender=3))), "Bundle.entry[1].resource.gender", id="resource"
        ),
        pytest.param(
            message(entry(header()), entry(patient("p"), request={"method": "PUT", "url": "Patient/p"})),
            "Bundle.entry[1].request",
            id="request",
        ),
        pytest.param(
            message(entry(header()), entry(patient("p")), entry(patient("p"))), "Bundle.entry[2]", id="twice-the-same"
        ),
        pytest.param(
            message(
                entry(header()),
                entry({"resourceType": "Subscription", "status": "off", "reason": "x", "criteria": "Patient",
                       "channel": {"type": "rest-hook"}}),
            ),
            "Bundle.entry[1].resource",
            id="subscription",
        ),
    ],
)  # fmt: skip
async def test_refused(hub: Hub, body: dict[str, Any], expression: str) -> None:
    """What is wrong is named, and nothing is stored."""
    answer = await hub.post(URL, body)
    assert answer.status_code == 400
    assert issue(answer)["expression"] == [expression]
    assert await named(hub) == {}


@pytest.mark.parametrize(
    ("query", "status"),
    [("async=false", 200), ("async=true", 400), ("response-url=https://his.example/answers", 400), ("x=1", 400)],
)
async def test_parameters(hub: Hub, query: str, status: int) -> None:
    """It is answered at once: whoever asks to be called back is refused."""
    answer: httpx.Response = await hub.post(f"{URL}?{query}", message(entry(header()), entry(patient())))
    assert answer.status_code == status
    assert len(await named(hub)) == (status == 200)
