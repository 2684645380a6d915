"""Which subscriptions a change concerns: by the index, as without it, and what it costs."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count as counting
from pathlib import Path
from typing import Any

import pytest

from subscriptions.bucket import MOST
from subscriptions.change import Change
from subscriptions.codes import ChannelType, Content, FhirVersion, Interaction, SubscriptionStatus
from subscriptions.errors import Rejected
from subscriptions.explanation import Explanation, explain
from subscriptions.filters import criteria, parse
from subscriptions.frequency import READINGS, Frequencies
from subscriptions.matching import Index
from subscriptions.search.asking import Context
from subscriptions.search.comparison import Equal
from subscriptions.search.vocabulary import Vocabulary
from subscriptions.subscription import Subscription
from subscriptions.topic import QueryCriteria, ResourceTrigger, Topic, built_in
from tests.subscriptions.alone import nothing_else

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "r4"
HUB = "https://hub.example/fhir/r4"
CVX = "http://hl7.org/fhir/sid/cvx"
VOCABULARY = Vocabulary(
    [
        {
            "resourceType": "ValueSet",
            "url": "http://example.org/vaccines",
            "compose": {"include": [{"system": CVX, "concept": [{"code": "207"}]}, {"system": "urn:oid:1.2"}]},
        },
        {
            "resourceType": "CodeSystem",
            "url": "urn:oid:1.2",
            "content": "complete",
            "concept": [{"code": "207", "concept": [{"code": "208"}, {"code": "FLUVAX"}]}],
        },
    ]
)
CONTEXT = Context(FhirVersion.R4, frozenset({HUB}), vocabulary=VOCABULARY)

Json = dict[str, Any]

IMMUNIZATIONS = built_in("https://hub.example", "Immunization")
CARE = Topic(
    url="https://topics.example/care",
    version="1.0.0",
    title="Care",
    description="",
    triggers=(
        ResourceTrigger("Immunization", frozenset({Interaction.CREATE, Interaction.DELETE})),
        ResourceTrigger("Observation"),
    ),
)


def asking(*filters: str, topic: Topic = IMMUNIZATIONS) -> Subscription:
    return Subscription(
        version=FhirVersion.R4,
        status=SubscriptionStatus.REQUESTED,
        topic=topic.url,
        filters=tuple(filter_ for text in filters for filter_ in parse(text)),
        channel=ChannelType.REST_HOOK,
        endpoint="https://subscriber.example/hook",
        headers=(),
        content=Content.ID_ONLY,
        content_type="application/fhir+json",
    )


def change_of(resource: Json, interaction: Interaction = Interaction.CREATE, previous: Json | None = None) -> Change:
    deleted = interaction is Interaction.DELETE
    return Change(
        version=FhirVersion.R4,
        interaction=interaction,
        type=resource["resourceType"],
        id=resource.get("id", "1"),
        version_id=2 if previous or deleted else 1,
        at=datetime(2026, 11, 21, tzinfo=UTC),
        resource=None if deleted else resource,
        previous=resource if deleted else previous,
    )


def example(name: str) -> Json:
    loaded: Json = json.loads((EXAMPLES / f"{name}.json").read_bytes())
    return loaded


FLU = example("Immunization-example")
FLUVAX = "urn:oid:1.2.36.1.2001.1005.17|FLUVAX"


def index_of(subscriptions: Iterable[tuple[str, Topic, Subscription]]) -> Index[str]:
    index = Index[str](CONTEXT)
    for key, topic, subscription in subscriptions:
        index.put(key, topic, subscription.filters)
    return index


def matched(change: Change, *filters: str, topic: Topic = IMMUNIZATIONS) -> bool:
    index = index_of([("only", topic, asking(*filters, topic=topic))])
    found = index.match(change, nothing_else())
    assert found.failures == []
    return found.keys == ["only"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param([], True, id="no-filter"),
        pytest.param(["patient=Patient/example"], True, id="reference"),
        pytest.param(["Immunization?patient=example"], True, id="reference-by-id"),
        pytest.param([f"patient={HUB}/Patient/example"], True, id="reference-by-url-of-the-hub"),
        pytest.param(["patient=Patient/other"], False, id="another-reference"),
        pytest.param([f"Immunization?patient=example&vaccine-code={FLUVAX}"], True, id="and-in-one-filter"),
        pytest.param(["patient=example", f"vaccine-code={FLUVAX}"], True, id="and-of-two-filters"),
        pytest.param(["patient=example", "vaccine-code=207"], False, id="and-with-one-that-differs"),
        pytest.param(["vaccine-code=207,FLUVAX"], True, id="or"),
        pytest.param(["status=completed", "status=not-done"], False, id="and-on-the-same-parameter"),
        pytest.param(["lot-number=aajn"], True, id="string"),
        pytest.param(["lot-number=x"], False, id="another-string"),
        pytest.param(["date=2013-01"], True, id="date"),
        pytest.param(["date=2013-02"], False, id="another-date"),
        pytest.param(["lot-number=aajn", "patient=Patient/other"], False, id="string-and-another-reference"),
        pytest.param(["Immunization?id=Immunization/example"], True, id="id"),
        pytest.param(["identifier=urn:oid:1.3.6.1.4.1.21367.2005.3.7.1234"], True, id="identifier"),
        pytest.param(["reaction-date=2013"], False, id="nothing-there"),
    ],
)
def test_a_change_concerns_who_asked_for_it(filters: list[str], expected: bool) -> None:
    assert matched(change_of(FLU), *filters) is expected


@pytest.mark.parametrize(
    ("interaction", "fired"), [(Interaction.CREATE, True), (Interaction.UPDATE, False), (Interaction.DELETE, True)]
)
def test_only_what_the_topic_fires_on_matches(interaction: Interaction, fired: bool) -> None:
    assert matched(change_of(FLU, interaction), "Immunization?patient=example", topic=CARE) is fired


@pytest.mark.parametrize(
    ("filters", "immunization", "observation"),
    [
        pytest.param([], True, True, id="no-filter"),
        pytest.param(["patient=example"], True, True, id="a-filter-without-type-is-for-all"),
        pytest.param(["patient=other"], False, False, id="and-keeps-all-out"),
        pytest.param(["Immunization?status=completed"], True, False, id="only-the-named-type-notifies"),
        pytest.param(["Observation?status=preliminary"], False, False, id="the-named-type-is-filtered"),
        pytest.param(["Immunization?status=completed", "Observation?status=final"], True, True, id="each-by-its-own"),
        pytest.param(["patient=example", "Observation?status=final"], False, True, id="named-and-not-named"),
    ],
)
def test_filters_concern_their_own_type(filters: list[str], immunization: bool, observation: bool) -> None:
    assert matched(change_of(FLU), *filters, topic=CARE) is immunization
    assert matched(change_of(example("Observation-example")), *filters, topic=CARE) is observation


def test_an_update_is_judged_by_the_new_version() -> None:
    done = change_of(FLU | {"status": "not-done"}, Interaction.UPDATE, previous=FLU)
    assert matched(done, "status=not-done")
    assert not matched(done, "status=completed")


def test_a_delete_is_judged_by_the_version_before() -> None:
    assert matched(change_of(FLU, Interaction.DELETE), "status=completed")
    assert not matched(change_of(FLU, Interaction.DELETE), "status=not-done")


def test_a_delete_of_which_no_version_is_known_matches_without_filters_only() -> None:
    change = Change(
        FhirVersion.R4, Interaction.DELETE, "Immunization", "1", 2, datetime(2026, 11, 21, tzinfo=UTC), None
    )
    filtered = asking("status=completed")
    found = index_of([("all", IMMUNIZATIONS, asking()), ("some", IMMUNIZATIONS, filtered)]).match(
        change, nothing_else()
    )
    assert found.keys == ["all"]
    assert [(key, str(error)) for key, error in found.failures] == [
        ("some", "the version of Immunization/1 before the change is not known")
    ]
    assert not explain(filtered, IMMUNIZATIONS, change, CONTEXT, nothing_else()).matched


def test_a_change_of_another_fhir_version_concerns_nobody() -> None:
    index = index_of([("r4", IMMUNIZATIONS, asking())])
    other = Change(FhirVersion.R4B, Interaction.CREATE, "Immunization", "1", 1, datetime(2026, 11, 21, tzinfo=UTC), FLU)
    assert index.match(other, nothing_else()).keys == []


def test_what_each_one_costs_is_told_by_a_clock() -> None:
    """Of all that are looked at, whether the change concerns them or not; not of those that the index leaves out."""
    ticks = counting()
    index = index_of(
        [
            ("met", IMMUNIZATIONS, asking("patient=example")),
            ("unmet", IMMUNIZATIONS, asking("status:not=completed")),
            ("elsewhere", IMMUNIZATIONS, asking("patient=other")),
        ]
    )
    found = index.match(change_of(FLU), nothing_else(), lambda: float(next(ticks)))
    assert found.keys == ["met"]
    assert sorted(found.costs) == [("met", 1.0), ("unmet", 1.0)]
    assert index.match(change_of(FLU), nothing_else()).costs == []


def test_a_removed_subscription_matches_no_more() -> None:
    index = index_of([("a", IMMUNIZATIONS, asking("patient=example")), ("b", IMMUNIZATIONS, asking())])
    index.remove("a")
    index.remove("never there")
    assert index.match(change_of(FLU), nothing_else()).keys == ["b"]
    assert "a" not in index
    assert len(index) == 1


def test_the_same_key_replaces_what_was_there() -> None:
    index = index_of(
        [("a", IMMUNIZATIONS, asking("patient=example")), ("a", CARE, asking("patient=other", topic=CARE))]
    )
    assert index.match(change_of(FLU), nothing_else()).keys == []
    assert len(index) == 1


def test_a_rejected_subscription_leaves_the_index_as_it_was() -> None:
    index = index_of([("a", IMMUNIZATIONS, asking("patient=example"))])
    with pytest.raises(Rejected):
        index.put("a", IMMUNIZATIONS, asking("status:exact=completed").filters)
    assert index.match(change_of(FLU), nothing_else()).keys == ["a"]


def test_who_asks_by_the_vocabulary_is_put_again_when_that_changes_and_nobody_else_is() -> None:
    """Till then the earlier one counts. A trigger may ask too."""
    query = QueryCriteria(current="vaccine-code:in=http://example.org/vaccines")
    covid = replace(CARE, url="https://topics.example/covid", triggers=(ResourceTrigger("Immunization", query=query),))
    within = asking(query.current)
    index = index_of([("in", IMMUNIZATIONS, within), ("all", IMMUNIZATIONS, asking()), ("covid", covid, asking())])
    arrived = [change_of(FLU | {"vaccineCode": {"coding": [{"system": CVX, "code": code}]}}) for code in ("207", "300")]

    def told() -> list[list[str]]:
        return [index.match(change, nothing_else()).keys for change in arrived]

    assert told() == [["all", "covid", "in"], ["all"]]
    other: Json = {"resourceType": "ValueSet", "url": "http://example.org/vaccines"}
    other["compose"] = {"include": [{"system": CVX, "concept": [{"code": "300"}]}]}
    asked = index.understand(replace(CONTEXT, vocabulary=Vocabulary([other])))
    assert sorted(asked) == ["covid", "in"]
    assert told() == [["all", "covid", "in"], ["all"]]
    index.put("in", IMMUNIZATIONS, within.filters)
    index.put("covid", covid, ())
    assert told() == [["all"], ["all", "covid", "in"]]
    index.understand(CONTEXT)
    index.remove("covid")
    assert index.understand(CONTEXT) == ["in"]


def test_an_error_is_reported_for_whom_it_leaves_open_and_for_nobody_else() -> None:
    """The date can't be read. Whoever has another filter that says no isn't concerned anyway."""
    broken = FLU | {"occurrenceDateTime": "soon"}
    index = index_of(
        [
            ("d open", IMMUNIZATIONS, asking("date=2013")),
            ("c decided by patient", IMMUNIZATIONS, asking("date=2013", "patient=other")),
            ("b decided by string", IMMUNIZATIONS, asking("date=2013", "lot-number=x")),
            ("a open too", IMMUNIZATIONS, asking("date=2014", "patient=example")),
            ("e other filters", IMMUNIZATIONS, asking("patient=example", "status=completed")),
        ]
    )
    found = index.match(change_of(broken), nothing_else())
    assert found.keys == ["e other filters"]
    assert [failure.key for failure in found.failures] == ["a open too", "d open"]
    assert "Immunization.date could not be read" in str(found.failures[0].error)


def test_an_error_in_a_parameter_that_is_looked_up_is_reported_too() -> None:
    broken = FLU | {"identifier": ["no identifier"]}
    index = index_of(
        [
            ("open", IMMUNIZATIONS, asking("identifier=7")),
            ("decided", IMMUNIZATIONS, asking("identifier=7", "status=not-done")),
            ("fine", IMMUNIZATIONS, asking("patient=example")),
        ]
    )
    found = index.match(change_of(broken), nothing_else())
    assert found.keys == ["fine"]
    assert [failure.key for failure in found.failures] == ["open"]


def test_what_is_held_against_every_change_is_visible() -> None:
    index = index_of(
        [
            ("a", IMMUNIZATIONS, asking("status:not=completed")),
            ("b", IMMUNIZATIONS, asking("date=ne2013", "status:not=completed")),
            ("c", IMMUNIZATIONS, asking("date=ne2013", "patient=example")),
            ("d", IMMUNIZATIONS, asking()),
            ("e", CARE, asking("Observation?date=ne2013", topic=CARE)),
            ("f", IMMUNIZATIONS, asking("lot-number=x")),
            ("g", IMMUNIZATIONS, asking("date=2013")),
        ]
    )
    assert index.scanned == {(IMMUNIZATIONS.url, "Immunization"): 2, (CARE.url, "Observation"): 1}
    for key in "abe":
        index.remove(key)
    assert index.scanned == {}


def many(count: int) -> Index[str]:
    """Subscriptions that each ask for one patient's vaccinations of one kind, and one that asks for the example's."""
    index = index_of([("the one", IMMUNIZATIONS, asking("patient=example", "status=completed"))])
    for number in range(count):
        filters = f"Immunization?status=completed&vaccine-code={number % 50}&patient=Patient/p{number}"
        index.put(f"s{number}", IMMUNIZATIONS, asking(filters).filters)
    return index


def test_cost_does_not_grow_with_subscriptions_that_a_change_does_not_concern() -> None:
    evaluated = {}
    for count in (1_000, 20_000):
        index = many(count)
        assert index.match(change_of(FLU), nothing_else()).keys == ["the one"]
        evaluated[count] = index.evaluated
    assert evaluated == {1_000: 2, 20_000: 2}


def test_the_most_selective_filter_is_looked_up_in_whatever_order_they_are_written() -> None:
    """All have the status in common; nobody who only shares that is looked at."""
    index = Index[str](CONTEXT)
    for number in range(500):
        index.put(f"s{number}", IMMUNIZATIONS, asking("status=completed", f"location=Location/l{number}").filters)
        index.put(f"t{number}", IMMUNIZATIONS, asking(f"vaccine-code=c{number}", "status=completed").filters)
    index.match(change_of(FLU), nothing_else())
    assert index.evaluated <= 2


class Counting(dict[str, Any]):
    """A resource that counts how often each of its elements is looked up."""

    def __init__(self, resource: Json) -> None:
        super().__init__(resource)
        self.counts: Counter[str] = Counter()

    def get(self, key: str, default: Any = None) -> Any:
        self.counts[key] += 1
        return super().get(key, default)


def test_a_parameter_is_extracted_once_however_many_ask_for_it() -> None:
    few, more = Counting(FLU), Counting(FLU)
    asked = [asking(f"lot-number={n}", f"date={n + 1900}", "patient=example") for n in range(200)]
    index_of([("a", IMMUNIZATIONS, asked[0])]).match(change_of(few), nothing_else())
    index_of((f"s{n}", IMMUNIZATIONS, subscription) for n, subscription in enumerate(asked)).match(
        change_of(more), nothing_else()
    )
    assert few.counts["patient"] > 0
    assert more.counts == few.counts


def test_an_equal_filter_is_evaluated_once_however_many_have_it() -> None:
    index = index_of((f"s{n}", IMMUNIZATIONS, asking("date=2013", "lot-number=aajn")) for n in range(100))
    assert len(index.match(change_of(FLU), nothing_else()).keys) == 100
    assert index.evaluated == 2


def test_one_who_asks_for_a_beginning_or_a_range_is_found_by_it_alone() -> None:
    index = index_of((f"t{n}", IMMUNIZATIONS, asking(f"lot-number=lot {n}")) for n in range(500))
    for n in range(500):
        index.put(f"d{n}", IMMUNIZATIONS, asking(f"date=gt{2100 + n}").filters)
        index.put(f"e{n}", IMMUNIZATIONS, asking(f"date=lt{1200 + n}").filters)
    index.put("text", IMMUNIZATIONS, asking("lot-number=aaj").filters)
    index.put("range", IMMUNIZATIONS, asking("date=ge2013-01-10").filters)
    assert index.match(change_of(FLU), nothing_else()).keys == ["range", "text"]
    assert index.evaluated == 2


def test_only_what_somebody_asks_for_of_this_topic_and_type_is_extracted() -> None:
    resource = Counting(FLU)
    index = index_of([("a", IMMUNIZATIONS, asking("patient=other")), ("b", CARE, asking("patient=other", topic=CARE))])
    index.put("elsewhere", CARE, asking("Observation?status=final", topic=CARE).filters)
    index.match(change_of(resource), nothing_else())
    assert resource.counts["patient"] > 0
    assert resource.counts.keys().isdisjoint({"status", "vaccineCode", "occurrenceDateTime"})


def test_a_topic_that_is_not_for_such_a_change_has_nothing_extracted() -> None:
    resource = Counting(FLU)
    index = index_of([("a", CARE, asking("patient=example", topic=CARE))])
    assert index.match(change_of(resource, Interaction.UPDATE), nothing_else()).keys == []
    assert resource.counts["patient"] == 0


class Untouchable(dict[str, Any]):
    """A version of a resource that nobody may look at."""

    def __getitem__(self, key: str) -> Any:
        raise AssertionError(f"{key} was looked at")

    get = __getitem__  # type: ignore[assignment]


def test_triggers_are_asked_only_if_somebody_may_match() -> None:
    trigger = ResourceTrigger("Immunization", fhirpath="%previous.status != 'completed'")
    topic = Topic("https://topics.example/t", "1", "", "", (trigger,))
    index = index_of([("a", topic, asking("patient=other", topic=topic))])
    change = change_of(FLU, Interaction.UPDATE, previous=Untouchable(FLU))
    assert index.match(change, nothing_else()) == ([], [], [])
    index.put("b", topic, asking("patient=example", topic=topic).filters)
    assert [failure.key for failure in index.match(change, nothing_else()).failures] == ["b"]


EVERYTHING = Topic("https://topics.example/everything", "1", "", "", (ResourceTrigger("Resource"),))


def test_on_a_topic_for_all_types_whoever_names_none_is_told_of_all() -> None:
    """Before the first change of a type and after it, and no more when it has left."""
    index = index_of([("early", EVERYTHING, asking("_id=1", topic=EVERYTHING))])
    first, second = change_of({"resourceType": "Basic", "id": "1"}), change_of({"resourceType": "Flag", "id": "1"})
    assert index.match(first, nothing_else()).keys == ["early"]
    index.put("late", EVERYTHING, asking("_id=1", topic=EVERYTHING).filters)
    index.put("other", EVERYTHING, asking("_id=2", topic=EVERYTHING).filters)
    index.put("typed", EVERYTHING, asking("Flag?_id=1", topic=EVERYTHING).filters)
    assert index.match(first, nothing_else()).keys == ["early", "late"]
    assert index.match(second, nothing_else()).keys == ["early", "late", "typed"]
    for key in ("early", "typed", "other"):
        index.remove(key)
    assert index.match(first, nothing_else()).keys == ["late"]
    assert index.match(second, nothing_else()).keys == ["late"]
    assert len(index) == 1
    assert index.match(change_of({"resourceType": "Nonsense"}), nothing_else()) == ([], [], [])


def test_who_stands_under_what_turns_out_frequent_is_moved() -> None:
    """All ask for a code that nobody has had yet, until all changes have it. They move a few at a time."""
    index = Index[str](CONTEXT)
    for number in range(400):
        asked = asking(f"vaccine-code=c{number % 20}", f"location=l{number % 7}")
        index.put(f"s{number}", IMMUNIZATIONS, asked.filters)
    frequent = {"vaccineCode": {"coding": [{"code": f"c{n}"} for n in range(20)]}, "location": {"reference": "x/l9"}}
    moved, evaluated = [], []
    for _ in range(150):
        before = index.moved, index.evaluated
        assert index.match(change_of(FLU | frequent), nothing_else()).keys == []
        moved.append(index.moved - before[0])
        evaluated.append(index.evaluated - before[1])
    assert max(moved) == MOST
    assert sum(moved) > 380  # the others stood right from the beginning
    assert evaluated[0] > 0
    assert evaluated[-1] == 0


def test_what_was_frequent_and_is_no_more_is_forgotten() -> None:
    frequencies, (asked,) = Frequencies(), criteria(parse("status=completed"), IMMUNIZATIONS, CONTEXT)["Immunization"]
    access = asked.test.access
    assert isinstance(access, Equal)
    assert frequencies.of(asked.source, access, 0.25) == 0.25
    for _ in range(READINGS):
        frequencies.note(asked.source, access.keys)
    assert frequencies.of(asked.source, access, 0) == READINGS / (READINGS + 1)
    for _ in range(READINGS):
        frequencies.note(asked.source, frozenset())
    assert frequencies.of(asked.source, access, 0) == 0


def explained(change: Change, *filters: str, topic: Topic = IMMUNIZATIONS) -> Explanation:
    return explain(asking(*filters, topic=topic), topic, change, CONTEXT, nothing_else())


def test_an_explanation_shows_what_each_filter_found() -> None:
    explanation = explained(change_of(FLU), "patient=example", "vaccine-code=207", "reaction-date=2013")
    assert not explanation.matched
    assert explanation.trigger.fired
    patient, code, reaction = explanation.filters
    assert [filter_.matched for filter_ in explanation.filters] == [True, False, False]
    assert patient.filter.text == "patient=example"
    assert [(value.path, value.data) for value in patient.values] == [
        ("Immunization.patient", {"reference": "Patient/example"})
    ]
    assert [value.data for value in code.values] == [FLU["vaccineCode"]]
    assert reaction.values == ()


def test_an_explanation_goes_on_after_what_has_already_decided() -> None:
    explanation = explained(change_of(FLU, Interaction.UPDATE), "Immunization?patient=example", topic=CARE)
    assert not explanation.matched
    assert not explanation.trigger.fired
    assert "update of Immunization" in explanation.trigger.reason
    assert [filter_.matched for filter_ in explanation.filters] == [True]


def test_an_explanation_says_that_the_filters_are_for_other_types() -> None:
    explanation = explained(change_of(FLU), "Observation?status=final", "patient=example", topic=CARE)
    assert not explanation.matched
    assert explanation.trigger.fired
    assert not explanation.type_allowed
    assert [filter_.matched for filter_ in explanation.filters] == [None, True]


def test_an_explanation_says_why_a_filter_failed() -> None:
    explanation = explained(change_of(FLU | {"occurrenceDateTime": "soon"}), "date=2013", "patient=example")
    assert not explanation.matched
    date, patient = explanation.filters
    assert (date.matched, date.error.partition(":")[0]) == (None, "Immunization.date could not be read")
    assert (patient.matched, patient.error) == (True, "")


def test_an_explanation_of_a_match_without_filters_is_the_trigger() -> None:
    explanation = explained(change_of(FLU))
    assert explanation.matched
    assert explanation.filters == ()
    assert explanation.trigger.reason == "the topic has a trigger for create of Immunization"
