"""Handshakes and notifications: how they are sent, and what stands in them."""

from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.bases import Base, content_type
from tests.conformance.rules import faults, status_faults
from tests.conformance.stories import CONTENTS, HEADERS, Shaped, Told
from tests.conformance.topics import SHAPED
from tests.fhir import immunization
from tests.processes import SHARED, TOPIC
from tests.receiver import Holding, Received


def all_of(contents: dict[str, Told]) -> list[tuple[Told, Received]]:
    return [(told, each) for told in contents.values() for each in (*told.handshakes, *told.events)]


def events(contents: dict[str, Told], content: str) -> list[Received]:
    return contents[content].events


def sent(received: Received) -> list[str]:
    """The headers that the client asked for."""
    names = {line.partition(":")[0] for line in HEADERS}
    return [f"{name}: {value}" for name, value in received.headers if name in names]


def local(url: str) -> str:
    return "/".join(url.split("/")[-2:])


async def test_H05_handshake(base: Base, contents: dict[str, Told]) -> None:
    """
    One, after the delay that leaves time for the 201: one entry, `requested`, no events; with the type and the headers
    that were asked for.
    """
    for told in contents.values():
        [received] = told.handshakes
        assert received.at >= told.asked + float(SHARED["HUB_HANDSHAKE_DELAY"]) - 0.01
        assert len(received.bundle["entry"]) == 1
        assert received.parameters["status"] == "requested"
        assert received.parameters["events-since-subscription-start"] == "0"
        assert received.parameters["notification-event"] == []
        assert ("Content-Type", content_type(base, told.wanted)) in received.headers
        assert sent(received) == list(HEADERS)


async def test_H10_forms(base: Base, contents: dict[str, Told], shapes: Shaped) -> None:
    """Every Bundle is what its FHIR version and its profile say."""
    for _, received in all_of(contents):
        assert faults(base.version, received.bundle) == []
    for received in shapes.events.values():
        assert faults(base.version, received.bundle) == []


async def test_H10_several_events_with_one_patient(base: Base) -> None:
    """In one Bundle, of which only R4's and R4B's, histories, may have the patient twice (bdl-7)."""
    await base.fhir.put({"resourceType": "Patient", "id": "H10"})
    base.receiver.answers[base.path("H10")] = held = Holding()
    wanted = base.wanted("H10", "patient=Patient/H10", topic=SHAPED, content="full-resource", max_count=5)
    id_ = await base.subscribe(wanted)
    for number in range(4):
        await base.fhir.put(immunization(f"H10-{number}", patient="H10"))
        if number == 0:
            await base.receiver.events(base.path("H10"), 1)
    await base.fhir.until_events(id_, 4)
    held.release()
    _, several = await base.receiver.events(base.path("H10"), 2)
    assert several.numbers == [2, 3, 4]
    assert faults(base.version, several.bundle) == []
    assert [local(entry["fullUrl"]) for entry in several.bundle["entry"]].count("Patient/H10") == (
        1 if base.is_r5 else 3
    )


@pytest.mark.parametrize("content", CONTENTS)
async def test_H11_content(base: Base, contents: dict[str, Told], content: str) -> None:
    """Create, update and delete: focus, entries and topic, each as much as was asked for."""
    told = contents[content]
    for i, received in enumerate(told.events):
        [event] = received.parameters["notification-event"]
        assert (event["event-number"], event["timestamp"]) == (str(i + 1), told.history[i]["response"]["lastModified"])
        expected = None if content == "empty" else f"{base.url}/{told.local}"
        assert (event["focus"]["reference"] if "focus" in event else None) == expected
        assert ("topic" in received.parameters) == (content != "empty")
        entries = received.bundle["entry"][1:]
        resources = [told.history[i]["resource"]] if content == "full-resource" and i < 2 else []
        assert [entry["resource"] for entry in entries if "resource" in entry] == resources


async def test_H12_numbers(contents: dict[str, Told]) -> None:
    """From 1, by one, as strings; the counter is the highest number; the handshake counts none."""
    for told in contents.values():
        assert told.handshakes[0].parameters["events-since-subscription-start"] == "0"
        counters = [each.parameters["events-since-subscription-start"] for each in told.events]
        numbers = [each.parameters["notification-event"][-1]["event-number"] for each in told.events]
        assert counters == numbers == ["1", "2", "3"]


