"""Filters, as far as a topic allows them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from subscriptions.can_filter_by import evaluable
from subscriptions.change import Change
from subscriptions.codes import (
    ChannelType,
    Comparator,
    Content,
    FhirVersion,
    Interaction,
    SearchType,
    SubscriptionStatus,
)
from subscriptions.errors import Issue, Rejected
from subscriptions.explanation import explain
from subscriptions.filters import criteria, parse
from subscriptions.search.asking import Context
from subscriptions.search.compiling import criterion
from subscriptions.search.escapes import escape
from subscriptions.subscription import Filter, Subscription
from subscriptions.topic import CanFilterBy, Definition, ResourceTrigger, Topic
from tests.subscriptions.alone import nothing_else

CONTEXT = Context(FhirVersion.R4, frozenset({"https://hub.example/fhir/r4"}), chained=True)

WARD = Definition("ward", "ward", SearchType.TOKEN, frozenset({"Encounter"}), "Encounter.location.location.identifier")
WHAT = Definition(
    "what",
    "what",
    SearchType.TOKEN,
    frozenset({"Encounter", "Observation"}),
    ("Encounter.select(%interaction) | Observation.select(%interaction)"),
)
TOPIC = Topic(
    url="https://topics.example/care",
    version="1.0.0",
    title="Care",
    description="",
    triggers=(ResourceTrigger("Encounter"), ResourceTrigger("Observation")),
    can_filter_by=(
        CanFilterBy("Encounter", "patient", modifiers=frozenset({"missing"})),
        CanFilterBy("Observation", "patient"),
        CanFilterBy("Encounter", "date", comparators=frozenset({Comparator.GT, Comparator.LE})),
        CanFilterBy("Encounter", "subject.gender"),
        CanFilterBy("Encounter", "ward", "#ward"),
        CanFilterBy(None, "what", "#what"),
        CanFilterBy("Observation", "test", "http://hl7.org/fhir/SearchParameter/clinical-code"),
    ),
    definitions=(WARD, WHAT),
)

ENCOUNTER = {
    "resourceType": "Encounter",
    "id": "1",
    "subject": {"reference": "Patient/1"},
    "location": [{"location": {"identifier": {"system": "https://wards.example", "value": "7"}}}],
}


def refused(text: str, topic: Topic = TOPIC) -> list[Issue]:
    with pytest.raises(Rejected) as caught:
        criteria(parse(text), topic, CONTEXT, "Subscription.criteria")
    return list(caught.value.issues)


@pytest.mark.parametrize(
    ("text", "types"),
    [
        pytest.param("Encounter?patient=1", {"Encounter"}, id="a-parameter"),
        pytest.param("Encounter?date=2026", {"Encounter"}, id="equality-with-comparators-listed"),
        pytest.param("Encounter?date=eq2026", {"Encounter"}, id="equality-said"),
        pytest.param("Encounter?subject.gender=male", {"Encounter"}, id="a-chain"),
        pytest.param("Encounter?subject:Patient.gender=male", {"Encounter"}, id="a-chain-through-one-type"),
        pytest.param("Encounter?ward=7", {"Encounter"}, id="a-label-with-a-contained-definition"),
        pytest.param("Observation?test=8310-5", {"Observation"}, id="a-label-for-an-official-parameter"),
        pytest.param("patient=1", {"Encounter", "Observation"}, id="without-a-type"),
        pytest.param("what=create", {"Encounter", "Observation"}, id="listed-without-a-type"),
    ],
)
def test_what_a_topic_lists_is_accepted(text: str, types: set[str]) -> None:
    assert criteria(parse(text), TOPIC, CONTEXT).keys() == types


def test_a_filter_without_a_type_is_for_the_types_that_list_it() -> None:
    found = criteria(parse("ward=7"), TOPIC, CONTEXT)
    assert {type_: len(met) for type_, met in found.items()} == {"Encounter": 1, "Observation": 0}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            "Encounter?status=finished",
            "the topic has no filter `status`; for Encounter it allows: "
            "`patient` (:missing), `date` (gt le), `subject.gender`, `ward`, `what`",
            id="a-parameter-that-is-not-listed",
        ),
        pytest.param(
            "status=final",
            "the topic has no filter `status`; for Encounter, Observation it allows: "
            "`patient` (:missing), `date` (gt le), `subject.gender`, `ward`, `what`, `patient`, `test`",
            id="without-a-type",
        ),
        pytest.param(
            "Observation?date=2026",
            "the topic has no filter `date`; for Observation it allows: `patient`, `what`, `test`",
            id="listed-for-another-type",
        ),
        pytest.param(
            "Encounter?subject.name=x",
            "the topic has no filter `subject.name`; for Encounter it allows: "
            "`patient` (:missing), `date` (gt le), `subject.gender`, `ward`, `what`",
            id="another-chain",
        ),
    ],
)
def test_what_a_topic_does_not_list_is_rejected_with_what_it_allows(text: str, reason: str) -> None:
    (issue,) = refused(text)
    assert issue.expression == "Subscription.criteria"
    assert issue.text == f"`{text}`: {reason}"


def test_a_comparator_that_is_not_listed_is_rejected() -> None:
    (issue,) = refused("Encounter?date=lt2026")
    assert "comparator `lt`" in issue.text


@pytest.mark.parametrize(
    ("value", "refused_for"),
    [
        ("8480-6$140", None),
        ("8480-6$eq140", None),
        ("8480-6$gt140", None),
        ("8480-6$gt140,8462-4$lt50", "lt"),
        ("lt$140", None),  # a code, and no comparator
    ],
)
def test_comparators_inside_a_composite_are_enforced_too(value: str, refused_for: str | None) -> None:
    allowed = CanFilterBy("Observation", "code-value-quantity", comparators=frozenset({Comparator.GT}))
    topic = replace(TOPIC, can_filter_by=(allowed,))
    text = f"Observation?code-value-quantity={value}"
    if refused_for:
        (issue,) = refused(text, topic)
        assert f"the topic does not allow the comparator `{refused_for}`" in issue.text
    else:
        assert criteria(parse(text), topic, CONTEXT)["Observation"]


def test_every_comparator_is_listed_for_composites_of_which_a_part_has_an_order() -> None:
    found = {each.parameter: each.comparators for each in evaluable("Observation", FhirVersion.R4)}
    assert found["code-value-quantity"] == found["value-quantity"] == frozenset(Comparator)
    assert found["code-value-concept"] == found["code"] == frozenset()


def test_a_modifier_that_is_not_listed_is_rejected() -> None:
    (issue,) = refused("Observation?patient:missing=true")
    assert "modifier `:missing`" in issue.text


def test_a_topic_may_list_no_filter_at_all() -> None:
    (issue,) = refused("Encounter?patient=1", replace(TOPIC, can_filter_by=()))
    assert issue.text.endswith("for Encounter it allows: no filters")


def matched(text: str, interaction: Interaction = Interaction.CREATE) -> bool:
    deleted = interaction is Interaction.DELETE
    change = Change(
        version=FhirVersion.R4,
        interaction=interaction,
        type="Encounter",
        id="1",
        version_id=1,
        at=datetime(2026, 11, 21, tzinfo=UTC),
        resource=None if deleted else ENCOUNTER,
        previous=None if interaction is Interaction.CREATE else ENCOUNTER,
    )
    return explain(asking(*parse(text)), TOPIC, change, CONTEXT, nothing_else()).matched


def asking(*filters: Filter) -> Subscription:
    return Subscription(
        version=FhirVersion.R4,
        status=SubscriptionStatus.REQUESTED,
        topic=TOPIC.url,
        filters=filters,
        channel=ChannelType.REST_HOOK,
        endpoint="https://subscriber.example/hook",
        headers=(),
        content=Content.ID_ONLY,
        content_type="application/fhir+json",
    )


def test_a_label_finds_what_its_definition_says() -> None:
    assert matched("Encounter?ward=https://wards.example|7")
    assert matched("Encounter?ward=8,7")
    assert not matched("Encounter?ward=8")


@pytest.mark.parametrize("interaction", Interaction)
def test_a_definition_may_ask_for_the_interaction(interaction: Interaction) -> None:
    assert [other for other in Interaction if matched(f"what={other}", interaction)] == [interaction]


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (replace(WARD, base=frozenset({"Observation"})), "the topic defines `ward` for Observation, not Encounter"),
        (replace(WARD, expression="Observation.code"), "no branch of `Observation.code` begins with `Encounter.`"),
        (replace(WARD, expression="Encounter.status ="), "`Encounter.status =` is not FHIRPath"),
        (replace(WARD, expression="Encounter.where(now() > period.end)"), "`now()` is not supported"),
        (replace(WARD, type=SearchType.SPECIAL), "the parameter `ward` of type special is not supported"),
    ],
)
def test_a_definition_that_finds_nothing_is_rejected(definition: Definition, reason: str) -> None:
    (issue,) = refused("Encounter?ward=7", replace(TOPIC, definitions=(definition, WHAT)))
    assert reason in issue.text


@pytest.mark.parametrize(
    ("expression", "met", "unmet"),
    [
        # A token on a string is there "to indicate that case-insensitive matching is the correct default".
        ("Encounter.identifier.value", ["ZZZ0016", "zzz0016", "Zzz0016", "|ZZZ0016"], ["ZZZ001", "https://x|ZZZ0016"]),
        ("Encounter.status", ["finished", "|finished"], ["FINISHED", "Finished", "https://x|finished"]),
        ("Encounter.identifier", ["ZZZ0016", "https://nhi.example|ZZZ0016"], ["zzz0016", "|ZZZ0016"]),
        ("Encounter.status | Encounter.identifier.value", ["finished", "zzz0016"], ["FINISHED"]),
    ],
)
def test_a_definition_of_tokens_may_find_strings(expression: str, met: list[str], unmet: list[str]) -> None:
    identifier = {"system": "https://nhi.example", "value": "ZZZ0016"}
    encounter = {"resourceType": "Encounter", "id": "1", "status": "finished", "identifier": [identifier]}
    definition = Definition("x", "x", SearchType.TOKEN, frozenset({"Encounter"}), expression)
    filters = [Filter("Encounter", "x", None, None, (value,), value) for value in (*met, *unmet)]
    found = [criterion(each, "Encounter", CONTEXT, definition).matches(encounter, nothing_else()) for each in filters]
    assert found == [True] * len(met) + [False] * len(unmet)


CLAIMS = {
    "resourceType": "Bundle",
    "entry": [
        {"resource": {"resourceType": "Claim", "id": "1", "identifier": [{"value": "claim"}], "status": "active"}},
        {"resource": {"resourceType": "Patient", "id": "1", "identifier": [{"value": "patient"}], "active": True}},
    ],
}


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("Bundle.entry.resource.ofType(Claim).identifier", ["claim"]),
        ("(Bundle.entry.resource as Claim).identifier", ["claim"]),
        ("Bundle.entry.resource.identifier", ["claim", "patient"]),
        ("Bundle.entry.resource.where(status in ('active' | 'draft')).identifier", ["claim"]),
        ("Bundle.entry.resource.identifier.where(value != 'a|b' and value != 'claim')", ["patient"]),
        ("(Bundle.entry.resource.ofType(Claim) | Bundle.entry.resource).identifier", ["claim", "patient"]),
        ("(Bundle.entry.resource.identifier | Bundle.identifier).distinct().first()", ["claim"]),
        ("Bundle.select('a|b')", ["a|b"]),
        ("Resource.entry.resource.ofType(Patient).active", ["true"]),
        ("entry.resource.ofType(Patient).active", ["true"]),
        ("Person.active | Bundle.entry.resource.ofType(Patient).active", ["true"]),
        ("Bundle.entry.resource.status = 'x' | 'active'", ["false"]),
    ],
)
def test_a_definition_may_be_any_fhirpath(expression: str, values: list[str]) -> None:
    definition = Definition("x", "x", SearchType.TOKEN, frozenset({"Bundle"}), expression)
    asked = [value for value in ("claim", "patient", "a|b", "true", "false") if finds(definition, value)]
    assert asked == values


def finds(definition: Definition, value: str) -> bool:
    filter_ = Filter("Bundle", "x", None, None, (escape(value),), "")
    return criterion(filter_, "Bundle", CONTEXT, definition).matches(CLAIMS, nothing_else())


@pytest.mark.parametrize(
    ("parameter", "modifiers"),
    [
        ("vaccine-code", "above below in missing not not-in text"),
        ("status", "above below in missing not not-in"),
        ("identifier", "missing not of-type text"),
        ("patient", "identifier missing text type"),
        ("lot-number", "contains exact missing"),
        ("date", "missing"),
        ("_profile", "above below missing"),
        ("_source", "above below missing"),
        ("_id", "missing not"),
    ],
)
def test_what_can_be_evaluated_is_found_with_its_modifiers(parameter: str, modifiers: str) -> None:
    """Those on ValueSets and hierarchies too, whichever ones the hub was given."""
    found = {each.parameter: each.modifiers for each in evaluable("Immunization", FhirVersion.R4)}
    assert sorted(found[parameter]) == modifiers.split()


def test_a_type_is_a_modifier_also_where_not_all_targets_are_found() -> None:
    found = {each.parameter: each.modifiers for each in evaluable("Observation", FhirVersion.R4)}
    assert "type" in found["patient"]
