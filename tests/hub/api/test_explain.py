"""`$explain`: why a change would concern a Subscription, or why it did or did not."""

from time import time_ns
from typing import Any

import pytest

from hub.keys import SubscriptionKey
from hub.stream import CHUNK
from hub.turn import Turn, Verb
from hub.wiring.parts import Parts
from tests.fhir import immunization, observation
from tests.hub.api.server import Hub, issue, place
from tests.hub.conftest import BASE
from tests.hub.engines import Publisher, active, fanout, matched, member, running
from tests.processes import subscription
from tests.subscriptions.topics import resource

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


async def fact_of(hub: Hub, id_: str, reference: str) -> dict[str, Any]:
    """The parts of what is said to have happened."""
    (found,) = told(await explained(hub, f"/Subscription/{id_}/$explain", reference=reference), "fact")
    return dict(found)


async def published(hub: Hub, **more: str) -> None:
    """Publish a topic, or change it."""
    url = f"{BASE}/fhir/r4b/SubscriptionTopic/immunisation-administered"
    answer = await hub.put(url, resource("immunisation-administered") | more)
    assert answer.status_code in (200, 201), answer.text


async def became(parts: Parts, key: SubscriptionKey, verb: Verb) -> None:
    """A handshake or notification came to this."""
    token = str(time_ns())
    turn = await parts.outboxes.take(key, token)
    assert isinstance(turn, Turn)
    ends = await parts.changes.ends()
    assert await parts.outboxes.settle(key, token, turn, verb, said="so", code="no-response", ends=ends)


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
    assert told(answer, "fact")[0]["text"] == "The change is event 1 of this Subscription: it is still to be sent."
    answer = await explained(hub, "/Subscription/s/$explain", reference="Immunization/a/_history/2")
    assert told(answer, "fact")[0] == {
        "text": "The change was matched and passed by: it made no event of this Subscription.",
        "status": "active",
        "status-means": "Changes are numbered and sent.",
    }
    assert told(answer, "matched") == [False]
    assert told(answer, "filter")[0]["found"] == ['Immunization.patient: {"reference":"Patient/other"}']


async def test_a_change_that_is_not_matched_yet_is_not_said_to_be_passed_by(hub: Hub) -> None:
    """However many others wait before it."""
    await active(hub.parts, "s")
    await hub.put("/Immunization/a", immunization("a"))
    (partition,) = (p for p in hub.parts.changes.partitions if p.number == place("Immunization", "b").partition(4))
    publisher = Publisher(hub.parts)
    for _ in range(CHUNK + 1):
        await publisher.put_in(partition)
    await hub.put("/Immunization/b", immunization("b"))
    for id_ in ("a", "b"):
        answer = await explained(hub, "/Subscription/s/$explain", reference=f"Immunization/{id_}/_history/1")
        assert "not matched yet" in told(answer, "fact")[0]["text"]
        assert told(answer, "matched") == [True]
    async with running(fanout(hub.parts)):
        await matched(hub.parts)
    for id_ in ("a", "b"):
        answer = await explained(hub, "/Subscription/s/$explain", reference=f"Immunization/{id_}/_history/1")
        assert int(told(answer, "fact")[0]["event-number"]) > 0


async def test_what_is_newer_than_the_change_is_said_to_be(hub: Hub) -> None:
    """The Subscription, its status, its topic: each of them may have been another one."""
    await hub.put("/Immunization/a", immunization("a"))
    await published(hub)
    other = wanted() | {"criteria": resource("immunisation-administered")["url"]}
    assert (await hub.put("/Subscription/other", other | {"id": "other"})).status_code == 201
    fact = await fact_of(hub, "other", "Immunization/a/_history/1")
    assert "written after the change" in fact["subscription-newer"]
    assert "topic-newer" in fact
    await hub.put("/Immunization/a", immunization("a", lot="2"))
    fact = await fact_of(hub, "other", "Immunization/a/_history/2")
    assert not {"subscription-newer", "status-newer", "topic-newer"} & fact.keys()
    await published(hub, title="Another one")
    fact = await fact_of(hub, "other", "Immunization/a/_history/2")
    assert "written after the change" in fact["topic-newer"]
    assert "subscription-newer" not in fact


