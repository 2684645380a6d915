"""What is said about a topic when it is loaded."""

from dataclasses import replace

import pytest

from subscriptions.checking import check
from subscriptions.codes import FhirVersion, Interaction, SearchType
from subscriptions.errors import Rejected
from subscriptions.search.asking import Context
from subscriptions.topic import CanFilterBy, Definition, EventTrigger, NotificationShape, QueryCriteria, Topic
from subscriptions.topic import ResourceTrigger as Trigger

CONTEXT = Context(FhirVersion.R4, frozenset())
CREATE, UPDATE, DELETE = Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE
TRIGGER = "SubscriptionTopic.resourceTrigger[0]"


def a_topic(*triggers: Trigger | EventTrigger) -> Topic:
    return Topic(
        url="https://topics.example/t",
        version="1.0.0",
        title="",
        description="",
        triggers=tuple(each for each in triggers if isinstance(each, Trigger)),
        event_triggers=tuple(each for each in triggers if isinstance(each, EventTrigger)),
    )


def warnings(topic: Topic) -> list[tuple[str, str]]:
    return [(issue.expression, issue.text) for issue in check(topic, CONTEXT)]


def refusals(topic: Topic) -> list[tuple[str, str]]:
    with pytest.raises(Rejected) as rejected:
        check(topic, CONTEXT)
    return [(issue.expression, issue.text) for issue in rejected.value.issues]


def query(
    *interactions: Interaction,
    create: bool | None = None,
    delete: bool | None = None,
    both: bool = False,
    previous: str = "status=planned",
    current: str = "status=finished",
) -> Trigger:
    criteria = QueryCriteria(previous, current, create, delete, both)
    return Trigger("Encounter", frozenset(interactions or Interaction), criteria)


def fhirpath(expression: str, *interactions: Interaction) -> Trigger:
    return Trigger("Encounter", frozenset(interactions or Interaction), fhirpath=expression)


INTO = "(%previous.empty() or %previous.status != 'finished') and %current.status = 'finished'"


@pytest.mark.parametrize(
    "trigger",
    [
        pytest.param(Trigger("Encounter"), id="any-change"),
        pytest.param(Trigger("Resource"), id="any-change-of-anything"),
        pytest.param(query(UPDATE), id="an-update"),
        pytest.param(query(CREATE, UPDATE, create=True, both=True), id="into-a-state"),
        pytest.param(query(create=False, delete=False), id="absent-is-failed-and-one-is-enough"),
        pytest.param(query(CREATE, UPDATE, previous=""), id="the-new-version-only"),
        pytest.param(fhirpath(INTO, CREATE, UPDATE), id="fhirpath"),
        pytest.param(fhirpath("%previous.status != %current.status", UPDATE), id="fhirpath-on-updates"),
        pytest.param(EventTrigger(frozenset({("https://e.org", "A01")}), "Encounter"), id="event"),
    ],
)
def test_nothing_is_said_against_a_topic_that_does_what_it_says(trigger: Trigger | EventTrigger) -> None:
    assert warnings(a_topic(trigger)) == []


@pytest.mark.parametrize(
    ("trigger", "path", "reason"),
    [
        pytest.param(
            query(CREATE, create=False, both=True),
            "queryCriteria",
            "the trigger can never fire: no create can fire it (requireBoth and resultForCreate=test-fails)",
            id="creates-that-fail",
        ),
        pytest.param(
            query(CREATE, DELETE, create=False, delete=False, both=True),
            "queryCriteria",
            "the trigger can never fire: no create can fire it (requireBoth and resultForCreate=test-fails); "
            "no delete can fire it (requireBoth and resultForDelete=test-fails)",
            id="creates-and-deletes-that-fail",
        ),
        pytest.param(
            query(CREATE, current=""),
            "queryCriteria",
            "the trigger can never fire: no create can fire it (there is no `current`, and no `resultForCreate`)",
            id="creates-with-nothing-to-test",
        ),
        pytest.param(Trigger("Encountre"), "resource", "not a resource type of FHIR R4", id="unknown-type"),
        pytest.param(query(current="colour=red"), "queryCriteria.current", "no search parameter `colour`", id="query"),
        pytest.param(fhirpath("%current.status ="), "fhirPathCriteria", "is not FHIRPath", id="no-fhirpath"),
        pytest.param(fhirpath("%current.subject.resolve().exists()"), "fhirPathCriteria", "resolve", id="resolve"),
        pytest.param(fhirpath("%patient.active"), "fhirPathCriteria", "can never fire", id="unknown-variable"),
        pytest.param(fhirpath("%current.status"), "fhirPathCriteria", "neither true nor false", id="no-truth-value"),
        pytest.param(
            fhirpath("%previous.empty() | (%previous.status != 'finished')", UPDATE),
            "fhirPathCriteria",
            "gives 2 values",
            id="union-instead-of-or",
        ),
    ],
)
def test_what_can_never_fire_is_refused(trigger: Trigger, path: str, reason: str) -> None:
    ((where, said),) = refusals(a_topic(trigger))
    assert where == f"{TRIGGER}.{path}"
    assert reason in said


