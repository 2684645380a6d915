"""What a notification may say, whatever version it is written in."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.codes import Content, Interaction, NotificationType, SubscriptionStatus
from subscriptions.notification import Event, Notification, notification_id

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
NAMES = {
    "hub": "d8f3",
    "subscription": "default/r4/123/1",
    "type": NotificationType.EVENT_NOTIFICATION,
    "first": 17,
    "last": 18,
    "pinned": AT,
}


def notification(
    type_: NotificationType, *numbers: int, since: int, content: Content = Content.ID_ONLY
) -> Notification:
    return Notification(
        id="5f0c1c6e-5b0e-5a3e-8f43-9d6bb3f1d3f1",
        type=type_,
        base="https://hub.example.org/fhir/r4",
        subscription_id="123",
        topic="https://hub.example.org/topic",
        status=SubscriptionStatus.ACTIVE,
        content=content,
        events_since_subscription_start=since,
        timestamp=AT,
        events=tuple(Event(number, "Patient", "1", 1, Interaction.UPDATE, AT) for number in numbers),
    )


@pytest.mark.parametrize("type_", [NotificationType.EVENT_NOTIFICATION, NotificationType.QUERY_EVENT])
def test_events_must_be_there(type_: NotificationType) -> None:
    """Event notifications and query-events without an event break invariant sst-1."""
    with pytest.raises(ValueError, match="without events"):
        notification(type_, since=3)


def test_the_counter_of_an_event_notification_is_its_last_number() -> None:
    """The live counter has no place in a notification that is repeated later."""
    with pytest.raises(ValueError, match="number of its last event"):
        notification(NotificationType.EVENT_NOTIFICATION, 1, 2, since=3)
    assert notification(NotificationType.EVENT_NOTIFICATION, 1, 2, since=2).events[-1].number == 2


def test_older_events_may_be_asked_for() -> None:
    """A query-event and a handshake tell the counter as it is."""
    assert notification(NotificationType.QUERY_EVENT, 1, 2, since=9).events_since_subscription_start == 9
    assert notification(NotificationType.HANDSHAKE, since=9).events_since_subscription_start == 9


@pytest.mark.parametrize(
    ("type_", "content", "named"),
    [
        (NotificationType.HANDSHAKE, Content.EMPTY, False),
        (NotificationType.HEARTBEAT, Content.EMPTY, False),
        (NotificationType.QUERY_STATUS, Content.EMPTY, True),
        (NotificationType.QUERY_EVENT, Content.EMPTY, True),
        (NotificationType.HANDSHAKE, Content.ID_ONLY, True),
        (NotificationType.HEARTBEAT, Content.FULL_RESOURCE, True),
    ],
)
def test_empty_keeps_the_topic_off_the_channel(type_: NotificationType, content: Content, named: bool) -> None:
    """With `empty`, only the answers to `$status` and `$events`, which do not go over the channel, name the topic."""
    numbers = (1,) if type_ is NotificationType.QUERY_EVENT else ()
    assert notification(type_, *numbers, since=1, content=content).names_topic is named


@given(st.integers(0), st.integers(0), st.datetimes(timezones=st.just(UTC)))
def test_the_same_notification_has_the_same_id(first: int, last: int, pinned: datetime) -> None:
    """A repeat derives the same id, in whatever zone its time is written, and the id is a UUIDv5."""
    names = NAMES | {"first": first, "last": last, "pinned": pinned}
    found = notification_id(**names)  # type: ignore[arg-type]  # the dict's values are of different types
    assert found == notification_id(**names)  # type: ignore[arg-type]  # as above
    assert str(UUID(found)) == found
    assert UUID(found).version == 5


@pytest.mark.parametrize(
    "other",
    [
        {"hub": "d8f4"},
        {"subscription": "default/r4/123/2"},
        {"type": NotificationType.HANDSHAKE},
        {"first": 16},
        {"last": 19},
        {"pinned": AT + timedelta(milliseconds=1)},
        {"missing": [(17, 0)]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_notification_has_another_id(other: dict[str, object]) -> None:
    """Each part of what names a notification tells it from others."""
    assert notification_id(**(NAMES | other)) != notification_id(**NAMES)  # type: ignore[arg-type]  # as above
