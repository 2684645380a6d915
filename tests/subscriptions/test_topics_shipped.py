"""The topics in `fixtures/topics`: each loads, and fires and filters as it says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from subscriptions.change import Change
from subscriptions.checking import check
from subscriptions.codes import ChannelType, Content, FhirVersion, Interaction, SubscriptionStatus
from subscriptions.errors import Rejected
from subscriptions.filters import criteria, parse
from subscriptions.findings import Findings
from subscriptions.matching import Index
from subscriptions.search.asking import Context
from subscriptions.search.held import Held, Membership
from subscriptions.subscription import Subscription
from subscriptions.topic import Topic
from subscriptions.triggers import Triggers
from tests.subscriptions import topics
from tests.subscriptions.alone import nothing_else

CREATE, UPDATE, DELETE = Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE
R4 = FhirVersion.R4
CONTEXT = Context(R4, frozenset({"https://hub.example/fhir/r4"}))
AT = datetime(2026, 11, 21, tzinfo=UTC)
TRIGGER, SHAPE = "SubscriptionTopic.resourceTrigger[0].fhirPathCriteria", "SubscriptionTopic.notificationShape[0]"

Json = dict[str, Any]


def test_there_is_no_other() -> None:
    assert {path.stem for path in topics.TOPICS.iterdir()} == set(topics.WRITTEN_IN)


CREATES, UPDATES = (TRIGGER, "no create may ever fire it"), (TRIGGER, "no update can fire it")
DIAGNOSIS, OBSERVATION = (
    (SHAPE, f"Encounter has no reference parameter `{code}`") for code in ("diagnosis", "observation")
)


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("hl7-r4b-admission", FhirVersion.R4, [CREATES, OBSERVATION]),
        ("hl7-r4b-admission", FhirVersion.R4B, [CREATES, OBSERVATION]),
        ("hl7-r4b-admission", FhirVersion.R5, [CREATES, DIAGNOSIS, OBSERVATION]),
        ("hl7-r5-admission", FhirVersion.R4, [CREATES, OBSERVATION]),
        ("hl7-r5-admission", FhirVersion.R4B, [CREATES, OBSERVATION]),
        ("hl7-r5-admission", FhirVersion.R5, [CREATES, DIAGNOSIS, OBSERVATION]),
        ("hl7-r5-encounter-complete", FhirVersion.R4, [UPDATES, OBSERVATION]),
        ("hl7-r5-encounter-complete", FhirVersion.R4B, [UPDATES, OBSERVATION]),
        ("hl7-r5-encounter-complete", FhirVersion.R5, [UPDATES, DIAGNOSIS, OBSERVATION]),
        *(("immunisation-administered", version, []) for version in FhirVersion),
        *(("us-core-patient-data-feed", version, []) for version in FhirVersion),
        *(("vaccination-record-change", version, []) for version in FhirVersion),
    ],
)
def test_each_topic_loads_with_just_these_warnings(
    name: str, version: FhirVersion, expected: list[tuple[str, str]]
) -> None:
    """HL7's name a parameter that no version has, and one that R5 has in parts only; and FHIRPath that is not used."""
    warnings = check(topics.topic(name), Context(version, frozenset()))
    assert [issue.expression for issue in warnings] == [expression for expression, _ in expected]
    assert all(text in issue.text for issue, (_, text) in zip(warnings, expected, strict=True))


def a_change(
    interaction: Interaction,
    current: Json,
    previous: Json | None = None,
    events: frozenset[tuple[str, str]] = frozenset(),
) -> Change:
    deleted = interaction is DELETE
    return Change(
        version=R4,
        interaction=interaction,
        type=current["resourceType"],
        id="1",
        version_id=1,
        at=AT,
        resource=None if deleted else current,
        previous=current if deleted else previous,
        events=events,
    )


def fires(topic: Topic, change: Change) -> object:
    return Triggers(topic, CONTEXT).fires(Findings(change, nothing_else()))


def matched(topic: Topic, change: Change, *filters: str, held: Held | None = None) -> bool:
    index = Index[str](CONTEXT)
    index.put("only", topic, asking(topic, *filters).filters)
    found = index.match(change, held or nothing_else())
    assert found.failures == []
    return found.keys == ["only"]


def asking(topic: Topic, *filters: str) -> Subscription:
    return Subscription(
        version=R4,
        status=SubscriptionStatus.REQUESTED,
        topic=topic.url,
        filters=tuple(filter_ for text in filters for filter_ in parse(text)),
        channel=ChannelType.REST_HOOK,
        endpoint="https://subscriber.example/hook",
        headers=(),
        content=Content.ID_ONLY,
        content_type="application/fhir+json",
    )


def encounter(status: str) -> Json:
    return {"resourceType": "Encounter", "id": "1", "status": status, "subject": {"reference": "Patient/1"}}


