"""Criteria strings in every form, what is rejected, and that nothing accepted is ignored."""

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from subscriptions.codes import Comparator, FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.filters import criteria, look_beyond, parse, search, searchable, topic_looks_beyond
from subscriptions.search.asking import Context
from subscriptions.search.compiling import criterion
from subscriptions.search.escapes import escape
from subscriptions.search.parameters import parameters, resource_types
from subscriptions.subscription import Filter
from subscriptions.topic import QueryCriteria, ResourceTrigger, Topic
from tests.subscriptions.alone import nothing_else

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "r4"
R4 = FhirVersion.R4
NO_BASES = Context(R4, frozenset())

Json = dict[str, Any]


def equality(type_: str | None, parameter: str, *values: str, text: str, modifier: str | None = None) -> Filter:
    return Filter(type_, parameter, modifier, None, values, text)


def scope(*types: str) -> Topic:
    """A topic on any change of some types."""
    return Topic("https://topics.example/t", "1.0.0", "", "", tuple(map(ResourceTrigger, types)))


def issues(filters: tuple[Filter, ...], *types: str) -> tuple[Issue, ...]:
    with pytest.raises(Rejected) as caught:
        criteria(filters, scope(*types), NO_BASES, "Subscription.criteria")
    return caught.value.issues


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("patient=Patient/1", [(None, "patient", None, ("Patient/1",))], id="parameter"),
        pytest.param("status:not=done", [(None, "status", "not", ("done",))], id="modifier"),
        pytest.param("Encounter.patient=1", [("Encounter", "patient", None, ("1",))], id="type-dot"),
        pytest.param(
            "Encounter.patient:missing=true", [("Encounter", "patient", "missing", ("true",))], id="all-parts"
        ),
        pytest.param("Encounter?patient=1", [("Encounter", "patient", None, ("1",))], id="type-query"),
        pytest.param(
            "Encounter?patient=123&trigger=feed-event",
            [("Encounter", "patient", None, ("123",)), ("Encounter", "trigger", None, ("feed-event",))],
            id="conditions-joined-by-and",
        ),
        pytest.param(
            "Encounter.patient=1&status=x",
            [("Encounter", "patient", None, ("1",)), ("Encounter", "status", None, ("x",))],
            id="the-type-stays",
        ),
        pytest.param(
            "patient=1&Encounter.status=x",
            [(None, "patient", None, ("1",)), ("Encounter", "status", None, ("x",))],
            id="a-type-of-its-own",
        ),
        pytest.param("orgIdentifier=1,2,3", [(None, "orgIdentifier", None, ("1", "2", "3"))], id="comma-is-or"),
        pytest.param(r"a=1\,2,3\\,4", [(None, "a", None, (r"1\,2", r"3\\", "4"))], id="escaped-commas"),
        pytest.param("Patient?id=Patient/123", [("Patient", "_id", None, ("Patient/123",))], id="id-is-read-as-_id"),
        pytest.param("url=http://a.example/?b=c", [(None, "url", None, ("http://a.example/?b=c",))], id="first-equals"),
        pytest.param("patient.name=x", [(None, "patient.name", None, ("x",))], id="chain"),
        pytest.param(
            "Condition.subject:Patient.name=x", [("Condition", "subject", "Patient.name", ("x",))], id="typed"
        ),
        pytest.param(
            "_has:Observation:patient:code=1", [(None, "_has", "Observation:patient:code", ("1",))], id="reverse-chain"
        ),
        pytest.param(
            "code=http%3A%2F%2Floinc.org%7C1-8", [(None, "code", None, ("http://loinc.org|1-8",))], id="encoded"
        ),
        pytest.param("code=http://loinc.org|1-8", [(None, "code", None, ("http://loinc.org|1-8",))], id="not-encoded"),
        pytest.param("code%3Anot=1", [(None, "code", "not", ("1",))], id="encoded-name"),
        pytest.param(
            "Condition%3Fcode%3D1%26subject%3D2",
            [("Condition", "code", None, ("1",)), ("Condition", "subject", None, ("2",))],
            id="encoded-as-a-whole",
        ),
        pytest.param("a=1%2C2", [(None, "a", None, ("1", "2"))], id="encoded-comma-separates"),
        pytest.param("a=1%26b=2", [(None, "a", None, ("1&b=2",))], id="encoded-and-does-not-separate"),
        pytest.param("a=100%", [(None, "a", None, ("100%",))], id="a-lone-percent-is-literal"),
        pytest.param("a=%ff", [(None, "a", None, ("%ff",))], id="what-is-no-utf-8-is-literal"),
        pytest.param("a=1+2%20", [(None, "a", None, ("1+2 ",))], id="a-plus-is-a-plus"),
    ],
)
def test_every_form_is_read(text: str, expected: list[tuple[str | None, str, str | None, tuple[str, ...]]]) -> None:
    assert [(f.resource_type, f.parameter, f.modifier, f.values) for f in parse(text)] == expected


