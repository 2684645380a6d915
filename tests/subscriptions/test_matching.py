"""Which subscriptions a change concerns: by the index, as without it, and what it costs."""

import json
import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriptions.change import Change
from subscriptions.codes import ChannelType, Content, FhirVersion, Interaction, SubscriptionStatus
from subscriptions.errors import EvaluationError, Rejected
from subscriptions.explanation import Explanation, explain
from subscriptions.filters import criteria, parse
from subscriptions.findings import Findings
from subscriptions.matching import Index
from subscriptions.search.asking import Context
from subscriptions.subscription import Subscription
from subscriptions.topic import ResourceTrigger, Topic, built_in
from subscriptions.triggers import Triggers
from tests.subscriptions.alone import nothing_else

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "r4"
HUB = "https://hub.example/fhir/r4"
CONTEXT = Context(FhirVersion.R4, frozenset({HUB}))

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
        notification_version=FhirVersion.R4,
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
        index.put(key, topic, subscription)
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
        index.put("a", IMMUNIZATIONS, asking("status:exact=completed"))
    assert index.match(change_of(FLU), nothing_else()).keys == ["a"]


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
            ("a", IMMUNIZATIONS, asking("lot-number=x")),
            ("b", IMMUNIZATIONS, asking("date=2013", "lot-number=x")),
            ("c", IMMUNIZATIONS, asking("date=2013", "patient=example")),
            ("d", IMMUNIZATIONS, asking()),
            ("e", CARE, asking("Observation?date=2013", topic=CARE)),
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
        index.put(f"s{number}", IMMUNIZATIONS, asking(filters))
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
        index.put(f"s{number}", IMMUNIZATIONS, asking("status=completed", f"location=Location/l{number}"))
        index.put(f"t{number}", IMMUNIZATIONS, asking(f"vaccine-code=c{number}", "status=completed"))
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


CODES = st.sampled_from(["207", "208", "FLUVAX"])
IDS = st.sampled_from(["a", "b", "example"])
SYSTEMS = st.sampled_from(["http://hl7.org/fhir/sid/cvx", "urn:oid:1.2"])
DATES = st.sampled_from(["2013", "2013-01", "2013-01-10", "2013-01-10T10:00:00Z", "2014-01-01"])
TEXTS = st.sampled_from(["AAJN11K", "aaj", "Ä1", "b"])

ONE = st.one_of(
    st.builds("patient={}".format, st.lists(IDS, min_size=1, max_size=3).map(",".join)),
    st.builds("patient=Patient/{}".format, IDS),
    st.builds("patient={}/Patient/{}".format, st.sampled_from([HUB, "https://elsewhere.example"]), IDS),
    st.builds("status={}".format, st.sampled_from(["completed", "not-done", "completed,not-done", "final"])),
    st.builds("date={}".format, DATES),
)
OF_IMMUNIZATION = ONE | st.one_of(
    st.builds("vaccine-code={}".format, CODES),
    st.builds("vaccine-code={}|{}".format, SYSTEMS, CODES),
    st.builds("vaccine-code={}|".format, SYSTEMS),
    st.builds("vaccine-code=|{}".format, CODES),
    st.builds("lot-number={}".format, TEXTS),
)
FILTERS = st.one_of(
    ONE.map(lambda text: [text]),
    ONE.map(lambda text: [f"Observation?{text}"]),
    st.lists(OF_IMMUNIZATION.map("Immunization?{}".format), max_size=3),
)
SUBSCRIPTIONS = st.one_of(
    st.tuples(st.just(IMMUNIZATIONS), st.lists(OF_IMMUNIZATION, max_size=3)),
    st.tuples(
        st.just(CARE), st.lists(FILTERS, max_size=2).map(lambda lists: [text for found in lists for text in found])
    ),
)

CODING = st.fixed_dictionaries({}, optional={"system": SYSTEMS, "code": CODES})
REFERENCES = st.builds(
    "{}Patient/{}{}".format,
    st.sampled_from(["", f"{HUB}/", "https://elsewhere.example/"]),
    IDS,
    st.sampled_from(["", "/_history/1"]),
) | st.just("#p")
RESOURCES = st.one_of(
    st.fixed_dictionaries(
        {"resourceType": st.just("Immunization")},
        optional={
            "status": st.sampled_from(["completed", "not-done"]),
            "vaccineCode": st.fixed_dictionaries({"coding": st.lists(CODING, max_size=3)}),
            "patient": st.fixed_dictionaries({"reference": REFERENCES}),
            "occurrenceDateTime": DATES | st.just("soon"),
            "lotNumber": TEXTS,
        },
    ),
    st.fixed_dictionaries(
        {"resourceType": st.just("Observation")},
        optional={
            "status": st.sampled_from(["final", "amended"]),
            "subject": st.fixed_dictionaries({"reference": REFERENCES}),
            "effectivePeriod": st.fixed_dictionaries({}, optional={"start": DATES, "end": DATES}),
        },
    ),
)


def naively(subscription: Subscription, topic: Topic, change: Change) -> bool | None:
    """Whether a change concerns a subscription, filter by filter; None if that can't be decided."""
    wanted = criteria(subscription.filters, topic, CONTEXT)
    if not Triggers(topic, CONTEXT).fires(Findings(change, nothing_else())) or change.type not in wanted:
        return False
    verdicts: list[bool | None] = []
    for criterion in wanted[change.type]:
        try:
            verdicts.append(criterion.matches(change.subject, nothing_else()))
        except EvaluationError:
            verdicts.append(None)
    return False if False in verdicts else None if None in verdicts else True


@settings(max_examples=400, deadline=None)
@given(
    asked=st.lists(SUBSCRIPTIONS, max_size=12),
    removed=st.sets(st.integers(0, 11)),
    changes=st.lists(st.tuples(RESOURCES, st.sampled_from(Interaction)), min_size=1, max_size=4),
    seed=st.integers(),
)
def test_the_index_and_naive_matching_agree(
    asked: list[tuple[Topic, list[str]]],
    removed: set[int],
    changes: list[tuple[Json, Interaction]],
    seed: int,
) -> None:
    """In whatever order subscriptions came and whichever went; `explain` says the same."""
    subscriptions = {f"s{n}": (topic, asking(*texts, topic=topic)) for n, (topic, texts) in enumerate(asked)}
    order = list(subscriptions)
    random.Random(seed).shuffle(order)
    index = index_of((key, *subscriptions[key]) for key in order)
    for number in removed:
        index.remove(f"s{number}")
        subscriptions.pop(f"s{number}", None)
    for resource, interaction in changes:
        change = change_of(resource, interaction)
        expected = {key: naively(subscription, topic, change) for key, (topic, subscription) in subscriptions.items()}
        found = index.match(change, nothing_else())
        assert found.keys == sorted(key for key, verdict in expected.items() if verdict is True)
        assert [failure.key for failure in found.failures] == sorted(k for k, v in expected.items() if v is None)
        for key, (topic, subscription) in subscriptions.items():
            assert explain(subscription, topic, change, CONTEXT, nothing_else()).matched is (expected[key] is True)


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