@pytest.mark.parametrize("name", ["hl7-r4b-admission", "hl7-r5-admission"])
def test_hl7s_admission_fires_when_an_encounter_gets_in_progress_or_the_publisher_says_so(name: str) -> None:
    topic = topics.topic(name)
    planned, admitted = encounter("planned"), encounter("in-progress")
    assert fires(topic, a_change(CREATE, admitted)) is True
    assert fires(topic, a_change(UPDATE, admitted, planned)) is True
    assert fires(topic, a_change(UPDATE, admitted, admitted)) is False
    assert fires(topic, a_change(CREATE, planned)) is False
    assert fires(topic, a_change(DELETE, admitted)) is False
    a01 = frozenset({("http://terminology.hl7.org/CodeSystem/v2-0003", "A01")})
    assert fires(topic, a_change(UPDATE, planned, planned, events=a01)) is True
    assert matched(topic, a_change(CREATE, admitted), "Encounter?patient=Patient/1")
    assert not matched(topic, a_change(CREATE, admitted), "Encounter?patient=Patient/2")
    with pytest.raises(Rejected, match="has no filter `status`"):
        criteria(parse("Encounter?status=planned"), topic, CONTEXT)


def test_hl7s_completed_encounters_fire_on_the_update_into_it_only() -> None:
    topic = topics.topic("hl7-r5-encounter-complete")
    going, complete = encounter("in-progress"), encounter("completed")
    assert fires(topic, a_change(UPDATE, complete, going)) is True
    assert fires(topic, a_change(UPDATE, complete, complete)) is False
    assert fires(topic, a_change(CREATE, complete)) is False
    ours = Held(AT, rosters={"Encounter/1": (Membership("Group/7"),)})
    assert matched(topic, a_change(UPDATE, complete, going), "Encounter?_in=Group/7", held=ours)
    assert not matched(topic, a_change(UPDATE, complete, going), "Encounter?_in=Group/8", held=ours)


def result(category: str) -> Json:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "id": "1",
        "status": "final",
        "category": [{"coding": [{"system": system, "code": category}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0"}]},
        "subject": {"reference": "Patient/1"},
    }


def test_us_cores_feed_has_a_patients_laboratory_results_and_not_the_other_observations() -> None:
    topic = topics.topic("us-core-patient-data-feed")
    laboratory, vital = result("laboratory"), result("vital-signs")
    for interaction in Interaction:
        assert fires(topic, a_change(interaction, laboratory, laboratory)) is True
        assert fires(topic, a_change(interaction, vital, vital)) is False
    assert fires(topic, a_change(UPDATE, vital, laboratory)) is True
    feed = "Observation?patient=1&trigger=feed-event&category=laboratory"
    assert matched(topic, a_change(CREATE, laboratory), feed, "Encounter?patient=1&trigger=feed-event")
    assert not matched(topic, a_change(CREATE, laboratory), "Encounter?patient=1&trigger=feed-event")
    assert not matched(topic, a_change(CREATE, laboratory), "Observation?patient=2&trigger=feed-event")
    assert not matched(topic, a_change(CREATE, laboratory), "Observation?patient=1&trigger=another-event")


ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
SNOMED = "http://snomed.info/sct"
VACCINATED: Json = {
    "resourceType": "Immunization",
    "id": "1",
    "meta": {"source": "https://supplier.example/appointments"},
    "status": "completed",
    "contained": [
        {"resourceType": "Practitioner", "id": "nurse", "name": [{"family": "Nightingale"}]},
        {
            "resourceType": "Patient",
            "id": "patient",
            "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9000000009"}],
            "birthDate": "1960-11-21",
            "generalPractitioner": [{"type": "Organization", "identifier": {"system": ODS, "value": "Y12345"}}],
        },
    ],
    "vaccineCode": {"coding": [{"system": SNOMED, "code": "42223111000001107"}]},
    "patient": {"reference": "#patient"},
    "occurrenceDateTime": "2026-11-20T10:30:00+00:00",
    "performer": [
        {"actor": {"reference": "#nurse"}},
        {"actor": {"type": "Organization", "identifier": {"system": ODS, "value": "B0C4P"}}},
    ],
    "protocolApplied": [
        {"targetDisease": [{"coding": [{"system": SNOMED, "code": "6142004"}]}], "doseNumberPositiveInt": 1}
    ],
}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param([], True, id="none"),
        pytest.param([f"Immunization?practice={ODS}|Y12345"], True, id="practice"),
        pytest.param(["practice=A99999,Y12345"], True, id="one-of-two-practices"),
        pytest.param(["practice=B0C4P"], False, id="another-practice"),
        pytest.param([f"organisation={ODS}|B0C4P"], True, id="organisation"),
        pytest.param(["organisation=Y12345"], False, id="another-organisation"),
        pytest.param(["application=https://supplier.example/appointments"], True, id="application"),
        pytest.param(["application=https://supplier.example/other"], False, id="another-application"),
        pytest.param(["age=65"], True, id="the-day-before-the-birthday-is-the-younger-age"),
        pytest.param(["age=66"], False, id="another-age"),
        pytest.param(["age=64,65"], True, id="one-of-two-ages"),
        pytest.param([f"vaccine={SNOMED}|42223111000001107"], True, id="vaccine"),
        pytest.param(["vaccine=6142004"], True, id="disease"),
        pytest.param(["vaccine=840539006"], False, id="another-disease"),
        pytest.param(["action=create"], True, id="action"),
        pytest.param(["action=update,delete"], False, id="other-actions"),
        pytest.param(["practice=Y12345&age=65&vaccine=6142004&action=create"], True, id="all-of-several"),
        pytest.param(["practice=Y12345", "age=66"], False, id="all-but-one"),
    ],
)
def test_vaccination_records_are_filtered_as_by_englands_event(filters: list[str], expected: bool) -> None:
    assert matched(topics.topic("vaccination-record-change"), a_change(CREATE, VACCINATED), *filters) is expected


