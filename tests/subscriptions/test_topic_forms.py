"""Topics, in and out of the forms that FHIR's versions give them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from subscriptions.codes import Comparator, FhirVersion, Interaction, IssueCode, PublicationStatus, SearchType
from subscriptions.errors import Rejected
from subscriptions.filters import searchable
from subscriptions.topic import CanFilterBy, Definition, EventTrigger, NotificationShape, QueryCriteria, Topic, built_in
from subscriptions.topic import ResourceTrigger as Trigger
from subscriptions.versions.topics import is_topic, read_topic, topic_json
from tests.subscriptions import topics

AT = datetime(2026, 11, 21, 9, 59, 59, tzinfo=UTC)


def rendered(topic: Topic, sent: bytes, written_in: FhirVersion, version: FhirVersion) -> dict[str, Any]:
    written = topic_json(topic, sent, written_in, version, id="t1", version_id=3, last_updated=AT)
    return dict(json.loads(written))


def a_topic(**elements: Any) -> dict[str, Any]:
    """An R5 topic on any change of an Encounter."""
    least = {
        "resourceType": "SubscriptionTopic",
        "url": "https://topics.example/t",
        "status": "active",
        "resourceTrigger": [{"resource": "Encounter"}],
    }
    return {name: value for name, value in (least | elements).items() if value is not None}


def faults(resource: dict[str, Any], version: FhirVersion = FhirVersion.R5) -> list[tuple[IssueCode, str]]:
    with pytest.raises(Rejected) as rejected:
        read_topic(resource, version)
    return [(issue.code, issue.expression) for issue in rejected.value.issues]


def test_a_topic_of_r5_is_read_whole() -> None:
    topic = topics.topic("hl7-r5-encounter-complete")
    assert topic == Topic(
        url="http://example.org/FHIR/R5/SubscriptionTopic/example",
        version="1.0.0-beta.1",
        title="example",
        description="Example topic for completed encounters",
        triggers=(
            Trigger(
                "Encounter",
                frozenset({Interaction.UPDATE}),
                QueryCriteria("status:not=completed", "status=completed", True, False, require_both=True),
                "(%previous.empty() | (%previous.status != 'completed')) and (%current.status = 'completed')",
                "An Encounter has been completed",
            ),
        ),
        can_filter_by=(
            CanFilterBy("Encounter", "subject", description="Filter based on the subject of an encounter."),
            CanFilterBy(
                "Encounter",
                "_in",
                description="Filter based on the group membership of the subject of an encounter.",
            ),
            CanFilterBy(
                "Encounter",
                "length",
                comparators=frozenset({Comparator.GT, Comparator.LT, Comparator.GE, Comparator.LE}),
                description="Filter based on the length of an encounter.",
            ),
            CanFilterBy(
                "Encounter",
                "account",
                modifiers=frozenset({"missing", "not", "identifier"}),
                description="Filter based on the account for billing an encounter.",
            ),
        ),
        shapes=(
            NotificationShape(
                "Encounter",
                (
                    "Encounter:patient&iterate=Patient.link",
                    *("Encounter:practitioner", "Encounter:service-provider", "Encounter:account"),
                    *("Encounter:diagnosis", "Encounter:observation", "Encounter:location"),
                ),
            ),
        ),
        status=PublicationStatus.DRAFT,
    )


def test_r4bs_modifiers_are_parted_into_comparators_and_modifiers() -> None:
    (patient,) = topics.topic("hl7-r4b-admission").can_filter_by or ()
    assert (patient.comparators, patient.modifiers) == (frozenset(), frozenset({"in", "not-in"}))
    r4b = topics.resource("hl7-r4b-admission")
    r4b["canFilterBy"] = [{"filterParameter": "length", "modifier": ["=", "gt", "of-type"]}]
    assert read_topic(r4b, FhirVersion.R4B).can_filter_by == (
        CanFilterBy(None, "length", comparators=frozenset({Comparator.GT}), modifiers=frozenset({"of-type"})),
    )


@pytest.mark.parametrize(
    ("version", "modifier"), [(FhirVersion.R5, "="), (FhirVersion.R5, "gt"), (FhirVersion.R4B, "not")]
)
def test_a_modifier_of_another_version_is_refused(version: FhirVersion, modifier: str) -> None:
    """http://hl7.org/fhir/R5/valueset-search-modifier-code.html: comparators have an element of their own in R5."""
    topic = a_topic(canFilterBy=[{"filterParameter": "status", "modifier": [modifier]}])
    assert faults(topic, version) == [(IssueCode.VALUE, "SubscriptionTopic.canFilterBy[0].modifier[0]")]


