"""
Notification Bundles of each FHIR version, against HL7's own examples, the payload matrix and Bundle's invariants.

http://hl7.org/fhir/uv/subscriptions-backport/STU1.1/payloads.html
"""

from dataclasses import replace

import pytest
from hypothesis import given

from subscriptions.codes import Content, ErrorCode, FhirVersion, Interaction, NotificationType, SubscriptionStatus
from subscriptions.notification import AdditionalContext, Event, Failure, Notification
from subscriptions.versions.forms import FORMS
from tests.subscriptions.notifications import (
    AT,
    BASE,
    ID,
    like,
    notifications,
    notify,
    of_r5,
    of_the_guide,
    status_of,
    valid,
    written,
)

CREATED = Event(
    1, "Patient", "p-1", 1, Interaction.CREATE, AT, b'{"resourceType":"Patient","id":"p-1","meta":{"versionId":"1"}}'
)
UPDATED = Event(
    2, "Patient", "p-1", 2, Interaction.UPDATE, AT, b'{"resourceType":"Patient","meta":{"versionId":"2"},"active":true}'
)
DELETED = Event(3, "Patient", "p-1", 3, Interaction.DELETE, AT)
GONE = Event(4, "Patient", "p-2", 1, Interaction.CREATE, AT)

TYPES = {FhirVersion.R4: "history", FhirVersion.R4B: "history", FhirVersion.R5: "subscription-notification"}
VERSIONS = pytest.mark.parametrize("version", FhirVersion)
GUIDE = pytest.mark.parametrize("version", [FhirVersion.R4, FhirVersion.R4B])


@GUIDE
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("handshake", Content.ID_ONLY),
        ("heartbeat", Content.ID_ONLY),
        ("id-only", Content.ID_ONLY),
        ("full-resource", Content.FULL_RESOURCE),
        ("multi-resource", Content.FULL_RESOURCE),
        ("error", Content.ID_ONLY),
    ],
)
def test_the_guides_examples(version: FhirVersion, name: str, content: Content) -> None:
    """Each of the guide's notifications comes out as HL7 wrote it."""
    expected = of_the_guide(version, name)
    assert written(version, like(expected, content)) == expected


@GUIDE
def test_the_guides_empty_example(version: FhirVersion) -> None:
    """The guide's `empty` example names the topic, which its text says it SHOULD NOT (B99): ours does not."""
    expected = of_the_guide(version, "empty")
    sent = like(expected, Content.EMPTY)
    status = expected["entry"][0]["resource"]
    if version is FhirVersion.R4:
        status["parameter"] = [each for each in status["parameter"] if each["name"] != "topic"]
    else:
        del status["topic"]
    assert written(version, sent) == expected


@pytest.mark.parametrize(
    ("id_", "content"),
    [
        pytest.param("54f808cf-d159-4c9b-accb-c33eb20f0ecc", Content.ID_ONLY, id="handshake"),
        pytest.param("3d20ea4b-90dc-4d0d-b15a-c7a893389401", Content.ID_ONLY, id="heartbeat"),
        pytest.param("40464b74-fad0-4f45-ab60-e67f949c5e92", Content.ID_ONLY, id="query-status"),
        pytest.param("9601c07a-e34f-4945-93ca-6efb5394c995", Content.EMPTY, id="empty"),
        pytest.param("3945182f-d315-4dbf-9259-09d863c7e7da", Content.ID_ONLY, id="id-only"),
        pytest.param("920a46b7-045a-4773-82bd-8e90c3e15653", Content.ID_ONLY, id="id-only-with-context"),
        pytest.param("00b99077-2bda-436e-98cc-a4f65d6c2fe0", Content.FULL_RESOURCE, id="full-resource"),
        pytest.param("fdd78223-f79f-43b4-8979-ad49d4ac248c", Content.FULL_RESOURCE, id="full-resource-with-context"),
        pytest.param("787e69f6-81a8-44e4-b404-257013dec332", Content.FULL_RESOURCE, id="query-event"),
    ],
)
def test_the_examples_of_r5(id_: str, content: Content) -> None:
    """Each of R5's own notifications comes out as HL7 wrote it, but for what `of_r5` says."""
    expected = of_r5(id_)
    assert written(FhirVersion.R5, like(expected, content)) == expected


