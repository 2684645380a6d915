"""R4's notification Bundles, against the Backport IG's own examples, its payload matrix and Bundle's invariants."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriptions.codes import Content, ErrorCode, Interaction, NotificationType, SubscriptionStatus
from subscriptions.notification import AdditionalContext, Event, Failure, Notification
from subscriptions.versions import instant
from subscriptions.versions.r4 import R4

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "backport"
AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
ID = "5f0c1c6e-5b0e-5a3e-8f43-9d6bb3f1d3f1"
BASE = "https://hub.example.org/fhir/r4"

CREATED = Event(1, "Patient", "p-1", 1, Interaction.CREATE, AT, b'{"resourceType":"Patient","id":"p-1"}')
UPDATED = Event(2, "Patient", "p-1", 2, Interaction.UPDATE, AT, b'{"resourceType":"Patient","active":true}')
DELETED = Event(3, "Patient", "p-1", 3, Interaction.DELETE, AT)
GONE = Event(4, "Patient", "p-2", 1, Interaction.CREATE, AT)


def notify(
    *events: Event,
    content: Content = Content.FULL_RESOURCE,
    type_: NotificationType = NotificationType.EVENT_NOTIFICATION,
    status: SubscriptionStatus = SubscriptionStatus.ACTIVE,
    since: int = 0,
    errors: tuple[Failure, ...] = (),
    subscription_id: str = "123",
) -> Notification:
    return Notification(
        id=ID,
        type=type_,
        base=BASE,
        subscription_id=subscription_id,
        topic="https://hub.example.org/topic",
        status=status,
        content=content,
        events_since_subscription_start=events[-1].number if events else since,
        timestamp=AT,
        events=events,
        errors=errors,
    )


def parsed(bundle: bytes) -> dict[str, Any]:
    """The Bundle as JSON, once it is valid by R4's model and invariants (R4B's model is the same here)."""
    found: dict[str, Any] = json.loads(bundle)
    Bundle.model_validate(found)
    entries = found.get("entry", [])
    history = found["type"] == "history"
    assert all(("request" in entry) is history for entry in entries), "bdl-3"
    assert all(("response" in entry) is history for entry in entries), "bdl-4"
    assert all(entry.keys() & {"resource", "request", "response"} for entry in entries), "bdl-5"
    assert all("/_history/" not in entry["fullUrl"] for entry in entries), "bdl-8"
    assert all(entry["resource"]["resourceType"] == "Parameters" for entry in entries[:1]), "r4-1"
    return found


def parameters(bundle: dict[str, Any], entry: int = 0) -> dict[str, Any]:
    """The status as name -> value; events as a list of name -> value."""
    found: dict[str, Any] = {"events": []}
    for parameter in bundle["entry"][entry]["resource"]["parameter"]:
        if parameter["name"] == "notification-event":
            found["events"].append({part["name"]: _value(part) for part in parameter["part"]})
        else:
            found[parameter["name"]] = _value(parameter)
    return found


def _value(parameter: dict[str, Any]) -> Any:
    (value,) = (parameter[key] for key in parameter if key.startswith("value"))
    return value


def example(name: str) -> dict[str, Any]:
    """
    One of the guide's examples, with what we do otherwise:

    - instants have milliseconds and are in UTC, not seven decimals and an offset;
    - the Bundle's id is that of its first entry, not the name of the example.
    """
    found: dict[str, Any] = json.loads((EXAMPLES / f"r4-notification-{name}.json").read_bytes())
    found["id"] = found["entry"][0]["resource"]["id"]
    found["timestamp"] = instant.write(instant.read(found["timestamp"]))
    for parameter in found["entry"][0]["resource"]["parameter"]:
        for part in parameter.get("part", []):
            if "valueInstant" in part:
                part["valueInstant"] = instant.write(instant.read(part["valueInstant"]))
    return found


def like(example: dict[str, Any], content: Content) -> Notification:
    """The notification of which an example is the Bundle, read out of it. The first resource is the focus."""
    status = parameters(example)
    resources = [entry["resource"] for entry in example["entry"][1:]]
    bodies = [json.dumps(resource).encode() for resource in resources]
    context = tuple(
        AdditionalContext(resource["resourceType"], resource["id"], body)
        for resource, body in zip(resources[1:], bodies[1:], strict=True)
    )
    return Notification(
        id=example["id"],
        type=NotificationType(status["type"]),
        base="https://example.org/fhir",
        subscription_id="admission",
        topic="http://hl7.org/SubscriptionTopic/admission",
        status=SubscriptionStatus(status["status"]),
        content=content,
        events_since_subscription_start=int(status["events-since-subscription-start"]),
        timestamp=instant.read(example["timestamp"]),
        events=tuple(
            Event(
                number=int(event["event-number"]),
                type="Encounter",
                id="86009987-eabe-42bf-8c02-b112b18cb616",
                version_id=1,
                interaction=Interaction.CREATE,
                at=instant.read(event["timestamp"]),
                body=bodies[0] if bodies else None,
                additional_context=context,
            )
            for event in status["events"]
        ),
        errors=tuple(Failure(ErrorCode(coding["code"])) for coding in status.get("error", {}).get("coding", [])),
    )


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
def test_the_guides_examples(name: str, content: Content) -> None:
    """Each of the guide's R4 notifications comes out as HL7 wrote it."""
    expected = example(name)
    assert parsed(R4().notification_bundle(like(expected, content))) == expected


