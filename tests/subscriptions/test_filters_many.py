"""How many values filters and searches may have: to compile them takes time that is everybody's."""

import pytest

from subscriptions.codes import FhirVersion, IssueCode
from subscriptions.errors import Issue, Rejected
from subscriptions.filters import MOST_VALUES, criteria, parse, refusals, search
from subscriptions.search.asking import Context
from subscriptions.topic import ResourceTrigger, Topic

CONTEXT = Context(FhirVersion.R4, frozenset())


def scope(*types: str) -> Topic:
    return Topic("https://topics.example/1", "1", "", "", tuple(map(ResourceTrigger, types)))


def joined(count: int) -> str:
    return ",".join(map(str, range(count)))


def issue(text: str, *types: str) -> Issue:
    with pytest.raises(Rejected) as rejected:
        criteria(parse(text), scope(*types), CONTEXT, "Subscription.criteria")
    (found,) = rejected.value.issues
    return found


def test_as_many_as_may_be() -> None:
    found = criteria(parse(f"Observation?code={joined(MOST_VALUES)}"), scope("Observation"), CONTEXT)
    assert len(found["Observation"]) == 1


@pytest.mark.parametrize(
    ("text", "types"),
    [
        (f"Observation?code={joined(MOST_VALUES + 1)}", ("Observation",)),
        ("&".join(["code=1"] * (MOST_VALUES + 1)), ("Observation",)),
        (f"_id={joined(MOST_VALUES // 2 + 1)}", ("Observation", "Patient")),
        (f"_id={joined(MOST_VALUES // 100)}", ("Resource",)),
    ],
    ids=["in one filter", "in many", "of each type", "of all types"],
)
def test_more_are_refused(text: str, types: tuple[str, ...]) -> None:
    found = issue(text, *types)
    assert (found.code, found.expression) == (IssueCode.TOO_COSTLY, "Subscription.criteria")
    assert f"{MOST_VALUES} are taken in all" in found.text


def test_more_are_refused_though_each_element_has_fewer() -> None:
    """What is accepted is put into the index with all its filters: that must not refuse it."""
    half, rest = parse(f"code={joined(MOST_VALUES // 2)}"), parse(f"status={joined(MOST_VALUES // 2)}")
    assert refusals({"a": half, "b": rest}, scope("Observation"), CONTEXT) == []
    (found,) = refusals({"a": half, "b": rest, "c": parse("code=1")}, scope("Observation"), CONTEXT)
    assert (found.code, found.expression) == (IssueCode.TOO_COSTLY, "Subscription")
    assert "`code=1`" in found.text


def test_more_are_refused_in_a_search() -> None:
    with pytest.raises(Rejected) as rejected:
        search([("status", "final"), ("code", joined(MOST_VALUES))], "Observation", CONTEXT)
    (found,) = rejected.value.issues
    assert (found.code, found.expression) == (IssueCode.TOO_COSTLY, "code")
