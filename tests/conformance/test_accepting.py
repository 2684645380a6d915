"""What is accepted, how it is answered, and what is refused."""

import json
from typing import Any

import pytest

from tests.conformance.bases import Base
from tests.conformance.refusals import REFUSALS, assert_refused
from tests.conformance.stories import CONTENTS, HEADERS, Told
from tests.conformance.topics import SCOPED
from tests.processes import TOPIC, redacted


async def test_H01_created(base: Base, contents: dict[str, Told]) -> None:
    """201 with Location, ETag and the Subscription as it was sent, `requested` and with its headers."""
    for told in contents.values():
        assert told.created.status_code == 201
        assert told.created.headers["Location"] == f"{base.subscription(told.id)}/_history/1"
        assert told.created.headers["ETag"] == 'W/"1"'
        body = told.created.json()
        assert body == told.wanted | {"id": told.id, "meta": body["meta"], "status": "requested"}


async def test_H02_interactions(base: Base) -> None:
    """Created by PUT, read, changed by PUT and PATCH, found by `url` and `status`, deleted."""
    wanted = base.wanted("H02", status="off")
    url = f"{base.receiver.url}{base.path('H02')}"
    assert await base.fhir.put(wanted | {"id": "H02"}) == 1
    assert (await base.fhir.read("Subscription/H02"))["status"] == "off"
    for query, total in ((f"url={url}&status=off", 1), (f"url={url}&status=active", 0), (f"url={url}x", 0)):
        assert (await base.fhir.read(f"Subscription?{query}"))["total"] == total
    changed = base.wanted("H02", "patient=Patient/a", status="off")
    assert await base.fhir.put(changed | {"id": "H02"}) == 2
    read = await base.fhir.read("Subscription/H02")
    assert read == changed | {"id": "H02", "meta": read["meta"]}
    assert await patched(base, "H02", {"op": "add", "path": "/reason", "value": "Patched"}) == "Patched"
    await base.fhir.delete("Subscription/H02")
    assert (await base.http.get("Subscription/H02")).status_code == 404
    assert (await base.fhir.read(f"Subscription?url={url}"))["total"] == 0


async def patched(base: Base, id_: str, operation: dict[str, Any]) -> str:
    """What a Subscription's `reason` is after a JSON Patch."""
    answer = await base.http.patch(
        f"Subscription/{id_}",
        content=json.dumps([operation]),
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert answer.status_code == 200, answer.text
    return str((await base.fhir.read(f"Subscription/{id_}"))["reason"])


async def test_H03_refused(base: Base) -> None:
    await assert_refused(base, *REFUSALS[base.version])


async def test_H04_refused_update(base: Base) -> None:
    """A refused change is answered with an OperationOutcome, and leaves the Subscription as it was."""
    id_ = await base.register(base.wanted("H04", status="off"))
    before = await base.fhir.read(f"Subscription/{id_}")
    answer = await base.http.put(
        f"Subscription/{id_}", json=base.wanted("H04", topic=TOPIC.format("spaceship")) | {"id": id_}
    )
    assert 400 <= answer.status_code < 500
    [issue] = answer.json()["issue"]
    assert (issue["code"], issue["expression"]) == ("not-supported", [f"Subscription.{base.topic}"])
    assert "spaceship" in issue["details"]["text"]
    assert await base.fhir.read(f"Subscription/{id_}") == before


async def test_B7_what_is_accepted_is_told(contents: dict[str, Told]) -> None:
    """Each event of the topic came to each subscriber."""
    for told in contents.values():
        assert [each.numbers for each in told.events] == [[1], [2], [3]]


async def test_A9_B8_B9_B10_B11_B12_B13_all_is_checked(base: Base) -> None:
    """Topic, filters, channel, endpoint, payload, and the payload for the channel."""
    await assert_refused(base, "unknown-topic", "unknown-filter", "other-channel", "bad-endpoint", "unknown-content")
    await assert_refused(base, "other-payload", "forbidden-endpoint")


async def test_A8_B90_fhir_version(base: Base) -> None:
    """Its own version may be named; another one is refused."""
    await assert_refused(base, "other-version")
    number = {"r4": "4.0", "r4b": "4.3", "r5": "5.0"}[base.version]
    wanted = base.wanted("A8", status="off")
    (wanted if base.is_r5 else wanted["channel"])["contentType" if base.is_r5 else "payload"] = (
        f"application/fhir+json; fhirVersion={number}"
    )
    await base.register(wanted)


async def test_A5_A78_A108_cross_version_extensions(base: Base) -> None:
    await assert_refused(base, "cross-version-extension")


async def test_A82_A83_A112_A113_B59_B60_channel_type(base: Base) -> None:
    """The extension stands above `channel.type`, and a channel that there isn't is refused."""
    await assert_refused(base, "custom-channel")


async def test_A86_A116_B63_filters_that_there_are_not(base: Base) -> None:
    await assert_refused(base, "unknown-filter")
    for refused in ("date=le2026-01-01", "lot-number:exact=1", "status=completed"):
        wanted = base.wanted("A86", f"Immunization?{refused}", topic=SCOPED)
        answer = await base.http.post("Subscription", json=wanted)
        assert 400 <= answer.status_code < 500, refused


async def test_A88_A118_B65_content_is_read(contents: dict[str, Told]) -> None:
    """Each content is honoured: with none an event has no focus, with ids no resource, in full both."""
    first = {content: told.events[0] for content, told in contents.items()}
    assert ["focus" in each.parameters["notification-event"][0] for each in first.values()] == [False, True, True]
    assert [len(each.bundle["entry"]) for each in first.values()] == [1, 1, 2]


async def test_A89_A119_B66_content_that_there_is_not(base: Base) -> None:
    await assert_refused(base, "unknown-content")


async def test_A56_B36_payload_that_there_is_not(base: Base) -> None:
    await assert_refused(base, "unknown-content", "other-payload")


async def test_A96_A126_B72_F1_criteria(base: Base, contents: dict[str, Told]) -> None:
    """Read back as they were sent."""
    for told in contents.values():
        assert told.active[base.topic] == told.wanted[base.topic]
        assert told.active.get(f"_{base.topic}") == told.wanted.get(f"_{base.topic}")


async def test_A97_A127_B73_criteria_are_a_canonical(base: Base) -> None:
    await assert_refused(base, "no-topic")
    answer = await base.http.post("Subscription", json=base.wanted("A97", topic="no canonical"))
    assert 400 <= answer.status_code < 500
    assert answer.json()["issue"][0]["expression"] == [f"Subscription.{base.topic}"]


async def test_A98_A128_B74_topics_are_heeded(base: Base, contents: dict[str, Told]) -> None:
    """By the built-in topic came what is of its type; one of another type has no event of these."""
    assert all(told.events for told in contents.values())
    id_ = await base.subscribe(base.wanted("A98", type_="Flag"))
    await base.fhir.post(
        {"resourceType": "Immunization", "status": "completed", "patient": {"reference": "Patient/a"}}
        | {"vaccineCode": {"text": "a"}, "occurrenceDateTime": "2026"}
    )
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "a"}, "subject": {"reference": "Patient/a"}}
    focus = f"Flag/{await base.fhir.post(flag)}"
    [event] = await base.receiver.events(base.path("A98"), 1)
    assert event.foci == [focus]
    assert await base.fhir.events(id_) == 1