def test_the_guides_empty_example() -> None:
    """The guide's `empty` example names the topic, which its text says it SHOULD NOT (B99): ours does not."""
    expected = example("empty")
    status = expected["entry"][0]["resource"]
    status["parameter"] = [parameter for parameter in status["parameter"] if parameter["name"] != "topic"]
    assert parsed(R4().notification_bundle(like(expected, Content.EMPTY))) == expected


def test_a_handshake() -> None:
    """A new subscription's handshake: status requested, counter 0, no event, one entry."""
    handshake = notify(type_=NotificationType.HANDSHAKE, status=SubscriptionStatus.REQUESTED)
    bundle = parsed(R4().notification_bundle(handshake))
    assert parameters(bundle) == {
        "subscription": {"reference": f"{BASE}/Subscription/123"},
        "topic": "https://hub.example.org/topic",
        "status": "requested",
        "type": "handshake",
        "events-since-subscription-start": "0",
        "events": [],
    }
    (entry,) = bundle["entry"]
    assert entry["request"] == {"method": "GET", "url": f"{BASE}/Subscription/123/$status"}
    assert bundle["id"] == ID
    assert entry["fullUrl"] == f"urn:uuid:{ID}"
    assert entry["resource"]["id"] == ID


def test_empty_says_only_that_something_happened() -> None:
    """Number and time of each event; no focus, no context, no topic, no further entry (B38, B39, B99)."""
    context = (AdditionalContext("Patient", "1", b'{"resourceType":"Patient"}'),)
    event = Event(2, "Encounter", "e", 1, Interaction.CREATE, AT, b'{"resourceType":"Encounter"}', context)
    rendered = R4().notification_bundle(notify(event, DELETED, content=Content.EMPTY))
    bundle = parsed(rendered)
    status = parameters(bundle)
    assert len(bundle["entry"]) == 1
    assert "topic" not in status
    assert status["events"] == [
        {"event-number": "2", "timestamp": "2026-11-21T10:00:00.000Z"},
        {"event-number": "3", "timestamp": "2026-11-21T10:00:00.000Z"},
    ]
    assert not any(word in rendered for word in (b"Encounter", b"Patient", b"topic"))


def test_id_only_carries_references_and_no_resource() -> None:
    """Each event has its focus (B40); a body that is there is not sent; only a delete has an entry, since only
    `request` tells it from an update."""
    bundle = parsed(R4().notification_bundle(notify(CREATED, UPDATED, DELETED, content=Content.ID_ONLY)))
    focus = {"reference": f"{BASE}/Patient/p-1"}
    assert [event["focus"] for event in parameters(bundle)["events"]] == [focus] * 3
    assert bundle["entry"][1:] == [
        {
            "fullUrl": f"{BASE}/Patient/p-1",
            "request": {"method": "DELETE", "url": "Patient/p-1"},
            "response": {"status": "204"},
        }
    ]


def test_full_resource_carries_one_entry_for_each_event() -> None:
    """Create, update and delete tell by request and response what happened; what can't be had is to be read."""
    bundle = parsed(R4().notification_bundle(notify(CREATED, UPDATED, DELETED, GONE)))
    assert [
        (entry["request"]["method"], entry["request"]["url"], entry["response"]["status"], "resource" in entry)
        for entry in bundle["entry"][1:]
    ] == [
        ("POST", "Patient", "201", True),
        ("PUT", "Patient/p-1", "200", True),
        ("DELETE", "Patient/p-1", "204", False),
        ("GET", "Patient/p-2", "200", False),
    ]
    assert [event["event-number"] for event in parameters(bundle)["events"]] == ["1", "2", "3", "4"]
    assert parameters(bundle)["events-since-subscription-start"] == "4"