async def test_a_status_that_is_newer_than_the_change_is_no_newer_subscription(hub: Hub) -> None:
    id_ = (await hub.post("/Subscription", wanted())).json()["id"]
    await hub.put("/Immunization/a", immunization("a"))
    await became(hub.parts, (await member(hub.parts, id_)).key, Verb.ERROR)
    fact = await fact_of(hub, id_, "Immunization/a/_history/1")
    assert "another one then" in fact["status-newer"]
    assert "subscription-newer" not in fact


async def test_the_status_is_told_with_what_it_means_for_changes_and_for_the_event(hub: Hub) -> None:
    """An event is kept in `error`, and skipped when the Subscription is active again; `off`, nothing is numbered."""
    parts, reference = hub.parts, "Immunization/a/_history/1"
    key = await active(parts, "s")
    await hub.put("/Immunization/a", immunization("a"))
    async with running(fanout(parts)):
        await matched(parts)
    await became(parts, key, Verb.ERROR)
    fact = await fact_of(hub, "s", reference)
    assert (fact["event-number"], fact["status"]) == ("1", "error")
    assert "kept, but not sent" in fact["text"]
    assert fact["status-means"] == "Changes are numbered and kept, but not sent."
    await hub.put("/Subscription/s", wanted() | {"id": "s"})
    fact = await fact_of(hub, "s", reference)
    assert "nothing is sent before the Subscription is active again" in fact["text"]
    assert "not active yet" in fact["status-means"]
    await became(parts, key, Verb.ACTIVE)
    fact = await fact_of(hub, "s", reference)
    assert fact["text"].endswith(": it was skipped when the Subscription became active again, and not sent since.")
    await parts.pipeline.command("HDEL", key.subscription, "skipped")  # as when it was sent once more
    assert (await fact_of(hub, "s", reference))["text"].endswith(": it was sent.")
    await hub.put("/Subscription/s", wanted() | {"id": "s", "status": "off"})
    fact = await fact_of(hub, "s", reference)
    assert (fact["event-number"], fact["status"]) == ("1", "off")
    assert "Nothing is numbered" in fact["status-means"]


async def test_before_it_is_active_the_status_says_why_a_change_passed_by(hub: Hub) -> None:
    """Also in `error`, if the handshake never was accepted; nothing else is the reason."""
    parts = hub.parts
    await hub.put("/Subscription/s", wanted() | {"id": "s"})
    await became(parts, (await member(parts)).key, Verb.ERROR)
    await hub.put("/Immunization/a", immunization("a"))
    async with running(fanout(parts)):
        await matched(parts)
    fact = await fact_of(hub, "s", "Immunization/a/_history/1")
    assert fact["status"] == "error"
    assert "all changes pass by" in fact["status-means"]
    assert "differs" not in fact


async def test_what_follows_is_said_to_differ_from_what_was(hub: Hub) -> None:
    """Filters look at what the hub holds now; at the time of the change somebody was a member, and is not any more."""
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True}
    await hub.put("/Group/g", group | {"member": [{"entity": {"reference": "Patient/example"}}]})
    await active(hub.parts, "s", "Immunization?patient._in=Group/g")
    await hub.put("/Immunization/a", immunization("a"))
    async with running(fanout(hub.parts)):
        await matched(hub.parts)
    assert "differs" not in await fact_of(hub, "s", "Immunization/a/_history/1")
    await hub.put("/Group/g", group)
    fact = await fact_of(hub, "s", "Immunization/a/_history/1")
    assert fact["event-number"] == "1"
    assert "other resources or ValueSets that the filters look at" in fact["differs"]