def test_an_event_trigger_has_the_codings_of_its_event() -> None:
    (event,) = topics.topic("hl7-r5-admission").event_triggers
    coding = ("http://terminology.hl7.org/CodeSystem/v2-0003", "A01")
    assert event == EventTrigger(frozenset({coding}), "Encounter", "Patient admission is covered by HL7v2 ADT^A01")


def with_the_prefix(prefix: str, name: str) -> dict[str, Any]:
    text = topics.sent(name).decode().replace("http://hl7.org/fhir/5.0/StructureDefinition/extension-", prefix)
    return dict(json.loads(text))


def test_a_basic_with_extensions_of_either_prefix_is_read_like_a_subscription_topic() -> None:
    name = "us-core-patient-data-feed"
    assert is_topic(topics.resource(name))
    topic = topics.topic(name)
    assert (
        read_topic(with_the_prefix("http://hl7.org/fhir/4.3/StructureDefinition/extension-", name), FhirVersion.R4)
        == topic
    )
    assert topic.url == "http://hl7.org/fhir/us/core/SubscriptionTopic/patient-data-feed"
    assert topic.status is PublicationStatus.DRAFT
    laboratory = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
    assert topic.triggers[1].query == QueryCriteria(laboratory, laboratory, False, False)
    assert topic.shapes[1] == NotificationShape("Observation", ("Observation:patient",))


def test_url_and_status_may_also_stand_in_the_extensions_of_all_artifacts() -> None:
    basic = topics.resource("us-core-patient-data-feed")
    for extension in (*basic["extension"], *basic["modifierExtension"]):
        if extension["url"].endswith((".url", ".status")):
            extension["url"] = f"http://hl7.org/fhir/StructureDefinition/artifact-{extension['url'].rpartition('.')[2]}"
    assert read_topic(basic, FhirVersion.R4) == topics.topic("us-core-patient-data-feed")


@pytest.mark.parametrize("name", topics.WRITTEN_IN)
def test_in_the_version_it_was_sent_in_a_topic_comes_back_as_it_was_apart_from_id_and_meta(name: str) -> None:
    version = topics.WRITTEN_IN[name]
    back = rendered(topics.topic(name), topics.sent(name), version, version)
    assert back.pop("id") == "t1"
    meta = back.pop("meta")
    assert (meta["versionId"], meta["lastUpdated"]) == ("3", "2026-11-21T09:59:59.000Z")
    assert back == {key: value for key, value in topics.resource(name).items() if key not in ("id", "meta")}


@pytest.mark.parametrize("version", FhirVersion)
@pytest.mark.parametrize("name", topics.WRITTEN_IN)
def test_a_topic_says_the_same_in_every_form(name: str, version: FhirVersion) -> None:
    topic = topics.topic(name)
    assert read_topic(rendered(topic, topics.sent(name), topics.WRITTEN_IN[name], version), version) == topic


def test_what_a_topic_says_of_its_publication_goes_with_it() -> None:
    said = {"name": "T", "date": "2026-11-21", "publisher": "P", "experimental": True}
    sent = json.dumps(a_topic(**said)).encode()
    topic = read_topic(json.loads(sent), FhirVersion.R5)
    basic = rendered(topic, sent, FhirVersion.R5, FhirVersion.R4)
    back = rendered(topic, json.dumps(basic).encode(), FhirVersion.R4, FhirVersion.R5)
    assert {name: back[name] for name in said} == said
    in_r4b = rendered(topic, sent, FhirVersion.R5, FhirVersion.R4B)
    assert "name" not in in_r4b
    assert in_r4b["extension"] == [
        {"url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic.name", "valueString": "T"}
    ]


