"""R5's notification Bundles, where R5's rules for Bundles are stricter than R4's for histories."""

import json
from dataclasses import replace

import pytest

from subscriptions.codes import Content, Interaction
from subscriptions.notification import AdditionalContext, Event
from subscriptions.versions.r4 import R4
from subscriptions.versions.r5 import R5
from tests.subscriptions.notifications import AT, notify

PATIENT = AdditionalContext("Patient", "p", b'{"resourceType":"Patient","id":"p","meta":{"versionId":"1"}}')
LOST, GONE = AdditionalContext("Patient", "p"), AdditionalContext("Flag", "f")
NEWER = AdditionalContext("Patient", "p", b'{"resourceType":"Patient","id":"p","meta":{"versionId":"2"}}')


def event(number: int, interaction: Interaction, *context: AdditionalContext, body: bytes | None = None) -> Event:
    return Event(number, "Flag", "f", number, interaction, AT, body, context)


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
        pytest.param(
            Content.FULL_RESOURCE,
            (event(1, Interaction.CREATE), event(2, Interaction.DELETE), event(3, Interaction.DELETE, LOST)),
            ["DELETE Flag/f", "GET Patient/p"],
            id="deleted-after-it-was-lost",
        ),
        pytest.param(
            Content.FULL_RESOURCE,
            (event(1, Interaction.DELETE), event(2, Interaction.CREATE)),
            ["GET Flag/f"],
            id="lost-after-it-was-deleted",
        ),
        pytest.param(
            Content.FULL_RESOURCE,
            (event(1, Interaction.DELETE), replace(event(2, Interaction.CREATE, GONE, body=b'{"a":2}'), id="g")),
            ["DELETE Flag/f", "POST Flag"],
            id="context-of-what-was-deleted",
        ),
    ],
)
def test_each_version_of_a_resource_has_one_entry(
    content: Content, events: tuple[Event, ...], expected: list[str]
) -> None:
    """bdl-7: the address and the version of an entry are those of no other; a history, as in R4, may repeat them."""
    notification = notify(*events, content=content)
    bundle = json.loads(R5().notification_bundle(notification))
    requests = [entry["request"] for entry in bundle["entry"][1:]]
    assert [f"{each['method']} {each['url']}" for each in requests] == expected
    numbers = [each["eventNumber"] for each in bundle["entry"][0]["resource"]["notificationEvent"]]
    assert numbers == [str(each.number) for each in events]
    assert len(json.loads(R4().notification_bundle(notification))["entry"]) > len(bundle["entry"])
