"""Notifications to be written in each FHIR version, HL7's own as values, and what makes a Bundle a valid one."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fhir.resources.bundle import Bundle as BundleR5
from fhir.resources.R4B.bundle import Bundle as BundleR4B
from hypothesis import strategies as st

from hub.ingest import draft
from subscriptions.codes import Content, ErrorCode, FhirVersion, Interaction, NotificationType, SubscriptionStatus
from subscriptions.notification import AdditionalContext, Event, Failure, Notification
from subscriptions.versions import instant
from subscriptions.versions.forms import FORMS
from tests.receiver import parameters

FIXTURES = Path(__file__).parents[2] / "fixtures"
AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
ID = "5f0c1c6e-5b0e-5a3e-8f43-9d6bb3f1d3f1"
BASE = "https://hub.example.org/fhir"

Json = dict[str, Any]


def notify(
    *events: Event,
    content: Content = Content.FULL_RESOURCE,
    type_: NotificationType = NotificationType.EVENT_NOTIFICATION,
    status: SubscriptionStatus = SubscriptionStatus.ACTIVE,
    since: int = 0,
    errors: tuple[Failure, ...] = (),
    subscription_id: str = "123",
) -> Notification:
    """since: The counter, when there are no events."""
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


def written(version: FhirVersion, notification: Notification) -> Json:
    """The Bundle as JSON, once it is valid."""
    return valid(version, FORMS[version].notification_bundle(notification))


def valid(version: FhirVersion, bundle: bytes) -> Json:
    """
    A Bundle of the hub's as JSON, once it is valid by the model and the invariants of its version.

    The model of R4's Bundle and Parameters is R4B's: they are the same there.
    """
    found: Json = json.loads(bundle)
    (BundleR5 if version is FhirVersion.R5 else BundleR4B).model_validate(found)
    entries = found.get("entry", [])
    assert all(entry.keys() & {"resource", "request", "response"} for entry in entries), "bdl-5"
    assert all("/_history/" not in entry["fullUrl"] for entry in entries), "bdl-8, bdl-15"
    if version is not FhirVersion.R5:
        history = found["type"] == "history"
        assert all(("request" in entry) is history for entry in entries), "bdl-3"
        assert all(("response" in entry) is history for entry in entries), "bdl-4"
    type_ = "Parameters" if version is FhirVersion.R4 else "SubscriptionStatus"
    assert all(entry["resource"]["resourceType"] == type_ for entry in entries[:1]), "r4-1, bdl-13"
    draft(bundle, version, max_nesting=64)
    return found


def status_of(bundle: Json, entry: int = 0) -> Json:
    """What its status says, as in `parameters`."""
    return parameters(bundle["entry"][entry]["resource"])


def of_the_guide(version: FhirVersion, name: str) -> Json:
    """
    One of the Backport IG's examples, with what we do otherwise:

    - instants have milliseconds and are in UTC, not seven decimals and an offset;
    - the Bundle's id is that of its first entry, not the name of the example.
    """
    return _adapted(FIXTURES / "backport" / f"{version.value}-notification-{name}.json")


def of_r5(id_: str) -> Json:
    """
    One of R5's own examples, with what we do otherwise, beside instants and id as in the guide's:

    - no entry is tagged as test data, and none of a Bundle's is a narrative;
    - each event has a time, here that of the Bundle;
    - what is told in full has the fullUrl by which it is referred to, and says how it came about: an update answers
      with 200, a context is read;
    - what is not told in full has no entry, unless it was deleted.
    """
    found = _adapted(FIXTURES / "r5" / f"Bundle-{id_}.json")
    del found["meta"]
    status = found["entry"][0]["resource"]
    del status["text"]
    for event in status.get("notificationEvent", []):
        event.setdefault("timestamp", found["timestamp"])
    found["entry"] = [each for each in found["entry"] if "resource" in each]
    for each in found["entry"]:
        each["fullUrl"] = each["fullUrl"].replace("https://example.org/FHIR/R5", "http://example.org/FHIR/R5")
    found["entry"][0]["fullUrl"] = f"urn:uuid:{status['id']}"
    for each in found["entry"][1:]:
        local = f"{each['resource']['resourceType']}/{each['resource']['id']}"
        each.setdefault("request", {"method": "GET", "url": local})
        each["response"] = {"status": "200"}
    return found


def _adapted(path: Path) -> Json:
    def timed(members: Json) -> Json:
        return {
            name: instant.write(instant.read(value)) if name in ("timestamp", "valueInstant") else value
            for name, value in members.items()
        }

    found: Json = json.loads(path.read_bytes(), object_hook=timed)
    found["id"] = found["entry"][0]["resource"]["id"]
    return found


def like(example: Json, content: Content) -> Notification:
    """The notification of which an example is the Bundle, read out of it."""
    status = status_of(example)
    base, _, subscription_id = status["subscription"]["reference"].rpartition("/Subscription/")
    told = {entry["fullUrl"]: entry for entry in example["entry"][1:]}
    return Notification(
        id=example["id"],
        type=NotificationType(status["type"]),
        base=base,
        subscription_id=subscription_id,
        topic=status.get("topic", ""),
        status=SubscriptionStatus(status["status"]),
        content=content,
        events_since_subscription_start=int(status["events-since-subscription-start"]),
        timestamp=instant.read(example["timestamp"]),
        events=tuple(_event(event, told) for event in status["notification-event"]),
        errors=tuple(Failure(ErrorCode(each["coding"][0]["code"])) for each in _errors(status)),
    )


def _errors(status: Json) -> list[Json]:
    found = status.get("error", [])
    return found if isinstance(found, list) else [found]


def _event(event: Json, told: dict[str, Json]) -> Event:
    """additional-context: A list in R4B and R5; R4's examples have one at most."""
    focus = event.get("focus", {"reference": "Encounter/unnamed"})["reference"]
    contexts = event.get("additional-context", [])
    references = [each["reference"] for each in (contexts if isinstance(contexts, list) else [contexts])]
    method = told[focus]["request"]["method"] if focus in told else "POST"
    return Event(
        number=int(event["event-number"]),
        type=focus.split("/")[-2],
        id=focus.split("/")[-1],
        version_id=1,
        interaction=Interaction.CREATE if method == "POST" else Interaction.UPDATE,
        at=instant.read(event["timestamp"]),
        body=_body(told, focus),
        additional_context=tuple(_context(reference, told) for reference in references),
    )


