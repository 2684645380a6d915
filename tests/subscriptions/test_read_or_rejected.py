"""Whatever a stranger writes as a filter, a search or an expression: it is understood, or rejected with a reason."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions import filters
from subscriptions.change import Change
from subscriptions.codes import Comparator, FhirVersion, Interaction, SearchType
from subscriptions.errors import EvaluationError, Rejected
from subscriptions.findings import Findings
from subscriptions.predicate import Predicate
from subscriptions.ranges import Range
from subscriptions.search.asking import Context
from subscriptions.search.parameters import parameters
from subscriptions.topic import MODIFIERS
from subscriptions.versions.instant import read, write
from tests.subscriptions.alone import nothing_else
from tests.subscriptions.examples import examples

R4 = FhirVersion.R4
CONTEXT = Context(R4, frozenset({"https://hub.example/fhir/r4"}), chained=True)

#: A few parameters of each type.
ASKED = {
    type_: [place for place, parameter in sorted(parameters(R4).items()) if parameter.type is type_][::40]
    for type_ in SearchType
}

comparators = st.sampled_from(["", *Comparator])
digits = st.from_regex(r"-?[0-9]{0,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{0,6})?", fullmatch=True)
codes = st.from_regex(r"[a-z:/.]{0,20}\|?[A-Za-z0-9%\\$,| -]{0,10}", fullmatch=True)
#: What is much like values of each type.
VALUES: dict[SearchType, st.SearchStrategy[str]] = {
    SearchType.DATE: st.builds(
        str.__add__,
        comparators,
        st.from_regex(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}(:[0-9]{2}){0,2}(\.[0-9]+)?(Z|[+-][0-9:]{5})?)?)?)?"),
    ),
    SearchType.NUMBER: st.builds(str.__add__, comparators, digits),
    SearchType.QUANTITY: st.builds(lambda sign, number, unit: f"{sign}{number}|{unit}", comparators, digits, codes),
    SearchType.TOKEN: codes,
    SearchType.REFERENCE: st.from_regex(
        r"(https?://[a-z./]{0,20}|[A-Z][a-z]+/|urn:uuid:)?[A-Za-z0-9.-]{0,70}(\|[0-9]*)?"
    ),
}


@pytest.mark.parametrize("kind", [kind for kind, found in ASKED.items() if found])
def test_any_value_of_any_type(kind: SearchType) -> None:
    @given(
        st.sampled_from(ASKED[kind]),
        st.sampled_from(["", *(f":{modifier}" for modifier in MODIFIERS), ":Patient", ".name", ":"]),
        st.text() | VALUES.get(kind, st.text()),
    )
    def each(place: tuple[str, str], modifier: str, value: str) -> None:
        type_, code = place
        with suppress(Rejected):
            asked = filters.search([(f"{code}{modifier}", value)], type_, CONTEXT)
            for resource in examples(R4)[type_][:2]:
                found = Findings(_created(resource), nothing_else()).subject.all(asked)
                assert isinstance(found, (bool, EvaluationError))

    each()


names = st.sampled_from(
    ["name", "status", "%current", "%previous", "$this", "value", "`a`", "Patient", "'a'", "1.5", "{}"]
)
functions = st.sampled_from(["where", "exists", "ofType", "matches", "repeat", "replace", "join", "power", "is", "now"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from([".", " | ", " and ", " = ", " + ", " is ", " in ", " > ", "&", " implies ", " as "])
    return st.one_of(
        st.builds(lambda left, operator, right: f"{left}{operator}{right}", inner, operators, inner),
        st.builds(lambda left, function, within: f"{left}.{function}({within})", inner, functions, inner),
        st.builds("({})".format, inner),
    )


@given(st.text() | st.recursive(names, _grown, max_leaves=12))
def test_any_expression(text: str) -> None:
    with suppress(Rejected):
        said = Predicate(text, R4).says(_created(examples(R4)["Patient"][0]))
        assert said is None or isinstance(said, (bool, EvaluationError))


@given(st.text(), st.sampled_from(list(FhirVersion)))
def test_any_search(text: str, version: FhirVersion) -> None:
    context = Context(version, CONTEXT.bases)
    with suppress(Rejected):
        filters.queries(filters.parse(text), frozenset({"Patient", "Observation"}), context)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001 (given a zone below)
def test_an_instant_is_read_as_it_is_written(when: datetime, zone: int) -> None:
    there = when.replace(tzinfo=UTC) + timedelta(minutes=zone)
    assert abs(read(write(there)) - there) < timedelta(milliseconds=1)


@pytest.mark.parametrize("reader", [read, Range.parse])
@given(
    text=st.text()
    | st.from_regex(r"[0-9]{0,4}-[0-9]{0,3}-[0-9]{0,3}T[0-9]{0,3}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?(Z|[+-][0-9:]*)")
)
def test_any_text_of_a_time_or_a_range_is_read_or_a_value_error(reader: Callable[[str], object], text: str) -> None:
    with suppress(ValueError):
        reader(text)


def _created(resource: dict[str, object]) -> Change:
    type_ = str(resource["resourceType"])
    return Change(R4, Interaction.CREATE, type_, "a", 1, datetime(2026, 11, 21, tzinfo=UTC), resource)