def test_the_example_of_an_error_in_r5() -> None:
    """It is an `empty` one that names the topic, which ours does not."""
    expected = of_r5("e2c9dc20-615e-4603-9005-74deb209cbb0")
    sent = like(expected, Content.EMPTY)
    del expected["entry"][0]["resource"]["topic"]
    assert written(FhirVersion.R5, sent) == expected


@VERSIONS
def test_a_handshake(version: FhirVersion) -> None:
    """A new subscription's handshake: status requested, counter 0, no event, one entry."""
    handshake = notify(type_=NotificationType.HANDSHAKE, status=SubscriptionStatus.REQUESTED)
    bundle = written(version, handshake)
    status = status_of(bundle)
    told = {name: value for name, value in status.items() if name not in ("resource-type", "id")}
    assert told == {
        "subscription": {"reference": f"{BASE}/Subscription/123"},
        "topic": "https://hub.example.org/topic",
        "status": "requested",
        "type": "handshake",
        "events-since-subscription-start": "0",
        "notification-event": [],
    }
    [entry] = bundle["entry"]
    assert (bundle["type"], bundle["id"]) == (TYPES[version], ID)
    assert entry["fullUrl"] == f"urn:uuid:{ID}"
    assert entry["resource"]["id"] == ID
    asked = {"method": "GET", "url": f"{BASE}/Subscription/123/$status"}
    rest = {} if version is FhirVersion.R5 else {"request": asked, "response": {"status": "200"}}
    assert entry.keys() == {"fullUrl", "resource"} | rest.keys()
    assert entry | rest == entry


@VERSIONS
def test_empty_says_only_that_something_happened(version: FhirVersion) -> None:
    """Number and time of each event; no focus, no context, no topic, no further entry (B38, B39, B99)."""
    context = (AdditionalContext("Patient", "1", b'{"resourceType":"Patient"}'),)
    event = Event(2, "Encounter", "e", 1, Interaction.CREATE, AT, b'{"resourceType":"Encounter"}', context)
    notification = notify(event, DELETED, content=Content.EMPTY)
    bundle = written(version, notification)
    status = status_of(bundle)
    assert len(bundle["entry"]) == 1
    assert "topic" not in status
    assert status["notification-event"] == [
        {"event-number": "2", "timestamp": "2026-11-21T10:00:00.000Z"},
        {"event-number": "3", "timestamp": "2026-11-21T10:00:00.000Z"},
    ]
    rendered = FORMS[version].notification_bundle(notification)
    assert not any(word in rendered for word in (b"Encounter", b"Patient", b"topic"))


@VERSIONS
def test_id_only_carries_references_and_no_resource(version: FhirVersion) -> None:
    """Each event has its focus (B40); a body that is there is not sent; only a delete has an entry, since only
    `request` tells it from an update."""
    bundle = written(version, notify(CREATED, UPDATED, DELETED, content=Content.ID_ONLY))
    focus = {"reference": f"{BASE}/Patient/p-1"}
    assert [event["focus"] for event in status_of(bundle)["notification-event"]] == [focus] * 3
    assert bundle["entry"][1:] == [
        {
            "fullUrl": f"{BASE}/Patient/p-1",
            "request": {"method": "DELETE", "url": "Patient/p-1"},
            "response": {"status": "204"},
        }
    ]


@VERSIONS
def test_full_resource_carries_one_entry_for_each_event(version: FhirVersion) -> None:
    """Create, update and delete tell by request and response what happened; what can't be had is to be read."""
    bundle = written(version, notify(CREATED, UPDATED, DELETED, GONE))
    assert [
        (entry["request"]["method"], entry["request"]["url"], entry["response"]["status"], "resource" in entry)
        for entry in bundle["entry"][1:]
    ] == [
        ("POST", "Patient", "201", True),
        ("PUT", "Patient/p-1", "200", True),
        ("DELETE", "Patient/p-1", "204", False),
        ("GET", "Patient/p-2", "200", False),
    ]
    assert [event["event-number"] for event in status_of(bundle)["notification-event"]] == ["1", "2", "3", "4"]
    assert status_of(bundle)["events-since-subscription-start"] == "4"


