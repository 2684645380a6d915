"""Notifications are read as they were meant: the hub's own of each FHIR version, and HL7's."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hub.receiver import Kind, Unreadable, read
from subscriptions.codes import Content, FhirVersion, Interaction, NotificationType, SubscriptionStatus
from subscriptions.message import DELETED
from subscriptions.notification import AdditionalContext, Event, Failure
from subscriptions.versions import instant
from subscriptions.versions.forms import FORMS
from tests.subscriptions.notifications import AT, BASE, notify

EXAMPLES = sorted((Path(__file__).parents[2] / "fixtures" / "backport").glob("*-notification-*.json"))
VERSIONS = pytest.mark.parametrize("version", FORMS)


def body(id_: str, version_id: int, at: datetime, type_: str = "Encounter") -> bytes:
    meta = {"versionId": str(version_id), "lastUpdated": instant.write(at)}
    return orjson.dumps({"resourceType": type_, "id": id_, "meta": meta})


def event(number: int, interaction: Interaction, *, id_: str = "e", contexts: tuple[bytes, ...] = ()) -> Event:
    """An event that made version `number`, so many seconds after the others."""
    at = AT + timedelta(seconds=number)
    return Event(
        number,
        "Encounter",
        id_,
        number,
        interaction,
        at,
        None if interaction is Interaction.DELETE else body(id_, number, at),
        tuple(AdditionalContext("Patient", "p", context) for context in contexts),
    )


@VERSIONS
@pytest.mark.parametrize("kind", [NotificationType.HANDSHAKE, NotificationType.HEARTBEAT])
def test_without_events(version: FhirVersion, kind: NotificationType) -> None:
    notification = notify(type_=kind, status=SubscriptionStatus.REQUESTED, since=7)
    found = read(FORMS[version].notification_bundle(notification))
    assert (found.kind, found.counter, found.events, found.errors) == (Kind(kind), 7, (), ())
    assert (found.id, found.subscription) == (notification.id, f"{BASE}/Subscription/123")
    assert (found.topic, found.status, found.at) == (notification.topic, SubscriptionStatus.REQUESTED, AT)


@VERSIONS
def test_full_resource(version: FhirVersion) -> None:
    """Events of one resource in one Bundle have each their own version, and the contexts of their own time."""
    old, new = (body("p", number, AT, "Patient") for number in (1, 2))
    told = (
        event(1, Interaction.CREATE, contexts=(old,)),
        event(2, Interaction.UPDATE, contexts=(old,)),
        event(3, Interaction.DELETE),
        event(4, Interaction.CREATE, contexts=(new,)),
        event(5, Interaction.CREATE, id_="other", contexts=(new,)),
    )
    found = read(FORMS[version].notification_bundle(notify(*told)))
    assert found.kind is Kind.EVENT_NOTIFICATION
    assert [each.number for each in found.events] == [1, 2, 3, 4, 5]
    assert [each.interaction for each in found.events] == [each.interaction for each in told]
    assert [each.at for each in found.events] == [each.at for each in told]
    assert [(each.type, each.id) for each in found.events] == [("Encounter", "e")] * 4 + [("Encounter", "other")]
    assert [each.resource for each in found.events] == [each.body and orjson.loads(each.body) for each in told]
    assert [[context.resource for context in each.contexts] for each in found.events] == [
        [orjson.loads(context.body or b"") for context in each.additional_context] for each in told
    ]
    assert {each.subscription for each in found.events} == {f"{BASE}/Subscription/123"}


@VERSIONS
def test_less_than_that(version: FhirVersion) -> None:
    """With `id-only` there is no resource, with `empty` no focus; what may not be told is a number and a time."""
    told = (event(1, Interaction.CREATE, contexts=(b"{}",)), event(2, Interaction.DELETE, id_="gone"))
    by_id = read(FORMS[version].notification_bundle(notify(*told, content=Content.ID_ONLY))).events
    assert [each.focus for each in by_id] == [f"{BASE}/Encounter/e", f"{BASE}/Encounter/gone"]
    assert [each.resource for each in by_id] == [None, None]
    assert [each.interaction for each in by_id] == [None, Interaction.DELETE]
    assert [context.reference for context in by_id[0].contexts] == [f"{BASE}/Patient/p"]
    empty = read(FORMS[version].notification_bundle(notify(*told, content=Content.EMPTY)))
    assert [(each.number, each.focus, each.type, each.id, each.topic) for each in empty.events] == [
        (1, "", "", "", ""),
        (2, "", "", "", ""),
    ]


@VERSIONS
def test_what_nobody_can_say(version: FhirVersion) -> None:
    """One word of a delete, and three events of that resource: it is not guessed which was the delete."""
    told = tuple(map(event, (1, 2, 3), (Interaction.CREATE, Interaction.DELETE, Interaction.CREATE)))
    found = read(FORMS[version].notification_bundle(notify(*told, content=Content.ID_ONLY)))
    assert [each.interaction for each in found.events] == [None, None, None]


@VERSIONS
def test_errors(version: FhirVersion) -> None:
    lost = Failure(None, "events 1 to 4 were dropped undelivered")
    found = read(FORMS[version].notification_bundle(notify(event(5, Interaction.CREATE), errors=(lost,))))
    assert found.errors == (lost.text,)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_those_of_the_guide(path: Path) -> None:
    """HL7's own examples: https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/artifacts.html"""
    found = read(path.read_bytes())
    kind = path.stem.partition("-notification-")[2]
    assert found.subscription == "https://example.org/fhir/Subscription/admission"
    if kind in ("handshake", "heartbeat"):
        assert (found.kind, found.events) == (Kind(kind), ())
    elif kind == "error":
        assert (found.kind, found.status) == (Kind.QUERY_STATUS, SubscriptionStatus.ERROR)
        assert found.errors == ("no-response",)
    else:
        (told,) = found.events
        assert (found.kind, told.number) == (Kind.EVENT_NOTIFICATION, 2)
        assert told.at == datetime(2020, 5, 29, 16, 44, 13, 188243, UTC)
        assert bool(told.focus) is not kind.startswith("empty")
        full = kind.startswith(("full", "multi"))
        assert (told.resource or {}).get("resourceType") == ("Encounter" if full else None)
        assert [(each.resource or {}).get("id") for each in told.contexts] == (
            ["1599eb66-431a-447c-a3de-6897fe9ae9a1"] if kind == "multi-resource" else []
        )


