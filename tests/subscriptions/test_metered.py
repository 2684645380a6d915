"""Expressions of somebody else can't take longer than they may, whatever they say; regular expressions neither."""

from datetime import UTC, datetime
from typing import Any

import pytest

from subscriptions.change import Change
from subscriptions.checking import check
from subscriptions.codes import FhirVersion, Interaction, IssueCode
from subscriptions.errors import EvaluationError, Rejected
from subscriptions.predicate import Costly, predicate
from subscriptions.search.asking import Context
from subscriptions.search.fhirpath import DEEPEST, LONGEST
from subscriptions.search.patterns import Pattern, Unsupported
from subscriptions.topic import ResourceTrigger, Topic
from subscriptions.triggers import MOST_FHIRPATH, Triggers

R4 = FhirVersion.R4
#: As large as a resource may be, in elements and in one text.
LARGE = {
    "resourceType": "Patient",
    "telecom": [{"system": "phone", "value": str(i)} for i in range(20_000)],
    "comment": "a" * 1_000_000,
}
SMALL = {"resourceType": "Patient", "name": [{"family": "Müller", "given": ["Åsa"]}], "telecom": [{"value": "12"}]}


def said(expression: str, current: dict[str, Any]) -> bool | EvaluationError:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    change = Change(R4, Interaction.UPDATE, "Patient", "1", 2, at, current, {**current})
    return predicate(expression, R4).holds(change)


@pytest.mark.parametrize(
    "expression",
    [
        "%current.descendants().select($this | %current.descendants()).exists()",
        "%current.descendants().where(%current.descendants().exists()).exists()",
        "%current.telecom.where(%current.telecom.foo.bar.empty()).exists()",
        "%current.telecom.where(%current = %previous).exists()",
        "%current.telecom.all(%current.telecom.system.exists())",
        "%current.telecom.repeat(value).exists()",
        "%current.telecom.value.intersect(%current.telecom.system).exists()",
        "%current.telecom.value.exclude(%current.telecom.value).exists()",
        "%current.telecom.value.subsetOf(%current.telecom.value)",
        "'a'.repeat($this & 'a').exists()",
        "1.repeat($this + 1).exists()",
        "%current.telecom.aggregate($total & $total & 'x', 'x') = ''",
        "%current.telecom.aggregate($total * $total, 3) = 1",
        "%current.telecom.aggregate($total.combine($total), 3).exists()",
        "%current.telecom.select(%current.comment.upper()).exists()",
        "%current.telecom.value.join(%current.comment) = ''",
        "%current.comment.replace('a', %current.comment) = ''",
        "%current.comment.matches('(a+)+$')",
        "%current.comment.toChars().exists()",
    ],
)
def test_what_would_take_too_long_is_given_up(expression: str) -> None:
    answer = said(expression, LARGE)
    assert isinstance(answer, Costly)
    assert "it takes more than 100000 steps" in str(answer)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("%current.name.family.matches('^M.*r$')", True),
        ("%current.name.given.matches('[a-z]+$')", True),
        ("%current.name.family.matches('x')", False),
        ("%current.foo.matches('x').empty()", True),
        ("('a'.combine('b')).matches('x')", "`matches` is for one string"),
        ("'a'.matches('(?=a)')", "invalid perl operator: (?="),
        ("%current.telecom.repeat(value).exists()", True),
        ("%current.descendants().where($this is string).exists()", True),
        ("%current.telecom.value.join(',') = '12'", True),
        ("%current.telecom.value.replace('1', '2') = '22'", True),
        ("%current.name.exists(family = 'Müller') and %context.name.count() = 1", True),
    ],
)
def test_what_is_short_is_evaluated_as_ever(expression: str, expected: bool | str) -> None:
    answer = said(expression, SMALL)
    assert (answer is expected) if isinstance(expected, bool) else expected in str(answer)


def test_an_error_does_not_cite_the_whole_resource() -> None:
    answer = said("%current > 1", LARGE)
    assert isinstance(answer, EvaluationError)
    assert len(str(answer)) < 300


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(" * 300 + "true" + ")" * 300, f"more than {DEEPEST} levels"),
        ("(" * 490 + "true" + ")" * 490, f"more than {DEEPEST} levels"),
        (" or ".join(["a"] * 180), f"more than {DEEPEST} levels"),
        ("(" * LONGEST + ")" * LONGEST, f"at most {LONGEST}"),
        ("'" + "a" * LONGEST + "' = ''", f"at most {LONGEST}"),
        (
            "%current.descendants().where(%current.descendants().where(%current.descendants().exists()).exists()).exists()",
            "",
        ),
    ],
    ids=["nested", "nested very deeply", "chained", "nested absurdly", "long", "too costly for an example"],
)
def test_a_topic_is_refused_for_what_would_take_too_long(expression: str, reason: str) -> None:
    topic = Topic("https://topics.example/1", "1", "", "", (ResourceTrigger("Patient", fhirpath=expression),))
    with pytest.raises(Rejected) as rejected:
        check(topic, Context(R4, frozenset()))
    (issue,) = rejected.value.issues
    assert issue.code is IssueCode.TOO_COSTLY
    assert issue.expression == "SubscriptionTopic.resourceTrigger[0].fhirPathCriteria"
    assert reason in issue.text


@pytest.mark.parametrize(("many", "accepted"), [(5, True), (6, False)])
def test_a_topic_has_no_more_fhirpath_than_can_be_compiled_soon(many: int, accepted: bool) -> None:
    """A union of a thousand characters takes the engine's parser 0.4 s, and a topic may have any number of triggers."""
    triggers = tuple(
        ResourceTrigger("Patient", fhirpath=f"'{number}{'a' * (LONGEST - 8)}' = ''") for number in range(many)
    )
    topic = Topic("https://topics.example/1", "1", "", "", triggers)
    if accepted:
        Triggers(topic, Context(R4, frozenset()))
        return
    with pytest.raises(Rejected, match=f"a topic has {MOST_FHIRPATH} at most") as rejected:
        Triggers(topic, Context(R4, frozenset()))
    assert [issue.code for issue in rejected.value.issues] == [IssueCode.TOO_COSTLY]


@pytest.mark.parametrize(
    ("written", "text", "found"),
    [
        ("b+", "abc", True),
        ("^b", "abc", False),
        ("^a.c$", "a\nc", True),
        (r"^\d{3}$", "123", True),
        (r"^\d{3}$", "1234", False),
        ("^caf(é|è)$", "café", True),
        ("(?i)CAF", "café", True),
    ],
)
def test_a_pattern_is_looked_for_anywhere_in_a_text(written: str, text: str, found: bool) -> None:
    assert Pattern(written).found_in(text) is found


@pytest.mark.parametrize("written", ["(a+)+$", "^(a|a)*$", "(a?){200}b", "a*a*a*a*a*a*b", "(.*)*!$"])
def test_a_pattern_that_makes_others_try_for_ages_is_decided(written: str) -> None:
    assert Pattern(written).found_in("a" * 2_000 + "c") is False


@pytest.mark.parametrize(
    "written", ["(", "a)", "*", "(?=a)", "(?<=a)", r"(a)\1", "(a{1000}){1000}", "a{99999999}", "[a", "[z-a]", "\ud800"]
)
def test_a_pattern_of_another_kind_is_named(written: str) -> None:
    with pytest.raises(Unsupported, match="can't be used"):
        Pattern(written)
