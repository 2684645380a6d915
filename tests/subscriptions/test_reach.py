"""Which types a Subscription's owner must be allowed to read."""

from dataclasses import replace

import pytest

from subscriptions.codes import ChannelType, Content, FhirVersion, SubscriptionStatus
from subscriptions.filters import parse, search
from subscriptions.reach import Reach, excess
from subscriptions.rights import EVERYTHING, Rights
from subscriptions.scopes import NAMED, Scopes
from subscriptions.search.asking import Context
from subscriptions.search.beyond import beyond
from subscriptions.search.parameters import resource_types
from subscriptions.subscription import Subscription
from subscriptions.topic import ANY, EventTrigger, NotificationShape, QueryCriteria, ResourceTrigger, Topic

R4 = FhirVersion.R4
CONTEXT = Context(R4, frozenset({"http://hub.example/fhir/r4"}), chained=True)
NOTHING = Rights(Scopes.parse(""))


def topic(*types: str, query: str = "", event: str = "", shapes: tuple[NotificationShape, ...] = ()) -> Topic:
    triggers = tuple(ResourceTrigger(type_, query=QueryCriteria(current=query) if query else None) for type_ in types)
    events = (EventTrigger(frozenset({("urn:x", "a")}), event),) if event else ()
    return Topic("http://t", "1", "t", "t", triggers, events, shapes=shapes)


def wanted(filters: str = "", content: Content = Content.ID_ONLY) -> Subscription:
    return Subscription(
        R4,
        SubscriptionStatus.REQUESTED,
        "http://t",
        parse(filters) if filters else (),
        ChannelType.REST_HOOK,
        "https://subscriber.example",
        (),
        content,
        "application/fhir+json",
    )


ENCOUNTER = NotificationShape("Encounter", ("Encounter:subject:Patient",), ("Observation:encounter",))


@pytest.mark.parametrize(
    ("of", "filters", "lacking"),
    [
        pytest.param(topic("Immunization"), "", "Immunization", id="a-trigger"),
        pytest.param(topic("Immunization", event="Encounter"), "", "Encounter Immunization", id="an-event-trigger"),
        pytest.param(topic("Patient", "Encounter"), "Patient?gender=male", "Patient", id="filters-that-name-a-type"),
        pytest.param(topic("Patient", "Encounter"), "_id=1", "Encounter Patient", id="filters-that-name-none"),
        pytest.param(topic(ANY), "", "*", id="every-type"),
        pytest.param(topic(ANY), "Patient?gender=male", "Patient", id="one-of-every-type"),
        pytest.param(
            topic("Encounter", shapes=(ENCOUNTER,)), "", "Encounter Observation Patient", id="what-comes-along"
        ),
        pytest.param(
            topic("Immunization", shapes=(NotificationShape("Immunization", ("Immunization:patient",)),)),
            "",
            "Immunization Patient",
            id="a-patient-is-no-group",
        ),
        pytest.param(topic("Immunization"), "patient.identifier=x", "Immunization Patient", id="nor-in-a-chain"),
        pytest.param(
            topic("Encounter", shapes=(NotificationShape("Encounter", ("Encounter:subject",)),)),
            "",
            "Encounter Group Patient",
            id="whatever-a-reference-may-point-to",
        ),
        pytest.param(topic("Patient", shapes=(ENCOUNTER,)), "", "Patient", id="nothing-comes-along-with-another-type"),
        pytest.param(topic("Encounter"), "subject:Patient.gender=male", "Encounter Patient", id="a-chain"),
        pytest.param(
            topic("Patient"), "_has:Observation:patient:code=x", "Observation Patient", id="what-refers-to-it"
        ),
        pytest.param(topic("Patient"), "_in=Group/1", "Group Patient", id="a-roster"),
        pytest.param(topic("Patient"), "_in=1", "CareTeam Group List Patient", id="any-roster"),
        pytest.param(topic("Encounter"), "patient._in=Group/1", "Encounter Group", id="a-roster-of-what-it-refers-to"),
        pytest.param(
            topic("Encounter", query="subject:Patient.gender=male"), "", "Encounter Patient", id="a-trigger-that-chains"
        ),
    ],
)  # fmt: skip
def test_all_that_is_told_or_learned_has_to_be_readable(of: Topic, filters: str, lacking: str) -> None:
    found = Reach.of(wanted(filters), of, CONTEXT)
    scopes = [f"system/{type_}.r" for type_ in lacking.split()]
    assert found.lacking(NOTHING) == tuple(scopes)
    assert found.lacking(Rights(Scopes.parse(" ".join(scopes)))) == ()
    assert found.lacking(EVERYTHING) == ()
    assert list(found.issues(Rights(Scopes.parse(" ".join(scopes))), "Subscription.topic")) == []
    texts = " ".join(issue.text for issue in found.issues(NOTHING, "Subscription.topic"))
    assert all(each in texts for each in scopes)
    for i, one in enumerate(scopes):
        others = " ".join(scopes[:i] + scopes[i + 1 :])
        assert found.lacking(Rights(Scopes.parse(others))) == (one,)