async def test_H25_integer64(contents: dict[str, Told]) -> None:
    """In the JSON as it came, the counters are strings."""
    for _, received in all_of(contents):
        status: Any = received.bundle["entry"][0]["resource"]
        counters = [status["eventsSinceSubscriptionStart"]]
        counters += [event["eventNumber"] for event in status.get("notificationEvent", [])]
        assert all(type(each) is str and each.isdecimal() for each in counters)


async def test_B25_posted(base: Base, contents: dict[str, Told]) -> None:
    for content, told in contents.items():
        for received in (*told.handshakes, *told.events):
            assert (received.method, received.path) == ("POST", base.path(f"told-{content}"))
            assert received.bundle["resourceType"] == "Bundle"


async def test_A25_B26_content_type(base: Base, contents: dict[str, Told]) -> None:
    for told, received in all_of(contents):
        assert [v for n, v in received.headers if n == "Content-Type"] == [content_type(base, told.wanted)]


async def test_A26_B27_headers(contents: dict[str, Told]) -> None:
    for _, received in all_of(contents):
        assert sent(received) == list(HEADERS)


async def test_A27_B28_B138_profile_of_the_bundle(base: Base, contents: dict[str, Told]) -> None:
    for _, received in all_of(contents):
        assert faults(base.version, received.bundle) == []


async def test_A10_A45_B15_F8_requests(base: Base, contents: dict[str, Told]) -> None:
    """The status stands there as the answer to `$status`, every other entry as what was done, or as a read."""
    for told, received in all_of(contents):
        first, *others = received.bundle["entry"]
        assert first["request"] == {"method": "GET", "url": f"{base.subscription(told.id)}/$status"}
        assert first["response"]["status"] == "200"
        assert all(entry["request"]["method"] and entry["request"]["url"] for entry in others)


async def test_A11_A12_A46_A47_requests_that_make_sense(contents: dict[str, Told]) -> None:
    """POST, PUT and DELETE, as it was; with ids the delete alone has an entry."""
    told = contents["full-resource"]
    requests = [received.bundle["entry"][1]["request"] for received in told.events]
    assert requests == [
        {"method": "POST", "url": "Immunization"},
        {"method": "PUT", "url": told.local},
        {"method": "DELETE", "url": told.local},
    ]


async def test_A44_A92_A94_A122_A124_B14_B70_first_entry(base: Base, contents: dict[str, Told]) -> None:
    type_ = "Parameters" if base.version == "r4" else "SubscriptionStatus"
    for _, received in all_of(contents):
        types = [entry.get("resource", {}).get("resourceType") for entry in received.bundle["entry"]]
        assert types[0] == type_
        assert type_ not in types[1:]


async def test_A93_A123_B69_B139_F9_status(base: Base, contents: dict[str, Told]) -> None:
    for told, received in all_of(contents):
        assert status_faults(base.version, received.bundle["entry"][0]["resource"]) == []
        assert received.parameters["subscription"]["reference"] == base.subscription(told.id)


async def test_A49_A53_shape_of_the_topic(shapes: Shaped) -> None:
    """The topic includes the patient of an Immunization: it comes along."""
    received = shapes.events["full-resource"]
    assert [local(entry["fullUrl"]) for entry in received.bundle["entry"][1:]] == [
        "Immunization/shaped",
        "Patient/shaped",
    ]
    patient = received.bundle["entry"][2]["resource"]
    assert (patient["resourceType"], patient["id"]) == ("Patient", "shaped")


async def test_A48_A50_A51_B33_B34_B35_additional_resources(shapes: Shaped) -> None:
    """With none there is no word of it, with ids its reference alone, in full both."""
    for content, received in shapes.events.items():
        [event] = received.parameters["notification-event"]
        context = event.get("additional-context", [])
        told = [each["reference"] for each in (context if isinstance(context, list) else [context])]
        assert [local(reference) for reference in told] == ([] if content == "empty" else ["Patient/shaped"])
        with_resource = [entry for entry in received.bundle["entry"][1:] if "resource" in entry]
        assert len(with_resource) == (2 if content == "full-resource" else 0)


async def test_A57_B38_empty_has_no_references(contents: dict[str, Told], shapes: Shaped) -> None:
    for received in (*events(contents, "empty"), shapes.events["empty"]):
        [event] = received.parameters["notification-event"]
        assert event.keys() == {"event-number", "timestamp"}


async def test_A58_B39_empty_has_one_entry(contents: dict[str, Told], shapes: Shaped) -> None:
    for received in (*events(contents, "empty"), shapes.events["empty"]):
        assert len(received.bundle["entry"]) == 1