def test_resources_are_sent_as_the_bytes_that_came() -> None:
    """Trailing zeros, blanks and escapes of a resource survive."""
    body = b'{ "resourceType" : "Immunization", "doseQuantity": {"value": 1.50}, "note": "\\u00e9" }'
    event = Event(1, "Immunization", "imm-1", 1, Interaction.CREATE, AT, body)
    assert body in R4().notification_bundle(notify(event))


def test_errors_are_told_with_code_and_text() -> None:
    """What went wrong stands in the status, coded by HL7's code system and in words."""
    failure = Failure(ErrorCode.ERROR_RESPONSE, "the endpoint answered 503: it failed")
    status = notify(type_=NotificationType.QUERY_STATUS, status=SubscriptionStatus.ERROR, since=28, errors=(failure,))
    assert parameters(parsed(R4().notification_bundle(status)))["error"] == {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/subscription-error", "code": "error-response"}],
        "text": "the endpoint answered 503: it failed",
    }


def test_status_of_many_subscriptions() -> None:
    """`$status` answers with a searchset: one entry for each, none with request or response."""
    asked = f"{BASE}/Subscription/$status?status=active"
    statuses = [
        notify(type_=NotificationType.QUERY_STATUS, since=n, content=Content.EMPTY, subscription_id=f"s{n}")
        for n in (1, 2)
    ]
    bundle = parsed(R4().status_bundle([R4().status_entry(each) for each in statuses], url=asked, at=AT))
    assert (bundle["type"], bundle["total"], bundle["timestamp"]) == ("searchset", 2, "2026-11-21T10:00:00.000Z")
    assert bundle["link"] == [{"relation": "self", "url": asked}]
    for n, entry in enumerate(bundle["entry"], start=1):
        assert entry["search"] == {"mode": "match"}
        status = parameters(bundle, n - 1)
        assert status["subscription"] == {"reference": f"{BASE}/Subscription/s{n}"}
        assert (status["type"], status["events-since-subscription-start"]) == ("query-status", str(n))
        assert status["topic"] == "https://hub.example.org/topic"


def test_status_of_none() -> None:
    """No subscription, no `entry`: FHIR has no empty lists."""
    bundle = parsed(R4().status_bundle([], url=f"{BASE}/Subscription/$status", at=AT))
    assert bundle["total"] == 0
    assert "entry" not in bundle


ids = st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True)
bodies = st.none() | st.dictionaries(st.text(), st.text() | st.integers()).map(
    lambda members: json.dumps({"resourceType": "Basic", "code": {"text": json.dumps(members)}}).encode()
)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as asked
contexts = st.lists(st.builds(AdditionalContext, st.just("Basic"), ids, bodies), max_size=2).map(tuple)


@st.composite
def notifications(draw: st.DrawFn) -> Notification:
    first = draw(st.integers(1, 2**53))
    events = tuple(
        Event(
            number=first + i,
            type="Basic",
            id=draw(ids),
            version_id=1,
            interaction=interaction,
            at=draw(moments),
            body=None if interaction is Interaction.DELETE else draw(bodies),
            additional_context=draw(contexts),
        )
        for i, interaction in enumerate(draw(st.lists(st.sampled_from(Interaction), min_size=1, max_size=4)))
    )
    return Notification(
        id=str(draw(st.uuids())),
        type=draw(st.sampled_from([NotificationType.EVENT_NOTIFICATION, NotificationType.QUERY_EVENT])),
        base=BASE,
        subscription_id=draw(ids),
        topic=draw(st.sampled_from(["http://example.org/t", "http://example.org/t|1.0.0"])),
        status=draw(st.sampled_from(SubscriptionStatus)),
        content=draw(st.sampled_from(Content)),
        events_since_subscription_start=events[-1].number,
        timestamp=draw(moments) + timedelta(microseconds=1),
        events=events,
    )


@settings(deadline=None)  # the models of a resource type are built when the first one comes
@given(notifications())
def test_every_notification_is_a_valid_bundle(notification: Notification) -> None:
    """Whatever is told, the Bundle is valid, and its highest event number is its counter."""
    status = parameters(parsed(R4().notification_bundle(notification)))
    numbers = [int(event["event-number"]) for event in status["events"]]
    assert numbers == [event.number for event in notification.events]
    assert str(numbers[-1]) == status["events-since-subscription-start"]


@given(notifications())
def test_the_same_notification_has_the_same_bytes(notification: Notification) -> None:
    """A repeat, built again from the same values, is equal to the last byte."""
    assert R4().notification_bundle(replace(notification)) == R4().notification_bundle(notification)