@VERSIONS
def test_resources_are_sent_as_the_bytes_that_came(version: FhirVersion) -> None:
    """Trailing zeros, blanks and escapes of a resource survive."""
    body = b'{ "resourceType" : "Immunization", "doseQuantity": {"value": 1.50}, "note": "\\u00e9" }'
    event = Event(1, "Immunization", "imm-1", 1, Interaction.CREATE, AT, body)
    assert body in FORMS[version].notification_bundle(notify(event))


@VERSIONS
def test_errors_are_told_with_code_and_text(version: FhirVersion) -> None:
    """What went wrong stands in the status, coded by HL7's code system and in words."""
    failure = Failure(ErrorCode.ERROR_RESPONSE, "the endpoint answered 503: it failed")
    status = notify(type_=NotificationType.QUERY_STATUS, status=SubscriptionStatus.ERROR, since=28, errors=(failure,))
    told = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/subscription-error", "code": "error-response"}],
        "text": "the endpoint answered 503: it failed",
    }
    assert status_of(written(version, status))["error"] == (told if version is FhirVersion.R4 else [told])


@VERSIONS
def test_status_of_many_subscriptions(version: FhirVersion) -> None:
    """`$status` answers with a searchset: one entry for each, none with request or response."""
    asked, form = f"{BASE}/Subscription/$status?status=active", FORMS[version]
    statuses = [
        replace(
            notify(type_=NotificationType.QUERY_STATUS, since=n, content=Content.EMPTY, subscription_id=f"s{n}"),
            id=f"{ID[:-1]}{n}",
        )
        for n in (1, 2)
    ]
    bundle = valid(version, form.status_bundle([form.status_entry(each) for each in statuses], url=asked, at=AT))
    assert (bundle["type"], bundle["total"], bundle["timestamp"]) == ("searchset", 2, "2026-11-21T10:00:00.000Z")
    assert bundle["link"] == [{"relation": "self", "url": asked}]
    for n, entry in enumerate(bundle["entry"], start=1):
        assert entry.keys() == {"fullUrl", "resource", "search"}
        assert entry["search"] == {"mode": "match"}
        status = status_of(bundle, n - 1)
        assert status["subscription"] == {"reference": f"{BASE}/Subscription/s{n}"}
        assert (status["type"], status["events-since-subscription-start"]) == ("query-status", str(n))
        assert status["topic"] == "https://hub.example.org/topic"


@VERSIONS
def test_status_of_none(version: FhirVersion) -> None:
    """No subscription, no `entry`: FHIR has no empty lists."""
    bundle = valid(version, FORMS[version].status_bundle([], url=f"{BASE}/Subscription/$status", at=AT))
    assert bundle["total"] == 0
    assert "entry" not in bundle


@VERSIONS
def test_counters_beyond_what_a_double_holds_keep_their_digits(version: FhirVersion) -> None:
    """They are strings in every version: R5's are integer64, which JSON numbers can't be relied on to carry."""
    number = 2**63 - 1
    status = status_of(written(version, notify(replace(CREATED, number=number))))
    assert status["events-since-subscription-start"] == str(number)
    assert [event["event-number"] for event in status["notification-event"]] == [str(number)]


@VERSIONS
@given(notification=notifications())
def test_every_notification_is_a_valid_bundle(version: FhirVersion, notification: Notification) -> None:
    """Whatever is told, the Bundle is valid, its counters are strings, and the highest event number is its counter."""
    status = status_of(written(version, notification))
    numbers = [event["event-number"] for event in status["notification-event"]]
    assert numbers == [str(event.number) for event in notification.events]
    assert numbers[-1] == status["events-since-subscription-start"]


@VERSIONS
@given(notification=notifications())
def test_the_same_notification_has_the_same_bytes(version: FhirVersion, notification: Notification) -> None:
    """A repeat, built again from the same values, is equal to the last byte."""
    form = FORMS[version]
    assert form.notification_bundle(replace(notification)) == form.notification_bundle(notification)
