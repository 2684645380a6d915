"""R5's notification Bundles, where R5's rules for Bundles are stricter than R4's for histories."""

import json
from datetime import UTC, datetime

import pytest

from subscriptions.codes import Content, Interaction, NotificationType, SubscriptionStatus
from subscriptions.notification import AdditionalContext, Event, Notification
from subscriptions.versions.r4 import R4
from subscriptions.versions.r5 import R5

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
PATIENT = AdditionalContext("Patient", "p", b'{"resourceType":"Patient","id":"p","meta":{"versionId":"1"}}')
NEWER = AdditionalContext("Patient", "p", b'{"resourceType":"Patient","id":"p","meta":{"versionId":"2"}}')


def event(number: int, interaction: Interaction, *context: AdditionalContext, body: bytes | None = None) -> Event:
    return Event(number, "Flag", "f", number, interaction, AT, body, context)


def notify(content: Content, *events: Event) -> Notification:
    return Notification(
        id="5f0c1c6e-5b0e-5a3e-8f43-9d6bb3f1d3f1",
        type=NotificationType.EVENT_NOTIFICATION,
        base="https://hub.example.org/fhir/r5",
        subscription_id="123",
        topic="https://hub.example.org/topic",
        status=SubscriptionStatus.ACTIVE,
        content=content,
        events_since_subscription_start=events[-1].number,
        timestamp=AT,
        events=events,
    )


@pytest.mark.parametrize(
    ("content", "events", "expected"),
    [
        pytest.param(
            Content.FULL_RESOURCE,
            (
                event(1, Interaction.CREATE, PATIENT, body=b'{"a":1}'),
                event(2, Interaction.UPDATE, PATIENT, body=b'{"a":2}'),
                event(3, Interaction.UPDATE, NEWER, body=b'{"a":3}'),
            ),
            ["POST Flag", "GET Patient/p", "PUT Flag/f", "PUT Flag/f", "GET Patient/p"],
            id="context-of-several-events",
        ),
        pytest.param(
            Content.ID_ONLY,
            (event(1, Interaction.DELETE), event(2, Interaction.CREATE), event(3, Interaction.DELETE)),
            ["DELETE Flag/f"],
            id="deleted-twice",
        ),
    ],
)
def test_each_version_of_a_resource_has_one_entry(
    content: Content, events: tuple[Event, ...], expected: list[str]
) -> None:
    """bdl-7: the address and the version of an entry are those of no other; a history, as in R4, may repeat them."""
    bundle = json.loads(R5().notification_bundle(notify(content, *events)))
    requests = [entry["request"] for entry in bundle["entry"][1:]]
    assert [f"{each['method']} {each['url']}" for each in requests] == expected
    numbers = [each["eventNumber"] for each in bundle["entry"][0]["resource"]["notificationEvent"]]
    assert numbers == [str(each.number) for each in events]
    assert len(json.loads(R4().notification_bundle(notify(content, *events)))["entry"]) > len(bundle["entry"])