def test_a_condition_is_kept_as_it_was_written() -> None:
    first, second = parse("Encounter?patient=Patient%2F1&status=a,b")
    assert (first.text, second.text) == ("Encounter?patient=Patient%2F1", "Encounter?status=a,b")
    (dotted,) = parse("Encounter.patient=1")
    assert dotted.text == "Encounter.patient=1"


@pytest.mark.parametrize(
    "text",
    [
        *("", "Encounter", "Encounter?", "patient", "=1", "Encounter?=1", "patient=1&", "&patient=1", "Encounter?1=2"),
        *("encounter?patient=1", "Encounter?Patient.name=x", "/Encounter?patient=1", "pa tient=1", "Encounter..a=x"),
    ],
)
def test_what_has_no_such_form_is_rejected(text: str) -> None:
    with pytest.raises(Rejected, match="is not a filter, which is written"):
        parse(text)


@pytest.mark.parametrize("text", ["patient=", "patient=1,", "patient=,1", "patient=1,,2", "Encounter?a=1&b="])
def test_a_missing_value_is_rejected(text: str) -> None:
    with pytest.raises(Rejected, match="a value is missing"):
        parse(text)


def rendered(filter_: Filter) -> str:
    name = filter_.parameter + (f":{filter_.modifier}" if filter_.modifier else "")
    value = ",".join(filter_.values)
    return f"{filter_.resource_type}?{name}={quote(value)}" if filter_.resource_type else f"{name}={quote(value)}"


@given(
    type_=st.none() | st.sampled_from(sorted(resource_types(R4))),
    parameter=st.sampled_from(sorted({code for _, code in parameters(R4)})),
    modifier=st.none() | st.sampled_from(["not", "missing", "exact", "Patient", "of-type"]),
    values=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1),
)
def test_a_rendered_filter_is_read_back(
    type_: str | None, parameter: str, modifier: str | None, values: list[str]
) -> None:
    filter_ = Filter(type_, parameter, modifier, None, tuple(map(escape, values)), "")
    text = rendered(filter_)
    assert parse(text) == (Filter(type_, parameter, modifier, None, filter_.values, text),)


@given(st.text() | st.from_regex(r"[A-Z][a-z]+[?.][a-z]+(:[a-z]+)?=.*&?.*"))
def test_any_text_is_read_or_rejected(text: str) -> None:
    try:
        found = parse(text)
    except Rejected:
        return
    assert all(filter_.parameter and all(filter_.values) for filter_ in found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("gender=male", "Immunization has no search parameter `gender`", id="unknown-parameter"),
        pytest.param("patient.name=x", "`patient.name`: it looks at other resources", id="chain"),
        pytest.param("patient:Patient.name=x", "`patient:Patient.name`: it looks at", id="typed-chain"),
        pytest.param("_has:Observation:patient:code=1", "`_has:Observation:patient:code`: it", id="reverse-chain"),
        pytest.param("status:exact=completed", "the modifier `:exact` of `status` is not supported", id="exact"),
        pytest.param("patient:Klingon=1", "the modifier `:Klingon` of `patient` is not supported", id="no-type"),
        pytest.param("vaccine-code:text-advanced=x", "can't be decided from the resource alone", id="text-search"),
        pytest.param(
            "patient:iterate=1", "`:iterate` of `patient` is not supported: it is for `_include`", id="iterate"
        ),
        pytest.param("status:=completed", "the modifier `:` of `status` is not supported", id="empty-modifier"),
        pytest.param("_text=x", "the parameter `_text` of type string is not supported", id="text"),
        pytest.param("_content=x", "the parameter `_content` of type string is not supported", id="content"),
        pytest.param("_filter=x", "the parameter `_filter` of type special is not supported", id="filter"),
        pytest.param("_list=x", "has no search parameter `_list`", id="list"),
        pytest.param("_type=x", "has no search parameter `_type`", id="type"),
        pytest.param("_count=10", "has no search parameter `_count`", id="control-parameter"),
    ],
)
def test_what_is_not_supported_is_rejected_with_its_name(text: str, reason: str) -> None:
    (issue,) = issues(parse(text), "Immunization")
    assert issue.code is IssueCode.NOT_SUPPORTED
    assert issue.expression == "Subscription.criteria"
    assert f"`{text}`: " in issue.text
    assert reason in issue.text