def test_nothing_comes_along_with_an_empty_notification() -> None:
    of = topic("Encounter", shapes=(ENCOUNTER,))
    assert Reach.of(wanted(content=Content.EMPTY), of, CONTEXT).lacking(NOTHING) == ("system/Encounter.r",)


def test_to_create_or_to_search_is_not_to_be_told() -> None:
    rights = Rights(Scopes.parse("system/Immunization.cuds"))
    assert Reach.of(wanted(), topic("Immunization"), CONTEXT).lacking(rights) == ("system/Immunization.r",)


def test_more_types_than_can_be_named_are_all() -> None:
    many = sorted(resource_types(R4) - {"AuditEvent"})[: NAMED + 1]
    assert Reach.of(wanted(), topic(*many), CONTEXT).lacking(NOTHING) == ("system/*.r",)
    assert len(Reach.of(wanted(), topic(*many[1:]), CONTEXT).lacking(NOTHING)) == NAMED


def test_all_types_are_not_those_that_have_to_be_named() -> None:
    """What a Provenance is about may be anything, an AuditEvent too."""
    shape = NotificationShape("Provenance", ("Provenance:target",))
    found = Reach.of(wanted(), topic("Provenance", shapes=(shape,)), CONTEXT)
    assert found.lacking(NOTHING) == ("system/*.r", "system/AuditEvent.r")
    assert found.lacking(Rights(Scopes.parse("system/*.r"))) == ("system/AuditEvent.r",)
    assert found.lacking(EVERYTHING) == ()
    text = " ".join(issue.text for issue in found.issues(NOTHING, "Subscription.topic"))
    assert "comes every type, AuditEvent along: this needs system/*.r system/AuditEvent.r." in text


@pytest.mark.parametrize("content", list(Content))
@pytest.mark.parametrize("most", list(Content))
def test_the_content_is_at_most_what_is_allowed(content: Content, most: Content) -> None:
    found = list(excess(wanted(content=content), replace(EVERYTHING, content=most), "Subscription.content"))
    assert bool(found) is (list(Content).index(content) > list(Content).index(most))
    assert all(most in issue.text and issue.expression == "Subscription.content" for issue in found)


@pytest.mark.parametrize(
    ("type_", "name", "value", "types"),
    [
        ("Observation", "code", "x", set()),
        ("Observation", "subject", "Patient/1", set()),
        ("Observation", "subject:identifier", "urn:x|1", set()),
        ("Observation", "patient.name", "x", {"Patient"}),
        ("Observation", "patient.organization.name", "x", {"Patient", "Organization"}),
        ("Patient", "_has:Observation:patient:encounter:Encounter.type", "x", {"Observation", "Encounter"}),
        ("Patient", "_has:Observation:patient:_has:AuditEvent:entity:action", "R", {"Observation", "AuditEvent"}),
        ("Patient", "_in", "Group/1,List/2", {"Group", "List"}),
        ("Patient", "_in", "Group/1,2", {"CareTeam", "Group", "List"}),
        ("Patient", "_in:missing", "true", {"CareTeam", "Group", "List"}),
        ("Observation", "patient.general-practitioner._in", "List/2", {"Patient", "CareTeam", "Group", "List"}),
    ],
)
def test_a_criterion_looks_at_other_types(type_: str, name: str, value: str, types: set[str]) -> None:
    (criterion,) = search([(name, value)], type_, CONTEXT)
    assert beyond(criterion) == types