def test_where_the_criteria_are_a_search() -> None:
    """A resource, a delete, or nothing at all: one event without a number."""
    (changed,) = read(
        b'{"resourceType": "Bundle", "id": "b", "entry": [{"resource": {"resourceType": "Basic"}}]}'
    ).events
    assert (changed.number, changed.focus, changed.interaction) == (0, "Bundle/b", None)
    assert changed.resource
    gone = read(b"{}", {DELETED.lower(): "Patient/1"})
    assert (gone.kind, gone.events[0].focus, gone.events[0].interaction) == (
        Kind.RESOURCE,
        "Patient/1",
        Interaction.DELETE,
    )
    bare = read(b"")
    assert (bare.kind, len(bare.events), bare.events[0].focus) == (Kind.BARE, 1, "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each part of some JSON: what it is in, and its name or number there."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield value, name
        yield from places(part)


@given(path=st.sampled_from(EXAMPLES), data=st.data())
def test_what_is_damaged(path: Path, data: st.DataObject) -> None:
    """With anything or nothing in place of any part it is refused, or read as texts and numbers; no more happens."""
    found = orjson.loads(path.read_bytes())
    within, name = data.draw(st.sampled_from(list(places(found))))
    if data.draw(st.booleans()):
        within[name] = data.draw(JSON)
    else:
        del within[name]
    try:
        damaged = orjson.dumps(found)
    except orjson.JSONEncodeError:  # integers of more than 64 bits, surrogates
        assume(False)
    try:
        notification = read(damaged)
    except Unreadable:
        return
    texts = [notification.id, notification.subscription, notification.topic, *notification.errors]
    texts += [text for event in notification.events for text in (event.focus, event.topic, event.subscription)]
    assert all(isinstance(text, str) for text in texts)
    assert all(0 <= event.number < 1 << 63 for event in notification.events)


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b'{"resourceType": "Bundle", "entry": [7]}',
        b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "SubscriptionStatus"}}]}',
        b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Parameters", "parameter": [{}]}}]}',
        EXAMPLES[0].read_bytes().replace(b"valueCode", b"_valueCode"),
        EXAMPLES[0].read_bytes().replace(b'"2"', b'"-2"'),
        EXAMPLES[0].read_bytes().replace(b'"2"', b'"9223372036854775808"'),
        EXAMPLES[0].read_bytes().replace(b'"2"', '"\u0662"'.encode()),
        EXAMPLES[0].read_bytes().replace(b"notification-event", b"notification"),
        EXAMPLES[0].read_bytes().replace(b"2020-05-29T", b"2020-13-29T"),
    ],
)
def test_what_is_none(text: bytes) -> None:
    """It is refused, and what it says is not repeated."""
    with pytest.raises(Unreadable, match=r"^it is no notification of FHIR R4, R4B or R5$"):
        read(text)
