"""Which changes fire a topic, and what is said about it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from subscriptions.change import Change
from subscriptions.codes import FhirVersion, Interaction
from subscriptions.errors import EvaluationError, Rejected
from subscriptions.findings import Findings
from subscriptions.search.asking import Context
from subscriptions.topic import EventTrigger, QueryCriteria, ResourceTrigger, Topic, built_in
from subscriptions.triggers import Firing, Triggers
from tests.subscriptions.alone import nothing_else

CREATE, UPDATE, DELETE = Interaction.CREATE, Interaction.UPDATE, Interaction.DELETE
CONTEXT = Context(FhirVersion.R4, frozenset({"https://hub.example/fhir/r4"}))

PLANNED = {"resourceType": "Encounter", "id": "1", "status": "planned", "class": {"code": "IMP"}}
FINISHED = PLANNED | {"status": "finished"}
ADMITTED = ("http://terminology.hl7.org/CodeSystem/v2-0003", "A01")


def a_change(
    interaction: Interaction,
    *,
    previous: dict[str, Any] | None = PLANNED,
    current: dict[str, Any] | None = FINISHED,
    type_: str = "Encounter",
    events: frozenset[tuple[str, str]] = frozenset(),
) -> Change:
    return Change(
        version=FhirVersion.R4,
        interaction=interaction,
        type=type_,
        id="1",
        version_id=2,
        at=datetime(2026, 11, 21, tzinfo=UTC),
        resource=None if interaction is DELETE else current,
        previous=None if interaction is CREATE else previous,
        events=events,
    )


def a_topic(*triggers: ResourceTrigger | EventTrigger) -> Topic:
    return Topic(
        url="https://topics.example/t",
        version="1.0.0",
        title="",
        description="",
        triggers=tuple(each for each in triggers if isinstance(each, ResourceTrigger)),
        event_triggers=tuple(each for each in triggers if isinstance(each, EventTrigger)),
    )


def firing(change: Change, *triggers: ResourceTrigger | EventTrigger) -> Firing:
    """What all of it says: `fires` and `firing` agree."""
    compiled, findings = Triggers(a_topic(*triggers), CONTEXT), Findings(change, nothing_else())
    told = compiled.firing(findings)
    fires = compiled.fires(findings)
    assert str(fires) == str(told.verdict)
    return told


ADMISSIONS = (
    ResourceTrigger("Encounter", frozenset({CREATE, UPDATE})),
    ResourceTrigger("Encounter", frozenset({DELETE})),
    ResourceTrigger("Location", frozenset({CREATE})),
)


@pytest.mark.parametrize("interaction", Interaction)
def test_a_built_in_topic_fires_on_everything_that_happens_to_its_type(interaction: Interaction) -> None:
    topic = Triggers(built_in("https://hub.example", "Encounter"), CONTEXT)
    assert topic.fires(Findings(a_change(interaction), nothing_else()))
    assert not topic.fires(Findings(a_change(interaction, type_="Observation"), nothing_else()))


@pytest.mark.parametrize(
    ("interaction", "type_", "fired"),
    [
        pytest.param(CREATE, "Encounter", True, id="the-first-trigger"),
        pytest.param(DELETE, "Encounter", True, id="the-second-trigger"),
        pytest.param(CREATE, "Location", True, id="another-type"),
        pytest.param(UPDATE, "Location", False, id="another-interaction"),
        pytest.param(CREATE, "Patient", False, id="no-trigger-for-the-type"),
    ],
)
def test_triggers_are_joined_by_or(interaction: Interaction, type_: str, fired: bool) -> None:
    assert firing(a_change(interaction, type_=type_), *ADMISSIONS).fired is fired


def test_a_trigger_for_resource_is_for_every_type() -> None:
    anything = ResourceTrigger("Resource", frozenset({UPDATE}))
    assert firing(a_change(UPDATE, type_="Basic"), anything).fired
    assert not firing(a_change(CREATE, type_="Basic"), anything).fired


def test_the_reason_names_what_happened_and_what_was_wanted() -> None:
    assert firing(a_change(CREATE), *ADMISSIONS).reason == "the topic has a trigger for create of Encounter"
    assert firing(a_change(UPDATE, type_="Location"), ADMISSIONS[1], ADMISSIONS[2]).reason == (
        "update of Location is not what the trigger is for: delete of Encounter; "
        "update of Location is not what the trigger is for: create of Location"
    )


def query(
    create: bool | None = None,
    delete: bool | None = None,
    *,
    both: bool,
    previous: str = "status=planned",
    current: str = "status=finished",
) -> ResourceTrigger:
    return ResourceTrigger("Encounter", query=QueryCriteria(previous, current, create, delete, both))


#: Which versions pass which test: P for `previous`, C for `current`.
CHANGES = {
    "PC": a_change(UPDATE),
    "P-": a_change(UPDATE, current=PLANNED),
    "-C": a_change(UPDATE, previous=FINISHED),
    "--": a_change(UPDATE, previous=FINISHED, current=PLANNED),
    "create C": a_change(CREATE),
    "create -": a_change(CREATE, current=PLANNED),
    "delete P": a_change(DELETE),
    "delete -": a_change(DELETE, previous=FINISHED),
}


@pytest.mark.parametrize(
    ("change", "trigger", "fired"),
    [
        # An update: P AND C, or P OR C. What create and delete count as has no say.
        *(("PC", query(create, create, both=both), True) for both in (True, False) for create in (True, False, None)),
        *(("P-", query(create, create, both=False), True) for create in (True, False, None)),
        *(("P-", query(create, create, both=True), False) for create in (True, False, None)),
        *(("-C", query(create, create, both=False), True) for create in (True, False, None)),
        *(("-C", query(create, create, both=True), False) for create in (True, False, None)),
        *(("--", query(create, create, both=both), False) for both in (True, False) for create in (True, False, None)),
        # A create: with both, passes -> C, fails -> never; without, passes -> always, fails -> C.
        ("create C", query(True, both=True), True),
        ("create -", query(True, both=True), False),
        ("create C", query(False, both=True), False),
        ("create -", query(False, both=True), False),
        ("create C", query(True, both=False), True),
        ("create -", query(True, both=False), True),
        ("create C", query(False, both=False), True),
        ("create -", query(False, both=False), False),
        # Nothing said: only the side that is there.
        *(("create C", query(delete=False, both=both), True) for both in (True, False)),
        *(("create -", query(delete=True, both=both), False) for both in (True, False)),
        # A delete: the same with the sides exchanged.
        ("delete P", query(delete=True, both=True), True),
        ("delete -", query(delete=True, both=True), False),
        ("delete P", query(delete=False, both=True), False),
        ("delete -", query(delete=False, both=True), False),
        ("delete P", query(delete=True, both=False), True),
        ("delete -", query(delete=True, both=False), True),
        ("delete P", query(delete=False, both=False), True),
        ("delete -", query(delete=False, both=False), False),
        *(("delete P", query(False, both=both), True) for both in (True, False)),
        *(("delete -", query(True, both=both), False) for both in (True, False)),
        # Only one string: the other test is not applicable, whatever the topic says it counts as.
        *(("P-", query(previous="", both=both), False) for both in (True, False)),
        *(("-C", query(previous="", both=both), True) for both in (True, False)),
        *(
            ("create C", query(create, previous="", both=both), True)
            for both in (True, False)
            for create in (True, False)
        ),
        *(
            ("create -", query(create, previous="", both=both), False)
            for both in (True, False)
            for create in (True, False)
        ),
        *(("delete P", query(delete=True, previous="", both=both), True) for both in (True, False)),
        *(("delete P", query(delete=False, previous="", both=both), False) for both in (True, False)),
        *(("delete P", query(previous="", both=both), False) for both in (True, False)),
        *(("P-", query(current="", both=both), True) for both in (True, False)),
        *(("-C", query(current="", both=both), False) for both in (True, False)),
        *(("create C", query(True, current="", both=both), True) for both in (True, False)),
        *(("create C", query(False, current="", both=both), False) for both in (True, False)),
        *(("create C", query(current="", both=both), False) for both in (True, False)),
        *(
            ("delete P", query(delete=delete, current="", both=both), True)
            for both in (True, False)
            for delete in (True, False)
        ),
        *(
            ("delete -", query(delete=delete, current="", both=both), False)
            for both in (True, False)
            for delete in (True, False)
        ),
    ],
)
def test_the_truth_table_of_query_criteria(change: str, trigger: ResourceTrigger, fired: bool) -> None:
    assert firing(CHANGES[change], trigger).fired is fired


@pytest.mark.parametrize(
    "written",
    [
        "status=finished&class=IMP",
        "status=finished&class=http%3A%2F%2Fe.org%7CIMP,IMP",
        "status%3Dfinished%26class%3DIMP",
        "status=fin%69shed",
        "Encounter?status=finished",
    ],
)
def test_a_query_is_read_whether_percent_encoded_or_not(written: str) -> None:
    assert firing(a_change(CREATE), query(current=written, both=False)).fired
    assert not firing(a_change(CREATE, current=PLANNED), query(current=written, both=False)).fired


def named(*given: str, low: int = 1) -> dict[str, Any]:
    """An Encounter with so many of everything."""
    types = [{"text": text} for text in given]
    return FINISHED | {"type": types, "length": {"value": low}, "period": {"start": "2026-01-01"}}


BOTH = "(%previous.extension.value | %current.extension.value)"


def valued(value: Decimal | int | str) -> dict[str, Any]:
    """An Encounter with a value of this type."""
    name = {Decimal: "valueDecimal", int: "valueInteger", str: "valueString"}[type(value)]
    return FINISHED | {"extension": [{"url": "urn:x", name: value}]}


@pytest.mark.parametrize(
    ("expression", "previous", "current", "fired"),
    [
        # "If both operands are collections with multiple items: … Each item must be equal", in their order
        ("%previous.type = %current.type", named("a", "b"), named("a", "b"), True),
        ("%previous.type = %current.type", named("a", "b"), named("a", "c"), False),
        ("%previous.type != %current.type", named("a", "b"), named("a", "c"), True),
        ("%previous.type != %current.type", named("a", "b"), named("b", "a"), True),
        ("%previous.type.text != %current.type.text", named("a", "b"), named("a", "b", "c"), True),
        ("%previous.type.text = %current.type.text", named("a", "b"), named("a", "b"), True),
        ("%previous.type != %current.type", named("a"), named(), False),  # empty
        ("%previous.length != %current.length", named(), named(low=2), True),
        ("%previous.length = %current.length", named(), named(), True),
        ("%current.length.value = 1 and 2 != %current.length.value", named(), named(), True),
        ("%current.period.start = @2026-01-01", named(), named(), True),
        ("@2026-01-02 = %current.period.start", named(), named(), False),
        ("@2026 = %current.period.start", named(), named(), False),  # can't be said: neither equal
        ("@2026 != %current.period.start", named(), named(), False),  # nor unequal
        # What is put together keeps its type.
        ("(%previous.type | %current.type).count() = 3", named("a", "b"), named("b", "c"), True),
        ("(%previous.period | %current.period).start is dateTime", named(), named(), True),
        ("%previous.type.union(%current.type).distinct().text.last() = 'c'", named("a", "b"), named("b", "c"), True),
        (f"{BOTH}.count() = 1", valued(Decimal("1.50")), valued(Decimal("1.5")), True),
        (f"{BOTH}.count() = 1", valued(Decimal("1.0")), valued(1), True),
        (f"{BOTH}.count() = 2", valued(Decimal("1.5")), valued("1.5"), True),
        (f"{BOTH}.count() = 2", valued(Decimal("1.5")), valued(Decimal("1.6")), True),
        ("%previous = %current", named("a"), named("a"), True),
        ("%previous != %current", named("a"), named("b"), True),
    ],
)
def test_what_is_compared_is_compared_to_the_last_value(
    expression: str, previous: dict[str, Any], current: dict[str, Any], fired: bool
) -> None:
    change = a_change(UPDATE, previous=previous, current=current)
    assert firing(change, fhirpath(expression)).verdict is fired


def test_the_query_outweighs_the_fhirpath() -> None:
    trigger = ResourceTrigger("Encounter", query=QueryCriteria(current="status=finished"), fhirpath="false")
    assert firing(a_change(CREATE), trigger).fired


def test_a_version_that_nobody_knows_passes_no_test() -> None:
    unknown = a_change(UPDATE, previous=None)
    assert isinstance(firing(unknown, query(both=True)).verdict, EvaluationError)
    assert firing(unknown, query(both=False)).fired
    assert isinstance(firing(unknown, fhirpath("%previous.empty()")).verdict, EvaluationError)


def fhirpath(expression: str, *interactions: Interaction) -> ResourceTrigger:
    return ResourceTrigger("Encounter", frozenset(interactions or Interaction), fhirpath=expression)


INTO = "(%previous.empty() or %previous.status != 'finished') and %current.status = 'finished'"


@pytest.mark.parametrize(
    ("expression", "change", "fired"),
    [
        pytest.param(INTO, a_change(CREATE), True, id="created-in-it"),
        pytest.param(INTO, a_change(UPDATE), True, id="moved-into-it"),
        pytest.param(INTO, a_change(UPDATE, previous=FINISHED), False, id="was-in-it"),
        pytest.param(INTO, a_change(DELETE), False, id="deleted"),
        pytest.param("%previous.empty()", a_change(CREATE), True, id="nothing-before-a-create"),
        pytest.param("%current.empty()", a_change(DELETE), True, id="nothing-after-a-delete"),
        pytest.param("%current.empty()", a_change(UPDATE), False, id="something-after-an-update"),
        pytest.param("%previous.status != %current.status", a_change(UPDATE), True, id="the-two-compared"),
        pytest.param("%previous.status != 'x' and %current.status = 'finished'", a_change(CREATE), False, id="empty"),
        pytest.param("status = 'finished'", a_change(UPDATE), True, id="without-variables-the-version-after"),
        pytest.param("Encounter.status = 'planned'", a_change(DELETE), True, id="or-the-one-before"),
        pytest.param("%current.class.where(code = 'IMP').exists()", a_change(CREATE), True, id="where"),
        pytest.param("%current is Encounter", a_change(CREATE), True, id="a-version-has-a-type"),
        pytest.param("%previous.ofType(Patient).exists()", a_change(UPDATE), False, id="and-no-other-one"),
        pytest.param("%current.trace('status').status = 'finished'", a_change(CREATE), True, id="traced"),
    ],
)
def test_fhirpath_fires_when_it_is_true_and_not_when_it_is_empty(
    expression: str, change: Change, fired: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert firing(change, fhirpath(expression)).fired is fired
    assert capfd.readouterr() == ("", "")


UNION = "(%previous.empty() | (%previous.status != 'finished')) and (%current.status = 'finished')"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        pytest.param(UNION, "failed: Exception: Unexpected collection", id="union-instead-of-or"),
        pytest.param("%current.status", "gives a value that is neither true nor false", id="a-text"),
        pytest.param("%previous.status | %current.status", "gives 2 values", id="two-values"),
        pytest.param("%current.status > 5", "failed", id="types-that-do-not-compare"),
        pytest.param("%patient.active", "failed", id="unknown-variable"),
    ],
)
def test_what_fails_is_an_error_and_no_firing(expression: str, said: str) -> None:
    told = firing(a_change(UPDATE), fhirpath(expression))
    assert isinstance(told.verdict, EvaluationError)
    assert said in str(told.verdict)
    assert not told.fired
    assert "could not be evaluated" in told.reason


def test_a_trigger_that_fails_does_not_hide_one_that_fires() -> None:
    told = firing(a_change(UPDATE), fhirpath(UNION), query(both=True), fhirpath("%current.status"))
    assert told.verdict is True
    assert [isinstance(each.verdict, EvaluationError) for each in told.tried] == [True, False, True]


def test_a_trigger_that_fails_is_not_asked_about_what_it_is_not_for() -> None:
    assert firing(a_change(DELETE), fhirpath(UNION, UPDATE)).verdict is False


def test_an_event_trigger_fires_when_the_publisher_names_one_of_its_codings_for_its_type() -> None:
    discharged = (ADMITTED[0], "A03")
    trigger = EventTrigger(frozenset({ADMITTED, ("https://e.org", "admitted")}), "Encounter")
    for interaction in Interaction:
        assert firing(a_change(interaction, events=frozenset({ADMITTED, discharged})), trigger).fired
    assert not firing(a_change(UPDATE, events=frozenset({discharged})), trigger).fired
    assert not firing(a_change(UPDATE), trigger).fired
    assert not firing(a_change(UPDATE, events=frozenset({ADMITTED}), type_="Patient"), trigger).fired


def test_the_reason_says_what_became_of_each_part() -> None:
    assert firing(a_change(UPDATE, previous=FINISHED), query(both=True)).reason == (
        "the topic has a trigger for update of Encounter; previous `status=planned` fails; "
        "current `status=finished` passes; both have to pass"
    )
    assert firing(a_change(CREATE), query(False, both=False)).reason == (
        "the topic has a trigger for create of Encounter; "
        "there is no previous version, which fails by resultForCreate; "
        "current `status=finished` passes; one of both has to pass"
    )
    assert firing(a_change(CREATE), fhirpath(INTO)).reason.endswith(f"`{INTO}` passes")
    event = EventTrigger(frozenset({ADMITTED}), "Encounter")
    assert firing(a_change(CREATE), event).reason == (
        "the publisher did not name the event http://terminology.hl7.org/CodeSystem/v2-0003|A01 on Encounter"
    )


def test_expressions_that_topics_share_are_evaluated_once_for_a_change() -> None:
    topics = [Triggers(a_topic(fhirpath(INTO), query(both=True)), CONTEXT) for _ in range(100)]
    findings = Findings(a_change(UPDATE, current=PLANNED), nothing_else())
    assert [topic.fires(findings) for topic in topics] == [False] * 100
    assert findings.evaluated == 3


@pytest.mark.parametrize(
    ("trigger", "path", "said"),
    [
        (ResourceTrigger("Encountre"), "resource", "not a resource type of FHIR R4"),
        (query(previous="colour=red", both=True), "queryCriteria.previous", "no search parameter `colour`"),
        (query(current="status", both=True), "queryCriteria.current", "is not a filter"),
        (query(current="Patient?active=true", both=True), "queryCriteria.current", "not Patient"),
        *(
            (fhirpath(wrong), "fhirPathCriteria", f"`{wrong}` is not FHIRPath")
            for wrong in (
                *("%current.status = ", "(%current.status = 'x'", "%current.status = 'x')", "%current.status 'x'"),
                *("%current..status = 'x'", "%current.status == 'x'", "%current.status = 'x' or", "and", "'"),
            )
        ),
        (fhirpath("%current.period.end < now()"), "fhirPathCriteria", "`now()` is not supported"),
        # Also where no example comes to it.
        *(
            (fhirpath(f"%current.contact.where({call}).exists()"), "fhirPathCriteria", f"`{name}()` is not supported")
            for name, call in (
                ("replaceMatches", "name.family.replaceMatches('a', 'b') = 'b'"),
                ("memberOf", "name.memberOf('https://terms.example/ValueSet/1')"),
                ("today", "period.end < today ( )"),
            )
        ),
    ],
)
def test_a_trigger_that_cannot_be_evaluated_is_rejected(trigger: ResourceTrigger, path: str, said: str) -> None:
    with pytest.raises(Rejected) as rejected:
        Triggers(a_topic(ResourceTrigger("Patient"), trigger), CONTEXT)
    (issue,) = rejected.value.issues
    assert issue.expression == f"SubscriptionTopic.resourceTrigger[1].{path}"
    assert said in issue.text
