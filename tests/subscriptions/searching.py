"""Table tests of search: a value in a resource, the filters that it meets, and those that it doesn't."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest

from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected
from subscriptions.filters import search
from subscriptions.search.asking import Context
from tests.subscriptions.alone import nothing_else

Json = dict[str, Any]

#: A value of whatever form, the filters on it that are met, and those that are not, with blanks between.
Row = tuple[Any, str, str]


def table(rows: Iterable[Row]) -> pytest.MarkDecorator:
    """One test for each value and filter."""
    cases = [
        pytest.param(value, query, expected, id=f"{row} {'' if expected else 'not '}{query}: {value}"[:80])
        for row, (value, met, unmet) in enumerate(rows)
        for queries, expected in ((met, True), (unmet, False))
        for query in queries.split()
    ]
    return pytest.mark.parametrize(("value", "query", "expected"), cases)


def parsed(text: str) -> Any:
    """JSON as the hub reads it: every digit of a number counts."""
    return json.loads(text, parse_float=Decimal)


def matches(resource: Json, name: str, value: str) -> bool:
    context = Context(FhirVersion.R4, frozenset())
    (criterion,) = search([(name, value)], resource["resourceType"], context)
    return criterion.matches(resource, nothing_else())


def rejection(type_: str, name: str, value: str) -> str:
    """Why it is rejected; the parameter is named."""
    with pytest.raises(Rejected) as caught:
        search([(name, value)], type_, Context(FhirVersion.R4, frozenset()))
    (issue,) = caught.value.issues
    assert issue.expression == name
    assert f"`{name}={value}`" in issue.text
    return issue.text