@pytest.mark.parametrize(
    ("trigger", "path", "reason"),
    [
        pytest.param(
            query(CREATE, UPDATE, create=False, both=True),
            "queryCriteria",
            "no create can fire it (requireBoth and resultForCreate=test-fails)",
            id="never-on-create",
        ),
        pytest.param(
            query(CREATE, UPDATE, create=True),
            "queryCriteria",
            "every create fires it, whatever the resource is (resultForCreate=test-passes)",
            id="always-on-create",
        ),
        pytest.param(
            query(UPDATE, DELETE, delete=True),
            "queryCriteria",
            "every delete fires it, whatever the resource is (resultForDelete=test-passes)",
            id="always-on-delete",
        ),
        pytest.param(
            query(UPDATE, previous="", create=True),
            "queryCriteria.resultForCreate",
            "`resultForCreate` says what the test `previous` counts as, but there is none: it has no effect",
            id="a-result-without-a-test",
        ),
        pytest.param(
            query(UPDATE, previous="", both=True),
            "queryCriteria.requireBoth",
            "`requireBoth` has no effect: there is one test only",
            id="both-of-one",
        ),
        pytest.param(
            fhirpath("%previous.status != 'finished' and %current.status = 'finished'", CREATE, UPDATE),
            "fhirPathCriteria",
            "no create may ever fire it: `%previous` is empty then, and what is compared with nothing is neither true "
            "nor false; write `%previous.empty() or …`",
            id="nothing-to-compare-with",
        ),
        pytest.param(
            fhirpath("(%previous.empty() | (%previous.status != 'x')) and %current.status = 'x'", CREATE, UPDATE),
            "fhirPathCriteria",
            "no update can fire it: ",
            id="union-instead-of-or",
        ),
        pytest.param(
            replace(query(UPDATE), fhirpath="%current.subject.resolve().exists()"),
            "fhirPathCriteria",
            "It is not used: queryCriteria outweighs it",
            id="an-expression-that-is-not-used",
        ),
    ],
)
def test_what_works_in_part_is_warned_of(trigger: Trigger, path: str, reason: str) -> None:
    ((where, said),) = warnings(a_topic(trigger))
    assert where == f"{TRIGGER}.{path}"
    assert reason in said


def test_an_event_trigger_needs_a_type_that_there_is() -> None:
    ((where, _),) = refusals(a_topic(EventTrigger(frozenset({("https://e.org", "A01")}), "Encountre")))
    assert where == "SubscriptionTopic.eventTrigger[0].resource"


WARD = Definition("ward", "ward", SearchType.TOKEN, frozenset({"Encounter"}), "Encounter.location.location.identifier")


@pytest.mark.parametrize(
    ("allowed", "definition", "reason"),
    [
        (CanFilterBy("Encounter", "ward", "#ward"), WARD, ""),
        (CanFilterBy(None, "patient"), WARD, ""),
        (CanFilterBy("Encounter", "colour"), WARD, "filters on `colour` will be rejected: Encounter has no search"),
        (CanFilterBy("Encounter", "subject.gender"), WARD, "filters on `subject.gender` will be rejected"),
        (CanFilterBy("Encounter", "x", "https://e.org/x"), WARD, "Encounter has no search parameter https://e.org/x"),
    ],
)
def test_filters_that_will_be_rejected_are_warned_of(allowed: CanFilterBy, definition: Definition, reason: str) -> None:
    topic = replace(a_topic(Trigger("Encounter")), can_filter_by=(allowed,), definitions=(definition,))
    found = warnings(topic)
    assert [where for where, _ in found] == (["SubscriptionTopic.canFilterBy[0].filterParameter"] if reason else [])
    assert all(reason in text for _, text in found)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("Encounter.subject.resolve().name", "failed on an example of Encounter"),
        ("Encounter.status = ", "is not FHIRPath"),
        ("Patient.name", "no branch of `Patient.name` begins with `Encounter.`"),
    ],
)
def test_a_definition_that_cannot_be_evaluated_is_refused(expression: str, reason: str) -> None:
    allowed = CanFilterBy("Encounter", "ward", "#ward")
    definition = replace(WARD, expression=expression)
    ((where, said),) = refusals(
        replace(a_topic(Trigger("Encounter")), can_filter_by=(allowed,), definitions=(definition,))
    )
    assert where == "SubscriptionTopic.canFilterBy[0].filterDefinition"
    assert reason in said


def test_a_definition_whose_values_cannot_be_compared_is_warned_of() -> None:
    """A token is no Reference: no subscriber would ever be told why nothing comes."""
    definition = replace(WARD, expression="Encounter.subject")
    topic = replace(
        a_topic(Trigger("Encounter")),
        can_filter_by=(CanFilterBy("Encounter", "ward", "#ward"),),
        definitions=(definition,),
    )
    ((where, said),) = warnings(topic)
    assert where == "SubscriptionTopic.canFilterBy[0].filterDefinition"
    assert said == "`Encounter.subject` finds a Reference in an example, and nothing of type token"


def test_a_filter_on_a_type_that_the_topic_is_not_about_is_refused() -> None:
    ((where, said),) = refusals(replace(a_topic(Trigger("Encounter")), can_filter_by=(CanFilterBy("Patient", "name"),)))
    assert (where, said) == ("SubscriptionTopic.canFilterBy[0].resource", "the topic is about Encounter, not Patient")


def test_what_a_shape_cannot_include_is_warned_of() -> None:
    topic = replace(a_topic(Trigger("Encounter")), shapes=(NotificationShape("Encounter", ("Encounter:nobody",)),))
    ((where, said),) = warnings(topic)
    assert where == "SubscriptionTopic.notificationShape[0]"
    assert "no reference parameter `nobody`" in said


def test_all_that_is_wrong_is_said_at_once() -> None:
    topic = a_topic(query(CREATE, create=False, both=True), fhirpath("%current.status"))
    assert len(refusals(topic)) == 2