def test_on_the_birthday_the_age_is_the_new_one() -> None:
    on_it = VACCINATED | {"occurrenceDateTime": "2026-11-21T09:00:00+00:00"}
    assert matched(topics.topic("vaccination-record-change"), a_change(CREATE, on_it), "age=66")


@pytest.mark.parametrize("interaction", Interaction)
def test_what_happened_to_a_vaccination_record_can_be_filtered_by(interaction: Interaction) -> None:
    change = a_change(interaction, VACCINATED, VACCINATED)
    topic = topics.topic("vaccination-record-change")
    assert [other for other in Interaction if matched(topic, change, f"action={other}")] == [interaction]


def test_a_record_without_what_a_filter_asks_for_is_not_told() -> None:
    bare = {"resourceType": "Immunization", "id": "1", "status": "completed", "patient": {"reference": "Patient/1"}}
    topic = topics.topic("vaccination-record-change")
    for filter_ in ("practice=Y12345", "organisation=B0C4P", "application=https://e.org", "age=65", "vaccine=6142004"):
        assert not matched(topic, a_change(CREATE, bare), filter_)


NHI = "https://standards.digital.health.nz/ns/nhi-id"
HPI_FACILITY = "https://standards.digital.health.nz/ns/hpi-facility-id"
ADMINISTERED: Json = {
    "resourceType": "Immunization",
    "id": "1",
    "status": "completed",
    "vaccineCode": {"coding": [{"system": SNOMED, "code": "1119349007"}]},
    "patient": {"type": "Patient", "identifier": {"system": NHI, "value": "ZZZ0016"}},
    "occurrenceDateTime": "2026-11-20",
    "location": {"type": "Location", "identifier": {"system": HPI_FACILITY, "value": "F0A000-A"}},
}


def test_an_immunisation_is_administered_once() -> None:
    topic = topics.topic("immunisation-administered")
    refused = ADMINISTERED | {"status": "not-done"}
    assert fires(topic, a_change(CREATE, ADMINISTERED)) is True
    assert fires(topic, a_change(UPDATE, ADMINISTERED, refused)) is True
    assert fires(topic, a_change(UPDATE, ADMINISTERED, ADMINISTERED)) is False
    assert fires(topic, a_change(UPDATE, refused, ADMINISTERED)) is False
    assert fires(topic, a_change(DELETE, ADMINISTERED)) is False


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (f"nhi={NHI}|ZZZ0016", True),
        (f"nhi={NHI}|ZZZ0024", False),
        ("nhi=https://elsewhere.example|ZZZ0016", False),
        (f"facility={HPI_FACILITY}|F0A000-A", True),
        ("facility=F0A001-B", False),
        ("vaccine-code=1119349007", True),
        ("nhi=ZZZ0016&facility=F0A000-A", True),
        ("patient=Patient/1", False),
    ],
)
def test_patients_and_places_are_found_by_their_logical_references(filter_: str, expected: bool) -> None:
    topic = topics.topic("immunisation-administered")
    assert matched(topic, a_change(CREATE, ADMINISTERED), filter_) is expected


def test_a_practice_hears_of_its_own_patients() -> None:
    enrolled = ADMINISTERED | {"patient": {"reference": "Patient/1"}}
    held = Held(AT, rosters={"Patient/1": (Membership("Group/102"),)})
    topic = topics.topic("immunisation-administered")
    assert matched(topic, a_change(CREATE, enrolled), "patient._in=Group/102", held=held)
    assert not matched(topic, a_change(CREATE, enrolled), "patient._in=Group/103", held=held)