def test_what_can_be_asked_of_a_type_is_said_when_something_else_is_asked() -> None:
    (issue,) = issues(parse("Location?_filter=1"), "Location")
    assert issue.code is IssueCode.NOT_SUPPORTED
    reason = "the parameter `_filter` of type special is not supported; supported for Location: _id, "
    assert reason in issue.text


@pytest.mark.parametrize("comparator", Comparator)
def test_a_comparator_beside_the_value_is_the_same_as_one_before_it(comparator: Comparator) -> None:
    beside = Filter(None, "date", None, comparator, ("2020", "2022"), "date")
    before = parse(f"date={comparator}2020,{comparator}2022")
    assert criteria([beside], scope("Observation"), NO_BASES) == criteria(before, scope("Observation"), NO_BASES)


def test_a_comparator_both_beside_and_before_the_value_is_rejected() -> None:
    twice = Filter(None, "date", None, Comparator.GT, ("2020", "lt2022"), "date")
    (issue,) = issues((twice,), "Observation")
    assert "the comparator is given apart (`gt`): `lt2022` must not begin with one" in issue.text


def test_a_comparator_of_what_has_no_order_is_rejected() -> None:
    (issue,) = issues((Filter(None, "status", None, Comparator.GT, ("final",), "status"),), "Observation")
    assert "the comparator `gt` of `status` is not supported; only equality (`eq`) is" in issue.text


@pytest.mark.parametrize("text", ["status=completed ", "patient=%20Patient/1", "date= 2020", "status=a,b%20"])
def test_a_value_with_a_blank_at_its_edge_is_rejected_since_it_would_never_match(text: str) -> None:
    (issue,) = issues(parse(text), "Immunization")
    assert (issue.code, issue.text) == (IssueCode.VALUE, f"`{text}`: a value begins or ends with a blank")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("Klingon?status=x", "`Klingon` is not a resource type of FHIR R4", id="no-type"),
        pytest.param("Patient?name=x", "the topic is about Encounter, Observation, not Patient", id="not-in-topic"),
        pytest.param("DomainResource?_id=x", "`DomainResource` is not a resource type", id="abstract"),
    ],
)
def test_a_type_that_the_topic_does_not_have_is_rejected(text: str, reason: str) -> None:
    (issue,) = issues(parse(text), "Encounter", "Observation")
    assert issue.code is IssueCode.VALUE
    assert reason in issue.text


def test_a_filter_without_type_has_to_fit_every_type_of_the_topic() -> None:
    (issue,) = issues(parse("code=1"), "Encounter", "Observation")
    assert "Encounter has no search parameter `code`" in issue.text


def test_all_reasons_are_given_at_once() -> None:
    found = issues(parse("Observation?code:exact=1&date=soon&subject=Patient/1&status=a|b|c"), "Observation")
    assert [issue.text.split("`")[1] for issue in found] == [
        "Observation?code:exact=1",
        "Observation?date=soon",
        "Observation?status=a|b|c",
    ]


def test_without_filters_every_type_of_the_topic_notifies() -> None:
    assert criteria([], scope("Encounter", "Observation"), NO_BASES) == {"Encounter": (), "Observation": ()}


def test_a_filter_without_type_is_one_for_each_type() -> None:
    found = criteria(parse("patient=1"), scope("Encounter", "Observation"), NO_BASES)
    assert {type_: [c.source.extraction.name for c in met] for type_, met in found.items()} == {
        "Encounter": ["Encounter.patient"],
        "Observation": ["Observation.patient"],
    }


def test_if_filters_name_types_only_these_notify() -> None:
    found = criteria(parse("patient=1&Encounter.status=finished"), scope("Encounter", "Observation"), NO_BASES)
    assert {type_: [c.source.extraction.name for c in met] for type_, met in found.items()} == {
        "Encounter": ["Encounter.patient", "Encounter.status"]
    }