async def test_A99_A129_B75_topics_that_there_are_not(base: Base) -> None:
    await assert_refused(base, "unknown-topic")


async def test_F2_F3_payload_and_content(base: Base) -> None:
    await assert_refused(base, "no-payload", "no-content")


async def test_A69_A71_A101_B133_B134_written_and_read(contents: dict[str, Told]) -> None:
    """What was written is read back, apart from what is the hub's to say, and from the values of headers."""
    for told in contents.values():
        ours = {"id": told.id, "meta": told.active["meta"], "status": "active"}
        assert told.active == redacted(told.wanted) | ours


async def test_A74_A104_B49_B50_B54_a_channel(contents: dict[str, Told]) -> None:
    """rest-hook: a POST came."""
    assert {each.method for told in contents.values() for each in told.events} == {"POST"}


@pytest.mark.parametrize("content", CONTENTS)
async def test_A75_A77_A105_A107_B51_B53_payload_types(contents: dict[str, Told], content: str) -> None:
    assert len(contents[content].events) == 3


async def test_A79_A109_B137_mandatory_elements(base: Base, contents: dict[str, Told]) -> None:
    """All that the profile makes mandatory is in the answer, with the names of the client's headers."""
    required: Any = ("status", "topic", "channelType") if base.is_r5 else ("status", "reason", "criteria", "channel")
    for told in contents.values():
        assert all(told.active.get(name) for name in required)
        if not base.is_r5:
            channel = told.active["channel"]
            assert channel["type"] == "rest-hook"
            assert channel["header"] == [f"{line.partition(':')[0]}: ********" for line in HEADERS]
            [extension] = channel["_payload"]["extension"]
            assert extension["valueCode"] in CONTENTS


async def test_B124_read(base: Base, contents: dict[str, Told]) -> None:
    for told in contents.values():
        assert (await base.fhir.read(f"Subscription/{told.id}"))["id"] == told.id


async def test_B125_B126_B127_created_changed_deleted(base: Base) -> None:
    """By POST and by PUT; by PUT and by PATCH."""
    id_ = await base.fhir.post(base.wanted("B125", status="off"))
    assert await patched(base, id_, {"op": "add", "path": "/reason", "value": "Patched"}) == "Patched"
    assert await base.fhir.put(base.wanted("B125", "patient=Patient/a", status="off") | {"id": id_}) == 3
    await base.fhir.delete(f"Subscription/{id_}")
    assert await base.fhir.put(base.wanted("B125", status="off") | {"id": "B125"}) == 1
    await base.fhir.delete("Subscription/B125")


async def test_B128_B129_B130_found(base: Base, contents: dict[str, Told]) -> None:
    """By `url` and `status`, by GET and by POST."""
    told = contents["empty"]
    query = {"url": base.receiver.url + base.path("told-empty"), "status": "active"}
    for answer in (
        await base.http.get("Subscription", params=query),
        await base.http.post("Subscription/_search", data=query),
    ):
        assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == [told.id]
