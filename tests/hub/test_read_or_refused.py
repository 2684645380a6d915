"""Whatever a stranger writes into headers, URLs and patches: it is read, or refused with a reason."""

import json
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from hub.access import ANYBODY
from hub.api.exchange import Exchange, Prefer
from hub.api.known import Known, expected, http_date
from hub.api.pages import paging
from hub.api.parameters import parameters
from hub.api.subset import subset
from hub.errors import Refused
from hub.ingest import strict
from hub.keys import SubscriptionKey
from hub.patch.json_patch import JsonPatch
from hub.patch.path import steps
from subscriptions.codes import FhirVersion
from subscriptions.errors import Rejected

#: What a header may hold as ASGI has it: no control characters but tabs.
header = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f") | st.just("\t"))
ids = st.from_regex(r"[A-Za-z0-9.\-]{1,64}", fullmatch=True)
tenants = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)


def asked(query: str = "", **headers: str) -> Exchange:
    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "path": "/fhir/r4/Patient", "query_string": query.encode("utf-8"), "headers": pairs}
    return Exchange(Request(scope | {"caller": ANYBODY, "method": "GET"}))


@given(header, header, header, header, header, st.text())
def test_any_header_and_any_query(match: str, prefer: str, event: str, date: str, accept: str, query: str) -> None:
    readers: list[Callable[[Exchange], object]] = [
        lambda exchange: exchange.if_match,
        lambda exchange: exchange.prefer,
        lambda exchange: exchange.events,
        lambda exchange: exchange.if_none_exist,
        lambda exchange: exchange.query,
        lambda exchange: exchange.subset("Patient"),
        lambda exchange: paging(exchange.query, 100),
    ]
    with suppress(Refused):
        exchange = asked(query, if_match=match, prefer=prefer, event=event, if_modified_since=date, accept=accept)
        for read in readers:
            with suppress(Refused):
                read(exchange)
    Known(match, http_date(date)).covers(1, 1)


@given(st.integers(1, 10**15))
def test_an_etag_is_read_as_it_is_written(number: int) -> None:
    assert expected(f'W/"{number}"') == str(number)


@pytest.mark.parametrize("wanted", Prefer)
def test_a_preference_is_found_among_others(wanted: Prefer) -> None:
    assert asked(prefer=f'respond-async, handling="strict"; return={wanted}').prefer is wanted


@given(st.sets(st.tuples(st.from_regex(r"[a-z]{1,5}:[A-Za-z0-9/.#-]{1,30}", fullmatch=True), ids), min_size=1))
def test_events_are_read_as_they_are_written(codings: set[tuple[str, str]]) -> None:
    assert asked(event=" , ".join(f"{system}|{code}" for system, code in codings)).events == codings


@given(st.integers(0, 4_000_000_000))
def test_a_date_is_the_end_of_its_second(second: int) -> None:
    assert http_date(formatdate(second, usegmt=True)) == second * 1000 + 999


@given(
    header | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,4} [A-Za-z]{3} [0-9]{1,6} [0-9:]{0,12} ?([A-Z]{3}|[+-][0-9]{4,9})?")
)
def test_what_is_no_date_is_passed_over(text: str) -> None:
    assert isinstance(http_date(text), int | None)


@given(st.text(), st.text())
def test_any_query_of_a_page_or_a_subset(query: str, elements: str) -> None:
    with suppress(Refused):
        given = [*parameters(query), ("_elements", elements)]
        subset(paging(given, 100)[2], "Patient", FhirVersion.R4)


@given(st.builds(SubscriptionKey, tenants, st.sampled_from(list(FhirVersion)), ids, ids))
def test_a_key_is_read_as_it_is_written(key: SubscriptionKey) -> None:
    assert SubscriptionKey.parse(str(key)) == key


@given(st.lists(st.text(), max_size=6))
def test_a_pointer_is_read_as_it_is_written(tokens: list[str]) -> None:
    """https://www.rfc-editor.org/rfc/rfc6901#section-3"""
    pointer = "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)
    body = json.dumps([{"op": "remove", "path": pointer}])
    with suppress(Rejected):  # NUL, and half of a surrogate pair
        assert JsonPatch.read(body.encode(), max_nesting=10).operations[0].pointer == tuple(tokens)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | json_values},
            optional={"path": st.text() | json_values, "from": st.text() | json_values, "value": json_values},
        )
        | json_values
    )
)
def test_any_json_patch(operations: list[object]) -> None:
    """Read, and done on a resource."""
    with suppress(Rejected, Refused):
        made = JsonPatch.read(json.dumps(operations).encode(), max_nesting=20)
        made.applied(b'{"resourceType":"Patient","name":[{"family":"a"}]}', most=10_000)


@given(
    st.text()
    | st.from_regex(r"[A-Z]?[a-z.]+(\[[0-9]+\]|\.where\([a-z =']*\)|\.ofType\([A-Za-z.]*\)){0,3}", fullmatch=True)
)
def test_any_path_of_a_patch(path: str) -> None:
    with suppress(Rejected):
        assert steps(path, "Parameters.parameter[0]")


@given(st.binary() | json_values.map(json.dumps).map(str.encode))
def test_any_bytes_of_json(body: bytes) -> None:
    """What is read means the same to any other reader."""
    with suppress(Rejected):
        found = strict.parse(body, max_nesting=10)
        assert json.loads(body) == json.loads(json.dumps(found, default=float))