async def test_what_happened_is_told_though_the_filters_can_not_be_evaluated_any_more(hub: Hub) -> None:
    """A ValueSet that they name was changed into one that can't be enumerated."""
    include = {"system": "http://hl7.org/fhir/sid/cvx", "concept": [{"code": "207"}]}
    values = {"resourceType": "ValueSet", "id": "v", "url": "urn:x:v", "status": "active"}
    await hub.put("/ValueSet/v", values | {"compose": {"include": [include]}})
    await active(hub.parts, "s", "vaccine-code:in=urn:x:v")
    await hub.put("/Immunization/a", immunization("a"))
    async with running(fanout(hub.parts)):
        await matched(hub.parts)
    await hub.put("/ValueSet/v", values | {"compose": {"include": [{"system": "urn:unknown"}]}})
    answer = await explained(hub, "/Subscription/s/$explain", reference="Immunization/a/_history/1")
    assert told(answer, "fact")[0]["event-number"] == "1"
    assert told(answer, "matched") == [False]
    assert "vaccine-code:in=urn:x:v" in told(answer, "error")[0]


async def test_a_version_that_cannot_be_read_is_a_conflict(hub: Hub) -> None:
    await active(hub.parts, "s")
    found = await Publisher(hub.parts).put_broken(b"{")
    answer = await hub.post("/Subscription/s/$explain", asking(reference=f"Immunization/{found.id}/_history/1"))
    assert answer.status_code == 409
    assert "set aside" in issue(answer)["diagnostics"]


async def test_one_resource_may_be_the_body_with_the_rest_in_the_url(hub: Hub) -> None:
    """A reference needs no body at all."""
    await active(hub.parts, "s", "patient=Patient/example")
    url = "/Subscription/s/$explain"
    answer = await hub.post(f"{url}?interaction=delete", immunization("a"))
    assert answer.status_code == 200, answer.text
    assert "delete of Immunization" in told(answer.json(), "trigger")[0]["reason"]
    await hub.put("/Immunization/a", immunization("a"))
    answer = await hub.post(f"{url}?reference=Immunization/a/_history/1", None)
    assert answer.status_code == 200, answer.text
    assert "not matched yet" in told(answer.json(), "fact")[0]["text"]


async def test_a_subscription_that_was_read_from_a_hub_is_explained_too(hub: Hub) -> None:
    """In `error`, and though its end has passed."""
    given = wanted() | {"id": "s", "status": "error", "error": "410", "end": "2020-01-01T00:00:00Z"}
    answer = await explained(hub, "/Subscription/$explain", subscription=given, resource=immunization("a"))
    assert told(answer, "matched") == [True]


async def test_numbers_are_found_as_they_were_written(hub: Hub) -> None:
    given = {
        "subscription": subscription("http://127.0.0.1:9/hook", "Observation", "value-quantity=gt5"),
        "resource": observation("o", valueQuantity={"value": 5.40, "unit": "mg"}),
    }
    answer = await explained(hub, "/Subscription/$explain", **given)
    assert told(answer, "filter")[0]["found"] == ['Observation.valueQuantity: {"value":5.4,"unit":"mg"}']


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"resourceType": "Parameters"}, 400, "`subscription` is missing"),
        (wanted(), 400, "A Parameters resource is expected"),
        (asking(subscription=wanted(), resource={"resourceType": "Immunization"}), 400, "patient is missing"),
        (asking(subscription=wanted(), resource=immunization("a"), reference="x/y"), 400, "`reference`"),
        (
            asking(subscription=wanted(), resource=immunization("a"), previous=immunization("b")),
            400,
            "no version of the same resource",
        ),
        (asking(resource=immunization("a")), 400, "`subscription` is missing"),
        (asking(subscription=wanted()), 400, "`resource` is missing"),
        (asking(subscription=wanted("ward=7"), resource=immunization("a")), 400, "`ward`"),
        (asking(subscription=wanted(), resource=immunization("a"), interaction="merge"), 400, "`merge`"),
        (
            asking(
                subscription=wanted(),
                resource=immunization("a"),
                previous=immunization("a"),
                interaction="create",
            ),
            400,
            "Before a create",
        ),
        (asking(subscription=wanted(), previous=immunization("a"), interaction="update"), 400, "`resource` is missing"),
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