def _context(reference: str, told: dict[str, Json]) -> AdditionalContext:
    type_, id_ = reference.split("/")[-2:]
    return AdditionalContext(type_, id_, _body(told, reference))


def _body(told: dict[str, Json], url: str) -> bytes | None:
    return json.dumps(told[url]["resource"]).encode() if url in told else None


ids = st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as asked


@st.composite
def notifications(draw: st.DrawFn) -> Notification:
    """Any with events: of few resources, so that versions of the same one are told together, as foci and contexts."""
    text, few, first = (
        draw(st.text(min_size=1)),
        draw(st.lists(ids, min_size=1, max_size=3)),
        draw(st.integers(1, 2**53)),
    )
    some = st.sampled_from(few)

    def body(id_: str, version: int) -> bytes | None:
        """The same for the same version; now and then it can't be had."""
        meta, code = {"versionId": str(version)}, {"text": json.dumps(text)}
        return draw(
            st.sampled_from(
                [
                    json.dumps({"resourceType": "Basic", "id": id_, "meta": meta, "code": code}).encode(),
                    None,
                ]
            )
        )

    def context() -> AdditionalContext:
        id_ = draw(some)
        return AdditionalContext("Basic", id_, body(id_, draw(st.integers(1, 3))))

    def event(number: int, interaction: Interaction) -> Event:
        id_ = draw(some)
        told = None if interaction is Interaction.DELETE else body(id_, number)
        contexts = tuple(context() for _ in range(draw(st.integers(0, 2))))
        return Event(number, "Basic", id_, number, interaction, draw(moments), told, contexts)

    interactions = draw(st.lists(st.sampled_from(Interaction), min_size=1, max_size=4))
    events = tuple(event(number, interaction) for number, interaction in enumerate(interactions, start=first))
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