def test_r4b_has_equality_and_comparators_as_modifiers_and_the_rest_in_extensions() -> None:
    allowed = {"filterParameter": "date", "comparator": ["gt"], "modifier": ["missing", "in"]}
    sent = json.dumps(a_topic(canFilterBy=[allowed])).encode()
    topic = read_topic(json.loads(sent), FhirVersion.R5)
    (filter_,) = rendered(topic, sent, FhirVersion.R5, FhirVersion.R4B)["canFilterBy"]
    assert filter_["modifier"] == ["=", "gt", "in"]
    assert [each["valueCode"] for each in filter_["extension"]] == ["missing"]


@pytest.mark.parametrize("version", [FhirVersion.R4])
def test_a_built_in_topic_lists_every_filter_that_can_be_evaluated(version: FhirVersion) -> None:
    topic = built_in("https://hub.example", "Immunization")
    listed = read_topic(rendered(topic, b"", version, version), version)
    assert listed.triggers == topic.triggers
    allowed = {each.parameter: each for each in listed.can_filter_by or ()}
    assert allowed.keys() == {parameter.code for parameter in searchable(version, "Immunization")}
    assert "not" in allowed["status"].modifiers
    assert "not" not in allowed["lot-number"].modifiers
    assert allowed["patient"].definition == "http://hl7.org/fhir/SearchParameter/clinical-patient"
    assert Comparator.EQ in allowed["date"].comparators


def test_a_contained_search_parameter_defines_a_label() -> None:
    expression = "Encounter.location.location.identifier"
    parameter = {
        "resourceType": "SearchParameter",
        "id": "ward",
        "code": "ward",
        "type": "token",
        "base": ["Encounter"],
        "expression": expression,
    }
    allowed = {"filterParameter": "ward", "filterDefinition": "#ward"}
    topic = read_topic(a_topic(contained=[parameter], canFilterBy=[allowed]), FhirVersion.R5)
    assert topic.definitions == (Definition("ward", "ward", SearchType.TOKEN, frozenset({"Encounter"}), expression),)
    assert topic.can_filter_by == (CanFilterBy(None, "ward", "#ward"),)


