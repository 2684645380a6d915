"""What comes along with an event: resolved when it is matched, kept with it, and told as far as the content goes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from hub.access import DEFAULT
from hub.topics import Topics
from hub.wiring.parts import Parts
from subscriptions.codes import FhirVersion, SubscriptionStatus
from subscriptions.shapes import Included
from subscriptions.topic import NotificationShape, Topic
from tests.hub.engines import active, becomes, delivering, fanout, matched, publish, running, subscribe
from tests.hub.test_holdings import immunization, observation, patient, ref
from tests.receiver import Receiver, after_handshake

SHAPES = (NotificationShape("Immunization", ("Immunization:patient",), ("Observation:part-of",)),)


class Shaped(Topics):
    """The built-in topics, with shapes."""

    def __init__(self, topics: Topics, shapes: tuple[NotificationShape, ...]) -> None:
        super().__init__(topics.pipeline, topics.tenant, topics.canonical_base, topics.contexts)
        self._topics = topics
        self._shapes = shapes

    def find(self, version: FhirVersion, canonical: str) -> Topic | None:
        found = self._topics.find(version, canonical)
        return found and replace(found, shapes=self._shapes)


@pytest.fixture
def shaped(parts: Parts) -> Parts:
    return replace(
        parts, tenancy=replace(parts.tenancy, _topics={DEFAULT: Shaped(parts.tenancy.topics(DEFAULT), SHAPES)})
    )


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


def reaction(id_: str, part_of: str) -> dict[str, Any]:
    return observation(id_, "Patient/p") | {"partOf": [ref(part_of)]}


async def test_an_event_names_the_versions_that_were_in_force_when_it_was_matched(shaped: Parts) -> None:
    key = await active(shaped)
    for _ in range(2):
        await publish(shaped, patient("p"))
    await publish(shaped, reaction("o", "Immunization/i"))
    async with running(fanout(shaped)):
        await publish(shaped, immunization("i", "Patient/p"))
        await matched(shaped)
        await publish(shaped, patient("p"))
        await publish(shaped, immunization("j", "Patient/q"))
        await matched(shaped)
    first, second = await shaped.outboxes.events(key, 1, 9)
    assert first.included == (Included("Patient", "p", 2), Included("Observation", "o", 1))
    assert second.included == ()


async def test_who_has_another_topic_gets_nothing_along(parts: Parts) -> None:
    key = await active(parts)
    await publish(parts, patient("p"))
    async with running(fanout(parts)):
        await publish(parts, immunization("i", "Patient/p"))
        await matched(parts)
    (event,) = await parts.outboxes.events(key, 1, 9)
    assert event.included == ()


@pytest.mark.parametrize("content", ["empty", "id-only", "full-resource"])
async def test_a_repeat_brings_the_same_along_though_it_has_changed(
    shaped: Parts, receiver: Receiver, content: str
) -> None:
    receiver.answers["/s"] = after_handshake(500, 200)
    await subscribe(shaped, f"{receiver.url}/s", content=content)
    await publish(shaped, patient("p"))
    async with running(fanout(shaped)), delivering(shaped):
        await becomes(shaped, SubscriptionStatus.ACTIVE)
        await publish(shaped, immunization("i", "Patient/p"))
        await receiver.events("/s", 1)
        await publish(shaped, {**patient("p"), "active": True})
        first, second = await receiver.events("/s", 2)
    assert first.body == second.body
    base = shaped.tenancy.base(DEFAULT, FhirVersion.R4)
    entries = first.bundle["entry"]
    (event,) = (each for each in entries[0]["resource"]["parameter"] if each["name"] == "notification-event")
    told = [part["valueReference"] for part in event["part"] if part["name"] == "additional-context"]
    assert told == ([] if content == "empty" else [{"reference": f"{base}/Patient/p"}])
    if content == "full-resource":
        assert [entry["fullUrl"] for entry in entries[1:]] == [f"{base}/Immunization/i", f"{base}/Patient/p"]
        assert entries[2]["resource"]["meta"]["versionId"] == "1"
        assert "active" not in entries[2]["resource"]
    else:
        assert len(entries) == 1


async def test_what_can_not_be_resolved_is_counted_and_the_event_comes_without_it(shaped: Parts) -> None:
    key = await active(shaped)
    await publish(shaped, patient("p"))
    for number in range(101):
        await publish(shaped, reaction(f"o{number}", "Immunization/i"))
    engine = fanout(shaped)
    async with running(engine):
        await publish(shaped, immunization("i", "Patient/p"))
        await matched(shaped)
    (event,) = await shaped.outboxes.events(key, 1, 9)
    assert event.included == ()
    assert engine.poison == {"include": 1}