async def test_A59_B40_ids_have_a_focus(base: Base, contents: dict[str, Told]) -> None:
    told = contents["id-only"]
    for received in told.events:
        [event] = received.parameters["notification-event"]
        assert event["focus"]["reference"] == f"{base.url}/{told.local}"


async def test_A60_A61_A62_B41_B42_entries_of_ids(base: Base, contents: dict[str, Told], shapes: Shaped) -> None:
    """Entries beyond the status have the URL in `fullUrl` and a request, and no resource."""
    told = contents["id-only"]
    entries = [entry for received in told.events for entry in received.bundle["entry"][1:]]
    assert entries, "a delete has one"
    for entry in (*entries, *shapes.events["id-only"].bundle["entry"][1:]):
        assert entry["fullUrl"].startswith(f"{base.url}/")
        assert entry["request"]["url"] == entry["fullUrl"].removeprefix(f"{base.url}/")
        assert "resource" not in entry


async def test_A63_B43_full_has_a_focus(base: Base, contents: dict[str, Told]) -> None:
    told = contents["full-resource"]
    for received in told.events:
        [event] = received.parameters["notification-event"]
        assert event["focus"]["reference"] == f"{base.url}/{told.local}"


async def test_A64_A65_B44_full_has_an_entry_for_each(base: Base, contents: dict[str, Told], shapes: Shaped) -> None:
    told = contents["full-resource"]
    for received in told.events:
        assert [entry["fullUrl"] for entry in received.bundle["entry"][1:]] == [f"{base.url}/{told.local}"]
    assert len(shapes.events["full-resource"].bundle["entry"]) == 3


async def test_A66_A67_B45_full_has_the_resource(contents: dict[str, Told]) -> None:
    """As it was at that version; a deleted one has none, and its request and response say why."""
    told = contents["full-resource"]
    entries = [received.bundle["entry"][1] for received in told.events]
    assert [entry.get("resource") for entry in entries] == [each.get("resource") for each in told.history]
    assert (entries[2]["request"]["method"], entries[2]["response"]["status"]) == ("DELETE", "204")


async def test_A90_A120_B67_each_content(contents: dict[str, Told]) -> None:
    foci = {
        content: ["focus" in e.parameters["notification-event"][0] for e in told.events]
        for content, told in contents.items()
    }
    assert foci == {"empty": [False] * 3, "id-only": [True] * 3, "full-resource": [True] * 3}
    sizes = {content: [len(e.bundle["entry"]) for e in told.events] for content, told in contents.items()}
    assert sizes == {"empty": [1, 1, 1], "id-only": [1, 1, 2], "full-resource": [2, 2, 2]}


async def test_B99_B100_B101_topic(contents: dict[str, Told]) -> None:
    """Left out with `empty`, named with both others."""
    for content, told in contents.items():
        for received in told.events:
            expected = None if content == "empty" else TOPIC.format("immunization")
            assert received.parameters.get("topic") == expected


async def test_F10_B102_counter(contents: dict[str, Told]) -> None:
    """Events so far, this notification's included; a handshake counts none."""
    for told in contents.values():
        counters = [e.parameters["events-since-subscription-start"] for e in (*told.handshakes, *told.events)]
        assert counters == ["0", "1", "2", "3"]


async def test_B103_numbers_are_sequential(contents: dict[str, Told]) -> None:
    for told in contents.values():
        numbers = [number for each in told.events for number in each.numbers]
        assert all(after == before + 1 for before, after in pairwise(numbers))


async def test_F7_B98_max_count(base: Base) -> None:
    """Not more events in one notification; what has to wait is put together."""
    base.receiver.answers[base.path("F7")] = held = Holding()
    id_ = await base.subscribe(base.wanted("F7", "patient=Patient/F7", max_count=2))
    await base.fhir.put(immunization("F7-0", patient="F7"))
    await base.receiver.until(lambda: bool(base.told("F7")))
    for number in range(1, 6):
        await base.fhir.put(immunization(f"F7-{number}", patient="F7"))
    await base.fhir.until_events(id_, 6)
    held.release()
    await base.receiver.numbered(base.path("F7"), 6)
    told = base.told("F7")
    assert max(len(each.numbers) for each in told) == 2
    assert sorted({number for each in told for number in each.numbers}) == [1, 2, 3, 4, 5, 6]
    assert all(each.parameters["events-since-subscription-start"] == str(each.numbers[-1]) for each in told)