@pytest.mark.parametrize("written", ["Encounter", "http://hl7.org/fhir/StructureDefinition/Encounter"])
def test_a_resource_is_a_types_name_or_its_structure_definition(written: str) -> None:
    (trigger,) = read_topic(a_topic(resourceTrigger=[{"resource": written}]), FhirVersion.R5).triggers
    assert trigger == Trigger("Encounter")


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        pytest.param({"url": None}, [(IssueCode.REQUIRED, "url")], id="no-url"),
        pytest.param({"url": "t"}, [(IssueCode.VALUE, "url")], id="relative-url"),
        pytest.param({"url": "http://e.org/t|1"}, [(IssueCode.VALUE, "url")], id="version-in-the-url"),
        pytest.param({"url": 5}, [(IssueCode.STRUCTURE, "url")], id="a-number"),
        pytest.param({"status": None}, [(IssueCode.REQUIRED, "status")], id="no-status"),
        pytest.param({"status": "on"}, [(IssueCode.VALUE, "status")], id="unknown-status"),
        pytest.param({"resourceTrigger": None}, [(IssueCode.REQUIRED, "resourceTrigger")], id="no-trigger"),
        pytest.param(
            {"resourceTrigger": {"resource": "Encounter"}},
            [(IssueCode.STRUCTURE, "resourceTrigger"), (IssueCode.REQUIRED, "resourceTrigger")],
            id="no-array",
        ),
        pytest.param({"resourceTrigger": [{}]}, [(IssueCode.REQUIRED, "resourceTrigger[0].resource")], id="no-type"),
        pytest.param(
            {"resourceTrigger": [{"resource": "http://example.org/MyType"}]},
            [(IssueCode.VALUE, "resourceTrigger[0].resource")],
            id="a-type-of-somebody-elses",
        ),
        pytest.param(
            {"resourceTrigger": [{"resource": "Encounter", "supportedInteraction": ["create", "read"]}]},
            [(IssueCode.VALUE, "resourceTrigger[0].supportedInteraction[1]")],
            id="unknown-interaction",
        ),
        pytest.param(
            {"resourceTrigger": [{"resource": "Encounter", "queryCriteria": {"requireBoth": True}}]},
            [(IssueCode.REQUIRED, "resourceTrigger[0].queryCriteria")],
            id="criteria-without-any",
        ),
        pytest.param(
            {"resourceTrigger": [{"resource": "Encounter", "queryCriteria": {"current": "a=b", "requireBoth": "1"}}]},
            [(IssueCode.STRUCTURE, "resourceTrigger[0].queryCriteria.requireBoth")],
            id="no-boolean",
        ),
        pytest.param(
            {"resourceTrigger": [{"resource": "Encounter", "modifierExtension": [{"url": "http://e.org"}]}]},
            [(IssueCode.NOT_SUPPORTED, "resourceTrigger[0].modifierExtension")],
            id="modifier-extension",
        ),
        pytest.param(
            {"eventTrigger": [{"resource": "Encounter", "event": {"text": "admitted"}}]},
            [(IssueCode.REQUIRED, "eventTrigger[0].event")],
            id="event-without-coding",
        ),
        pytest.param(
            {"canFilterBy": [{"filterParameter": "patient:missing"}]},
            [(IssueCode.VALUE, "canFilterBy[0].filterParameter")],
            id="a-modifier-in-the-name",
        ),
        pytest.param(
            {"canFilterBy": [{"filterParameter": "x", "filterDefinition": "#x"}]},
            [(IssueCode.NOT_FOUND, "canFilterBy[0].filterDefinition")],
            id="nothing-contained",
        ),
        pytest.param(
            {"canFilterBy": [{"filterParameter": "x", "modifier": ["like"], "comparator": [{}]}]},
            [(IssueCode.VALUE, "canFilterBy[0].comparator[0]"), (IssueCode.VALUE, "canFilterBy[0].modifier[0]")],
            id="unknown-comparator-and-modifier",
        ),
        pytest.param(
            {"notificationShape": [{"include": [""]}]},
            [
                (IssueCode.REQUIRED, "notificationShape[0].resource"),
                (IssueCode.STRUCTURE, "notificationShape[0].include[0]"),
            ],
            id="shape-of-nothing",
        ),
        pytest.param({"implicitRules": "x"}, [(IssueCode.NOT_SUPPORTED, "implicitRules")], id="implicit-rules"),
    ],
)
def test_a_fault_is_named_by_its_element(elements: dict[str, Any], expected: list[tuple[IssueCode, str]]) -> None:
    assert faults(a_topic(**elements)) == [(code, f"SubscriptionTopic.{path}") for code, path in expected]


def test_all_faults_are_named_at_once() -> None:
    assert len(faults(a_topic(url=None, status="on", resourceTrigger=[{}]))) == 3


def test_in_a_basic_a_fault_is_named_by_its_extension() -> None:
    basic = topics.resource("us-core-patient-data-feed")
    at = next(i for i, each in enumerate(basic["extension"]) if each["url"].endswith(".resourceTrigger"))
    basic["extension"][at]["extension"][2]["valueCode"] = "read"
    assert faults(basic, FhirVersion.R4) == [(IssueCode.VALUE, f"Basic.extension[{at}].extension[2]")]


def test_another_resource_is_no_topic() -> None:
    assert faults({"resourceType": "Basic", "code": {"text": "x"}}, FhirVersion.R4) == [(IssueCode.VALUE, "Basic.code")]
    assert faults(a_topic(), FhirVersion.R4) == [(IssueCode.STRUCTURE, "")]