def test_filters_that_mean_the_same_are_equal_criteria() -> None:
    texts = ["Patient?gender=male,female", "gender=female,male", "Patient.gender=female,male,male"]
    made = [criterion(parse(text)[0], "Patient", NO_BASES) for text in texts]
    assert len(set(made)) == 1
    assert made[0] != criterion(parse("gender=male")[0], "Patient", NO_BASES)


def test_a_search_is_understood_and_rejected_like_a_filter() -> None:
    query = [("patient", "Patient/1"), ("status", "finished")]
    (met,) = criteria(parse("Encounter?patient=Patient/1&status=finished"), scope("Encounter"), NO_BASES).values()
    assert search(query, "Encounter", NO_BASES) == met
    with pytest.raises(Rejected) as caught:
        search([("status:", "x"), ("date", "ge20"), ("_count", "5"), ("status", "")], "Encounter", NO_BASES)
    assert [issue.expression for issue in caught.value.issues] == ["status:", "date", "_count", "status"]


@cache
def resources() -> dict[str, list[Json]]:
    """All examples by type, and one of each type that has nothing but an id."""
    found = {type_: [{"resourceType": type_, "id": "nothing-else"}] for type_ in resource_types(R4)}
    for path in EXAMPLES.glob("*.json"):
        resource = json.loads(path.read_bytes())
        found[resource["resourceType"]].append(resource)
    return found


ANY_SEARCHABLE = [(type_, p.code) for type_ in sorted(resource_types(R4)) for p in searchable(R4, type_)]
VALUES = (
    st.sampled_from(
        ["1", "Patient/1", "true", "false", "final", "2013", "2013-01-10", "http://a.example/b", "a|b", "|c"]
    )
    | st.dates().map(str)
    | st.text(min_size=1, max_size=8).map(escape)
)


@settings(max_examples=500)
@given(st.sampled_from(ANY_SEARCHABLE), VALUES)
def test_no_accepted_filter_is_ignored(where: tuple[str, str], value: str) -> None:
    """For every filter that is accepted there is a resource that it keeps out."""
    type_, code = where
    filter_ = equality(type_, code, value, text=f"{code}={value}")
    try:
        made = criterion(filter_, type_, NO_BASES)
    except Rejected:
        assume(False)
    dead = {"resourceType": "Patient", "deceasedBoolean": True}
    assert not all(
        made.matches(resource, nothing_else())
        for resource in [*resources()[type_], *([dead] if type_ == "Patient" else [])]
    )


@settings(max_examples=300)
@given(
    st.sampled_from([(type_, code) for type_, code in parameters(R4)]),
    st.sampled_from(["", ":text-advanced", ":iterate", ":Klingon", ".name", ":x"]),
    VALUES,
)
def test_whatever_is_not_supported_is_rejected(where: tuple[str, str], suffix: str, value: str) -> None:
    """A modifier or a chain on any parameter, any parameter that is not compared."""
    type_, code = where
    compared = {parameter.code for parameter in searchable(R4, type_)}
    assume(suffix or code not in compared)
    with pytest.raises(Rejected):
        search([(f"{code}{suffix}", value)], type_, NO_BASES)


def test_not_is_met_by_whatever_has_none_of_the_values() -> None:
    """https://hl7.org/fhir/R4/search.html#token: also by a resource that has no value at all."""
    (met,) = criteria(parse("status:not=planned,finished"), scope("Encounter"), NO_BASES)["Encounter"]
    said = {"resourceType": "Encounter", "status": "arrived"}
    assert met.matches(said, nothing_else())
    assert not met.matches(said | {"status": "finished"}, nothing_else())
    assert met.matches({"resourceType": "Encounter"}, nothing_else())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status=completed", False),
        ("patient=Patient/1", False),
        ("value-quantity=5.4", False),
        ("patient.gender=male", True),
        ("patient:Patient.name:exact=a.b", True),
        ("patient._in=Group/1", True),
        ("_in=Group/1", True),
        ("_has:Observation:patient:status=final", True),
    ],
)
def test_what_looks_at_other_resources(text: str, expected: bool) -> None:
    """Filters, and a topic's triggers."""
    trigger = ResourceTrigger("Immunization", query=QueryCriteria(current=text))
    assert look_beyond(parse(text)) is expected
    assert topic_looks_beyond(Topic("urn:t", "", "", "", (trigger,))) is expected
